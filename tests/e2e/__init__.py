"""The installed command, real targets, a real PostgreSQL, and Meltano itself."""
