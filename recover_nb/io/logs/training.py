"""Completions that training writes as it goes: TRL (parquet) and verl (JSON lines)."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import xarray as xr

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.core.files import is_folder
from recover_nb.features.features import DEFAULT_WINDOW
from recover_nb.io.dense import NONE
from recover_nb.io.fields import NAMES, is_name
from recover_nb.io.lines import Row, existing, read_json, read_jsonl, read_parquet
from recover_nb.io.logs.rewards import choose_reward, reward_of, verdicts
from recover_nb.io.messages import words_of_messages
from recover_nb.io.paths import files_of
from recover_nb.io.records import Collector
from recover_nb.io.replies import Reply, replies_of
from recover_nb.io.rollout_rows import expected_answer, hashed, tell_of
from recover_nb.io.rows import RolloutRow
from recover_nb.tasks.checkers import RULE

TRL = (
    "completions of TRL (completions_*.parquet with step, prompt, completion and one column per"
    " reward)"
)
VERL = "rollouts of verl ({step}.jsonl with input, output, gts, score, step)"
#: Names of the step of training.
STEP = ("step", "global_step", "global_steps")
#: Columns that hold an expected answer, besides those of other logs.
SOLUTIONS = ("gts", "solution", "reward_model")


@checks.takes(
    tokenizer=checks.TOKENIZER,
    path=checks.PATH,
    reward=checks.TEXT,
    threshold=checks.NUMBER,
    step=checks.DRAWS,
    is_correct=RULE,
    unit=checks.UNIT,
    task=checks.TEXT,
    n_observed=checks.COUNT,
    window=checks.DRAWS,
)
def from_trl(
    path: str | PathLike,
    *,
    reward: str | None = None,
    threshold: float | None = None,
    step: int | None = None,
    is_correct: str | Callable[[str, str], bool] | None = None,
    tokenizer: Any = None,
    unit: tuple[str, str] = ("imported", "imported"),
    task: str = "trl",
    n_observed: int | None = None,
    window: int = DEFAULT_WINDOW,
) -> xr.Dataset:
    """Read completions that a TRL trainer logged.

    Parameters
    ----------
    path : path
        ``completions_*.parquet``, their folder, the same rows as JSON lines, or the table as
        Weights & Biases exports it (``{"columns": [...], "data": [...]}``).
    reward : str, optional
        The column that says correct; the only one unless given.
    threshold : float, optional
        Rewards of at least this are correct. Without it a reward must be 1 or 0, or 1 or -1. Rows
        without the reward (it did not apply) are left out and counted.
    step : int, optional
        Of training: at another step another model spoke. The last in the file unless given.
    is_correct : str or callable (text, answer) -> bool, optional
        Grades completions in place of the reward. The expected answer is that of a logged column
        ``answer``, ``solution``, ``ground_truth`` or the like; without one a callable sees "".
    tokenizer, unit, task, n_observed, window
        See `from_jsonl`.

    Returns
    -------
    Dataset
        A study without attempts: "retry" and the others are "not run". A problem is named by a
        logged column such as ``problem_id``, else it is a prompt, named by its hash.

    Raises
    ------
    InputError
        A column or value that cannot be used, several rewards and no choice, a step that is not
        there.
    """
    out = Collector(
        Path(path).name, "trl", unit=unit, task=task, is_correct=is_correct, tokenizer=tokenizer
    )
    rows = _at_step(out, _trl_rows(out, path), path, step)
    graded = None
    if is_correct is None:
        graded = verdicts(out, rows, choose_reward(rows, path, reward), threshold)
    _take(out, rows, ("prompt", "completion"), graded)
    return out.study(n_observed=n_observed, window=window)


@checks.takes(
    tokenizer=checks.TOKENIZER,
    path=checks.PATH,
    threshold=checks.NUMBER,
    step=checks.DRAWS,
    is_correct=RULE,
    unit=checks.UNIT,
    task=checks.TEXT,
    n_observed=checks.COUNT,
    window=checks.DRAWS,
)
def from_verl(
    path: str | PathLike,
    *,
    threshold: float | None = None,
    step: int | None = None,
    is_correct: str | Callable[[str, str], bool] | None = None,
    tokenizer: Any = None,
    unit: tuple[str, str] = ("imported", "imported"),
    task: str = "verl",
    n_observed: int | None = None,
    window: int = DEFAULT_WINDOW,
) -> xr.Dataset:
    """Read rollouts that a verl trainer dumped.

    Parameters
    ----------
    path : path
        ``{step}.jsonl`` of the folder of rollout or validation data, or that folder.
    threshold : float, optional
        Scores of at least this are correct. Without it a score must be 1 or 0, or 1 or -1; where
        scores are others, ``acc`` is read if it says correct.
    step, is_correct, tokenizer, unit, task, n_observed, window
        See `from_trl`; ``gts`` is the answer.

    Returns
    -------
    Dataset
        As `from_trl`.

    Raises
    ------
    InputError
        A field that cannot be used, or a step that is not there.
    """
    out = Collector(
        Path(path).name, "verl", unit=unit, task=task, is_correct=is_correct, tokenizer=tokenizer
    )
    rows = _at_step(out, _lines(out, path, VERL), path, step)
    graded = None
    if is_correct is None:
        name = _score(out, rows, path, threshold)
        graded = verdicts(out, rows, name, threshold)
    _take(out, rows, ("input", "output"), graded)
    return out.study(n_observed=n_observed, window=window)


def _score(out: Collector, rows: Sequence[Row], path: Any, threshold: float | None) -> str:
    """Return the column of verl that says correct.

    A score may have a penalty in it (too long, no format); then `acc` says it.
    """
    if all(row.values.get("score") is None for row in rows):
        found = [name for name in ("acc", "reward") if any(name in row.values for row in rows)]
        name = found[0] if found else choose_reward(rows, path, None)
        out.notes.append(f"no row has a score, so {name!r} says correct")
        return name
    if threshold is not None or not all("acc" in row.values for row in rows):
        return "score"
    scores = {reward_of(row, "score") for row in rows} - {None}
    accuracies = {_acc(row) for row in rows}
    if (scores <= {0.0, 1.0} or scores <= {-1.0, 1.0}) or not accuracies <= {0.0, 1.0}:
        return "score"
    out.notes.append("scores are not only 0 and 1 (or -1 and 1), so 'acc' says correct")
    return "acc"


def _acc(row: Row) -> float | None:
    value = row.values.get("acc")
    return float(value) if isinstance(value, bool | int | float) else None


def _trl_rows(out: Collector, path: str | PathLike) -> Iterator[Row]:
    """Yield the rows of TRL's table, in whichever form it was written."""
    files = [path]
    if is_folder(Path(path)):
        found = files_of(path, ".parquet", ".jsonl", ".json")
        # What is there in both forms is read once.
        parquet = [each for each in found if each.suffix == ".parquet"]
        files = parquet or found
    for file in map(Path, files):
        if not _is_parquet(existing(file, TRL)):
            yield from _exported(out, file)
        else:
            for row in read_parquet(file, TRL, ("prompt", "completion"), tell=out.tell):
                yield _with_step(row, file)


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1" or ".parquet" in path.suffixes


def _exported(out: Collector, path: Path) -> Iterator[Row]:
    """Yield the rows of a table of Weights & Biases, or of JSON lines."""
    with path.open("rb") as file:
        head = file.read(4096)
    if b'"columns"' not in head or path.suffix == ".jsonl":
        yield from _lines(out, path, TRL)
        return
    table = read_json(path, TRL, tell=out.tell)
    columns, data = (table.find(name, needed=True)[1] for name in ("columns", "data"))
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise table.wrong("columns", columns, "a list of names")
    if not isinstance(data, list) or not data:
        raise table.wrong("data", data, "a list of rows")
    for place, values in enumerate(data):
        row = Row(f"{path}: row {place + 1}", {})
        if not isinstance(values, list) or len(values) != len(columns):
            raise row.wrong("data", values, f"a list of {len(columns)} values, one a column")
        yield _with_step(Row(row.where, dict(zip(columns, values, strict=True))), path)


def _lines(out: Collector, path: str | PathLike, what: str) -> Iterator[Row]:
    for file in files_of(path, ".jsonl", ".json"):
        for row in read_jsonl(file, what, tell=out.tell):
            yield _with_step(row, file)


def _with_step(row: Row, path: Path) -> Row:
    """Return a row with the step of training as a whole number, if need be by its file's name."""
    name, value = row.find(*STEP)
    if not name:
        number = re.search(r"(\d+)\D*$", path.name.partition(".")[0])
        return Row(row.where, {**row.values, "step": int(number[1]) if number else 0})
    # Older trainers write it as text.
    if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value.strip()):
        value = int(value)
    return Row(row.where, {**row.values, "step": Row(row.where, {name: value}).whole(name)})


def _at_step(out: Collector, rows: Iterable[Row], path: Any, step: int | None) -> list[Row]:
    """Return the rows of a step; of the last unless one is given."""
    known: set[int] = set()
    kept: list[Row] = []
    for row in rows:
        mine = row.values["step"]
        if step is None and (not known or mine > max(known)):
            kept = []  # an earlier step than this was read so far
        known.add(mine)
        if mine == (max(known) if step is None else step):
            kept.append(row)
    if step is not None and step not in known:
        shown = ", ".join(map(str, sorted(known)[:10]))
        raise InputError(f"{path}: no row is of step {step}; it has {shown}")
    if len(known) > 1:
        wanted = max(known) if step is None else step
        out.notes.append(f"{path} has {len(known)} steps of training; read was {wanted}")
    return kept


def _take(
    out: Collector,
    rows: Sequence[Row],
    fields: tuple[str, str],
    graded: Sequence[bool | None] | None,
) -> None:
    """Take rows as rollouts of problems."""
    prompts = [_prompt(out, row, fields[0]) for row in rows]
    answers = [_answer(out, row) for row in rows]
    names = _names(out, rows, prompts, answers)
    count: dict[tuple, int] = {}
    for place, row in enumerate(rows):
        correct = None if graded is None else graded[place]
        reply = _reply(row, fields[1])
        if graded is not None and correct is None:
            continue
        unit = (out.family, out.method, out.task, names[place])
        problem = out.problem(unit)
        problem.prompt, problem.answer = prompts[place], answers[place]
        number = count[unit] = count.get(unit, -1) + 1
        tell_of(reply, None, out)
        out.add(
            RolloutRow(
                row.where,
                unit,
                NONE,
                number,
                correct,
                text=reply.text,
                ended=out.ended({**row.values, **reply.values}),
                hidden=reply.hidden,
            )
        )


def _names(
    out: Collector, rows: Sequence[Row], prompts: list[str], answers: list[str]
) -> list[str]:
    """Return the name of each row's problem: that of a column, else the hash of its prompt."""
    column = next(
        (name for name in NAMES["problem_id"] if _names_problems(rows, name, prompts)), None
    )
    if column is not None:
        out.notes.append(f"problems are named by the column {column!r}")
        return [out.name(row.text(column, blank=False)) for row in rows]
    wanted: dict[str, set[str]] = {}
    for prompt, answer in zip(prompts, answers, strict=True):
        wanted.setdefault(prompt, set()).add(answer)
    twice = sum(len(each) > 1 for each in wanted.values())
    if twice:
        out.tell(
            "prompts_of_several_answers",
            "{n} prompts come with several expected answers; each is a problem of its own",
            by=twice,
        )
    return [
        hashed(prompt) if len(wanted[prompt]) == 1 else hashed(prompt, answer)
        for prompt, answer in zip(prompts, answers, strict=True)
    ]


def _names_problems(rows: Sequence[Row], name: str, prompts: list[str]) -> bool:
    """Tell whether a column names problems: one prompt to a name, and not a name to each row."""
    values = [row.values.get(name) for row in rows]
    if not all(isinstance(each, str | int) and is_name(each) for each in values):
        return False
    # verl's uid is of a rollout: sample, rollout, output.
    if all(re.search(r"_\d+_\d+$", str(each)) for each in values):
        return False
    pairs = set(zip(map(str, values), prompts, strict=True))
    ids = {name for name, _ in pairs}
    of_rows = len(ids) == len(rows) > len(set(prompts))
    return len(pairs) == len(ids) and not of_rows


def _prompt(out: Collector, row: Row, name: str) -> str:
    value = row.find(name, needed=True)[1]
    beside = any(row.values.get(each) not in (None, [], "") for each in ("image", "images"))
    if beside or (isinstance(value, list) and _shows_images(value)):
        out.tell("images_left_out", "{n} prompts come with images, which are not kept")
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        return words_of_messages(value)
    if not isinstance(value, str):
        raise row.wrong(name, value, "text, or a list of messages")
    return value


def _shows_images(messages: Any) -> bool:
    """Tell whether a conversation has images in it, which trainers strip to their places."""
    contents = [each.get("content") for each in messages if isinstance(each, dict)]
    parts = [part for each in contents if isinstance(each, list) for part in each]
    return any(isinstance(part, dict) and "image" in str(part.get("type")) for part in parts)


def _reply(row: Row, name: str) -> Reply:
    value = row.find(name, needed=True)[1]
    found = replies_of(value)
    if found is None or len(found) != 1:
        raise row.wrong(name, value, "text, or a list of messages")
    return found[0]


def _answer(out: Collector, row: Row) -> str:
    """Return the expected answer of a row, in a column of any name that trainers give it."""
    if any(row.values.get(name) is not None for name in NAMES["answer"] if name != "gts"):
        return expected_answer(row, out, has_text=True)
    for name in SOLUTIONS:
        if row.values.get(name) is not None:
            return expected_answer(Row(row.where, {"answer": row.values[name]}), out, True)
    return ""
