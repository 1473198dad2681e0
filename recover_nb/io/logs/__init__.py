"""Logs that evaluation and training tools write, one file per tool."""
