"""Problems of your own, as the decoder takes them: from a file, or those of an imported study."""

import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path

import xarray as xr

from recover_nb.core import checks
from recover_nb.core.door import admit
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Split
from recover_nb.core.schema import text
from recover_nb.core.visible import visible
from recover_nb.io.columns import Mapper
from recover_nb.io.fields import NAMES
from recover_nb.io.lines import Row
from recover_nb.io.parsing import Tell
from recover_nb.io.sources import read_rows
from recover_nb.tasks import Problem

PROBLEMS = "problems (problem_id, prompt, answer; JSON lines, CSV or parquet)"
NEEDED = ("prompt", "answer")
FIELDS = ("problem_id", *NEEDED, "family", "method", "task")
#: The last line of a worked solution in GSM8K.
SOLVED = re.compile(r"(?:^|\n)[ \t]*####[ \t]*(\S(?:.*\S)?)\s*\Z")
#: Level of a problem that does not say.
UNKNOWN = -1


@checks.takes(task=checks.TEXT)
def read_problems(source: str | PathLike | xr.Dataset, *, task: str = "imported") -> list[Problem]:
    """Return problems to decode, from a file or a study.

    For example ``rnb.generate(pair, rnb.read_problems("problems.jsonl"), checker="numeric")``.

    Parameters
    ----------
    source : path or Dataset
        A file with ``problem_id``, ``prompt`` and ``answer``, by these names or by those that tools
        give them (``id``, ``question``, ``target``, ...; `recover_nb.io.fields.NAMES`): JSON lines,
        CSV, parquet, and what else `from_table` reads; or a study that has prompts and answers,
        such as an imported log. What of a file is guessed or mended is a warning. GSM8K's own files
        are read too: the answer is what follows ``####`` at the end of the worked solution, which a
        problem has no place for, and the number of the row, from 0, stands for the id that they
        lack.
    task : str
        Of a file's problems.

    Returns
    -------
    list of Problem
        In the order of the file; each once.

    Raises
    ------
    InputError
        A missing field, a problem given twice, a study without prompts.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> problems = rnb.read_problems(rnb.example_folder() / "problems.jsonl", task="sums")
    >>> len(problems), problems[0].prompt.strip(), problems[0].answer
    (24, '(81*2)%100', '62')
    """
    if isinstance(source, xr.Dataset):
        source = admit(source, "source")
        return _of_study(source)
    found: dict[str, Problem] = {}
    told: dict[str, list] = {}

    def tell(name: str, sentence: str, by: int = 1) -> None:
        told.setdefault(name, [sentence, 0])[1] += by

    for number, given in enumerate(problem_rows(source, tell, NEEDED)):
        row = _of_gsm8k(given, number)
        name = row.text(*NAMES["problem_id"], blank=False)
        if name in found:
            raise InputError(f"{row.where}: problem {name} was given before; each may occur once")
        prompt, answer = row.text("prompt", blank=False), _first_answer(row, tell).text("answer")
        found[name] = Problem(task, name, Split.TEST.value, UNKNOWN, prompt, answer, ())
    for sentence, n in told.values():
        said = f"{source}: {sentence.replace('{n}', f'{n:,}')}"
        warnings.warn(visible(said), stacklevel=2)
    return list(found.values())


def problem_rows(
    path: str | PathLike, tell: Tell, needed: Sequence[str] = ("problem_id",)
) -> Iterator[Row]:
    """Yield the rows of a file of problems, with the names of its fields.

    Parameters
    ----------
    path : path
        See `read_problems`.
    tell : callable
        `Collector.tell`.
    needed : sequence of str
        Fields that every row needs a column for.

    Raises
    ------
    InputError
        No such file, no rows, or a column that is needed is missing.
    """
    if not isinstance(path, str | PathLike):
        raise InputError(f"{type(path).__name__} is no file; give {PROBLEMS}")
    mapper = Mapper({}, tell, FIELDS, needed, how="the name {} in the file")
    for part in read_rows(Path(path), PROBLEMS, mapper.is_known, tell):
        yield from mapper.rows(part)


def _of_gsm8k(row: Row, number: int) -> Row:
    """Return a row of GSM8K with its final answer and an id; any other row as it is."""
    answer = row.values.get("answer")
    final = SOLVED.search(answer) if isinstance(answer, str) else None
    if final is None:
        return row
    name = row.find("problem_id")[1]
    found = {"answer": final[1], "problem_id": number if name is None else name}
    return replace(row, values=row.values | found)


def _first_answer(row: Row, tell: Tell) -> Row:
    """Return the row with the first of its answers, where it lists several."""
    answers = row.values.get("answer")
    if not isinstance(answers, list) or not answers:
        return row
    if len(answers) > 1:
        tell("several_answers", "{n} problems list several answers; the first of each is read")
    return Row(row.where, row.values | {"answer": answers[0]}, row.called)


def _of_study(ds: xr.Dataset) -> list[Problem]:
    if "prompt" not in ds or not any(text(ds["prompt"])):
        raise InputError(
            "the study has no prompts, so there is nothing to decode; give a file of problems"
        )
    names = ("task", "problem_id", "split", "prompt", "answer")
    missing = [name for name in names if name not in ds.variables]
    if missing:
        raise InputError(f"the study has no {', '.join(missing)}; problems have all of them")
    columns = [text(ds[name]).tolist() for name in names]
    levels = ds["level"].values.tolist() if "level" in ds else [UNKNOWN] * len(columns[0])
    found = {
        (task, name): Problem(task, name, split, int(level), prompt, answer, ())
        for task, name, split, prompt, answer, level in zip(*columns, levels, strict=True)
    }
    return list(found.values())
