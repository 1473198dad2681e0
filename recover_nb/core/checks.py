"""Small checks of arguments."""

from numbers import Integral

from recover_nb.core.errors import InputError


def check_whole(name: str, value: int, least: int) -> None:
    """Raise an `InputError` unless `value` is a whole number of at least `least`."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise InputError(f"{name} {value!r}; allowed: a whole number of at least {least}")
