"""Tests of how the API is asked."""
