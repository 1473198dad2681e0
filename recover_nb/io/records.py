"""The one place where rows of a file become a study: grading, tokenizing, and notes on both."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention
from recover_nb.core.schema import (
    IMPORTED,
    INTERVENTION,
    PROBLEM,
    ROLLOUT,
    SCHEMA_VERSION,
    TOKEN,
    assemble,
    failed_rollouts,
)
from recover_nb.core.token_text import TOKEN_TEXT, texts_of_tokens
from recover_nb.core.validation import validate
from recover_nb.features.features import DEFAULT_WINDOW
from recover_nb.io.dense import NONE, RETRY, lay_out, order_interventions
from recover_nb.io.grading import Grading, need_verdicts
from recover_nb.io.rows import MISSING_MASS, ProblemRow, RolloutRow, Unit, ending, was_forced
from recover_nb.routing.derive import derive
from recover_nb.tasks import has_step, make_checker

#: Other names of interventions in the wild (the authors' toolkit).
ALIASES = {
    "local_temp": Intervention.LOCAL_TEMPERATURE.value,
    "rand": Intervention.SPARSE_STEER_RANDOM.value,
    "geo_pred": Intervention.SPARSE_STEER.value,
    "geo_wrong": Intervention.SPARSE_STEER_WRONG.value,
    "dense": Intervention.DENSE_STEER.value,
}


#: Variables that only imported studies have: dimensions and meaning.
BESIDE = {
    "generated_text": (
        (PROBLEM, ROLLOUT, INTERVENTION),
        "what a rollout says; empty = not run, or not stored",
    ),
    "missing_mass": (
        (PROBLEM, ROLLOUT, TOKEN),
        "the specialist's probability that is not in its stored list",
    ),
    "missing_mass_ancestor": (
        (PROBLEM, ROLLOUT, TOKEN),
        "the ancestor's probability that is not in its stored list",
    ),
}


class Collector:
    """Gather rows of one import, then make the study.

    Parameters
    ----------
    source, source_format : str
        Kept as attributes.
    unit : (family, method)
        Of rows that do not say.
    task : str
    is_correct : str or callable (text, answer) -> bool, optional
        Grades every rollout that has a text, in place of what the file says; see
        `tasks.make_checker`.
    tokenizer : optional
        Tokenizes rollouts that come as text only: an object with ``encode`` and ``decode``.
    """

    def __init__(
        self,
        source: str,
        source_format: str,
        *,
        unit: tuple[str, str] = ("imported", "imported"),
        task: str = "imported",
        is_correct: str | Callable[[str, str], bool] | None = None,
        tokenizer: Any = None,
    ) -> None:
        self.source, self.source_format, self.tokenizer = source, source_format, tokenizer
        self.family, self.method = unit
        self.task = task
        self.rule = is_correct
        # A function is asked as it is: what it says is judged where the row is known.
        self.checker = make_checker(is_correct) if isinstance(is_correct, str) else is_correct
        self.problems: dict[Unit, ProblemRow] = {}
        self._rows: dict[tuple, RolloutRow] = {}
        self.counts: dict[str, int] = {}
        self.notes: list[str] = []
        self._told: dict[str, str] = {}
        #: Problems whose answer a row of a rollout named.
        self.answered: set[Unit] = set()
        #: Problem id -> how it was first written: 1 and "1" name one problem, which is told.
        self._written: dict[str, type] = {}

    def count(self, name: str, by: int = 1) -> None:
        """Add to a count that is reported with the study."""
        self.counts[name] = self.counts.get(name, 0) + by

    def tell(self, name: str, sentence: str, by: int = 1) -> None:
        """Count what was dropped, guessed or read anew, and say it once in the study's notes.

        Parameters
        ----------
        name : str
            Of the count, in ``import_counts_json``.
        sentence : str
            For ``import_notes``; ``{n}`` in it is the count. The first sentence of a name is kept.
        by : int
        """
        self.count(name, by)
        if name not in self._told:
            self._told[name] = sentence
            self.notes.append(name)

    def ended(self, values: Mapping[str, Any]) -> bool | None:
        """Return whether a rollout ended by itself (`rows.ending`); forced ends are told."""
        if was_forced(values):
            self.tell(
                "ended_by_force",
                "{n} rollouts were ended by a filter, a refusal or a fault of the tool, so whether"
                " they were done is not known; they count as the log grades them",
            )
        return ending(values)

    def said(self) -> list[str]:
        """Return the notes so far, as a reader of the study sees them."""
        return [
            self._told[note].replace("{n}", f"{self.counts[note]:,}")
            if note in self._told
            else note
            for note in self.notes
        ]

    @property
    def grades(self) -> bool:
        """Whether a checker grades the texts."""
        return self.checker is not None

    def name(self, value: Any) -> str:
        """Return a problem's id as text; tell of ids that are a number here and a text there."""
        # A column of whole numbers becomes one of floats where a cell is missing.
        whole = isinstance(value, float) and value.is_integer()
        name = str(int(value) if whole else value)
        if self._written.setdefault(name, type(value)) is not type(value):
            self.tell(
                "ids_written_two_ways",
                "{n} rows write a problem id as a number where others write it as a text, or the"
                " other way round; both name the same problem",
            )
        return name

    def problem(self, unit: Unit) -> ProblemRow:
        """Return the problem of a unit, made when it is first named."""
        return self.problems.setdefault(unit, ProblemRow())

    def add(self, row: RolloutRow) -> None:
        """Take a rollout.

        Raises
        ------
        InputError
            A rollout given twice, or signals that do not fit its tokens.
        """
        row.intervention = ALIASES.get(row.intervention, row.intervention)
        key = (row.unit, row.intervention, row.number)
        if key in self._rows:
            raise InputError(
                f"{row.where}: rollout {row.number} of problem {row.unit[-1]} under"
                f" {row.intervention} came before ({self._rows[key].where}); each may occur once"
            )
        self.problem(row.unit)
        self._rows[key] = row

    @property
    def rows(self) -> list[RolloutRow]:
        """All rollouts so far."""
        return list(self._rows.values())

    def study(
        self,
        *,
        n_observed: int | None = None,
        window: int = DEFAULT_WINDOW,
        attrs: Mapping[str, Any] | None = None,
        interventions: Sequence[str] = (),
        least_tokens: int = 0,
    ) -> xr.Dataset:
        """Make the study of everything taken so far.

        Parameters
        ----------
        n_observed : int, optional
            The first so many ``none`` rollouts of a problem are observed; the others become
            ``retry`` attempts.
        window : int
            Of the junction.
        attrs : mapping, optional
            Those of the study in the file, which then are the only ones.
        interventions : sequence of str
            Names to have besides those of the rows.
        least_tokens : int
            Least size of the token axis.
        """
        rows = self._graded(self._tokenized(self.rows))
        if n_observed is not None:
            _split_observed(rows, n_observed)
        rows = self._without_empty(rows)
        if not attrs:  # a study that comes back brings its own
            self._say_worked(rows)
        if not rows:
            raise InputError(f"{self.source}: no rollout is left to import")
        found = order_interventions([row.intervention for row in rows])
        # A study that comes back keeps its own order.
        names = tuple(dict.fromkeys([*interventions, *found]))
        arrays = lay_out(rows, self.problems, names, window, least_tokens)
        told = self.said()
        self._describe(arrays, rows)
        beside = {name: (*BESIDE[name], arrays.pop(name)) for name in BESIDE if name in arrays}
        ds = assemble(arrays, names).assign(
            {
                name: (dims, values, {"long_name": meaning})
                for name, (dims, meaning, values) in beside.items()
            }
        )
        ds.attrs = self._with_told(attrs, told) if attrs else self._attrs() | self._token_text(ds)
        return validate(self._with_stored(_blank_unfailed(derive(ds))))

    def _with_stored(self, ds: xr.Dataset) -> xr.Dataset:
        """Put regimes and routes that the file stores over derived ones.

        Those may be of a larger population.
        """
        for place, each in enumerate(self.problems.values()):
            for name, value in each.decided.items():
                ds[name].values[place] = value
        return ds

    def _with_told(self, attrs: Mapping[str, Any], told: list[str]) -> dict[str, Any]:
        """Return the attributes of a study that comes back, with what was done to it now."""
        before = attrs.get("import_notes", [])
        before = [before] if isinstance(before, str) else list(before)
        own = {
            "import_counts_json": json.dumps(self.counts, sort_keys=True),
            "import_notes": [*before, *told],
        }
        return dict(attrs) | (own if told else {})

    def _attrs(self) -> dict[str, Any]:
        attrs = {
            "schema_version": SCHEMA_VERSION,
            "source": self.source,
            IMPORTED: self.source_format,
            "import_counts_json": json.dumps(self.counts, sort_keys=True),
        }
        return attrs | ({"import_notes": self.said()} if self.notes else {})

    def _token_text(self, ds: xr.Dataset) -> dict[str, str]:
        """Return the attribute with the text of every token, where there is a tokenizer to ask."""
        if self.tokenizer is None or "token_id" not in ds:
            return {}
        texts = texts_of_tokens(self.tokenizer, np.unique(ds["token_id"].values).tolist())
        units = {f"{family}|{method}": texts for family, method, *_ in self.problems}
        return {TOKEN_TEXT: json.dumps(units, ensure_ascii=False)}

    def _tokenized(self, rows: list[RolloutRow]) -> list[RolloutRow]:
        """Tokenize rows with a text and no tokens, and compare the two where both are there."""
        if self.tokenizer is None:
            return rows
        for row in rows:
            if row.text is None:
                if self.checker is not None and row.token_id is not None:
                    row.text = self.tokenizer.decode(row.token_id, skip_special_tokens=True)
                continue
            if row.hidden and row.token_id is None:
                continue
            given = row.token_id is not None
            if not given:
                row.token_id = list(self.tokenizer.encode(row.text, add_special_tokens=False))
            self.count("texts_and_tokens_compared" if given else "texts_tokenized")
            written = self.tokenizer.decode(row.token_id, skip_special_tokens=True)
            # A generated text often comes without the special tokens and white space at its ends.
            if written.strip() != row.text.strip():
                self.count("tokenization_mismatches")
        n = self.counts.get("tokenization_mismatches", 0)
        if n:
            total = self.counts.get("texts_tokenized", 0) + self.counts.get(
                "texts_and_tokens_compared", 0
            )
            self.notes.append(
                f"{n} of {total} rollouts do not survive the tokenizer: their tokens decode to"
                " another text, so signals and junctions there may be shifted; store token ids"
                " with the rollouts, or give the tokenizer they were made with"
            )
        return rows

    def _graded(self, rows: list[RolloutRow]) -> list[RolloutRow]:
        """Return the rows with a verdict: the checker's where there is one, else the file's."""
        if self.checker is None or self.rule is None:
            need_verdicts(rows)
            return rows
        grading = Grading(self.rule, self.checker, self.problems, self.tell)
        kept = grading.grade(rows, self.source)
        if grading.changed:
            for each in self.problems.values():
                # Routes of a cell hang on the failures of all its problems.
                each.decided = {}
            self.counts["regraded_differently"] = grading.changed
            self.notes.append(
                f"{grading.changed} of {len(kept)} rollouts are graded otherwise than the file says"
            )
        return kept

    def _say_worked(self, rows: list[RolloutRow]) -> None:
        for row in rows:
            if row.worked is None and row.text:
                row.worked = has_step(row.text)
        cut = sum(row.ended is False and not row.correct for row in rows)
        if cut:
            self.counts["cut_off"] = cut
            self.notes.append(
                f"{cut} of {len(rows)} rollouts were cut off at the length limit before they were"
                " right; they are counted apart, and are no failures of reasoning"
            )

    def _without_empty(self, rows: list[RolloutRow]) -> list[RolloutRow]:
        """Leave out rollouts without a token, as docs/method.md#three-features does.

        A length of 0 stands for not run.
        """
        empty_ = [row for row in rows if row.length == 0]
        if empty_:
            self.counts["empty_rollouts"] = len(empty_)
            self.notes.append(
                f"{len(empty_)} of {len(rows)} rollouts have no token and are left out"
            )
        return [row for row in rows if row.length != 0]

    def _describe(self, arrays: dict[str, np.ndarray], rows: list[RolloutRow]) -> None:
        self.counts |= {"rollouts": len(rows), "problems": len(self.problems)}
        if "token_id" not in arrays:
            known = sum(row.length is not None for row in rows)
            why = f"{known} of {len(rows)} rollouts have" if known else "no rollout has"
            self.notes.append(
                f"{why} tokens, so no traces are stored; pass tokenizer= to tokenize texts, or give"
                " token ids with the rollouts"
            )
        if "missing_mass" in arrays:
            inside = np.arange(arrays["missing_mass"].shape[-1]) < arrays["n_tokens"][..., 0, None]
            seen = inside & (arrays["has_signals"] == 1)[..., None]
            means = [
                100 * float(arrays[name][seen].mean()) if seen.any() else 0.0
                for name in MISSING_MASS
            ]
            self.notes.append(
                f"signals come from truncated lists: on average {means[0]:.2g} % of the"
                f" specialist's probability and {means[1]:.2g} % of the ancestor's is not in them"
                " (missing_mass)"
            )


def _blank_unfailed(ds: xr.Dataset) -> xr.Dataset:
    """Blank regime and route of problems observed that never failed, whatever was tried on them."""
    observed = ds["correct"].values[:, :, 0]
    unfailed = (observed >= 0).any(1) & ~failed_rollouts(ds).any(1)
    for name in ("regime", "route"):
        ds[name].values[unfailed] = ""
    return ds


def _split_observed(rows: list[RolloutRow], n_observed: int) -> None:
    if any(row.intervention == RETRY for row in rows):
        raise InputError(
            "n_observed makes retry of the later observed rollouts, but the file has retry already"
        )
    observed: dict[Unit, list[RolloutRow]] = {}
    for row in rows:
        if row.intervention == NONE:
            observed.setdefault(row.unit, []).append(row)
    for each in observed.values():
        for row in sorted(each, key=lambda row: row.number)[n_observed:]:
            row.intervention, row.signals, row.alternatives = RETRY, {}, None
