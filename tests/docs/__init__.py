"""Tests of the documentation: its examples run, and it says what the code does."""
