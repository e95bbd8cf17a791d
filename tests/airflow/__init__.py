"""The example for Airflow, run for real: `python3 dev.py airflow`."""
