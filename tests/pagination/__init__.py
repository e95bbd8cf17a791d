"""Tests of how lists are read."""
