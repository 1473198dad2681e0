"""How a file would be read: the call, the options it needs, and which column is what."""

import inspect
import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention
from recover_nb.io.fields import NAMES as FIELDS
from recover_nb.io.jsonl import TOKENS
from recover_nb.io.preview.recognise import (
    ANSWERS,
    FORMATS,
    Found,
)

#: Format -> public name of its reader.
READERS = {name: f"from_{name}" for name in FORMATS} | {
    "parquet": "from_table",
    "netcdf": "open_study",
    "study": "open_study",
    "problems": "read_problems",
}
#: Readers that a notebook calls and `recover-nb import` does not.
NOT_IMPORTED = ("study", "problems")
#: Options that a refusing reader may ask for by name, as `reward=`.
ASKED = re.compile(r"\b(reward|scorer|metric|threshold|is_correct)=(?:'([^']*)')?")
#: Stands in a call for a file that only its reader knows.
OTHER_MODEL = "ANCESTOR.jsonl"
#: Field -> names of columns, the field's own first.
NAMES = {
    **FIELDS,
    "output_ids": TOKENS,
    "intervention": ("intervention", "condition", "arm"),
}
#: Format -> field -> where such a log has it.
PLACES = {
    "inspect": {
        "problem_id": ("id",),
        "prompt": ("input",),
        "answer": ("target",),
        "generated_text": ("output",),
        "is_correct": ("scores", "score"),
        "rollout_idx": ("epoch",),
    },
    "lm_eval": {
        "problem_id": ("doc_id",),
        "prompt": ("arguments",),
        "answer": ("target",),
        "generated_text": ("resps",),
        "is_correct": ("metrics", "exact_match", "acc"),
    },
    "trl": {"prompt": ("prompt",), "generated_text": ("completion",)},
    "verl": {
        "prompt": ("input",),
        "answer": ("gts",),
        "generated_text": ("output",),
        "is_correct": ("score",),
    },
    "vllm_logprobs": {"signals": ("prompt_logprobs", "choices")},
    "openai_logprobs": {"signals": ("choices", "meta_info", "details", "completion_probabilities")},
}
#: Columns of TRL's table that are no rewards.
NOT_REWARDS = ("step", "prompt", "completion", "advantage")
_NUMBER = re.compile(r"\s*[-+$]?[\d.,]+%?\s*|.*####.*", re.DOTALL)


@dataclass(frozen=True)
class Call:
    """A call of a reader.

    Attributes
    ----------
    format : str
        One of `FORMATS`.
    source : str or dict of str to str
        The path, or paths by intervention.
    options : dict
    """

    format: str
    source: str | dict[str, str]
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def reader(self) -> Callable[..., Any]:
        """The function."""
        # By its public name: whoever reads the call finds the same function.
        return getattr(import_module(__name__.partition(".")[0]), READERS[self.format])

    @property
    def takes(self) -> tuple[str, ...]:
        """Names of the options that the reader has."""
        return tuple(inspect.signature(self.reader).parameters)[1:]

    def python(self) -> str:
        """Return the call as a line of Python, after ``import recover_nb as rnb``."""
        more = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"rnb.{READERS[self.format]}({self.source!r}{more})"

    def command(self) -> str:
        """Return the call as a command line; empty where there is none."""
        source = self.source
        path = source if isinstance(source, str) else source[Intervention.NONE.value]
        if self.format == "study":
            return f"recover-nb info {_quoted(path)}"
        if self.format == "profiles":
            return f"recover-nb evaluate {_quoted(path)}"
        if self.format in NOT_IMPORTED:
            return ""
        parts = ["recover-nb import", self.format, _quoted(path)]
        if not isinstance(source, str):
            parts += [
                f"--arm {shlex.quote(f'{name}={each}')}"
                for name, each in source.items()
                if name != Intervention.NONE.value
            ]
        for name, value in self.options.items():
            written = value if isinstance(value, str) else json.dumps(value)
            parts.append(f"--option {shlex.quote(f'{name}={written}')}")
        return " ".join([*parts, "--out study.zarr"])

    def read(self, instead: Mapping[str, str]) -> Any:
        """Read, from other files in place of those named.

        Raises
        ------
        InputError
            What the reader refuses, under the names of the files.
        """
        source, options = self.source, dict(self.options)
        if isinstance(source, str):
            source = instead.get(source, source)
        else:
            source = {name: instead.get(each, each) for name, each in source.items()}
        if "ancestor" in options:
            options["ancestor"] = instead.get(options["ancestor"], options["ancestor"])
        try:
            return self.reader(source, **options)
        except InputError as error:
            raise InputError(_under(str(error), instead)) from None


def _quoted(path: str) -> str:
    return shlex.quote(f"./{path}" if path.startswith("-") else path)


def _under(sentence: str, instead: Mapping[str, str]) -> str:
    for name, other in instead.items():
        sentence = sentence.replace(other, name)
    return sentence


def calls_for(found: Found, path: Path, options: Mapping[str, Any]) -> list[Call]:
    """Return the calls that may read a file, the likeliest first."""
    given, name = dict(options), str(path)
    if found.format in ("vllm_logprobs", "openai_logprobs"):
        given = {"ancestor": _sibling(path), **given}
        names = ["vllm_logprobs", "openai_logprobs"]
        return [Call(each, name, given) for each in sorted(names, key=lambda n: n != found.format)]
    if found.format == "vllm_logits":
        part = "features" if found.layout == "parquet" else "repairs"
        return [Call("vllm_logits", "ROLLOUTS.jsonl", {part: name, **given})]
    first = Call(found.format, name, given)
    if found.format not in ("jsonl", "table") or "columns" in given:
        return [first]
    columns = guessed_columns(found.columns)
    return [first, Call("table", name, {"columns": columns, **given})] if columns else [first]


def _sibling(path: Path) -> str:
    """Return the ancestor's file where it lies beside the specialist's and is named so."""
    for mine, other in (("specialist", "ancestor"), ("finetuned", "base"), ("tuned", "base")):
        beside = path.with_name(path.name.replace(mine, other))
        if beside != path and beside.is_file():
            return str(beside)
    return OTHER_MODEL


def guessed_columns(columns: tuple[str, ...]) -> dict[str, str]:
    """Return field -> column for the columns whose names are not the fields' own."""
    found = {}
    for name, column, how in columns_of(columns):
        if how == "guessed":
            found[name] = column
    if "problem_id" not in found and "problem_id" not in columns:
        # Problems without a name are told apart by what they ask.
        asked = found.get("prompt") or ("prompt" if "prompt" in columns else "")
        found |= {"problem_id": asked} if asked else {}
    return found


def columns_of(columns: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """Return field, column, and how it was found (by name, guessed, missing)."""
    known = {re.sub(r"[\s-]+", "_", column.strip().lower()): column for column in columns}
    rows = []
    for name, names in NAMES.items():
        column = next((known[each] for each in names if each in known), "")
        how = "by name" if column == name else "guessed" if column else "missing"
        rows.append((name, column, how))
    return rows


def fields_of(found: Found, call: Call) -> list[tuple[str, str, str]]:
    """Return field, column and how it was found, as a call reads them."""
    if found.format in ("jsonl", "table", "problems", "vllm_logprobs", "openai_logprobs"):
        mapped = call.options.get("columns") or {}
        # Our own lines keep what they store of a problem in an object of this name.
        own = [name for name in found.columns if _is_object(found, name)]
        rows = [
            (name, mapped.get(name, column), "guessed" if name in mapped else how)
            for name, column, how in columns_of(
                tuple(name for name in found.columns if name not in own)
            )
        ]
        if found.format == "problems":
            rows = [row for row in rows if row[0] in ("problem_id", "prompt", "answer")]
        # What most logs lack is not worth a word.
        rows = [row for row in rows if row[2] != "missing" or row[0] in _needed(found)]
        extra = PLACES.get(found.format, {})
    else:
        rows, extra = [], PLACES.get(found.format, {})
    keys = {str(key) for row in found.rows for key in row}
    for name, places in extra.items():
        column = next((each for each in places if each in keys), "")
        rows.append((name, column, "by name" if column else "missing"))
    if found.format == "trl":
        reward = call.options.get("reward") or ", ".join(_rewards(found)) or ""
        rows.append(("is_correct", str(reward), "by name" if reward else "missing"))
    return rows


def _is_object(found: Found, name: str) -> bool:
    values = [row[name] for row in found.rows if row.get(name) is not None]
    return bool(values) and all(isinstance(each, dict) for each in values)


def _needed(found: Found) -> tuple[str, ...]:
    """Return the fields whose absence is told."""
    said = {"output_ids", "token_ids", "choices", "meta_info"} & set(found.columns)
    said_too = () if said else ("generated_text",)
    graded = () if found.format == "problems" else ("is_correct", *said_too)
    return ("problem_id", "prompt", "answer", *graded)


def settle(call: Call, found: Found, instead: Mapping[str, str]) -> tuple[Call, Any, str]:
    """Read, and give the reader the options that it asks for.

    Returns
    -------
    call : Call
        With those options.
    read : object or None
        What the reader returned; None where it goes on refusing.
    refusal : str
        The first sentence of a reader that refused; empty where none did.
    """
    refusal = ""
    for _ in range(4):
        try:
            return call, call.read(instead), refusal
        except InputError as error:
            refusal = refusal or str(error)
            more = _asked_for(str(error), call, found)
            if not more:
                break
            call = replace(call, options={**call.options, **more})
    return call, None, refusal


def _asked_for(sentence: str, call: Call, found: Found) -> dict[str, Any]:
    """Return the first option that a refusal names and the file has a value for."""
    for each in ASKED.finditer(sentence):
        name = each[1]
        if name in call.options or name not in call.takes:
            continue
        # A reader that names a value knows better.
        value = each[2] or GUESSES[name](found, call)
        if value is not None:
            return {name: value}
    return {}


def _likeliest(names: list[str]) -> str | None:
    """Return the name that sounds like a verdict, else the first."""
    sounds = [each for each in names if re.search(r"acc|correct|exact|match|pass", each, re.I)]
    return next(iter(sounds or names), None)


def _rewards(found: Found) -> list[str]:
    row = found.rows[0] if found.rows else {}
    return [
        name
        for name, value in row.items()
        if name not in NOT_REWARDS and isinstance(value, int | float)
    ]


def _reward(found: Found, _call: Call) -> str | None:
    return _likeliest(_rewards(found))


def _scorer(found: Found, _call: Call) -> str | None:
    scores = found.rows[0].get("scores") if found.rows else None
    return _likeliest(list(map(str, scores))) if isinstance(scores, dict) else None


def _metric(found: Found, _call: Call) -> str | None:
    row = found.rows[0] if found.rows else {}
    named = row.get("metrics")
    if isinstance(named, list):
        # A perplexity, a pair of numbers, is no verdict.
        kept = [str(x) for x in named if isinstance(row.get(str(x)), int | float)]
        return _likeliest(kept)
    return _likeliest(
        [k for k, v in row.items() if k != "doc_id" and v in (0, 1) and not isinstance(v, str)]
    )


def _threshold(found: Found, call: Call) -> float | None:
    column = call.options.get("reward", "score")
    values = [row.get(column) for row in found.rows]
    numbers = [each for each in values if isinstance(each, int | float)]
    if not numbers:
        return None
    return 1.0 if max(numbers) >= 1 else 0.5


def _checker(found: Found, _call: Call) -> str | None:
    """Return the checker that fits the answers; None where there is no answer to grade by."""
    found_answers = [row.get(name) for row in found.rows for name in ANSWERS if row.get(name)]
    for row in found.rows:
        for part in (row.get("doc"), row.get("problem")):
            if isinstance(part, dict):
                found_answers += [part[name] for name in ANSWERS if part.get(name)]
    answers = [str(each[0] if isinstance(each, list) and each else each) for each in found_answers]
    if not answers:
        return None
    if all(_NUMBER.fullmatch(each) for each in answers):
        return "numeric"
    if all(re.fullmatch(r"\(?[A-Ja-j]\)?\.?", each.strip()) for each in answers):
        return "choice"
    return "exact"


GUESSES: dict[str, Callable[[Found, Call], Any]] = {
    "reward": _reward,
    "scorer": _scorer,
    "metric": _metric,
    "threshold": _threshold,
    "is_correct": _checker,
}
