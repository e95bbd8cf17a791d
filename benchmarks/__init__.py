"""Benchmarks of the tap; `python -m benchmarks --help` tells how to run them."""
