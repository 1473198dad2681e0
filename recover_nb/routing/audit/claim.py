"""An audit of a routing claim: what stands of a router's gain, and what more would tell."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.labels import Verdict
from recover_nb.core.plain import plain
from recover_nb.core.result import Labelled, labelled
from recover_nb.routing.audit import measure as of
from recover_nb.routing.audit.outcomes import DEFAULT, Matrix
from recover_nb.routing.audit.power import ATTEMPTS, EFFECTS, cautious, problems_for, spread_of
from recover_nb.routing.audit.reading import matrix_of
from recover_nb.routing.rescue import MIN_FAILURE, MIN_GAIN, TOLERANCE
from recover_nb.stats.ties import first_largest

COUNTS = {"n_bootstrap": 1000, "n_permutations": 1000, "n_null": 200, "n_splits": 20}
#: What each figure compares, in words; {default} is the default's name.
WORDS = {
    of.PUBLISHED: "over {default}, where that mostly fails and another arm does better",
    of.SPLIT: "the same, problems picked by one half of the attempts and scored by the other",
    of.ALL_PROBLEMS: "over {default}, every problem",
    of.OVER_BEST: "over the best single arm, chosen on other problems",
    of.OVER_BEST_OF_CELL: "over the best single arm of each cell, chosen on other problems",
    of.OVER_PERMUTED: "over its own choices, shuffled among the problems of a cell",
    of.OVER_RANDOM: "over an arm at random",
    of.OVER_MIX: "over the best random mix of arms that costs as much",
    of.OVER_AGAIN: "over {default} again and again for the same cost, if a checker stops it",
    of.HEADROOM: "left to gain over the best single arm, by half of the attempts",
}
_HALVES = "at least four attempts at the default and another arm, each right or wrong"
#: What a figure needs that is not there.
LACKS = {
    of.SPLIT: _HALVES,
    of.HEADROOM: _HALVES,
    of.OVER_MIX: "what an attempt costs",
    of.OVER_AGAIN: "what an attempt costs, and attempts that are each right or wrong",
}
#: What the number of problems is given against, and the figure it goes with.
AGAINST = {"default": of.ALL_PROBLEMS, "best_fixed": of.OVER_BEST}
_NUMBERS = ("value", "error", "low", "high", "p", "n", "rate", "against", "null_mean", "null_sd")


class Audit(Labelled):
    """What an audit found.

    Attributes
    ----------
    dataset : Dataset
        By ``figure``: ``value`` (gain, in shares of 1) with its standard ``error`` and 95 %
        interval ``low``, ``high`` (bootstrap over problems), ``p``, ``n`` (problems), ``rate`` of
        the router and of what it is compared with (``against``), ``null_mean`` and ``null_sd``. By
        ``arm``: ``arm_rate``, ``arm_attempts``, ``arm_cost`` (means; NaN where unknown) and
        ``arm_chosen`` (share of problems). ``ceiling_in_sample``, ``ceiling_corrected``: what
        knowing every rate would rescue. By ``comparison``, ``attempts`` (0: as many as there are)
        and ``effect`` (0: the one seen, less a standard error): ``problems_needed``.
    """

    title = "Audit of a routing claim"
    chart = "plot_audit"
    following = (
        "found.to_dataframe()  # every figure",
        "found.needed()  # how many problems and attempts would tell",
        "rnb.tables.audit_arms(found)  # every arm",
    )

    @property
    def arms(self) -> tuple[str, ...]:
        """Arms, the default first."""
        return tuple(map(str, self.dataset["arm"].values))

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of the figures that there are."""
        return tuple(map(str, self.dataset["figure"].values))

    @property
    def notes(self) -> list[str]:
        """What was left out or taken for something, and what is not computed and why."""
        return json.loads(self.dataset.attrs["notes_json"])

    @property
    def verdict(self) -> Verdict:
        """Whether the router's gain over the best single arm is told from none."""
        if of.OVER_BEST not in self.figures:
            return Verdict.NOT_TESTABLE
        one = self.dataset.sel(figure=of.OVER_BEST)
        if float(one["low"]) > 0:
            return Verdict.SUPPORTED
        return Verdict.CONTRADICTED if float(one["high"]) < 0 else Verdict.NOT_SHOWN

    @property
    def headline(self) -> str:
        """The verdict in a sentence."""
        best = self._best_arm()
        if of.OVER_BEST not in self.figures:
            return f"No router is given. The best single arm is {best}."
        said = {
            Verdict.SUPPORTED: "The router gains more than choosing the best single arm would",
            Verdict.CONTRADICTED: "The router gains less than choosing the best single arm would",
            Verdict.NOT_SHOWN: "The router's gain is not told from choosing the best single arm",
        }[self.verdict]
        return f"{said}: {self._say(of.OVER_BEST)} points over {best}."

    @property
    def sentence(self) -> str:
        """Gain, null, comparisons, and how many problems would tell."""
        ds, figures = self.dataset, self.figures
        n = int(ds.attrs["problems"])
        said = []
        if of.ALL_PROBLEMS in figures:
            one = ds.sel(figure=of.ALL_PROBLEMS)
            said.append(
                f"Over {n:,} problems the router gets {float(one['rate']):.1%} right:"
                f" {self._say(of.ALL_PROBLEMS)} points over {self.arms[DEFAULT]},"
                f" {self._say(of.OVER_BEST)} over the best single arm ({self._best_arm()}),"
                f" {self._say(of.OVER_PERMUTED)} over its own choices shuffled"
                f" (p = {self._p(of.OVER_PERMUTED)})."
            )
            said += self._say_published()
            if of.OVER_MIX in figures:
                said.append(
                    f"At the same cost, a random mix of arms is {self._say(of.OVER_MIX)} points"
                    " behind."
                )
        else:
            said.append(f"{n:,} problems, {len(self.arms)} arms, no router.")
        said.append(self._say_ceiling())
        said += self._say_needed()
        return " ".join(said)

    def _say_published(self) -> list[str]:
        one = self.dataset.sel(figure=of.PUBLISHED)
        if not float(one["n"]):
            return [f"Nowhere does another arm do better where {self.arms[DEFAULT]} mostly fails."]
        return [
            f"Where {self.arms[DEFAULT]} mostly fails and another arm does better"
            f" ({int(one['n']):,} problems), it gains {self._say(of.PUBLISHED)} points; were all"
            f" arms alike, picking such problems would show {100 * float(one['null_mean']):+.1f}"
            f" (p = {self._p(of.PUBLISHED)})."
        ]

    def _say_ceiling(self) -> str:
        high = 100 * float(self.dataset["ceiling_in_sample"])
        if of.HEADROOM not in self.figures:
            return f"Knowing every outcome would get {high:.1f}% right, luck included."
        fitted = float(self.dataset["ceiling_corrected"])
        more = f" (about {100 * fitted:.1f}% right, luck taken out)" if np.isfinite(fitted) else ""
        return (
            f"A router that knew every rate would gain at least {self._say(of.HEADROOM)} points"
            f" over the best single arm{more}."
        )

    def _say_needed(self) -> list[str]:
        if of.OVER_BEST not in self.figures:
            return []
        need = float(
            self.dataset["problems_needed"].sel(comparison="best_fixed", attempts=0, effect=0.0)
        )
        if np.isnan(need):
            return [
                "How many problems would tell it from the best single arm is not known: the effect"
                " seen is within one standard error of none."
            ]
        return [f"To tell it from the best single arm takes about {need:,.0f} such problems."]

    def _say(self, figure: str) -> str:
        one = self.dataset.sel(figure=figure)
        value, low, high = (100 * float(one[name]) for name in ("value", "low", "high"))
        return f"{value:+.1f} [{low:.1f}, {high:.1f}]"

    def _p(self, figure: str) -> str:
        return f"{float(self.dataset['p'].sel(figure=figure)):.2g}"

    def _best_arm(self) -> str:
        return self.arms[int(first_largest(self.dataset["arm_rate"].values))]

    def to_dataframe(self) -> pd.DataFrame:
        """Return every figure.

        Returns
        -------
        DataFrame
            ``figure``, ``compares`` (in words), ``n`` (problems), ``rate`` and ``against`` (shares
            of 1), ``points`` with the interval ``low_points``, ``high_points``, ``null_points``
            (what luck alone shows), ``null_sd_points`` and ``p``.
        """
        ds = self.dataset
        rows = []
        for name in self.figures:
            one = {each: float(ds[each].sel(figure=name)) for each in _NUMBERS}
            rows.append(
                {
                    "figure": name,
                    "compares": WORDS[name].format(default=self.arms[DEFAULT]),
                    "n": round(one["n"]),
                    "rate": one["rate"],
                    "against": one["against"],
                    "points": 100 * one["value"],
                    "low_points": 100 * one["low"],
                    "high_points": 100 * one["high"],
                    "null_points": 100 * one["null_mean"],
                    "null_sd_points": 100 * one["null_sd"],
                    "p": one["p"],
                }
            )
        return pd.DataFrame(rows)

    def needed(self) -> pd.DataFrame:
        """Return how many problems tell an effect from none, four times out of five.

        Returns
        -------
        DataFrame
            ``comparison``, ``attempts`` at each arm (0: as many as there are), ``effect_points``
            (0: the one seen, less a standard error) and ``problems`` (missing where it is not
            known).
        """
        array = self.dataset["problems_needed"]
        frame = array.to_series().rename("problems").reset_index()
        frame["effect_points"] = 100 * frame.pop("effect")
        frame = frame[["comparison", "attempts", "effect_points", "problems"]]
        return frame.astype({"problems": "Int64"})

    def to_dict(self) -> dict[str, Any]:
        """Return what ``recover-nb audit --json`` prints."""
        ds = self.dataset
        arms = {
            name: {
                each: float(ds[f"arm_{each}"].sel(arm=name))
                for each in ("rate", "attempts", "cost", "chosen")
            }
            for name in self.arms
        }
        found = super().to_dict()
        found |= {"headline": self.headline, "problems": int(ds.attrs["problems"]), "arms": arms}
        found |= {"needed": self.needed().astype(object).to_dict("records"), "notes": self.notes}
        for name in ("ceiling_in_sample", "ceiling_corrected"):
            found[name] = float(ds[name])
        return plain(found)


@checks.takes(
    default=checks.TEXT,
    arms=checks.NAMES,
    attempts=checks.COUNT,
    min_gain=checks.SHARE,
    min_failure=checks.SHARE,
    seed=checks.SEED,
    n_bootstrap=checks.COUNT,
    n_permutations=checks.COUNT,
    n_null=checks.COUNT,
    n_splits=checks.COUNT,
    progress=checks.TELL,
)
def audit(
    outcomes: pd.DataFrame | xr.Dataset,
    *,
    router: str | Sequence[str] | Mapping[str, str] | pd.Series | None = None,
    default: str | None = None,
    arms: Sequence[str] | None = None,
    attempts: int | None = None,
    min_gain: float = MIN_GAIN,
    min_failure: float = MIN_FAILURE,
    seed: int = 0,
    n_bootstrap: int = COUNTS["n_bootstrap"],
    n_permutations: int = COUNTS["n_permutations"],
    n_null: int = COUNTS["n_null"],
    n_splits: int = COUNTS["n_splits"],
    progress: Callable[[str], None] | None = None,
) -> Audit:
    """Audit a router: ask whether its gain over one arm for all is more than luck.

    Parameters
    ----------
    outcomes : DataFrame or Dataset
        One row per attempt: ``problem``, ``arm`` (or ``model``), ``correct`` (0 or 1, or a share of
        1), and, where known, ``cost`` of the attempt, ``cell`` (or ``task``, ``eval_name``, ...),
        and ``router`` (the arm chosen for the problem). Or one row per problem and a column per
        arm, with costs in columns such as ``gpt-4|total_cost``, and counts of attempts in
        ``gpt-4_n``. Or a study, whose interventions are the arms and whose routes are the router's
        choices.
    router : str, sequence, mapping or Series, optional
        Column that names the chosen arm, or the chosen arm of each problem. Without one, the arms
        alone are told.
    default : str, optional
        The arm that one would use without a router; the first by default, ``retry`` of a study.
    arms : sequence of str, optional
        Arms to look at; all by default.
    attempts : int, optional
        Attempts behind each rate, where each arm is a column.
    min_gain, min_failure : float
        A problem is picked for ``published`` and ``split`` where the default fails at least
        `min_failure` of the time and the best arm gains at least `min_gain`.
    seed, n_bootstrap, n_permutations, n_null, n_splits : int
        Of the resampling: bootstraps over problems, permutations of choices, null studies, halves.
    progress : callable, optional
        Called with the name of each stage.

    Returns
    -------
    Audit

    Raises
    ------
    InputError
        Outcomes or choices that cannot be read, an unknown arm, a count below 1.

    Notes
    -----
    docs/method.md#18-audit. No model and no feature is needed. The verdict is about the gain over
    the best single arm, chosen on other problems: supported where its 95 % interval lies above 0.

    Examples
    --------
    Two arms, each right on the problems of one kind; a router that knows the kind, and one that
    does not.

    >>> import pandas as pd
    >>> import recover_nb as rnb
    >>> kinds = ["algebra", "logic"] * 100
    >>> table = pd.DataFrame({"problem": range(200), "small": [1, 0] * 100, "large": [0, 1] * 100})
    >>> few = {"n_bootstrap": 100, "n_permutations": 100, "n_null": 20, "n_splits": 4}
    >>> knows = ["small" if kind == "algebra" else "large" for kind in kinds]
    >>> print(rnb.audit(table, router=knows, **few).verdict)
    supported
    >>> print(rnb.audit(table, router=["small"] * 200, **few).verdict)
    not shown
    """
    counts = {"n_bootstrap": n_bootstrap, "n_permutations": n_permutations}
    counts |= {"n_null": n_null, "n_splits": n_splits}
    matrix = matrix_of(outcomes, router=router, default=default, attempts=attempts, arms=arms)
    edges = {"min_gain": min_gain, "min_failure": min_failure, "tolerance": TOLERANCE}
    tell = progress or (lambda stage: None)
    return examine(matrix, seed=seed, counts=counts, edges=edges, tell=tell)


#: The audit that a function asks for.
AUDIT = checks.instance(Audit, "an audit", "give what rnb.audit(outcomes) returns")


def examine(
    matrix: Matrix,
    *,
    seed: int,
    counts: dict[str, int],
    edges: dict,
    tell: Callable[[str], None],
    ceiling: bool = True,
) -> Audit:
    """Do what `audit` does, with the outcomes at hand; without a ceiling if so asked."""
    figures = of.measure(matrix, seed=seed, counts=counts, edges=edges, tell=tell)
    tell("bootstrap")
    ds = _dataset(matrix, figures, seed, counts, edges)
    if ceiling:
        tell("ceiling")
        for name, value in of.ceilings(matrix, seed).items():
            ds[f"ceiling_{name}"] = value
    return Audit(ds)


def _dataset(
    matrix: Matrix,
    figures: dict[str, of.Figure],
    seed: int,
    counts: dict[str, int],
    edges: dict,
) -> xr.Dataset:
    ends = of.intervals(figures, seed, counts["n_bootstrap"])
    numbers = {name: np.full(len(figures), np.nan) for name in _NUMBERS}
    for place, (name, one) in enumerate(figures.items()):
        found = dict(zip(("value", "error", "low", "high", "p"), ends[name], strict=True))
        found |= {"n": float(one.weight.sum()), "rate": one.rate, "against": one.against}
        found |= {"null_mean": one.null_mean, "null_sd": one.null_sd}
        for each, value in found.items():
            numbers[each][place] = value
    data: dict[str, tuple[tuple[str, ...], Any]] = {
        name: (("figure",), values) for name, values in numbers.items()
    }
    data |= _of_arms(matrix)
    data["problems_needed"] = (("comparison", "attempts", "effect"), _needed(matrix, figures, ends))
    coords = {
        "figure": list(figures),
        "arm": matrix.arms,
        "comparison": list(AGAINST),
        "attempts": [0, *ATTEMPTS],
        "effect": [0.0, *EFFECTS],
    }
    settings = {"seed": seed, **counts, **edges, "default": matrix.arms[DEFAULT]}
    ds = labelled(data, coords, settings)
    notes = [*matrix.notes]
    if matrix.chosen is not None:
        wanted = [name for name in LACKS if name not in figures]
    else:
        wanted = [of.HEADROOM] if of.HEADROOM not in figures else []
    for name in wanted:
        words = WORDS[name].format(default=matrix.arms[DEFAULT])
        notes.append(f"not computed: {words}; it needs {LACKS[name]}")
    ds.attrs |= {"notes_json": json.dumps(notes), "problems": len(matrix.problems)}
    return ds


def _of_arms(matrix: Matrix) -> dict[str, tuple[tuple[str, ...], Any]]:
    n = len(matrix.arms)
    chosen = np.full(n, np.nan)
    if matrix.chosen is not None:
        chosen = np.bincount(matrix.chosen, minlength=n) / len(matrix.problems)
    cost = np.full(n, np.nan) if matrix.cost is None else matrix.cost.mean(axis=0)
    found = {"rate": matrix.rate.mean(axis=0), "attempts": matrix.trials.mean(axis=0)}
    found |= {"cost": cost, "chosen": chosen}
    return {f"arm_{name}": (("arm",), values) for name, values in found.items()}


def _needed(
    matrix: Matrix, figures: dict[str, of.Figure], ends: dict[str, tuple[float, ...]]
) -> np.ndarray:
    """Return problems needed, (comparison, attempts, effect)."""
    out = np.full((len(AGAINST), 1 + len(ATTEMPTS), 1 + len(EFFECTS)), np.nan)
    if matrix.chosen is None:
        return out
    best = int(first_largest(matrix.rate.mean(axis=0)))
    others = {"default": DEFAULT, "best_fixed": best}
    rows = np.arange(len(matrix.problems))
    for place, (name, figure) in enumerate(AGAINST.items()):
        other = np.full(len(rows), others[name])
        gain = matrix.rate[rows, matrix.chosen] - matrix.rate[rows, other]
        spread = spread_of(matrix, gain, other)
        value, error = ends[figure][:2]
        for at, made in enumerate((None, *ATTEMPTS)):
            variance = spread.at(made)
            for column, effect in enumerate((cautious(value, error), *EFFECTS)):
                out[place, at, column] = problems_for(effect, variance)
    return out
