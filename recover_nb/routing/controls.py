"""Operators that differ in one thing: which mixture steers, where it steers, what else it changes.

See docs/method.md#controls.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import ALL, Intervention, Verdict
from recover_nb.core.result import Labelled, labelled
from recover_nb.core.schema import INTERVENTION, PROBLEM, checkpoint_codes, text
from recover_nb.core.titles import named
from recover_nb.routing.populations import FAILED, SOME_POPULATIONS, choose_populations
from recover_nb.routing.rescue import with_rates
from recover_nb.routing.result import agreed_verdict
from recover_nb.routing.twins import (
    ACTS,
    RANDOM,
    STEER,
    WRONG,
    Row,
    acts,
    compare_terms,
    rates,
    twins,
)

_DENSE, _SAMPLE = Intervention.DENSE_STEER.value, Intervention.DENSE_SAMPLE.value
_HOTTER, _ALONE = Intervention.TEMPERATURE.value, Intervention.ANCESTOR.value
#: Pairs that differ in one thing, over every attempt.
PAIRS = {
    "mixture": (STEER, WRONG),
    "place": (STEER, RANDOM),
    "argmax": (_DENSE, _SAMPLE),
    "ancestor": (_SAMPLE, _HOTTER),
    "alone": (_SAMPLE, _ALONE),
    "steer_alone": (STEER, _ALONE),
}
#: The same over chosen attempts, which are twins: what a comparison is of -> its operators.
TWINS = {
    "mixture_differs": (STEER, WRONG),
    "place_elsewhere": (STEER, RANDOM),
    "place_same": (STEER, RANDOM),
    "place_gap": (STEER, RANDOM),
    "place_changed": (STEER, RANDOM),
}
_OVER = ("", "_checkpoints")
_ENDS = ("difference", "low", "high", "low_checkpoints", "high_checkpoints")


class Controls(Labelled):
    """Paired differences of operators that differ in one thing: made by `controls`.

    Attributes
    ----------
    dataset : Dataset
        By ``population``, ``comparison`` and ``task`` (``all`` first). ``operator`` and ``against``
        (comparison): the two; ``rate`` and ``rate_against``: their shares of right attempts (for
        ``place_changed`` the gain over the twin of ``retry`` per changed token); ``difference``
        with ``low``, ``high`` (over questions), ``low_checkpoints`` and ``high_checkpoints``;
        ``n``: problems for comparisons over every attempt, else pairs of attempts, and
        ``problems``. By ``population`` and ``act`` (an operator): ``fired``, the share of attempts
        in which it acted at all, and ``changed``, in which it emitted another token than retry.

        Comparisons: ``mixture``, ``place``, ``argmax``, ``ancestor``, ``alone`` and ``steer_alone``
        (both models mixed, or one token steered, less the ancestor alone) over every attempt.
        ``mixture_differs``: attempts in which both mixtures fired at one token and emitted
        different ones. ``place_elsewhere`` and ``place_same``: attempts in which both acted, the
        random one at another token or at the same; ``place_gap``: the first difference less the
        second. ``place_changed``: the gain over retry among attempts in which an operator changed
        the token, junction less random place.

    Examples
    --------
    Steering at the junction rescues more than at a random token, unless that is the same token.

    >>> import recover_nb as rnb
    >>> found = rnb.controls(rnb.load_study(), n_bootstrap=50)
    >>> points = 100 * found.dataset["difference"].sel(population="failed_first_1", task="all")
    >>> points.sel(comparison=["place_elsewhere", "place_same"]).round(1).values.tolist()
    [5.4, -0.2]
    """

    title = "Does it matter where one steers, and by which mixture?"
    chart = "plot_controls"
    following = (
        "found.to_dataframe()  # by population, comparison and task",
        'found.judge("place"), found.judge("mixture")',
    )

    @property
    def verdict(self) -> Verdict:
        """Whether the place matters: see `judge`."""
        return self.judge("place")

    def judge(self, thing: str) -> Verdict:
        """Say whether the place or the mixture matters, over the first population.

        Parameters
        ----------
        thing : {"place", "mixture"}
            The place does if the junction beats random tokens elsewhere, and its advantage there is
            larger than where both acted at one token (both intervals above 0). The mixture does if
            the one that fired beats the other where the two emit different tokens; where tokens are
            not stored, over every attempt (elsewhere the two are one rollout).

        Raises
        ------
        InputError
            If `thing` is something else.
        """
        if thing not in ("place", "mixture"):
            raise InputError(f"thing is {thing!r}; allowed: place, mixture")
        if thing == "mixture":
            fires = self._judged("mixture_differs")
            return self._judged("mixture") if fires == Verdict.NOT_TESTABLE else fires
        elsewhere, gap = (self._judged(name) for name in ("place_elsewhere", "place_gap"))
        if Verdict.NOT_TESTABLE in (elsewhere, gap):
            return Verdict.NOT_TESTABLE
        if elsewhere == gap == Verdict.SUPPORTED:
            return Verdict.SUPPORTED
        return Verdict.CONTRADICTED if elsewhere == Verdict.CONTRADICTED else Verdict.NOT_SHOWN

    def _judged(self, comparison: str) -> Verdict:
        if comparison not in self.dataset["comparison"].values:
            return Verdict.NOT_TESTABLE
        one = self.dataset.isel(population=0).sel(comparison=comparison, task=ALL)
        ends = [[float(one[f"{end}{over}"]) for end in ("low", "high")] for over in _OVER]
        return agreed_verdict(*ends)

    @property
    def sentence(self) -> str:
        """The figures of the first population, and the main ones of the others."""
        return say_controls(self)

    def to_dataframe(self) -> pd.DataFrame:
        """Return every comparison as a row.

        Returns
        -------
        DataFrame
            ``population``, ``comparison``, ``task``, ``operator``, ``against``, ``n``,
            ``problems``, ``rate``, ``rate_against``, ``points`` (the difference) with its 95 %
            intervals ``low_points``, ``high_points`` (over questions), ``low_checkpoints_points``
            and ``high_checkpoints_points``. Comparisons without a pair are left out.
        """
        found = self.dataset.drop_dims("act")
        frame = found.to_dataframe(dim_order=("population", "comparison", "task")).reset_index()
        frame = frame[frame["n"] > 0].reset_index(drop=True)
        frame[list(_ENDS)] *= 100
        frame = frame.rename(columns={"difference": "points"})
        frame = frame.rename(columns={name: f"{name}_points" for name in _ENDS[1:]})
        columns = ["population", "comparison", "task", "operator", "against", "n", "problems"]
        columns += ["rate", "rate_against", "points", *(f"{name}_points" for name in _ENDS[1:])]
        return frame[columns]


@takes_study()
@checks.takes(populations=SOME_POPULATIONS, n_bootstrap=checks.COUNT, seed=checks.SEED)
def controls(
    ds: xr.Dataset,
    *,
    populations: Sequence[str] | None = None,
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> Controls:
    """Compare operators that differ in one thing, paired by problem or by attempt.

    Parameters
    ----------
    ds : Dataset
        A study or a profile table, with two operators of `PAIRS`; ``fired_at``, ``token_id`` and
        ``correct`` for what compares attempts.
    populations : sequence of str, optional
        Which failures (`choose_populations`), the headline first.
    n_bootstrap, seed : int
        Resamples of questions within tasks, and their seed.

    Returns
    -------
    Controls

    Raises
    ------
    InputError
        If no two operators that differ in one thing were run.

    Notes
    -----
    docs/method.md#controls. Attempt r of every operator is a twin of attempt r of ``retry``: which
    tokens they would change is settled before any of them acts, so attempts chosen by it are paired
    without bias.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> rnb.controls(rnb.load_study(), n_bootstrap=200).judge("place").value
    'supported'
    """
    there = set(text(ds[INTERVENTION]))
    pairs = {name: pair for name, pair in PAIRS.items() if set(pair) <= there}
    if not pairs:
        raise InputError("no two operators that differ in one thing were run")
    chosen_twins = twins(ds, there)
    named_pairs = pairs | {name: pair for name, pair in TWINS.items() if name in chosen_twins}
    rate = with_rates(ds)["rescue_rate"].transpose(PROBLEM, INTERVENTION)
    tasks = text(ds["task"])
    labels = [ALL, *dict.fromkeys(tasks.tolist())]
    strata, question = tasks, text(ds["problem_id"])
    checkpoints = checkpoint_codes(ds)
    chosen = _populations(ds, populations)
    rows: list[list[list[Row]]] = []
    for among in chosen.values():
        terms = {name: rates(rate, *pair) for name, pair in pairs.items()} | chosen_twins
        rows.append(
            [
                [
                    compare_terms(
                        terms[name],
                        among if task == ALL else among & (tasks == task),
                        (question, strata, checkpoints),
                        n_bootstrap,
                        seed,
                    )
                    for task in labels
                ]
                for name in named_pairs
            ]
        )
    dims = ("population", "comparison", "task")
    data: dict[str, tuple[tuple[str, ...], Any]] = {
        name: (dims, np.array([[[getattr(x, name) for x in b] for b in a] for a in rows]))
        for name in Row._fields
    }
    for place, name in enumerate(("operator", "against")):
        data[name] = (("comparison",), [pair[place] for pair in named_pairs.values()])
    coords = {"population": chosen, "comparison": named_pairs, "task": labels}
    data |= {
        name: (("population", "act"), values) for name, values in acts(ds, there, chosen).items()
    }
    coords["act"] = [name for name in ACTS if name in there]
    return Controls(labelled(data, coords, {"n_bootstrap": n_bootstrap, "seed": seed}))


def _populations(ds: xr.Dataset, names: Sequence[str] | None) -> dict[str, np.ndarray]:
    if names is None and "correct" not in ds:
        return {FAILED: np.ones(ds.sizes[PROBLEM], dtype=bool)}
    return choose_populations(ds, names)


def say_controls(found: Controls) -> str:
    """Say what was found, in words."""
    return " ".join(
        _say(found.dataset.isel(population=place), place == 0)
        for place in range(found.dataset.sizes["population"])
    )


def _say(one: xr.Dataset, whole: bool) -> str:
    """Say what one population gives; if `whole`, how often operators act too."""
    of_all = one.sel(task=ALL)
    there = of_all["comparison"].values.tolist()
    words = {
        "place_elsewhere": "junction minus a random token elsewhere",
        "place_same": "at the same token",
        "place_gap": "the first minus the second",
        "place_changed": "per token changed",
        "mixture_differs": "the mixture that fired minus the other, where their tokens differ",
    }
    if not set(words) & set(there):
        words = {"place": "junction minus a random token", "mixture": "the mixture minus the other"}
    parts = [
        f"{said} {say_points(of_all.sel(comparison=name))}"
        for name, said in words.items()
        if name in there and float(of_all["n"].sel(comparison=name)) > 0
    ]
    title = named(one["population"].item())
    sentence = f"{title[:1].upper()}{title[1:]}: {'; '.join(parts)}."
    if whole and bool(one["changed"].notnull().any()):
        acts = ", ".join(
            f"{named(act.item())} {float(one['fired'].sel(act=act)):.0%} and"
            f" {float(one['changed'].sel(act=act)):.0%}"
            for act in one["act"]
        )
        sentence += f" Attempts acted on, and those whose token was changed: {acts}."
    return sentence


def say_points(one: xr.Dataset) -> str:
    """Write a difference in points with both intervals, and what it is over."""
    value, low, high, *others = (100 * float(one[name]) for name in _ENDS)
    words = f"{value:+.1f} points [{low:+.1f}, {high:+.1f}]"
    if not np.isnan(others[0]):
        words += f", over checkpoints [{others[0]:+.1f}, {others[1]:+.1f}]"
    return f"{words} ({int(one['n']):,} in {int(one['problems']):,} problems)"
