"""Tests of the models and the report; they take dbt, as `dev.py transform` has it."""
