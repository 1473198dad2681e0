"""Steps of answers, as a verifier learns from them and is judged on them: read.

docs/method.md#19-steps.
"""

from pathlib import Path

import xarray as xr

from recover_nb.core import checks
from recover_nb.core.shipped import data_folder
from recover_nb.features.step_table import COMMAND, check_steps
from recover_nb.io.zipped import read_zipped

SHIPPED = "steps.zarr.zip"


@checks.takes(path=checks.PATH)
def load_steps(path: str | Path | None = None) -> xr.Dataset:
    """Return the steps of answers that a verifier learns from, and of those it is judged on.

    docs/method.md#19-steps. The first eight observed rollouts of problems of the dev split, and of
    every problem of the bundled study, cut into steps; each step with its label and with what both
    models say of it.

    Parameters
    ----------
    path : path, optional
        What ``recover-nb steps`` wrote; the shipped file by default.

    Returns
    -------
    Dataset
        One `row` for each step. ``problem_of``, ``rollout_of``, ``step``, ``start`` and ``tokens``
        (row) int say where it is. ``label`` (row) int8: 1 right, 0 first wrong, 2 after it, -1 not
        known. ``tool`` (row) int8: a calculator could do it. ``numbers`` (row, number) float32.
        ``p_right`` (row) float32: what the verifier says, NaN for steps that it learned from.
        ``ahead_right`` (row, operator) int8: right ones among ``n_ahead`` (attribute) continuations
        from the step's beginning, -1 where none was drawn; ``ahead_tokens``, their mean length.
        ``correct``, ``answer_id``, ``n_tokens`` and ``mean_log_probability`` (problem, rollout).

    Raises
    ------
    InputError
        Nothing is there, or it is no such file.

    See Also
    --------
    verify_steps : What a verifier of steps is worth.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> steps = rnb.load_steps()
    >>> sorted(set(steps["split"].values.tolist())), steps.attrs["n_ahead"]
    (['dev', 'test'], 16)
    """
    path = data_folder() / SHIPPED if path is None else Path(path)
    return check_steps(read_zipped(path, COMMAND), str(path))
