"""What a run writes: messages, lines about its progress, and its end."""
