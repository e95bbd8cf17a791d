"""From rows to answers: dbt's models of what the tap brings, and a report."""
