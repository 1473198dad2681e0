"""A study: what to run, running it block by block, and reading it back.

Only running needs the extra `models`.
"""
