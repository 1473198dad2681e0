"""What only the JSON lines of `to_jsonl` hold: stored variables, signals, and the whole study.

Others use the same words for other things: `problem` is a text in most logs, and `study` or
`variables` may be anything. What is not ours is not read here.
"""

from typing import Any

import numpy as np

from recover_nb.core.schema import TEXT, TOKEN, VARIABLES
from recover_nb.io.lines import Row
from recover_nb.io.rows import MISSING_MASS, SIGNALS, ProblemRow

#: Variables on (problem, rollout, intervention) and on (problem, ...) that are written as they are.
PER_ROLLOUT = (
    "parseable",
    "ended",
    "worked",
    "first_wrong",
    "wrong_step_start",
    "origin",
    "slip",
    "forward_specialist",
    "forward_ancestor",
    "junction",
    "first_firing",
    "answer_id",
)
PER_PROBLEM = (
    "level",
    "ancestor_pass_at_1",
    "solved_by_majority",
    "value_right",
    "value_n",
    "features",
    "fire_threshold",
    "coverage_mean",
    "coverage_sd",
    "warmup",
    "alternative_token_id",
    "alternative_log_probability",
)
#: What was decided over a population that need not be in the file.
DECIDED = ("regime", "route")


def own_problem(row: Row) -> Row | None:
    """Return what `to_jsonl` stored of a problem, or an object of another's with its prompt."""
    value = row.values.get("problem")
    return Row(f"{row.where}, problem", value) if isinstance(value, dict) else None


def read_problem(about: ProblemRow, row: Row) -> None:
    """Take what an object `problem` says; only `to_jsonl` writes more than prompt and answer."""
    about.prompt = row.text("prompt", needed=False) or about.prompt
    about.answer = row.text("answer", needed=False) or about.answer
    if "split" not in row.values:
        return
    about.split = row.text("split", needed=False) or about.split
    about.decided = {name: row.text(name) for name in DECIDED if name in row.values}
    for name in PER_PROBLEM:
        if name not in row.values:
            continue
        value = row.values[name]
        variable = VARIABLES[name]
        try:
            # null stands for NaN, which JSON does not have.
            array = np.array(value, dtype=np.float64).astype(variable.dtype)
        except (TypeError, ValueError, OverflowError):
            raise row.wrong(name, value, "numbers") from None
        if array.ndim != len(variable.dims) - 1:
            raise row.wrong(name, value, f"numbers on ({', '.join(variable.dims[1:])})")
        about.stored[name] = array


def read_variables(row: Row) -> dict[str, int | str]:
    """Return what `to_jsonl` stored of a rollout; another's `variables` are none of ours."""
    found = row.values.get("variables")
    if not isinstance(found, dict):
        return {}
    part = Row(f"{row.where}, variables", found)
    return {
        name: (
            part.text(name, needed=False) or ""
            if VARIABLES[name].dtype == TEXT
            else part.whole(name, least=-1)
        )
        for name in PER_ROLLOUT
        if name in part.values
    }


def read_signals(row: Row) -> dict[str, np.ndarray]:
    """Return the signals of a rollout."""
    part = row.part("signals", needed=False)
    if part is None:
        return {}
    unknown = sorted(set(part.values) - set(SIGNALS))
    if unknown:
        raise part.wrong(
            unknown[0], part.values[unknown[0]], f"one of the signals {', '.join(SIGNALS)}"
        )
    names = [name for name in SIGNALS if name not in MISSING_MASS or name in part.values]
    return {name: np.array(part.numbers(name), np.float32) for name in names}


def read_study(row: Row) -> dict[str, Any]:
    """Return what the first line says of the whole study; empty where `to_jsonl` did not write it.

    What to_jsonl writes has attributes; another's `study` is a name or a description.
    """
    found = row.values.get("study")
    if not isinstance(found, dict) or "attrs" not in found:
        return {}
    study = Row(f"{row.where}, study", found)
    attrs, names = study.part("attrs"), study.find("interventions", needed=True)[1]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise study.wrong("interventions", names, "a list of names")
    for name, value in attrs.values.items():
        if not isinstance(value, str | int | float | list):
            raise attrs.wrong(name, value, "text, a number, or a list of texts")
    return {"attrs": attrs.values, "interventions": names, "least_tokens": study.whole(TOKEN)}
