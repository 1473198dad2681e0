"""Models behind a server: log-probabilities over HTTP."""
