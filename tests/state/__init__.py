"""Tests of what a run remembers."""
