"""Lists of the likeliest tokens, as serving APIs return them."""
