"""Where a study comes from: models and their hashes, package versions, git commit, seed, time."""

import json
import subprocess
import sys
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import recover_nb
from recover_nb.core.schema import SCHEMA_VERSION, SIGNAL_TOLERANCE
from recover_nb.core.shipped import checkout_folder

PACKAGES = ("numpy", "scipy", "torch", "transformers", "tokenizers", "xarray", "zarr")


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that can change a number."""
    found = {"python": sys.version.split()[0], "recover_nb": recover_nb.__version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """Return the commit of the checkout the package runs from; None outside one.

    It ends in ``+`` if the checkout was changed.
    """
    root = checkout_folder()
    if root is None:
        return None

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()

    try:
        commit, changes = (
            git("rev-parse", "HEAD"),
            git("status", "--porcelain", "--untracked-files=no"),
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+" if changes else "")


def study_attrs(seed: int, config: Any, models: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Return the attributes of a study.

    Parameters
    ----------
    seed : int
    config : dict, or dataclass
        What was asked for.
    models : dict of str to dict
        ``family|method`` to names and hashes of specialist and ancestor.
    """
    provenance = {"models": models, "packages": package_versions(), "git_commit": git_commit()}
    return {
        "schema_version": SCHEMA_VERSION,
        "seed": seed,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "config_json": json.dumps(config, sort_keys=True, default=_plain),
        "provenance_json": json.dumps(provenance, sort_keys=True),
        "signal_tolerance": SIGNAL_TOLERANCE,
    }


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return asdict(value)
    raise TypeError(f"a {type(value).__name__} has no JSON form")
