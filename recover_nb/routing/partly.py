"""What can be said of a study that cannot be routed: pass rates, rescue, the best arm."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import ALL, FEATURES, ROUTED_INTERVENTIONS, Verdict
from recover_nb.core.plain import plain
from recover_nb.core.result import labelled
from recover_nb.core.schema import INTERVENTION, cell_names, failed_rollouts, failed_units, text
from recover_nb.core.titles import named
from recover_nb.routing.best_arm import best_arm, counts_of
from recover_nb.routing.needs import NONE, RETRY, arms_run, needs_of, say_needs
from recover_nb.routing.policy import PUBLISHED, RoutingPolicy
from recover_nb.routing.populations import FAILED, choose_populations
from recover_nb.routing.rescue import with_rates
from recover_nb.routing.result import Evaluation, with_needs
from recover_nb.routing.table import routable
from recover_nb.stats.resampling import Resamples, bootstrap_ratio, bootstrap_weights

#: Keys of `Evaluation.to_dict` that a study without routes has no figure for.
NOT_ROUTED = ("published", "null", "null_twins", "split", "all", "excess", "excess_twins")
#: Figures of each cell of the observed rollouts.
OBSERVED = ("problems", "rollouts", "right", "pass_rate", "failed", "cut_off", "worked")
_LONG = ("figure", "population", "cell", "intervention", "n", "value", "low", "high")


class PartEvaluation(Evaluation):
    """The evaluation of a study without features or without the routed interventions.

    Attributes
    ----------
    dataset : Dataset
        By ``cell`` (the first is ``all``), of the observed rollouts: ``problems``, ``rollouts``,
        ``right``, ``pass_rate`` (mean over problems), ``failed`` (problems with a failed rollout),
        ``cut_off`` (wrong rollouts that the length limit cut off) and ``worked`` (share of right
        rollouts that show a step); the last two NaN where that is not known. By ``population`` (the
        first is the headline), ``cell`` and ``intervention``: ``n`` (problems), ``rescue`` and
        ``lift`` (over retry, paired by problem) with ``_low`` and ``_high`` (95 %, bootstrap over
        questions). By ``population``: ``best`` (the intervention with the largest lift),
        ``best_lift``, and of its null, where every intervention is as good as retry,
        ``null_mean``, ``null_sd`` and ``null_p``.
    needs : list of dict
        ``figure``, ``needs``, ``how``: what is not computed, and what would give it.
    """

    title = "What these rollouts say so far"
    chart = ""
    following = (
        "evaluation.needs  # what more would tell, and how to get it",
        "evaluation.to_dataframe()  # pass rates, rescue, lifts",
        "rnb.tables.failures_by_cell(ds)",
    )

    @property
    def estimators(self) -> tuple[str, ...]:
        """None: nothing is routed."""
        return ()

    @property
    def figures(self) -> xr.Dataset:
        """Nothing is routed, so this raises what is needed."""
        raise self._lacks()

    def of(self, population: str) -> Evaluation:
        """Nothing is routed, so this raises what is needed."""
        raise self._lacks()

    def at_equal_cost(self, basis: str = "forward_passes") -> xr.Dataset | None:
        """Return None: budgets are of routes."""
        return None

    def beside(self, other: Evaluation) -> Evaluation:
        """Nothing is routed, so this raises what is needed."""
        raise self._lacks()

    def _lacks(self) -> InputError:
        return InputError(f"nothing is routed in this study; {say_needs(self.needs)}")

    @property
    def interventions(self) -> tuple[str, ...]:
        """The interventions with attempts."""
        return tuple(map(str, self.dataset["intervention"].values))

    @property
    def verdict(self) -> Verdict:
        """Routing is not testable here."""
        return Verdict.NOT_TESTABLE

    @property
    def headline(self) -> str:
        """Nothing: the sentence is short itself."""
        return ""

    @property
    def sentence(self) -> str:
        """Pass rate, failures, rescue, and what needs more."""
        one = self.dataset.sel(cell=ALL)
        said = [
            f"{int(one['right']):,} of {int(one['rollouts']):,} observed rollouts are right"
            f" ({float(one['pass_rate']):.0%} of a problem's, on average);"
            f" {int(one['failed']):,} of {int(one['problems']):,} problems failed at least once."
        ]
        cut = float(one["cut_off"])
        if cut > 0:
            said.append(f"{int(cut):,} wrong rollouts were cut off, which is no failure.")
        if self.interventions and self.populations:
            said += self._say_rescue()
        if self.needs:
            said.append(f"Not computed: {say_needs(self.needs, how=False)}.")
        return " ".join(said)

    def _say_rescue(self) -> list[str]:
        found = self.dataset.isel(population=0).sel(cell=ALL)
        n = int(found["n"].max())
        rates = ", ".join(
            f"{name} {float(found['rescue'].sel(intervention=name)):.0%}"
            for name in self.interventions
            if float(found["n"].sel(intervention=name))
        )
        if not rates:
            return []
        words = named(self.populations[0])
        said = [f"Where the {words} ({n:,} problems), rescue is: {rates}."]
        best = str(found["best"].values)
        if best:
            said.append(
                f"The best single intervention, {best}, is {100 * float(found['best_lift']):+.1f}"
                " points from trying again; were all as good as that, the best of them would show"
                f" {100 * float(found['null_mean']):+.1f} (p = {float(found['null_p']):.2g})."
            )
        return said

    def to_dataframe(self, cell: str | None = None, population: str | None = None) -> pd.DataFrame:
        """Return pass rates, rescue rates and lifts over retry.

        Parameters
        ----------
        cell, population : str, optional
            Rows of this one alone; all of them by default.

        Returns
        -------
        DataFrame
            ``figure`` (pass_rate, rescue, lift), ``population``, ``cell``, ``intervention``, ``n``
            (problems), ``value`` in shares of 1 with its 95 % interval ``low``, ``high``.
        """
        rows, ds = [], self.dataset
        for each in map(str, ds["cell"].values):
            rate, n = float(ds["pass_rate"].sel(cell=each)), int(ds["problems"].sel(cell=each))
            rows.append(("pass_rate", "", each, NONE, n, rate, np.nan, np.nan))
        by = product(self.populations, map(str, ds["cell"].values), self.interventions)
        for whom, each, name in by:
            one = ds.sel(population=whom, cell=each, intervention=name)
            for figure in ("rescue", "lift"):
                values = [float(one[f"{figure}{end}"]) for end in ("", "_low", "_high")]
                if not np.isnan(values[0]):
                    rows.append((figure, whom, each, name, int(one["n"]), *values))
        frame = pd.DataFrame(rows, columns=list(_LONG))
        for name, wanted in (("cell", cell), ("population", population)):
            if wanted is not None:
                frame = frame[frame[name] == wanted]
        return frame.reset_index(drop=True)

    @property
    def overall(self) -> dict[str, Any]:
        """As `Evaluation.overall`: ``n`` failed problems, and None for what needs routes."""
        return plain(self._unrouted(FAILED))

    def to_dict(self) -> dict[str, Any]:
        """Return the object that ``recover-nb evaluate --json`` prints.

        Returns
        -------
        dict
            The keys of `Evaluation.to_dict`, None where a figure needs more, and ``needs``,
            ``observed`` (by cell, ``all`` first) and ``best_intervention`` (by population).
        """
        ds = self.dataset
        whole = FAILED if FAILED in self.populations else next(iter(self.populations), None)
        cells = {}
        for cell in map(str, ds["cell"].values[1:]):
            rescue: dict[str, Any] = {"routed": None, "oracle": None, RETRY: None}
            if whole is not None:
                found = ds["rescue"].sel(population=whole, cell=cell)
                rescue |= {name: float(found.sel(intervention=name)) for name in self.interventions}
            failed = int(ds["failed"].sel(cell=cell))
            cells[cell] = {"n": failed, "regimes": None, "routed_counts": None, "rescue": rescue}
        told: dict[str, Any] = {"cells": cells, "overall": self.overall}
        told["populations"] = {
            name: {
                "n": self._unrouted(name)["n"],
                "lift": None,
                "ci95": None,
                "lift_own_features": None,
                "estimators": self._unrouted(name),
            }
            for name in self.populations
            if name != FAILED
        }
        told["observed"] = {
            str(cell): {name: float(ds[name].sel(cell=cell)) for name in OBSERVED}
            for cell in ds["cell"].values
        }
        best = ("best", "best_lift", "null_mean", "null_sd", "null_p")
        told["best_intervention"] = {
            name: {each: ds[each].sel(population=name).item() for each in best}
            for name in self.populations
        }
        told["rows"] = self.to_dataframe().to_dict("records")
        told |= {"sentence": self.sentence, "verdict": str(self.verdict), "needs": self.needs}
        return plain(told | {"settings": self.settings})

    def _unrouted(self, population: str) -> dict[str, Any]:
        if population in self.populations:
            n = int(self.dataset["size"].sel(population=population))
        else:
            n = int(self.dataset["failed"].sel(cell=ALL))
        out: dict[str, Any] = {"n": n, "n_left_out": n, "steerable_hard_fraction": None}
        return out | dict.fromkeys(NOT_ROUTED)


def is_partial(ds: xr.Dataset, policy: RoutingPolicy, interventions: Sequence[str]) -> bool:
    """Whether a study has outcomes, and lacks what the published rule needs.

    A rule of one's own that does not fit the study is a mistake, which is told.

    Raises
    ------
    InputError
        A study without problems.
    """
    if policy != PUBLISHED or tuple(interventions) != tuple(ROUTED_INTERVENTIONS):
        return False
    if "correct" not in ds or "features" not in ds or set(FEATURES) - set(text(ds["feature"])):
        return False
    if not ds.sizes["problem"]:
        raise InputError("the study has no problems, so none failed; give one with some")
    if {RETRY, *interventions} - set(text(ds[INTERVENTION]).tolist()):
        return True
    return not len(routable(with_rates(ds), policy.features, (RETRY, *interventions)))


def evaluate_partly(
    ds: xr.Dataset,
    *,
    seed: int = 0,
    counts: dict[str, int],
    populations: Sequence[str] | None = None,
) -> PartEvaluation:
    """Evaluate what a study without routes gives.

    Parameters
    ----------
    ds : Dataset
        A study with ``correct``.
    seed : int
    counts : dict of str to int
        ``n_bootstrap``, and ``n_null`` for the null of the best intervention.
    populations : sequence of str, optional
        As in `evaluate_routing`.

    Returns
    -------
    PartEvaluation

    Raises
    ------
    InputError
        No problem or no rollout, or a population that is not allowed.
    """
    observed = ds["correct"].sel({INTERVENTION: NONE}).transpose("problem", "rollout").values
    if not (observed >= 0).any():
        raise InputError(
            "the study has no observed rollout, so it is not known what failed; run some"
        )
    cell = cell_names(ds)
    labels = [ALL, *dict.fromkeys(cell.tolist())]
    inside = {name: np.ones(len(cell), bool) if name == ALL else cell == name for name in labels}
    chosen = {
        name: each for name, each in choose_populations(ds, populations).items() if each.any()
    }
    arms = arms_run(ds)
    data = _observed(ds, observed, list(inside.values()))
    data |= _rescues(ds, arms, chosen, list(inside.values()), seed, counts["n_bootstrap"])
    data |= best_arm(ds, arms, chosen, seed, counts["n_null"])
    coords = {"cell": labels, "population": list(chosen), "intervention": arms}
    settings = {"seed": seed, **counts}
    return PartEvaluation(with_needs(labelled(data, coords, settings), needs_of(ds)))


_Data = dict[str, tuple[tuple[str, ...], Any]]


def _observed(ds: xr.Dataset, correct: np.ndarray, cells: list[np.ndarray]) -> _Data:
    """Count the observed rollouts of each cell."""
    run, right, wrong = correct >= 0, correct == 1, correct == 0
    failed = failed_rollouts(ds)
    known = {name: _of_observed(ds, name) for name in ("ended", "worked")}
    rows = []
    for mine in cells:
        tried = run[mine].sum(axis=1)
        share = (right[mine].sum(axis=1) / np.maximum(tried, 1))[tried > 0]
        ended, worked = known["ended"], known["worked"]
        shown = None if worked is None else worked[mine][right[mine] & (worked[mine] >= 0)]
        rows.append(
            (
                int(mine.sum()),
                int(tried.sum()),
                int(right[mine].sum()),
                float(share.mean()) if len(share) else np.nan,
                int(failed_units(ds)[mine].sum()),
                np.nan if ended is None else int((wrong & ~failed)[mine].sum()),
                float((shown == 1).mean()) if shown is not None and len(shown) else np.nan,
            )
        )
    columns = zip(OBSERVED, zip(*rows, strict=True), strict=True)
    return {name: (("cell",), np.array(values, float)) for name, values in columns}


def _of_observed(ds: xr.Dataset, name: str) -> np.ndarray | None:
    """Return a code of each observed rollout, (problem, rollout); None where none is known."""
    if name not in ds:
        return None
    array = ds[name].sel({INTERVENTION: NONE}) if INTERVENTION in ds[name].dims else ds[name]
    values = array.transpose("problem", "rollout").values
    return values if (values >= 0).any() else None


def _rescues(
    ds: xr.Dataset,
    arms: list[str],
    populations: dict[str, np.ndarray],
    cells: list[np.ndarray],
    seed: int,
    n_bootstrap: int,
) -> _Data:
    """Rescue by every arm and its lift over retry, by population and cell."""
    tried, right = counts_of(ds, arms)
    run = tried > 0
    rate = np.where(run, right / np.maximum(tried, 1), 0.0)
    retry = arms.index(RETRY) if RETRY in arms else None
    shape = (len(populations), len(cells), len(arms))
    ends = ("", "_low", "_high")
    out = {f"{name}{end}": np.full(shape, np.nan) for name in ("rescue", "lift") for end in ends}
    out["n"] = np.zeros(shape)
    questions, tasks = (text(ds[name]) for name in ("problem_id", "task"))
    for p, mine in enumerate(populations.values()):
        drawn = bootstrap_weights(
            questions[mine], tasks[mine], n_bootstrap, np.random.default_rng([seed, 5])
        )
        for c, inside in enumerate(cells):
            rows = inside & mine
            if not (rows.any() and arms):
                continue
            here = drawn.subset(inside[mine])
            out["n"][p, c] = run[rows].sum(axis=0)
            _put(out, "rescue", (p, c), rate[rows], run[rows], here)
            if retry is not None:
                both = run & run[:, [retry]]
                both[:, retry] = False
                _put(out, "lift", (p, c), (rate - rate[:, [retry]])[rows], both[rows], here)
    by = ("population", "cell", "intervention")
    data: _Data = {name: (by, values) for name, values in out.items()}
    sizes = [int(mine.sum()) for mine in populations.values()]
    return data | {"size": (("population",), np.array(sizes, int))}


def _put(
    out: dict[str, np.ndarray],
    name: str,
    place: tuple[int, int],
    values: np.ndarray,
    known: np.ndarray,
    drawn: Resamples,
) -> None:
    """Put means over the problems where they are known, and their intervals, into `out`."""
    found = bootstrap_ratio(np.where(known, values, 0.0), known.astype(float), drawn, bca=False)
    out[name][place] = found.value
    out[f"{name}_low"][place], out[f"{name}_high"][place] = found.percentile
