"""Tests of the models and the report, which take dbt's environment: dev.py transform."""
