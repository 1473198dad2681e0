"""Look at a file before it is imported: what it is, how it would be read, and the call to make."""
