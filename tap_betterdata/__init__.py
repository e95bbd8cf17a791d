"""Singer tap for the Better Data SCM API."""
