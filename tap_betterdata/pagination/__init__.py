"""Reading lists page by page while they move; knows no stream and no SDK."""
