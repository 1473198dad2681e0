"""The command line: `recover-nb`."""
