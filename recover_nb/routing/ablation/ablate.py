"""Which conclusions about routing depend on which choice: every figure, one thing changed.

The estimators are those of docs/method.md#8-estimators; the choices are of docs/method.md#2-signals
to docs/method.md#7-routing-rule.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.labels import (
    FEATURES,
    Conclusion,
    Factor,
    Intervention,
    Move,
)
from recover_nb.core.plain import plain
from recover_nb.core.result import Result, labelled
from recover_nb.core.schema import cell_names
from recover_nb.core.shipped import data_folder
from recover_nb.core.titles import named
from recover_nb.routing.ablation.stored import (
    ABLATIONS,
    OWN,
    STORED,
    attempted_again,
    fingerprint,
    load_ablations,
    unpack,
)
from recover_nb.routing.ablation.variants import (
    RULE,
    Trial,
    attempt_trials,
    edge_trials,
    reference,
    rule_trials,
    signal_trials,
    stored_trials,
)
from recover_nb.routing.evaluation import NEED_ATTEMPTS, run_estimators
from recover_nb.routing.lifts import Contributions
from recover_nb.routing.populations import FAILED, POPULATION
from recover_nb.routing.rescue import MIN_FAILURE, MIN_GAIN, TOLERANCE, with_rates
from recover_nb.routing.table import BEST_FIXED, PERMUTED, Inputs, Table, read_inputs, routable
from recover_nb.stats.resampling import (
    TIED,
    Resamples,
    checkpoint_interval,
    percentile_interval,
    ratio,
)

RETRY = Intervention.RETRY.value
#: Conclusion -> estimator, comparator. The first is the published lift over retry less its null's.
CONCLUSIONS = {
    Conclusion.PUBLISHED_EXCEEDS_NULL: ("published", RETRY),
    Conclusion.BEATS_RETRY_SPLIT: ("split", RETRY),
    Conclusion.BEATS_RETRY_ALL: ("all", RETRY),
    Conclusion.BEATS_BEST_FIXED_SPLIT: ("split", BEST_FIXED),
    Conclusion.BEATS_BEST_FIXED_ALL: ("all", BEST_FIXED),
    Conclusion.BEATS_PERMUTED_SPLIT: ("split", PERMUTED),
    Conclusion.BEATS_PERMUTED_ALL: ("all", PERMUTED),
}
TAILS = (0.025, 0.975)
_NONE = (float("nan"), float("nan"))
#: Figures of `Ablation.dataset` by setting and conclusion, and by setting.
_BY_CONCLUSION = (
    "value",
    "low",
    "high",
    "low_checkpoints",
    "high_checkpoints",
    "change",
    "change_low",
    "change_high",
)
_BY_SETTING = ("n", "steerable_hard", "published")


@dataclass(frozen=True)
class Figure:
    """One conclusion under one setting. Differences of rates; above 0 speaks for the conclusion.

    Attributes
    ----------
    value : float
    ci95 : (float, float)
        Percentile bootstrap over questions.
    ci95_checkpoints : (float, float)
        Over checkpoints; NaN where there is one. It moves nothing: `move` is by `ci95`.
    change : float
        `value` less the reference's; NaN for a reference.
    change_ci95 : (float, float)
        Of the change, on the same resamples: the two figures share problems, and attempts where
        they can.
    move : Move
    """

    value: float
    ci95: tuple[float, float]
    change: float = float("nan")
    change_ci95: tuple[float, float] = _NONE
    move: Move = Move.STAYS
    ci95_checkpoints: tuple[float, float] = _NONE

    @property
    def changed(self) -> bool:
        """Whether the interval of the change leaves out 0."""
        low, high = self.change_ci95
        return low > 0 or high < 0

    @property
    def same(self) -> bool:
        """Whether it is the reference's figure, in the data and in every resample."""
        return all(abs(each) <= TIED for each in (self.change, *self.change_ci95))

    @property
    def row(self) -> tuple[float, ...]:
        """Value, ends over questions and over checkpoints, change and its ends."""
        return (
            *(self.value, *self.ci95, *self.ci95_checkpoints),
            *(self.change, *self.change_ci95),
        )


@dataclass(frozen=True)
class Setting:
    """One setting, scored.

    Attributes
    ----------
    factor : Factor
    value : str
    reference : str
        Name of the setting it is compared with.
    n : int
        Problems of the population that are scored.
    steerable_hard : float
        Share of them selected by the published estimator.
    published : float
        Lift over retry by the published estimator, its null not taken off.
    figures : dict of Conclusion to Figure
        Those that can differ from the reference's.
    missing : tuple of Conclusion
        Those of which nothing can be said: it, or its reference, leaves no problem to score.
    """

    factor: Factor
    value: str
    reference: str
    n: int
    steerable_hard: float
    published: float
    figures: dict[Conclusion, Figure]
    missing: tuple[Conclusion, ...] = ()

    @property
    def name(self) -> str:
        """``factor=value``."""
        return f"{self.factor.value}={self.value}"

    @property
    def same(self) -> bool:
        """Whether it changes no figure at all."""
        return bool(self.figures) and all(each.same for each in self.figures.values())


@dataclass(frozen=True)
class Ablation(Result):
    """Every setting, scored. Made by `ablate`.

    Attributes
    ----------
    population : str
        Whose failures are scored.
    settings : dict of str to Setting
        By name, each reference before what is compared with it.
    operators : dict of str to dict
        Variation -> operator -> ``attempts``, ``rate``, ``change`` (rate less that of the study's
        own settings on the same problems) with ``ci95``, and ``fired`` (a share of all attempts
        made, those on problems outside the population too: it is stored by cell). Empty without
        new attempts on its problems.
    about : dict
        Seed and counts, and ``models``: where the figures that need models come from, or None.
    """

    title = "Which conclusions depend on which choice?"
    chart = "plot_ablations"
    following = (
        "rnb.tables.ablation_moves(found)  # what moves each conclusion",
        "rnb.tables.ablated_operators(found)",
        "found.to_dataframe()  # every conclusion under every setting",
    )

    population: str
    settings: dict[str, Setting]
    operators: dict[str, dict[str, dict[str, Any]]]
    about: dict[str, Any]

    @property
    def dataset(self) -> xr.Dataset:
        """Every conclusion under every setting, NaN where it cannot change it or is not known."""
        names = list(CONCLUSIONS)
        values = np.full((len(_BY_CONCLUSION), len(self.settings), len(names)), np.nan)
        for row, setting in enumerate(self.settings.values()):
            for conclusion, figure in setting.figures.items():
                values[:, row, names.index(conclusion)] = figure.row
        by = ("population", "setting", "conclusion")
        data: dict[str, Any] = {
            name: (by, each[None]) for name, each in zip(_BY_CONCLUSION, values, strict=True)
        }
        for name in _BY_SETTING:
            each = [getattr(setting, name) for setting in self.settings.values()]
            data[name] = (by[:2], np.array(each)[None])
        labels = {
            "population": [self.population],
            "setting": self.settings,
            "conclusion": [each.value for each in names],
        }
        return labelled(data, labels, self.about)

    def to_dataframe(self) -> pd.DataFrame:
        """Return every conclusion under every setting.

        Returns
        -------
        DataFrame
            ``population``, ``setting`` (``factor=value``), ``reference`` (what it is compared
            with), ``n`` (its problems), ``conclusion``, ``value`` (a difference of rates) with its
            95 % intervals ``low``, ``high`` over questions and ``low_checkpoints``,
            ``high_checkpoints`` over checkpoints, ``change`` against the reference with
            ``change_low``, ``change_high`` (NaN for a reference), and ``move`` (of `labels.Move`).
        """
        rows = [
            (
                *(self.population, name, setting.reference, setting.n, conclusion.value),
                *figure.row,
                figure.move.value,
            )
            for name, setting in self.settings.items()
            for conclusion, figure in setting.figures.items()
        ]
        columns = ["population", "setting", "reference", "n", "conclusion", *_BY_CONCLUSION, "move"]
        return pd.DataFrame(rows, columns=columns)

    @property
    def sentence(self) -> str:
        """How many settings move a conclusion, which reverse one, and which say nothing."""
        frame = self.to_dataframe()
        moved = frame["setting"][frame["move"] != Move.STAYS.value]
        back = frame["setting"][frame["move"] == Move.REVERSED.value]
        tried = {
            name: each for name, each in self.settings.items() if each.factor != Factor.REFERENCE
        }
        n = max((each.n for each in self.settings.values()), default=0)
        whose = "problem failed at least once" if self.population == FAILED else None
        text = (
            f"Where the {whose or named(self.population)} ({n:,} problems), {len(tried)} settings"
            f" were tried; {moved.nunique()} of them move some conclusion, and {back.nunique()}"
            " reverse one"
        )
        said = [text + _listed(back)]
        same = [name for name, each in tried.items() if each.same]
        if same:
            said.append(f"{len(same)} change no figure at all{_listed(same)}")
        empty = [name for name, each in tried.items() if each.missing]
        if empty:
            said.append(
                f"{len(empty)} leave no problem to score for some conclusion{_listed(empty)}"
            )
        return ". ".join(said) + "."

    def moves(self, conclusion: str) -> dict[str, Move]:
        """Return the settings that move a conclusion, and how."""
        conclusion = Conclusion(conclusion)
        found = {name: each.figures.get(conclusion) for name, each in self.settings.items()}
        return {name: each.move for name, each in found.items() if each and each.move != Move.STAYS}

    def to_dict(self) -> dict:
        """Return plain data; NaN becomes None."""
        return plain(
            {
                "population": self.population,
                "settings": {name: _plain_setting(each) for name, each in self.settings.items()},
                "operators": self.operators,
                "about": self.about,
            }
        )


def _listed(names: Iterable[str]) -> str:
    """Write names in brackets, each once; nothing of none."""
    once = ", ".join(dict.fromkeys(names))
    return f" ({once})" if once else ""


def _plain_setting(setting: Setting) -> dict:
    found = {each.name: getattr(setting, each.name) for each in fields(setting)}
    found["figures"] = {
        name.value: (
            {each.name: getattr(figure, each.name) for each in fields(figure)}
            | {"changed": figure.changed}
        )
        for name, figure in setting.figures.items()
    }
    return found


@takes_study()
@checks.takes(
    population=POPULATION,
    seed=checks.SEED,
    n_bootstrap=checks.COUNT,
    n_null=checks.COUNT,
    n_splits=checks.COUNT,
    stored=STORED,
    progress=checks.TELL,
)
def ablate(
    ds: xr.Dataset,
    *,
    population: str | None = None,
    seed: int = 0,
    n_bootstrap: int = 500,
    n_null: int = 50,
    n_splits: int = 20,
    stored: dict[str, Any] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Ablation:
    """Score the published rule again, each time with one choice changed.

    Parameters
    ----------
    ds : Dataset
        A study. Without ``correct`` there is no split and no smaller number of attempts; without
        signals no other windows and no smaller number of failed rollouts.
    population : str, optional
        Whose failures are scored, as in `evaluate_routing`; by default its headline:
        ``failed_first_1`` (the first observed answer failed), or ``failed`` where the study stores
        no rollouts.
    seed : int
        The result is a function of it and of the data. Every setting gets the same resamples,
        halvings and nulls.
    n_bootstrap, n_null, n_splits : int
        Fewer than `evaluate_routing` takes: there are some forty settings.
    stored : dict, optional
        From `load_ablations`: other signal settings and other attempts. The shipped ones, if they
        are of this study, unless given; ``{}`` for none.
    progress : callable, optional
        Called with the name of each setting as it begins.

    Returns
    -------
    Ablation

    Raises
    ------
    InputError
        A count below 1, ablations of another study, and what `evaluate_routing` refuses, such as a
        population without a problem that can be routed.

    Notes
    -----
    docs/method.md#ablations. The reference is `evaluate_routing` of the same population, to the
    last digit where counts are the same. With seven conclusions and some forty settings, one change
    in twenty whose interval leaves out 0 is to be expected of chance.

    Examples
    --------
    Only the operator that the published rule names helps in this study: the other ways to give the
    operators to the features do worse.

    >>> import recover_nb as rnb
    >>> found = rnb.ablate(
    ...     rnb.make_study(effect="tied", size=0.4), n_bootstrap=50, n_null=5, n_splits=4
    ... )
    >>> found.population
    'failed_first_1'
    >>> frame = found.to_dataframe()
    >>> others = frame[frame["setting"].str.startswith("mapping")]
    >>> bool((others["change"][others["conclusion"] == "beats_permuted_all"] < 0).all())
    True
    """
    counts = {"n_bootstrap": n_bootstrap, "n_null": n_null, "n_splits": n_splits}
    tell = progress or (lambda name: None)
    stored = _shipped(ds) if stored is None else stored
    tolerance = float(ds.attrs.get("regime_tolerance", TOLERANCE))
    edges = {"min_gain": MIN_GAIN, "min_failure": MIN_FAILURE, "tolerance": tolerance}
    chosen = None if population is None else [population]
    inputs = read_inputs(ds, edges=edges, populations=chosen, for_all=False)
    population, rows = next(iter(inputs.populations.items()))
    inputs = replace(inputs, populations={population: rows})
    resamples = inputs.resamples(seed, n_bootstrap)
    units = _routable_units(ds, inputs.table)
    settings: dict[str, Setting] = {}
    draws: dict[str, dict[Conclusion, np.ndarray]] = {}
    for trial in _trials(ds, units, inputs, stored):
        tell(trial.name)
        table, places = _cut(inputs, population, trial)
        settings[trial.name], draws[trial.name] = _score(
            trial, table, seed, counts, resamples.subset(places), settings, draws
        )
    return Ablation(
        population=population,
        settings=settings,
        operators=_operators(units, rows, stored, resamples) if stored else {},
        about={"seed": seed, **counts, "models": stored["about"] if stored else None},
    )


def _shipped(ds: xr.Dataset) -> dict[str, Any]:
    """Return the shipped ablations if they are of this study, else nothing."""
    if "correct" not in ds or not (data_folder() / ABLATIONS).is_file():
        return {}
    found = load_ablations()
    return found if found["about"]["study"] == fingerprint(ds) else {}


def _routable_units(ds: xr.Dataset, table: Table) -> xr.Dataset:
    """Return the failed units that are the rows of a table."""
    return ds.isel(problem=routable(with_rates(ds), FEATURES, table.arms[: 1 + table.n_regime]))


def _trials(
    ds: xr.Dataset, units: xr.Dataset, inputs: Inputs, stored: dict[str, Any]
) -> Iterator[Trial]:
    """Every trial, each reference before what is compared with it."""
    table = replace(inputs.table, routes=inputs.routes)
    yield reference(RULE, table)
    yield from rule_trials(table)
    yield from edge_trials(table)
    yield from attempt_trials(table)
    yield from signal_trials(table, units)
    if stored:
        yield from stored_trials(table, units, stored, ds)


def _cut(inputs: Inputs, population: str, trial: Trial) -> tuple[Table, np.ndarray]:
    """Return a trial's problems of a population, routed as all failed problems are; their places.

    `Inputs.of` does it, as for an evaluation: z-scores of what selects nothing are over all failed
    problems, whatever is cut.
    """
    rows = inputs.populations[population]
    if trial.rows is not None:
        rows = np.intersect1d(rows, trial.rows)
    whole = replace(
        inputs, table=trial.table, routes=trial.table.routes, populations={population: rows}
    )
    return whole.of(population).table, rows


def _score(
    trial: Trial,
    table: Table,
    seed: int,
    counts: dict[str, int],
    resamples: Resamples,
    settings: dict[str, Setting],
    draws: dict[str, dict[Conclusion, np.ndarray]],
) -> tuple[Setting, dict[Conclusion, np.ndarray]]:
    """Score one trial on the problems of `table`, and compare it with its reference."""
    setting = partial(Setting, trial.factor, trial.value, trial.reference, len(table.rate))
    asked = [
        name
        for name, (part, _) in CONCLUSIONS.items()
        if part in trial.parts and (part not in NEED_ATTEMPTS or table.correct is not None)
    ]
    if not len(table.rate):
        return setting(float("nan"), float("nan"), {}, tuple(asked)), {}
    found = run_estimators(table, seed, counts, trial.parts, lambda part: None)
    weights = resamples.weights
    figures, own = {}, {}
    before = settings.get(trial.reference)
    for conclusion in asked:
        figure, drawn = _figure(conclusion, found, weights, table.checkpoints)
        if before is not None and conclusion in before.figures:
            other = draws[trial.reference][conclusion]
            figure = _compared(figure, drawn, before.figures[conclusion], other)
        if not np.isnan(figure.value) and (before is None or conclusion in before.figures):
            figures[conclusion], own[conclusion] = figure, drawn
    published, _ = _ratio(found["published"], RETRY, weights)
    hard = float(table.hard(table.rate).mean())
    missing = tuple(name for name in asked if name not in figures)
    return setting(hard, published, figures, missing), own


def _figure(
    conclusion: Conclusion,
    found: dict[str, Any],
    weights: np.ndarray,
    checkpoints: np.ndarray | None,
) -> tuple[Figure, np.ndarray]:
    """Return a conclusion's figure with both intervals, and its bootstrap draws."""
    part, comparator = CONCLUSIONS[conclusion]
    value, draws = _ratio(found[part], comparator, weights)
    offset, shift = None, 0.0
    if conclusion == Conclusion.PUBLISHED_EXCEEDS_NULL:
        pooled, null = _ratio(found["null"], comparator, weights)
        lifts = found["null"].lifts()[:, found["null"].names.index(comparator)]
        known = lifts[~np.isnan(lifts)]
        mean = float(known.mean()) if len(known) else float("nan")
        # Intervals are of the pooled ratio; moved by its tiny distance from the mean of the
        # simulated lifts.
        value, draws, shift = value - mean, draws - null + pooled - mean, pooled - mean
        offset = _parts(found["null"], comparator)
    codes = np.zeros(len(found[part].weight), int) if checkpoints is None else checkpoints
    apart = checkpoint_interval(*_parts(found[part], comparator), codes, offset=offset)
    low, high = (float(end[0]) + shift for end in apart)
    return Figure(value, _interval(draws), ci95_checkpoints=(low, high)), draws


def _parts(item: Contributions, comparator: str) -> tuple[np.ndarray, np.ndarray]:
    """Gain over a comparator and weight of each problem, (problem, 1)."""
    column = [item.names.index(comparator)]
    return (item.routed - item.value)[:, column], item.weight[:, column]


def _ratio(item: Contributions, comparator: str, weights: np.ndarray) -> tuple[float, np.ndarray]:
    gain, weight = (each[:, 0] for each in _parts(item, comparator))
    return float(ratio(gain.sum(), weight.sum())), ratio(weights @ gain, weights @ weight)


def _interval(draws: np.ndarray) -> tuple[float, float]:
    low, high = percentile_interval(draws, TAILS)
    return float(low), float(high)


def _compared(
    figure: Figure, draws: np.ndarray, before: Figure, draws_before: np.ndarray
) -> Figure:
    change = _interval(draws - draws_before)
    return replace(
        figure,
        change=figure.value - before.value,
        change_ci95=change,
        move=moved(before, figure),
    )


def moved(before: Figure, after: Figure) -> Move:
    """Say what happened to a conclusion, by the 95 % intervals alone."""
    sides = [int(low > 0) - int(high < 0) for low, high in (before.ci95, after.ci95)]
    if sides[0] * sides[1] < 0:
        return Move.REVERSED
    if sides[0] != sides[1]:
        return Move.SIGNIFICANCE
    if not any(sides) and before.value * after.value < 0:
        return Move.SIGN
    return Move.STAYS


def _operators(
    units: xr.Dataset, population: np.ndarray, stored: dict[str, Any], resamples: Resamples
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return each operator's rescue rate under each decode setting, and the change it makes.

    The change is paired by problem. `population` are the places of its problems along `units`.
    """
    names, cells = cell_names(units), stored["cells"]
    chosen = attempted_again(names, cells)
    inside = np.isin(chosen, population)
    if not inside.any():
        return {}
    weights = resamples.subset(chosen[inside]).weights
    out: dict[str, dict[str, dict[str, Any]]] = {}
    for name in next(iter(cells.values()))["attempts"]:
        out[name] = {}
        for arm in next(iter(cells.values()))["attempts"][name]:
            (rate, count), (own, _) = (_rates(cells, each, arm) for each in (name, OWN))
            change = (rate - own)[inside]
            counts = [found["attempts"][name][arm] for found in cells.values()]
            out[name][arm] = {
                "attempts": int(count[inside].sum()),
                "rate": float(rate[inside].mean()),
                "fired": sum(each["fired"] for each in counts)
                / sum(each["attempts"] for each in counts),
                "change": float(change.mean()),
                "ci95": _interval(ratio(weights @ change, weights.sum(axis=1))),
            }
    return out


def _rates(cells: dict[str, Any], name: str, arm: str) -> tuple[np.ndarray, np.ndarray]:
    """Rescue rate and attempts of each problem attempted again, cell after cell, (problem,)."""
    rates, attempts = [], []
    for found in cells.values():
        n, counts = len(found["attempted"]), found["attempts"][name][arm]
        each = counts["attempts"] // n
        rates.append(unpack(counts["outcomes"], (n, each)).mean(axis=1))
        attempts.append(np.full(n, each))
    return np.concatenate(rates), np.concatenate(attempts)
