"""Pages and cards that need no kernel: plain data in, HTML with its own script out.

Nothing here loads xarray, pandas or Altair: what is recorded shows at once.
"""
