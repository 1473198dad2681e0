"""Conclusions about routing again, with one choice changed."""
