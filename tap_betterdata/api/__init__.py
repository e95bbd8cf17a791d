"""How the API is asked: its requests, their answers, and when they may be sent."""
