"""Which conclusions about routing hang on which choice: every figure again with one thing changed.

The estimators are those of docs/method.md#8-estimators; the choices are of docs/method.md#2-signals
to docs/method.md#7-routing-rule.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import (
    FEATURES,
    ROUTED_INTERVENTIONS,
    Conclusion,
    Factor,
    Intervention,
    Move,
)
from recover_nb.core.plain import plain
from recover_nb.core.result import Result
from recover_nb.core.schema import cell_names
from recover_nb.core.shipped import data_folder
from recover_nb.routing.ablation.stored import ABLATIONS, OWN, fingerprint, load_ablations, unpack
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
from recover_nb.routing.evaluation import run_estimators
from recover_nb.routing.lifts import Contributions
from recover_nb.routing.rescue import MIN_FAILURE, MIN_GAIN, TOLERANCE
from recover_nb.routing.table import BEST_FIXED, PERMUTED, generator, routable, tabulate
from recover_nb.stats.resampling import bootstrap_weights, percentile_interval, ratio

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


@dataclass(frozen=True)
class Figure:
    """One conclusion under one setting. Differences of rates; above 0 speaks for the conclusion.

    Attributes
    ----------
    value : float
    ci95 : (float, float)
        Percentile bootstrap over questions.
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
    change_ci95: tuple[float, float] = (float("nan"), float("nan"))
    move: Move = Move.STAYS

    @property
    def changed(self) -> bool:
        """Whether the interval of the change leaves out 0."""
        low, high = self.change_ci95
        return low > 0 or high < 0


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
        Failed problem units.
    steerable_hard : float
        Share of them selected by the published estimator.
    published : float
        Lift over retry by the published estimator, its null not taken off.
    figures : dict of Conclusion to Figure
        Those that can differ from the reference's.
    """

    factor: Factor
    value: str
    reference: str
    n: int
    steerable_hard: float
    published: float
    figures: dict[Conclusion, Figure]

    @property
    def name(self) -> str:
        """``factor=value``."""
        return f"{self.factor.value}={self.value}"


@dataclass(frozen=True)
class Ablation(Result):
    """Every setting, scored. Made by `ablate`.

    Attributes
    ----------
    settings : dict of str to Setting
        By name, each reference before what is compared with it.
    operators : dict of str to dict
        Variation -> operator -> ``attempts``, ``rate``, ``fired`` (shares of 1), ``change`` (rate
        less that of the study's own settings on the same problems) with ``ci95``. Empty without new
        attempts.
    about : dict
        Seed and counts, and ``models``: where the figures that need models come from, or None.
    """

    title = "Which conclusions hang on which choice?"
    chart = "plot_ablations"
    following = (
        "rnb.tables.ablation_moves(found)  # what moves each conclusion",
        "rnb.tables.ablated_operators(found)",
        "found.to_dataframe()  # every conclusion under every setting",
    )

    settings: dict[str, Setting]
    operators: dict[str, dict[str, dict[str, Any]]]
    about: dict[str, Any]

    @property
    def dataset(self) -> xr.Dataset:
        """Every conclusion under every setting, NaN where a setting cannot change it."""
        frame = self.to_dataframe().set_index(["setting", "conclusion"])
        figures = frame[["value", "low", "high", "change", "change_low", "change_high"]]
        found = figures.to_xarray()
        for name in ("n", "steerable_hard", "published"):
            values = [getattr(self.settings[str(each)], name) for each in found["setting"].values]
            found[name] = ("setting", values)
        return found.assign_attrs(settings_json=json.dumps(plain(self.about)))

    def to_dataframe(self) -> pd.DataFrame:
        """Return every conclusion under every setting.

        Returns
        -------
        DataFrame
            ``setting`` (``factor=value``), ``reference`` (what it is compared with), ``n`` (failed
            units), ``conclusion``, ``value`` (a difference of rates) with its 95 % interval
            ``low``, ``high``, ``change`` against the reference with ``change_low``,
            ``change_high`` (NaN for a reference), and ``move`` (of `labels.Move`).
        """
        rows = [
            (
                *(name, setting.reference, setting.n, conclusion.value),
                *(figure.value, *figure.ci95, figure.change, *figure.change_ci95),
                figure.move.value,
            )
            for name, setting in self.settings.items()
            for conclusion, figure in setting.figures.items()
        ]
        columns = ["setting", "reference", "n", "conclusion", "value", "low", "high", "change"]
        return pd.DataFrame(rows, columns=[*columns, "change_low", "change_high", "move"])

    @property
    def sentence(self) -> str:
        """How many settings move a conclusion, and which are reversed."""
        frame = self.to_dataframe()
        moved = frame[frame["move"] != Move.STAYS.value]
        back = frame[frame["move"] == Move.REVERSED.value]
        text = (
            f"{len(self.settings)} settings were tried; {moved['setting'].nunique()} of them move"
            f" some conclusion, and {back['setting'].nunique()} reverse one"
        )
        names = ", ".join(dict.fromkeys(back["setting"]))
        return f"{text} ({names})." if names else f"{text}."

    def moves(self, conclusion: str) -> dict[str, Move]:
        """Return the settings that move a conclusion, and how."""
        conclusion = Conclusion(conclusion)
        found = {name: each.figures.get(conclusion) for name, each in self.settings.items()}
        return {name: each.move for name, each in found.items() if each and each.move != Move.STAYS}

    def to_dict(self) -> dict:
        """Return plain data; NaN becomes None."""
        return plain(
            {
                "settings": {name: _plain_setting(each) for name, each in self.settings.items()},
                "operators": self.operators,
                "about": self.about,
            }
        )


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


def ablate(
    ds: xr.Dataset,
    *,
    seed: int = 0,
    n_bootstrap: int = 500,
    n_null: int = 50,
    n_splits: int = 20,
    stored: dict[str, Any] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Ablation:
    """Score the published rule with one choice changed at a time.

    Parameters
    ----------
    ds : Dataset
        A study. Without ``correct`` there is no split and no smaller number of attempts; without
        signals no other windows and no smaller number of failed rollouts.
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
        A count below 1, ablations of another study, and what `evaluate_routing` refuses.

    Notes
    -----
    docs/method.md#2-signals to docs/method.md#8-estimators. With seven conclusions and some forty
    settings, one change in twenty whose interval leaves out 0 is to be expected of chance.
    """
    counts = {"n_bootstrap": n_bootstrap, "n_null": n_null, "n_splits": n_splits}
    for name, count in counts.items():
        if count < 1:
            raise InputError(f"{name} is {count}; it must be at least 1")
    tell = progress or (lambda name: None)
    stored = _shipped(ds) if stored is None else stored
    units = _routable_units(ds)
    settings: dict[str, Setting] = {}
    draws: dict[str, dict[Conclusion, np.ndarray]] = {}
    for trial in _trials(ds, units, stored):
        tell(trial.name)
        settings[trial.name], draws[trial.name] = _score(trial, seed, counts, settings, draws)
    return Ablation(
        settings=settings,
        operators=_operators(ds, units, stored, seed, n_bootstrap) if stored else {},
        about={"seed": seed, **counts, "models": stored["about"] if stored else None},
    )


def _shipped(ds: xr.Dataset) -> dict[str, Any]:
    """Return the shipped ablations if they are of this study, else nothing."""
    if "correct" not in ds or not (data_folder() / ABLATIONS).is_file():
        return {}
    found = load_ablations()
    return found if found["about"]["study"] == fingerprint(ds) else {}


def _routable_units(ds: xr.Dataset) -> xr.Dataset:
    """Return the failed units with features and rates, and the interventions the rule is about."""
    arms = [RETRY, *(name.value for name in ROUTED_INTERVENTIONS)]
    names = [str(name) for name in ds["intervention"].values]
    if {"rescue_rate", "features"} <= set(ds.data_vars) and set(arms) <= set(names):
        ds = ds.isel(problem=routable(ds, FEATURES, arms))
        ds = ds.sel(intervention=[name for name in names if name in ("none", *arms)])
    return ds


def _trials(ds: xr.Dataset, units: xr.Dataset, stored: dict[str, Any]) -> Iterator[Trial]:
    """Every trial, each reference before what is compared with it."""
    tolerance = float(ds.attrs.get("regime_tolerance", TOLERANCE))
    table, _, _ = tabulate(
        units, edges={"min_gain": MIN_GAIN, "min_failure": MIN_FAILURE, "tolerance": tolerance}
    )
    yield reference(RULE, table)
    yield from rule_trials(table)
    yield from edge_trials(table)
    yield from attempt_trials(table)
    yield from signal_trials(table, units)
    if stored:
        yield from stored_trials(table, units, stored, ds)


def _score(
    trial: Trial,
    seed: int,
    counts: dict[str, int],
    settings: dict[str, Setting],
    draws: dict[str, dict[Conclusion, np.ndarray]],
) -> tuple[Setting, dict[Conclusion, np.ndarray]]:
    """Score one trial, and compare it with its reference."""
    table = trial.table
    found = run_estimators(table, seed, counts, trial.parts, lambda part: None)
    weights = bootstrap_weights(
        table.clusters, table.strata, counts["n_bootstrap"], generator(seed, 5)
    ).weights
    figures, own = {}, {}
    before = settings.get(trial.reference)
    for conclusion, (part, _) in CONCLUSIONS.items():
        if found.get(part):
            value, own[conclusion] = _lift(conclusion, found, weights)
            figure = Figure(value, _interval(own[conclusion]))
            if before is not None:
                other = draws[trial.reference][conclusion]
                figure = _compared(figure, own[conclusion], before.figures[conclusion], other)
            figures[conclusion] = figure
    published, _ = _ratio(found["published"], RETRY, weights)
    hard = float(table.hard(table.rate).mean())
    scored = Setting(
        trial.factor, trial.value, trial.reference, len(table.rate), hard, published, figures
    )
    return scored, own


def _lift(
    conclusion: Conclusion, found: dict[str, Contributions | None], weights: np.ndarray
) -> tuple[float, np.ndarray]:
    """Value and bootstrap draws of a conclusion's figure."""
    part, comparator = CONCLUSIONS[conclusion]
    value, draws = _ratio(found[part], comparator, weights)
    if conclusion != Conclusion.PUBLISHED_EXCEEDS_NULL:
        return value, draws
    pooled, null = _ratio(found["null"], comparator, weights)
    lifts = found["null"].lifts()[:, found["null"].names.index(comparator)]
    mean = float(lifts[~np.isnan(lifts)].mean()) if not np.isnan(lifts).all() else float("nan")
    # The draws are of the pooled ratio; moved by its tiny distance from the mean of the simulated
    # lifts.
    return value - mean, draws - null + pooled - mean


def _ratio(item: Contributions, comparator: str, weights: np.ndarray) -> tuple[float, np.ndarray]:
    column = item.names.index(comparator)
    gain, weight = (item.routed - item.value)[:, column], item.weight[:, column]
    return float(ratio(gain.sum(), weight.sum())), ratio(weights @ gain, weights @ weight)


def _interval(draws: np.ndarray) -> tuple[float, float]:
    low, high = percentile_interval(draws, TAILS)
    return float(low), float(high)


def _compared(
    figure: Figure, draws: np.ndarray, before: Figure, draws_before: np.ndarray
) -> Figure:
    change = _interval(draws - draws_before)
    return Figure(
        figure.value, figure.ci95, figure.value - before.value, change, moved(before, figure)
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
    ds: xr.Dataset, units: xr.Dataset, stored: dict[str, Any], seed: int, n_bootstrap: int
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return each operator's rescue rate under each decode setting, and the change it makes.

    The change is paired by problem.
    """
    names, problem = cell_names(units), units["problem_id"].values.astype(str)
    cells = stored["cells"]
    chosen = np.concatenate(
        [np.flatnonzero(names == cell)[found["attempted"]] for cell, found in cells.items()]
    )
    _, clusters = np.unique(problem[chosen], return_inverse=True)
    strata = units["task"].values.astype(str)[chosen]
    weights = bootstrap_weights(clusters, strata, n_bootstrap, generator(seed, 5)).weights
    out: dict[str, dict[str, dict[str, Any]]] = {}
    for name in next(iter(cells.values()))["attempts"]:
        out[name] = {}
        for arm in next(iter(cells.values()))["attempts"][name]:
            rate, own = (_rates(cells, each, arm) for each in (name, OWN))
            counts = [found["attempts"][name][arm] for found in cells.values()]
            total = sum(each["attempts"] for each in counts)
            draws = weights @ (rate - own) / weights.sum(axis=1)
            out[name][arm] = {
                "attempts": total,
                "rate": float(rate.mean()),
                "fired": sum(each["fired"] for each in counts) / total,
                "change": float((rate - own).mean()),
                "ci95": _interval(draws),
            }
    return out


def _rates(cells: dict[str, Any], name: str, arm: str) -> np.ndarray:
    """Rescue rate of each problem attempted again, cell after cell, (problem,) float64."""
    rates = []
    for found in cells.values():
        n, counts = len(found["attempted"]), found["attempts"][name][arm]
        rates.append(unpack(counts["outcomes"], (n, counts["attempts"] // n)).mean(axis=1))
    return np.concatenate(rates)
