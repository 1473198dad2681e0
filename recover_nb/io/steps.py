"""Steps of answers, as a verifier learns from them and is judged on them: read.

docs/method.md#19-steps.
"""

from collections.abc import Mapping
from pathlib import Path

import xarray as xr

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention
from recover_nb.core.shipped import data_folder
from recover_nb.io.zipped import read_zipped

SHIPPED, COMMAND = "steps.zarr.zip", "recover-nb steps"
#: What goes on from a step.
OPERATORS = (Intervention.RETRY.value, Intervention.CALCULATOR.value)
#: Every step of every answer is a row; these are its variables.
ROW = "row"
ROW_DIMS: Mapping[str, tuple[str, ...]] = {
    "problem_of": (ROW,),
    "rollout_of": (ROW,),
    "step": (ROW,),
    "start": (ROW,),
    "tokens": (ROW,),
    "label": (ROW,),
    "tool": (ROW,),
    "at_junction": (ROW,),
    "numbers": (ROW, "number"),
    "ahead_right": (ROW, "operator"),
    "ahead_tokens": (ROW, "operator"),
}
UNIT_DIMS: Mapping[str, tuple[str, ...]] = {
    "correct": ("problem", "rollout"),
    "answer_id": ("problem", "rollout"),
    "n_tokens": ("problem", "rollout"),
    "mean_log_probability": ("problem", "rollout"),
}
#: How each is kept where it is not as it comes.
STORED: Mapping[str, str] = {
    "problem_of": "int32",
    "rollout_of": "int8",
    "step": "int16",
    "start": "int16",
    "tokens": "int16",
    "label": "int8",
    "tool": "int8",
    "numbers": "float32",
    "answer_id": "int16",
    "n_tokens": "int16",
    "mean_log_probability": "float32",
}


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


def check_steps(found: xr.Dataset, what: str = "steps") -> xr.Dataset:
    """Return a Dataset that holds steps, or say what is missing."""
    wanted = {**ROW_DIMS, **UNIT_DIMS}
    if not isinstance(found, xr.Dataset):
        raise InputError(f"{what} must be what rnb.load_steps() returns, got {checks.shown(found)}")
    wrong = [name for name, dims in wanted.items() if name not in found or found[name].dims != dims]
    wrong += [name for name in ("split", "family", "method", "task") if name not in found.coords]
    if wrong or "n_ahead" not in found.attrs:
        raise InputError(
            f"{what} holds no {wrong[0] if wrong else 'n_ahead'} of steps, so it is not what"
            f" {COMMAND} writes; give such a file"
        )
    return found
