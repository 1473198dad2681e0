"""Where the shipped folders are: beside the package in a checkout, inside it in a wheel install."""

from pathlib import Path

from recover_nb.core.errors import InputError

_PACKAGE = Path(__file__).resolve().parent.parent


def shipped_folder(name: str) -> Path:
    """Return a folder that travels with the package: ``data``, ``docs`` or ``notebooks``.

    Raises
    ------
    InputError
        If neither place exists: the installation is incomplete.
    """
    places = (_PACKAGE / name, _PACKAGE.parent / name)
    for folder in places:
        if folder.is_dir():
            return folder
    raise InputError(
        f"the shipped {name} are neither in {places[0]} nor in {places[1]}; "
        "reinstall recover-nb, or work in a complete checkout"
    )


def data_folder() -> Path:
    """Return the folder of shipped data.

    Raises
    ------
    InputError
        As `shipped_folder`.
    """
    return shipped_folder("data")


def example_folder() -> Path:
    """Return the folder of files to try importers on.

    It holds problems, logs of other tools, and a study made of them.

    Raises
    ------
    InputError
        As `data_folder`.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> sorted(path.name for path in rnb.example_folder().iterdir())
    ['lm_eval', 'own_study.zarr.zip', 'problems.jsonl']
    """
    return data_folder() / "examples"


def checkout_folder() -> Path | None:
    """Return the root of the git checkout the package runs from, or None when it is installed."""
    root = _PACKAGE.parent
    return root if (root / ".git").exists() else None
