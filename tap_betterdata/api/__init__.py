"""How the API is asked: when a request may go, and what the answers say of it."""
