"""What an intervention changes: more answers worked out, or worked answers right more often.

docs/method.md#what-changed. Kitagawa's decomposition of a difference of two rates, problem by
problem: figures are means over problems of what each contributes.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention
from recover_nb.core.result import Labelled, labelled
from recover_nb.core.schema import (
    INTERVENTION,
    PROBLEM,
    ROLLOUT,
    cell_names,
    checkpoint_codes,
    failed_units,
    text,
)
from recover_nb.core.titles import named
from recover_nb.routing.populations import SOME_POPULATIONS, choose_populations
from recover_nb.stats.decomposition import decompose
from recover_nb.stats.resampling import (
    Resamples,
    bootstrap_ratio,
    bootstrap_weights,
    checkpoint_interval,
    ratio,
)

#: What tells kinds of answers apart: whether there is a step, or how long they are.
WORKED, LENGTH = "worked", "length"
BY = (WORKED, LENGTH)
#: The difference from retry and its parts.
FIGURES = ("difference", "more", "better", "guesses")
#: Ends of the intervals over questions and over checkpoints.
ENDS = ("low", "high", "low_checkpoints", "high_checkpoints")
#: The parts in words, by what tells answers apart.
WORDS = {
    WORKED: {
        "difference": "over asking again",
        "more": "more worked answers",
        "better": "better worked answers",
        "guesses": "better guesses",
    },
    LENGTH: {
        "difference": "over asking again",
        "more": "longer or shorter answers",
        "better": "better at the same length",
    },
}
#: From this share of worked answers on, working out more of them has nothing to give.
ALL_WORKED = 0.99
#: Where lengths are cut: quantiles of those of retry on problems that are alike.
QUANTILES = (0.25, 0.5, 0.75)
_RETRY, _NONE = Intervention.RETRY.value, Intervention.NONE.value


class Changes(Labelled):
    """What each intervention changes against retry: made by `what_changed`.

    Attributes
    ----------
    dataset : Dataset
        By ``population`` and ``intervention``, in shares of 1: ``n`` (problems on which both ran);
        the rescue rates ``retry`` and ``rate``; their ``difference`` and its parts, which add up to
        it: ``more`` (more answers are worked out, or are longer), ``better`` (answers of the same
        kind are right more often: those worked out, or of the same length) and ``guesses`` (answers
        without a step are right more often; NaN by length). Each of these four with ``_low``,
        ``_high`` (95 %, over questions) and ``_low_checkpoints``, ``_high_checkpoints`` (over
        checkpoints; NaN where there is one). ``share_retry`` and ``share``, the share of answers
        worked out (by length: longer than the median of retry), ``accuracy_retry`` and
        ``accuracy``, the share of those that is right; ``borrowed``, the share of answers of a kind
        that their problem has under one of the two alone.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> changes = rnb.what_changed(rnb.load_study(), n_bootstrap=100)
    >>> parts = changes.dataset[["more", "better", "guesses"]].to_dataarray().sum("variable")
    >>> bool(abs(parts - changes.dataset["difference"]).max() < 1e-12)
    True
    """

    title = "Is a rescue better work, or more of it?"
    chart = "plot_what_changed"
    following = (
        "rnb.tables.for_people(changes.to_dataframe())  # every population and operator",
        "rnb.plot_what_changed(changes, population='failed')",
        "changes.dataset  # all of it, labelled",
    )

    @property
    def population(self) -> str:
        """The headline: the population that the sentence and the chart speak of."""
        return str(self.dataset["population"].values[0])

    @property
    def sentence(self) -> str:
        """Which operators rescue more than asking again, and whether by more or by better work."""
        of, settings = self.dataset.sel(population=self.population), self.settings
        # With one checkpoint there is no second interval to ask.
        above = (of["difference_low"] > 0) & ~(of["difference_low_checkpoints"] <= 0)
        gain = of.isel({INTERVENTION: np.flatnonzero(above.values)})
        names, kinds = text(gain[INTERVENTION]).tolist(), WORDS[settings["by"]]
        found = f"{named(self.population).capitalize()}: "
        found += f"{len(names) or 'none'} of {of.sizes[INTERVENTION]} operators "
        found += "rescue more than asking again"
        larger = np.where(gain["more"] > gain["better"], "more", "better")
        for part in ("more", "better"):
            some = [
                f"{name} {100 * one[part].item():+.1f} of {100 * one['difference'].item():+.1f}"
                for name, one in ((n, gain.sel({INTERVENTION: n})) for n in names)
                if larger[names.index(name)] == part
            ]
            found += f"; mostly {kinds[part]}: {', '.join(some)} points" if some else ""
        return f"{found}. {self._aside(of)}".strip()

    def _aside(self, of: xr.Dataset) -> str:
        """Say why lengths, or that there was nothing to gain by working out more answers."""
        if self.settings["by"] == LENGTH:
            why = self.settings.get("why")
            return f"Answers are told apart by length, because {why}." if why else ""
        share = float(of["share_retry"].min())
        said = f"Asking again works out {share:.1%} of its answers"
        if share < ALL_WORKED:
            return f"{said}."
        return (
            f"{said}, so more of them could not rescue anything here; by='length' asks instead"
            " whether longer ones do."
        )

    def to_dataframe(self) -> pd.DataFrame:
        """Return a row for each population and intervention.

        Returns
        -------
        DataFrame
            ``population``, ``intervention``, ``n``; ``retry``, ``rate``, ``share_retry``,
            ``share``, ``accuracy_retry``, ``accuracy`` and ``borrowed`` as in `dataset`; then in
            points ``difference_points``, ``more_points``, ``better_points``, ``guesses_points``,
            each followed by its ends, such as ``more_low_points``, ``more_high_points``,
            ``more_low_checkpoints_points`` and ``more_high_checkpoints_points``.
        """
        dims = ["population", INTERVENTION]
        frame = self.dataset.to_dataframe(dim_order=dims).reset_index()
        given = [f"{name}{end}" for name in FIGURES for end in ("", *(f"_{e}" for e in ENDS))]
        frame[given] *= 100
        plain = ["n", "retry", "rate", *_DESCRIBED]
        frame = frame[[*dims, *plain, *given]]
        return frame.rename(columns={name: f"{name}_points" for name in given})


#: Figures without an interval, beside `n` and the two rates.
_DESCRIBED = ("share_retry", "share", "accuracy_retry", "accuracy", "borrowed")


@takes_study()
@checks.takes(
    by=checks.TEXT,
    populations=SOME_POPULATIONS,
    interventions=checks.NAMES,
    seed=checks.SEED,
    n_bootstrap=checks.COUNT,
)
def what_changed(
    ds: xr.Dataset,
    *,
    by: str | None = None,
    populations: Sequence[str] | None = None,
    interventions: Sequence[str] | None = None,
    seed: int = 0,
    n_bootstrap: int = 2000,
) -> Changes:
    """Split what an intervention rescues over retry into more worked answers and better ones.

    Parameters
    ----------
    ds : Dataset
        A study with ``correct`` (problem, rollout, intervention) and ``worked`` or ``n_tokens`` of
        the same shape.
    by : {"worked", "length"}, optional
        What tells answers apart: whether there is a step before the answer, or in which quarter of
        the lengths of retry on alike problems it lies. By default ``worked`` where it is known of
        every answer that is compared, else ``length``.
    populations : sequence of str, optional
        As in `choose_populations`, the headline first.
    interventions : sequence of str, optional
        By default all that were run on a failed problem but ``none`` and ``retry``.
    seed : int
        The result is a function of it and of the data alone.
    n_bootstrap : int
        Resamples of questions, at least 1.

    Returns
    -------
    Changes

    Raises
    ------
    InputError
        If `by`, a population or an intervention is unknown, if the study does not know what `by`
        needs, or if no problem was given both retry and an intervention.

    See Also
    --------
    evaluate_routing : The differences that are taken apart here.
    plot_what_changed : Draws the parts.

    Notes
    -----
    docs/method.md#what-changed. The decomposition is exact: parts add up to the difference.

    References
    ----------
    .. [1] E. M. Kitagawa (1955). Components of a difference between two rates. Journal of the
       American Statistical Association, 50(272), 1168-1194.

    Examples
    --------
    What a calculator rescues is right more often at the same length, not longer.

    >>> import recover_nb as rnb
    >>> changes = rnb.what_changed(
    ...     rnb.load_study(), by="length", interventions=["calculator"], n_bootstrap=100
    ... )
    >>> points = [f"{part}_points" for part in ("difference", "more", "better")]
    >>> changes.to_dataframe()[["population", *points]].round(1)
           population  difference_points  more_points  better_points
    0  failed_first_1               58.9          2.0           56.9
    1          failed               35.9          1.5           34.4
    2  failed_first_5               70.0          1.9           68.1
    """
    if "correct" not in ds:
        raise InputError(
            "the study has no variable correct, so it does not know single answers; what changed"
            " needs them"
        )
    chosen = choose_populations(ds, populations)
    failed = failed_units(ds)
    arms = _arms(ds, interventions, failed)
    order = (PROBLEM, ROLLOUT, INTERVENTION)
    kept = ds[[name for name in ("correct", "worked", "n_tokens") if name in ds]]
    kept = kept.isel({PROBLEM: failed}).sel({INTERVENTION: [_RETRY, *arms]}).transpose(*order)
    correct = kept["correct"].values
    by, why = _kind(kept, by)
    groups = _alike(ds, failed)
    kind, kinds = (
        (np.where(kept["worked"].values == 1, 0, 1), 2)
        if by == WORKED
        else (_bins(kept["n_tokens"].values, correct, groups[0]), 1 + len(QUANTILES))
    )
    share, right = _shares(correct, kind, kinds)
    question, task = text(ds["problem_id"])[failed], text(ds["task"])[failed]
    drawn = bootstrap_weights(question, task, n_bootstrap, np.random.default_rng([seed, 0]))
    checkpoints = checkpoint_codes(ds)[failed]
    found = []
    for inside in chosen.values():
        for column in range(len(arms)):
            pair = [0, 1 + column]
            # Where both ran.
            rows = inside[failed] & (share[..., pair].sum(axis=1) > 0).all(axis=1)
            if not rows.any():
                raise InputError(f"no problem was given both {_RETRY} and {arms[column]}")
            contributed, borrowed = _contributions(
                share[rows][..., pair], right[rows][..., pair], [each[rows] for each in groups], by
            )
            found.append(
                _figures(contributed, drawn.subset(rows), checkpoints[rows])
                | _described(share[rows][..., pair], right[rows][..., pair], by)
                | {"borrowed": borrowed}
            )
    shape = (len(chosen), len(arms))
    data = {
        name: (
            ("population", INTERVENTION),
            np.array([each[name] for each in found]).reshape(shape),
        )
        for name in found[0]
    }
    settings = {"by": by, "seed": seed, "n_bootstrap": n_bootstrap} | ({"why": why} if why else {})
    return Changes(labelled(data, {"population": list(chosen), INTERVENTION: arms}, settings))


def _contributions(
    share: np.ndarray, right: np.ndarray, groups: Sequence[np.ndarray], by: str
) -> tuple[np.ndarray, float]:
    """Return what each problem adds to retry, rate and `FIGURES`, and the share borrowed."""
    composition, accuracy, one = decompose(share, right, groups)
    rates = right.sum(axis=1)
    guesses = accuracy[:, 1] if by == WORKED else np.full(len(rates), np.nan)
    better = accuracy[:, 0] if by == WORKED else accuracy.sum(axis=1)
    columns = [*rates.T, rates[:, 1] - rates[:, 0], composition.sum(axis=1), better, guesses]
    borrowed = (share.mean(axis=-1) * one).sum(axis=1).mean()
    return np.stack(columns, axis=1), float(borrowed)


def _figures(
    contributed: np.ndarray, drawn: Resamples, checkpoints: np.ndarray
) -> dict[str, float]:
    """Means over problems, with both intervals but for the two rates."""
    one = np.ones((len(contributed), 1))
    found = bootstrap_ratio(contributed, one, drawn, bca=False)
    over = checkpoint_interval(contributed, one, checkpoints)
    ends = dict(zip(ENDS, (*found.percentile, *over), strict=True))
    figures: dict[str, float] = {"n": len(contributed)}
    for place, name in enumerate(("retry", "rate", *FIGURES)):
        figures[name] = found.value[place]
        if name in FIGURES:
            figures |= {f"{name}_{end}": values[place] for end, values in ends.items()}
    return figures


def _described(share: np.ndarray, right: np.ndarray, by: str) -> dict[str, float]:
    """Share of answers worked out (or long), and how many of those are right, before and after."""
    kinds = slice(0, 1) if by == WORKED else slice((1 + len(QUANTILES)) // 2, None)
    shares = share[:, kinds].sum(axis=1).mean(axis=0)
    accuracy = ratio(right[:, kinds].sum(axis=1).mean(axis=0), shares)
    names = ("share_retry", "share", "accuracy_retry", "accuracy")
    return dict(zip(names, (*shares, *accuracy), strict=True))


def _arms(ds: xr.Dataset, given: Sequence[str] | None, failed: np.ndarray) -> list[str]:
    """Return the interventions compared, as the study orders them unless told."""
    run = (ds["correct"].isel({PROBLEM: failed}) >= 0).any([PROBLEM, ROLLOUT])
    there = [str(name) for name in text(ds[INTERVENTION])[run.values]]
    if _RETRY not in there:
        raise InputError(f"the study has no {_RETRY} of a failed problem to compare with; run it")
    allowed = [name for name in there if name not in (_RETRY, _NONE)]
    names = allowed if given is None else [str(name) for name in given]
    unknown = [name for name in names if name not in allowed]
    if unknown or not names:
        wrong = f"no intervention {unknown[0]!r}" if unknown else "no intervention to compare"
        raise InputError(f"{wrong}; allowed: {', '.join(allowed) or 'none was run beside retry'}")
    return names


def _kind(kept: xr.Dataset, by: str | None) -> tuple[str, str]:
    """Return what tells answers apart, and why it is not what was to be preferred."""
    if by is not None and by not in BY:
        raise InputError(f"by={by!r}; allowed: {', '.join(BY)}")
    run = kept["correct"].values >= 0
    why = "the study does not say which answers are worked out"
    if "worked" in kept:
        unknown = int((run & (kept["worked"].values < 0)).sum())
        why = f"of {unknown:,} answers it is not known whether they are worked out"
        if by != LENGTH and not unknown:
            return WORKED, ""
    if by == WORKED:
        raise InputError(f"{why}; by='length' compares answers of the same length")
    if "n_tokens" not in kept:
        raise InputError(f"{why}, and lengths (n_tokens) are not stored either; one is needed")
    return LENGTH, "" if by else why


def _alike(ds: xr.Dataset, failed: np.ndarray) -> list[np.ndarray]:
    """Return codes of problems that are alike: of one cell and level, of one cell, all of them."""
    cell = np.unique(cell_names(ds)[failed], return_inverse=True)[1]
    rest = [cell, np.zeros_like(cell)]
    if "level" not in ds:
        return rest
    both = np.stack([cell, ds["level"].values[failed]], axis=1)
    return [np.unique(both, axis=0, return_inverse=True)[1].ravel(), *rest]


def _bins(n_tokens: np.ndarray, correct: np.ndarray, alike: np.ndarray) -> np.ndarray:
    """Return in which quarter of the lengths of retry on alike problems each answer lies."""
    found = np.zeros(n_tokens.shape, int)
    for code in np.unique(alike):
        rows = alike == code
        lengths = n_tokens[rows, :, 0][correct[rows, :, 0] >= 0]
        if len(lengths):
            edges = np.quantile(lengths, QUANTILES)
            found[rows] = np.searchsorted(edges, n_tokens[rows])
    return found


def _shares(correct: np.ndarray, kind: np.ndarray, kinds: int) -> tuple[np.ndarray, np.ndarray]:
    """Share of each problem's answers of each kind, and of those right: (problem, kind, arm)."""
    run = correct >= 0
    attempts = np.maximum(run.sum(axis=1), 1)[:, None]
    of = np.stack([run & (kind == each) for each in range(kinds)], axis=1)
    both = of & (correct == 1)[:, None]
    return of.sum(axis=2) / attempts, both.sum(axis=2) / attempts
