"""Where the shipped data are: beside the package in a checkout, inside it when installed from a wheel."""

from pathlib import Path

from recover_nb.errors import InputError

_PACKAGE = Path(__file__).resolve().parent.parent


def data_folder() -> Path:
    """Return the folder of shipped data.

    Raises
    ------
    InputError
        If neither place exists: the installation is incomplete.
    """
    for folder in (_PACKAGE / "data", _PACKAGE.parent / "data"):
        if folder.is_dir():
            return folder
    raise InputError(
        f"the shipped data are neither in {_PACKAGE / 'data'} nor in {_PACKAGE.parent / 'data'}; "
        "reinstall recover-nb, or work in a complete checkout"
    )


def example_folder() -> Path:
    """Return the folder of files to try importers on: problems, logs of other tools, and a study made of them.

    Raises
    ------
    InputError
        As `data_folder`.
    """
    return data_folder() / "examples"


def checkout_folder() -> Path | None:
    """Return the root of the git checkout the package runs from, or None when it is installed."""
    root = _PACKAGE.parent
    return root if (root / ".git").exists() else None
