"""Problems of your own, as the decoder takes them: from a file, or those of an imported study."""

from os import PathLike
from pathlib import Path

import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Split
from recover_nb.core.schema import text
from recover_nb.io.jsonl import PROBLEM_ID, PROBLEMS, PROMPT
from recover_nb.io.lines import read_jsonl
from recover_nb.tasks import Problem

#: Level of a problem that does not say.
UNKNOWN = -1


def read_problems(source: str | PathLike | xr.Dataset, *, task: str = "imported") -> list[Problem]:
    """Return problems to decode, from a file or a study.

    For example ``rnb.generate(pair, rnb.read_problems("problems.jsonl"), checker="numeric")``.

    Parameters
    ----------
    source : path or Dataset
        JSON lines with ``problem_id`` (``pid``, ``id``), ``prompt`` (``question``, ``input``) and
        ``answer``; or a study that has prompts and answers, such as an imported log.
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
        return _of_study(source)
    found: dict[str, Problem] = {}
    for row in read_jsonl(Path(source), PROBLEMS):
        name = row.text(*PROBLEM_ID, blank=False)
        if name in found:
            raise InputError(f"{row.where}: problem {name} was given before; each may occur once")
        prompt, answer = row.text(*PROMPT, blank=False), row.text("answer")
        found[name] = Problem(task, name, Split.TEST.value, UNKNOWN, prompt, answer, ())
    return list(found.values())


def _of_study(ds: xr.Dataset) -> list[Problem]:
    if "prompt" not in ds or not any(text(ds["prompt"])):
        raise InputError(
            "the study has no prompts, so there is nothing to decode; give a file of problems"
        )
    names = ("task", "problem_id", "split", "prompt", "answer")
    columns = [text(ds[name]).tolist() for name in names]
    found = {row[:2]: row for row in zip(*columns, strict=True)}
    return [Problem(*row[:3], UNKNOWN, *row[3:], ()) for row in found.values()]
