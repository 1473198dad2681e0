"""Rewards of training as verdicts: which column is one, and which of its values mean correct."""

from collections.abc import Sequence
from typing import Any

from recover_nb.core.errors import InputError
from recover_nb.io.fields import NAMES, VERDICTS, is_number
from recover_nb.io.lines import Row
from recover_nb.io.records import Collector

#: Columns that hold no reward, whatever their values.
NOT_REWARDS = {
    "step",
    "global_step",
    "prompt",
    "completion",
    "advantage",
    "advantages",
    "image",
    "images",
    "solution",
    "request_id",
    "finish_reason",
    "stop_reason",
    "completion_length",
    "completion_ids",
    "prompt_ids",
    *NAMES["prompt"],
    *NAMES["answer"],
    *NAMES["problem_id"],
    *NAMES["rollout_idx"],
    *(name for name in NAMES["generated_text"]),
}
#: Inside of a reward that is an object, the verdict comes before the score.
INSIDE = ("acc", "is_correct", "correct", "score", "reward", "value")


def reward_columns(rows: Sequence[Row]) -> list[str]:
    """Return the columns that may be a reward: numbers, true and false, or objects with one."""
    names = list(dict.fromkeys(name for row in rows for name in row.values))
    names = [name for name in names if name not in NOT_REWARDS]
    numbers, texts = [], []
    for name in names:
        values = [value for row in rows if (value := row.values.get(name)) is not None]
        if not values:
            continue
        if all(isinstance(value, bool) or is_number(value) or _inside(value) for value in values):
            numbers.append(name)
        elif all(_of_text(value) is not None for value in values):
            texts.append(name)
    # A text that reads as a number is mostly an answer.
    return numbers or texts


def choose_reward(rows: Sequence[Row], path: Any, reward: str | None) -> str:
    """Return the column that says correct.

    Raises
    ------
    InputError
        None or several and no choice, or a choice that is not there.
    """
    found = reward_columns(rows)
    if reward is not None:
        if not any(reward in row.values for row in rows):
            known = ", ".join(found or map(str, rows[0].values))
            raise InputError(f"{path} has no column {reward!r} for reward=; it has {known}")
        return reward
    if len(found) == 1:
        return found[0]
    if not found:
        raise InputError(
            f"{path} has no column with a reward in any row; it has"
            f" {', '.join(map(str, rows[0].values))}; pass is_correct= to grade the texts"
        )
    # Of several, the one that is about being right is the likelier example.
    best = next((name for name in found if "acc" in name or "correct" in name), found[0])
    raise InputError(
        f"{path} has the rewards {', '.join(found)}; pass reward= to say which one means correct,"
        f" such as reward={best!r}"
    )


def verdicts(
    out: Collector, rows: Sequence[Row], name: str, threshold: float | None
) -> list[bool | None]:
    """Return what the rewards of a column say; None where there is none.

    Parameters
    ----------
    out : Collector
        Hears of rewards that are missing, and of -1 for wrong.
    rows : sequence of Row
    name : str
    threshold : float or None
        From which on a reward means correct. Without it, rewards are 1 and 0, or 1 and -1.

    Raises
    ------
    InputError
        A value that is no reward, or one between wrong and right and no threshold.
    """
    values = [reward_of(row, name) for row in rows]
    given = {value for value in values if value is not None}
    if not given:
        raise InputError(f"{rows[0].where}, and every other row, has no value in {name!r}")
    missing = sum(value is None for value in values)
    if missing:
        out.tell(
            "no_reward",
            f"{{n}} rows have no reward {name!r} (it did not apply) and are left out",
            by=missing,
        )
    if threshold is not None:
        return [None if value is None else value >= threshold for value in values]
    wrong = -1.0 if -1.0 in given else 0.0
    for row, value in zip(rows, values, strict=True):
        if value is not None and value not in (wrong, 1.0):
            raise row.wrong(
                name,
                row.values[name],
                "0 or 1 (or -1 and 1 in all rows); pass threshold= to say from which on it is"
                " correct",
            )
    if wrong < 0:
        out.tell(
            "rewards_of_minus_one",
            f"{name!r} is -1 or 1; -1 is read as wrong ({{n}} rows)",
            by=sum(value == wrong for value in values),
        )
    return [None if value is None else value == 1 for value in values]


def reward_of(row: Row, name: str) -> float | None:
    """Return a reward as a number; None where it did not apply.

    Raises
    ------
    InputError
        A value that is none.
    """
    value = row.values.get(name)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        key = _inside(value)
        value = value.get(key) if key else value
    if isinstance(value, str):
        value = _of_text(value) if value.strip() else None
        value = row.values[name] if value is None and row.values[name] else value
    if value is None or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, bool):
        return float(value)
    return Row(row.where, {name: value}).number(name)


def _inside(value: Any) -> str | None:
    """Return the key of the verdict in an object."""
    if not isinstance(value, dict):
        return None
    return next(
        (key for key in INSIDE if isinstance(value.get(key), bool) or is_number(value.get(key))),
        None,
    )


def _of_text(value: Any) -> float | None:
    """Return the number that a text writes, or that of a word for right or wrong."""
    if not isinstance(value, str):
        return None
    word = value.strip().lower()
    if word in VERDICTS:
        return float(VERDICTS[word])
    try:
        return float(word)
    except ValueError:
        return None
