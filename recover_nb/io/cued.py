"""Traces with cues, and attempts in which a cue was forced: read as one zipped Zarr.

docs/method.md#20-cues.
"""

from pathlib import Path

import xarray as xr

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.core.shipped import data_folder
from recover_nb.io.zipped import read_zipped

SHIPPED = "cued.zarr.zip"
#: What is stored, and the order of its dimensions.
DIMS = {
    "correct": ("problem", "rollout"),
    "n_tokens": ("problem", "rollout"),
    "token_id": ("problem", "rollout", "token"),
    "cue": ("problem", "rollout", "token"),
    "entropy": ("problem", "rollout", "token"),
    "kl_divergence": ("problem", "rollout", "token"),
    "attempt_correct": ("problem", "arm", "attempt"),
    "attempt_tokens": ("problem", "arm", "attempt"),
}


@checks.takes(path=checks.PATH)
def load_cued(path: str | Path | None = None) -> xr.Dataset:
    """Return traces of specialists with cues and without, token by token.

    docs/method.md#20-cues. `cued` says before each step what it is about to do; `sft` does not.
    Both were asked problems of the study's dev and test splits.

    Parameters
    ----------
    path : path, optional
        What ``recover-nb train --cued`` wrote; the shipped one by default.

    Returns
    -------
    Dataset
        One `problem` for each question and specialist (coordinates `family`, `method`, `task`,
        `problem_id`, `split`). ``correct`` (problem, rollout) int8; ``n_tokens`` int16;
        ``token_id`` (problem, rollout, token) int16, -1 past the end; ``cue``, the place in
        `labels.Cue` of each token, -1 for others; ``entropy`` and ``kl_divergence`` float32, nat;
        ``attempt_correct`` and ``attempt_tokens`` (problem, arm, attempt) int8 and int16, -1 where
        not run.

    Raises
    ------
    InputError
        Nothing is there, or it is no such file.

    See Also
    --------
    monitor : What a monitor saves by stopping traces, and rescues by forcing a cue.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> rnb.load_cued()["arm"].values.tolist()
    ['retry', 'redraw', 'force_cue']
    """
    path = data_folder() / SHIPPED if path is None else Path(path)
    found = read_zipped(path, "recover-nb train --cued")
    wrong = [name for name, dims in DIMS.items() if name not in found or found[name].dims != dims]
    if wrong:
        raise InputError(
            f"{path} has no {wrong[0]} by {', '.join(DIMS[wrong[0]])}, so it is not what recover-nb"
            " train --cued writes; give such a file"
        )
    return found
