"""What a look at a file returns: what it is, how it is read, and the call to make."""

import html
import textwrap
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.core.files import is_folder
from recover_nb.core.labels import Intervention
from recover_nb.core.schema import INTERVENTION, PROBLEM, text
from recover_nb.core.visible import AS_TEXT, visible
from recover_nb.io.preview.folders import are_small, arms_of, logs_in
from recover_nb.io.preview.head import ROWS, Head, sample
from recover_nb.io.preview.readings import (
    FORMATS,
    OTHER_MODEL,
    READERS,
    Call,
    calls_for,
    fields_of,
    settle,
)
from recover_nb.io.preview.recognise import READABLE, Found, is_store, recognise

#: Characters of a text that are shown.
SHOWN = 300
#: Columns of the two tables of a preview.
FIELDS, ACCURACY = ("field", "column", "found"), ("intervention", "rollouts", "right", "accuracy")


class Preview:
    """A file before it is imported.

    Attributes
    ----------
    path : str
    format : str
        As `recover-nb import` takes it; empty where nothing reads the file.
    what : str
        What the file is or looks like.
    part : str
        What was read of it: empty for all of it, else such as "first 200 rows".
    fields : DataFrame
        ``field``, ``column``, ``found`` (by name, guessed, missing).
    problem : dict of str to str
        The first one: ``prompt``, ``answer``, ``rollout``, ``verdict``, shortened.
    accuracy : DataFrame
        ``intervention``, ``rollouts``, ``right``, ``accuracy`` as they are read.
    notes : list of str
        What the import says of itself: what it dropped, guessed or mended.
    refusal : str
        Why the plain call is refused; empty where it is not.
    call, command : str
        The line of Python and of a shell that read the file; empty where nothing does.
    """

    def __init__(self, path: str, found: Found) -> None:
        self.path, self.format, self.what = path, found.format, found.what
        self.part = self.refusal = self.call = self.command = ""
        self.problem: dict[str, str] = {}
        self.notes: list[str] = []
        self.fields = pd.DataFrame(columns=list(FIELDS))
        self.accuracy = pd.DataFrame(columns=list(ACCURACY))

    @property
    def sentence(self) -> str:
        """What the file is, what is in it, and how to read it."""
        if not self.format:
            return f"{self.path} looks like {self.what}. What can be read: {READABLE}."
        part = f" ({self.part})" if self.part else ""
        said = [f"{self.path} is {self.what}{part}."]
        if self.refusal:
            said.append(f"The reader asks: {self.refusal}.")
        if len(self.accuracy):
            arms = ", ".join(
                f"{row.intervention} {row.right:,} of {row.rollouts:,} right"
                for row in self.accuracy.itertuples()
            )
            said.append(f"As read: {arms}.")
        if self.call:
            said.append(f"Read it with {self.call}")
        return " ".join(said)

    def to_dataframe(self) -> pd.DataFrame:
        """Return which column is read as what: ``field``, ``column``, ``found``."""
        return self.fields.copy()

    def __repr__(self) -> str:
        """Return everything as text."""
        return str(self)

    def __str__(self) -> str:
        """Return everything as text for a terminal, without control characters."""
        lines = textwrap.wrap(_on_one_line(self.sentence.partition(" Read it with ")[0]), 100)
        for title, rows in self._parts():
            lines += ["", title, *(f"  {_on_one_line(row)}" for row in rows)]
        return "\n".join(lines)

    def _parts(self) -> list[tuple[str, list[str]]]:
        """Return title and lines of each part that has some."""
        shown = [("by name", "Fields"), ("guessed", "Guessed"), ("missing", "Missing")]
        parts = []
        for how, title in shown:
            rows = self.fields[self.fields["found"] == how]
            pairs = zip(rows["field"], rows["column"], strict=True)
            parts.append((title, [f"{a}: {b}" if b and a != b else str(a) for a, b in pairs]))
        parts.append(("First problem", [f"{name}: {it}" for name, it in self.problem.items()]))
        rates = [
            f"{row.intervention}: {row.right:,} of {row.rollouts:,} right ({row.accuracy:.0%})"
            for row in self.accuracy.itertuples()
        ]
        parts.append(("As read", rates))
        parts.append(("Notes", self.notes))
        calls = [f"Python:  {self.call}"] if self.call else []
        calls += [f"Shell:   {self.command}"] if self.command else []
        parts.append(("Read it with", calls))
        return [(title, rows) for title, rows in parts if rows]

    def _repr_html_(self) -> str:
        """Return everything as HTML; whatever comes from the file is escaped."""
        head = html.escape(_on_one_line(self.sentence.partition(" Read it with ")[0]))
        parts = []
        for title, rows in self._parts():
            tag = "code" if title == "Read it with" else "span"
            open_, close = f'<li><{tag} style="white-space:pre-wrap">', f"</{tag}></li>"
            cells = "".join(f"{open_}{html.escape(_on_one_line(row))}{close}" for row in rows)
            parts.append(
                f'<div style="margin:.4em 0"><b>{title}</b><ul style="margin:.1em 0">{cells}</ul>'
                "</div>"
            )
        return (
            f'<div class="recover-nb-preview {AS_TEXT}" style="max-width:60em">'
            f'<p style="margin:.2em 0">{head}</p>{"".join(parts)}</div>'
        )


@checks.takes(path=checks.PATH, format=checks.TEXT)
def preview(path: str | PathLike, *, format: str | None = None, **options: Any) -> Preview:
    """Look at a log, a table or a study before it is imported.

    What the file is, is told by what is in it. It is read by the reader that would import it; of a
    large file the first rows.

    Parameters
    ----------
    path : path
        A file, compressed (gzip, zstandard) or not, or a folder of logs.
    format : str, optional
        What the file is, in place of what it looks like: a name that `recover-nb import` takes.
    **options
        Of the reader: ``is_correct="numeric"``, ``reward="accuracy"``.

    Returns
    -------
    Preview
        With `call`, the line of Python that reads the file. Where the reader needs an option, its
        sentence and a call with the likeliest value.

    Raises
    ------
    InputError
        Nothing there, an empty or unreadable file, an unknown format or option.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> log = rnb.example_folder() / "lm_eval" / "samples_none.jsonl"
    >>> look = rnb.preview(log, is_correct="regex:#(.+)$")
    >>> look.format, look.problem["answer"], look.problem["verdict"]
    ('lm_eval', '28', 'right')
    >>> look.accuracy.round(2).to_dict("records")
    [{'intervention': 'none', 'rollouts': 40, 'right': 28, 'accuracy': 0.7}]
    >>> look.call.partition("(")[0]
    'rnb.from_lm_eval'
    """
    path = Path(path)
    if format is not None and format not in FORMATS:
        raise InputError(f"unknown format {format!r}; allowed: {', '.join(FORMATS)}")
    with TemporaryDirectory(prefix="recover-nb-preview-") as folder:
        if is_folder(path) and not is_store(path):
            return _of_folder(path, format, options, Path(folder))
        found, head = recognise(path)
        found = _as_told(found, format)
        look = Preview(str(path), found)
        if found.format:
            _fill(look, found, calls_for(found, path, options), head, Path(folder))
        return look


def _as_told(found: Found, name: str | None) -> Found:
    if name is None or name == found.format:
        return found
    layout = found.layout or "lines"
    return Found(name, f"{FORMATS[name]}, as you say", layout, found.rows, found.columns)


def _of_folder(path: Path, name: str | None, options: dict[str, Any], folder: Path) -> Preview:
    """Look at a folder of logs."""
    found, paths = logs_in(path)
    found = _as_told(found, name)
    look = Preview(str(path), found)
    arms = arms_of(paths)
    files = "one file" if len(paths) == 1 else f"{len(paths):,} files, each"
    look.what = f"a folder of {files} {found.what}"
    if arms and found.format not in ("study", "netcdf", "profiles"):
        calls = [Call(found.format, arms, dict(options))]
    elif found.format in ("study", "netcdf", "profiles"):
        calls = calls_for(found, paths[0], options)
    else:
        calls = calls_for(found, path, options)
    if are_small(paths):
        _fill(look, found, calls, None, folder)
        if not look.refusal or look.call:
            return look
    # A reader that takes one file, or too much to read at once: the first file stands for all.
    refusal, (found, head) = look.refusal, recognise(paths[0])
    found = _as_told(found, name)
    _fill(look, found, calls_for(found, paths[0], options), head, folder)
    look.part = f"first file, {paths[0].name}" + (f", {look.part}" if look.part else "")
    look.refusal = refusal or look.refusal
    return look


def _fill(look: Preview, found: Found, calls: list[Call], head: Head | None, folder: Path) -> None:
    """Read by the first call that works, and take down what came of it."""
    look.part, instead = "", {}
    call = calls[0]
    unknown = [name for name in call.options if name not in call.takes]
    if unknown:
        shown = ", ".join(call.takes)
        raise InputError(f"{READERS[call.format]} has no option {unknown[0]!r}; allowed: {shown}")
    if head is not None and found.layout and not (head.is_small or head.whole):
        instead = {str(head.path): str(sample(head, found.layout, folder))}
        look.part = f"first {ROWS} {'samples' if found.format == 'inspect' else 'rows'}"
    if OTHER_MODEL in call.options.values():
        # Texts and verdicts are the specialist's alone: its own file stands in for the other.
        mine = str(call.source)
        instead = {**instead, OTHER_MODEL: instead.get(mine, mine)}
    refusals = []
    for each in calls:
        call, read, refusal = settle(each, found, instead)
        refusals.append(refusal)
        if read is not None:
            break
    else:
        call, read = calls[0], None
    look.refusal = refusals[-1] or refusals[0] if read is not None else refusals[0]
    if read is not None and "columns" in call.options and "columns" not in calls[0].options:
        # Found by their other names: nothing is asked of anybody.
        look.refusal = refusals[-1]
    _set_fields(look, found, call)
    if read is not None or found.format == "vllm_logits":
        look.format = call.format
        look.call, look.command = call.python(), call.command()
    if isinstance(read, xr.Dataset):
        with read:
            _take(look, read)
    elif isinstance(read, list) and read:
        look.problem = {"prompt": _short(read[0].prompt), "answer": _short(read[0].answer)}
        look.notes.append(f"{len(read):,} problems and no rollouts: rnb.generate answers them")
    _say_more(look, call, calls[0])


def _set_fields(look: Preview, found: Found, call: Call) -> None:
    look.fields = pd.DataFrame(fields_of(found, call), columns=list(FIELDS))


def _say_more(look: Preview, call: Call, first: Call) -> None:
    """Say what was guessed on the way to a call that works."""
    if OTHER_MODEL in call.options.values():
        look.notes.append(
            f"signals need the same rollouts scored by the ancestor: put its file for {OTHER_MODEL}"
        )
        look.refusal = look.refusal or "where are the ancestor's log-probabilities"
    if call.format == "vllm_logits":
        look.refusal = "where are the rollouts that these signals or attempts are of"
        look.notes.append("put the file of rollouts for ROLLOUTS.jsonl")
    for name, value in call.options.items() if look.call else ():
        if name not in first.options:
            shown = ", ".join(f"{k} = {v}" for k, v in value.items()) if name == "columns" else ""
            look.notes.append(f"{name}= is a guess ({shown or repr(value)}): check it")


def _take(look: Preview, ds: xr.Dataset) -> None:
    """Take first problem, accuracy and notes out of what was read."""
    names = text(ds[INTERVENTION]).tolist()
    noted = ds.attrs.get("import_notes", ())
    look.notes += [noted] if isinstance(noted, str) else list(map(str, noted))
    if "correct" in ds:
        _take_rollouts(look, ds, names)
    elif "rescue_rate" in ds:
        rates = ds["rescue_rate"].transpose(PROBLEM, INTERVENTION).values
        tried = ds["attempts"].transpose(PROBLEM, INTERVENTION).values
        right = np.rint(np.nansum(rates * tried, axis=0)).astype(int)
        look.accuracy = _rates(names, tried.sum(axis=0), right)
    if "prompt" in ds and ds.sizes[PROBLEM]:
        asked = {name: _short(str(ds[name].values[0])) for name in ("prompt", "answer")}
        look.problem = {**asked, **look.problem}


def _take_rollouts(look: Preview, ds: xr.Dataset, names: list[str]) -> None:
    correct = ds["correct"].transpose(PROBLEM, "rollout", INTERVENTION).values
    run, right = correct >= 0, correct == 1
    look.accuracy = _rates(names, run.sum(axis=(0, 1)), right.sum(axis=(0, 1)))
    places = np.argwhere(run[0].T) if len(run) else []
    if not len(places):
        return
    arm, number = map(int, places[0])
    if "generated_text" in ds:
        said = ds["generated_text"].transpose(PROBLEM, "rollout", INTERVENTION)
        look.problem["rollout"] = _short(str(said.values[0, number, arm]))
    verdict = "right" if right[0, number, arm] else "wrong"
    other = "" if names[arm] == Intervention.NONE else f" ({names[arm]})"
    look.problem["verdict"] = verdict + other


def _rates(names: list[str], run: np.ndarray, right: np.ndarray) -> pd.DataFrame:
    rows: list[Mapping[str, Any]] = [
        dict(zip(ACCURACY, (name, int(n), int(k), int(k) / int(n)), strict=True))
        for name, n, k in zip(names, run, right, strict=True)
        if n
    ]
    return pd.DataFrame(rows, columns=list(ACCURACY))


def _short(words: str) -> str:
    """Return a text that fits in a few lines: its beginning, and its end where answers stand."""
    if len(words) <= SHOWN:
        return words
    return f"{words[: SHOWN * 2 // 3]} [...] {words[-SHOWN // 3 :]}"


def _on_one_line(words: object) -> str:
    """Return text in which nothing moves a cursor: line breaks become spaces."""
    return visible(" ".join(str(words).split("\n")))
