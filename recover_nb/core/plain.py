"""Figures as plain data, for JSON."""

import math
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Turn numpy scalars into Python's, and NaN or infinity into None, for strict JSON.

    Nested values are turned too.
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
