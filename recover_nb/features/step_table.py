"""What a table of steps holds: its variables, and whether a Dataset is one.

docs/method.md#19-steps.
"""

from collections.abc import Mapping

import xarray as xr

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention

#: What makes one.
COMMAND = "recover-nb steps"
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
