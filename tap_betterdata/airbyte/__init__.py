"""The tap as a source for Airbyte: the command `source-betterdata`."""
