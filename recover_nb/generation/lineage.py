"""The shipped miniature lineage: an ancestor and its specialists, as Hugging Face checkpoints."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from recover_nb.core import checks
from recover_nb.core.checkpoints import WEIGHTS
from recover_nb.core.errors import InputError
from recover_nb.core.extras import need
from recover_nb.core.labels import SHIPPED_SPECIALISTS, Family, Method, parse
from recover_nb.core.shipped import data_folder

if TYPE_CHECKING:
    from recover_nb.generation.decoding import Pair


def checkpoint_folder(family: str, method: str, *, root: str | Path | None = None) -> Path:
    """Return the folder of a checkpoint of the lineage.

    Parameters
    ----------
    family, method : str
        Names of `labels.Family` and `labels.Method` (``"ancestor"`` included).
    root : path, optional
        Folder with FAMILY/METHOD inside; the shipped ``data/lab`` by default.

    Raises
    ------
    InputError
        Unknown name, or no checkpoint there.
    """
    family, method = parse(Family, family), parse(Method, method)
    folder = (data_folder() / "lab" if root is None else Path(root)) / family / method
    if not (folder / WEIGHTS).is_file():
        raise InputError(
            f"no checkpoint in {folder} ({WEIGHTS} is missing); train it with: "
            f"recover-nb train --family {family} --method {method}"
        )
    return folder


@checks.takes(root=checks.PATH)
def load_lineage(
    family: str, method: str, *, root: str | Path | None = None, device: str | None = None
) -> "Pair":
    """Load a specialist of the lineage with its ancestor.

    Parameters
    ----------
    family : str
        ``"qwen3"`` or ``"neox"``.
    method : str
        ``"sft"``, ``"grpo"``, ``"self_distill"``, or ``"cued"``, which the study does not have.
    root, device : optional
        See `checkpoint_folder` and `recover_nb.load_pair`.

    Returns
    -------
    Pair

    Raises
    ------
    InputError
        Unknown family or method, no checkpoint, or torch is not installed.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> pair = rnb.load_lineage("neox", "sft")
    >>> sum(each.numel() for each in pair.specialist.parameters())
    477888
    """
    if parse(Method, method) not in SHIPPED_SPECIALISTS:
        raise InputError(
            f"method {method!r} is not a specialist; allowed: {', '.join(SHIPPED_SPECIALISTS)}"
        )
    specialist, ancestor = (
        checkpoint_folder(family, each, root=root) for each in (method, Method.ANCESTOR)
    )
    decoding = need("recover_nb.generation.decoding", "models", "decoding")
    with _no_bars():
        return decoding.load_pair(specialist, ancestor, device=device)


@contextmanager
def _no_bars() -> Iterator[None]:
    """Keep transformers from drawing a bar for a checkpoint that loads in a blink."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
