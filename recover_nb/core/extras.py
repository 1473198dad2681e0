"""Say which extra to install, at the one place where something is missing."""

from importlib import import_module
from types import ModuleType

from recover_nb.core.errors import InputError


def need(module: str, extra: str, purpose: str) -> ModuleType:
    """Import `module`, or raise an `InputError` that names the extra to install.

    Parameters
    ----------
    module : str
        Full name.
    extra : str
        The extra of `recover-nb` that brings it.
    purpose : str
        What it is needed for, as the subject of a sentence.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or module).partition(".")[0]
        if missing == "recover_nb":
            raise InputError(
                f"{purpose} is not part of this version ({error.name} is missing)"
            ) from None
        raise InputError(
            f"{purpose} needs {missing}, which is not installed; run: pip install"
            f" 'recover-nb[{extra}]'"
        ) from None
