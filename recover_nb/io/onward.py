"""Answers of specialists that were trained on: read.

docs/method.md#17-training-gain.
"""

from pathlib import Path

import xarray as xr

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.core.shipped import data_folder
from recover_nb.io.zipped import read_zipped

SHIPPED = "onward.zarr.zip"
#: What is stored of each answer: the order of its dimensions.
DIMS = ("problem", "seed", "checkpoint", "rollout")


@checks.takes(path=checks.PATH)
def load_onward(path: str | Path | None = None) -> xr.Dataset:
    """Return what training on did to the problems of the bundled study.

    docs/method.md#17-training-gain. `grpo` goes on from each specialist with three seeds; at some
    steps every problem that ever failed, and some that never did, are put to it again.

    Parameters
    ----------
    path : path, optional
        What ``recover-nb train --onward`` wrote; the shipped one by default.

    Returns
    -------
    Dataset
        ``correct`` (problem, seed, checkpoint, rollout) int8: 1 right, 0 wrong, -1 not asked;
        ``n_tokens`` (problem, seed, checkpoint) float32. `checkpoint` counts steps; step 0 is the
        specialist itself, drawn again.

    Raises
    ------
    InputError
        Nothing is there, or it is no such file.

    See Also
    --------
    training_gain : Which failures training on fixes, and what tells so beforehand.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> onward = rnb.load_onward()
    >>> onward["checkpoint"].values.tolist(), onward.sizes["seed"]
    ([0, 10, 20, 40, 60], 3)
    """
    path = data_folder() / SHIPPED if path is None else Path(path)
    found = read_zipped(path, "recover-nb train --onward")
    wrong = [name for name in ("correct", "n_tokens") if name not in found]
    if wrong or found["correct"].dims != DIMS:
        raise InputError(
            f"{path} holds no answers to {', '.join(DIMS)}, so it is not what recover-nb train"
            " --onward writes; give such a file"
        )
    return found
