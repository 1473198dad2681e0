"""Where a study comes from: models and their hashes, package versions, git commit, seed, time."""

import hashlib
import json
import subprocess
import sys
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import recover_nb
from recover_nb.core.checkpoints import WEIGHTS, checkpoint_hash
from recover_nb.core.errors import InputError
from recover_nb.core.schema import SCHEMA_VERSION, SIGNAL_TOLERANCE
from recover_nb.core.shipped import checkout_folder

if TYPE_CHECKING:
    from recover_nb.generation.decoding import Pair

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


def check_packages(before: dict[str, str]) -> None:
    """Refuse to go on with a run of other versions: one study would mix what two of them give.

    Raises
    ------
    InputError
        The first package that differs.
    """
    now = package_versions()
    for name, then in before.items():
        if name != "python" and now.get(name) != then:
            raise InputError(
                f"the run to resume was begun with {name} {then} and this is"
                f" {now.get(name, '(none)')}; install that one, or choose another --out"
            )


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


def describe_pair(pair: "Pair") -> dict[str, str]:
    """Return names and hashes of the models of a pair, as a study keeps them.

    A checkpoint of one file is known by the hash of that file, as the shipped ones are; any other
    model by the hash of its weights in memory.
    """
    described = {}
    for role in ("specialist", "ancestor"):
        name = getattr(pair, f"{role}_name")
        described[role] = name
        described |= _hashed(role, name, getattr(pair, role))
    return described


def is_same_model(stated: dict[str, str], pair: "Pair", role: str) -> bool:
    """Return whether a model of a pair is the one that a study states; True where it cannot tell.

    Parameters
    ----------
    stated : dict
        What `describe_pair` gave for the study.
    pair : Pair
    role : {"specialist", "ancestor"}
    """
    model = getattr(pair, role)
    by_file, by_weights = f"{role}_sha256", f"{role}_weights_sha256"
    if by_weights in stated:
        return stated[by_weights] == weights_hash(model)
    found = _hashed(role, getattr(pair, f"{role}_name"), model)
    return found.get(by_file, stated.get(by_file)) == stated.get(by_file)


def weights_hash(model: Any) -> str:
    """Return the SHA-256 of a model's weights: names, shapes, types and bytes, in order of name."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        flat = tensor.detach().to("cpu").contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _hashed(role: str, name: str, model: Any) -> dict[str, str]:
    if name and (Path(name) / WEIGHTS).is_file():
        return {f"{role}_sha256": checkpoint_hash(name)}
    return {f"{role}_weights_sha256": weights_hash(model)}


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
