"""A check that can fail on the estimators: simulated studies whose truth is known.

Without effect, the interval of an honest estimator covers 0 in about 95 % of studies and the excess
is significant at 5 % in about 5 %; the published estimator all but never covers 0. With a planted
effect all find it.
"""

import numpy as np
import pytest
from scipy.stats import binom

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Verdict
from recover_nb.routing import estimators, nulls
from recover_nb.routing.lifts import compare, summarise_null
from recover_nb.routing.result import agreed_verdict
from recover_nb.routing.simulate import make_study
from recover_nb.routing.table import read_inputs
from recover_nb.stats.resampling import bootstrap_weights

N_STUDIES = 200


#: As many checkpoints as the shipped study has.
CELLS = [
    (family, method, "arithmetic")
    for family in ("qwen3", "neox")
    for method in ("sft", "grpo", "self_distill")
]
POPULATIONS = ("failed", "failed_first_1")
ENDS = ("lift", "lift_low", "lift_high", "lift_low_checkpoints", "lift_high_checkpoints")


def taken(seed, population, **study):
    """Return a simulated study, and the table of one of its populations."""
    ds = make_study(seed=seed, n_problems=30, n_attempts=10, cells=CELLS, **study)
    inputs = read_inputs(ds, populations=[population])
    # As an evaluation has it: routed among all failed problems.
    return ds, inputs.of(population).table, inputs


def run(seed, population="failed", **study):
    """Return lift or excess over retry, both intervals and p by every estimator."""
    _, table, _ = taken(seed, population, **study)
    rng = np.random.default_rng([seed, 1])
    resamples = bootstrap_weights(table.clusters, table.strata, 300, rng)
    everyone = [np.arange(len(table.rate))]
    published = estimators.published(table, rng, n_splits=1)
    found = {"published": published, "all": estimators.everyone(table, rng, n_splits=1)}
    found["split"] = estimators.split(table, rng, n_splits=12)
    out = {}
    for name, item in found.items():
        figures = compare(item, resamples, everyone, checkpoints=table.checkpoints)
        retry = item.names.index("retry")
        out[name] = (*(figures[each][0, retry] for each in ENDS), np.nan)
    for name, null in (("null", nulls.null), ("null_twins", nulls.null_twins)):
        item = null(table, rng, n_null=59)
        figures = summarise_null(published, item, resamples, table.checkpoints)
        names = [*(each.replace("lift", "excess") for each in ENDS), "excess_p"]
        out[name] = tuple(figures[each][item.names.index("retry")] for each in names)
    return out


def many(n=N_STUDIES, population="failed", **study):
    """Arrays (study, 6) by estimator: figure, ends over questions, over checkpoints, p."""
    found = [run(seed, population, **study) for seed in range(n)]
    return {name: np.array([each[name] for each in found]) for name in found[0]}


def covers(found, truth=0.0, ends=(1, 2)):
    low, high = (found[:, each] for each in ends)
    return int(((low <= truth) & (truth <= high)).sum())


def within(count, n, rate):
    """Is `count` of `n` what a binomial of this rate gives, but for one time in a thousand?"""
    return binom.ppf(0.0005, n, rate) <= count <= binom.ppf(0.9995, n, rate)


def supported(found):
    """Return how often the verdict is that routing rescues more."""
    return sum(
        agreed_verdict(row[1:3], row[3:5]) == Verdict.SUPPORTED and not row[5] >= 0.05
        for row in found
    )


@pytest.fixture(scope="module", params=POPULATIONS)
def no_effect(request):
    found = many(population=request.param, effect="none")
    for name, each in found.items():
        print(
            f"{request.param}, {name}: of {N_STUDIES} studies without effect"
            f" {covers(each)} intervals over questions and {covers(each, ends=(3, 4))} over"
            f" checkpoints cover 0; {supported(each)} verdicts say supported; mean"
            f" {100 * each[:, 0].mean():+.2f} points, p <= 0.05 in {(each[:, 5] <= 0.05).sum()}"
        )
    return found


HONEST = ("split", "all", "null", "null_twins")


@pytest.mark.slow
@pytest.mark.parametrize("estimator", HONEST)
def test_honest_intervals_cover_nothing(no_effect, estimator):
    found = no_effect[estimator]
    assert within(covers(found), N_STUDIES, 0.95)
    assert within(covers(found, ends=(3, 4)), N_STUDIES, 0.95)
    assert abs(found[:, 0].mean()) < 4 * found[:, 0].std() / np.sqrt(N_STUDIES)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", HONEST)
def test_verdicts_are_false_no_oftener_than_they_say(no_effect, estimator):
    """One side of a 95 % interval: at most one in forty, but for one time in a thousand."""
    assert supported(no_effect[estimator]) <= binom.ppf(0.9995, N_STUDIES, 0.025)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["null", "null_twins"])
def test_excess_is_significant_as_often_as_it_says(no_effect, estimator):
    p = no_effect[estimator][:, 5]
    assert within(int((p <= 0.05).sum()), N_STUDIES, 0.05)
    assert within(int((p <= 0.5).sum()), N_STUDIES, 0.5)


@pytest.mark.slow
def test_published_reports_a_lift_where_there_is_none(no_effect):
    found = no_effect["published"]
    # Where the first answer failed there are fewer problems, and intervals are wider.
    assert covers(found) < 0.2 * N_STUDIES
    assert supported(found) > 0.5 * N_STUDIES
    assert found[:, 0].mean() > 0.05


@pytest.mark.slow
def test_intervals_have_the_width_they_should(no_effect):
    """The mean half-width over 1.96 is the standard deviation over studies, within a sixth."""
    for name in ("split", "all", "null"):
        found = no_effect[name]
        width = (found[:, 2] - found[:, 1]).mean() / 3.92
        assert width == pytest.approx(found[:, 0].std(), rel=1 / 6)


@pytest.mark.slow
@pytest.mark.parametrize("population", POPULATIONS)
def test_twins_and_agreeing_attempts_without_effect(population):
    """Shared random numbers shrink the winner's curse: only the null of twins says so."""
    n = 60
    found = many(n, population, effect="none", twin=0.7, agreement=0.8)
    for name in ("split", "all", "null_twins"):
        assert within(covers(found[name]), n, 0.95)
    assert within(int((found["null_twins"][:, 5] <= 0.05).sum()), n, 0.05)
    assert found["null"][:, 0].mean() < -0.01


def true_lifts(seed, population, **study):
    """Return the lift of the rule in true rates.

    It is over every problem of the population, and over those that half the attempts select.
    """
    ds, table, inputs = taken(seed, population, **study)
    rate = ds["true_rate"].sel(intervention=list(table.arms)).to_numpy()
    rate = rate[np.isfinite(ds["features"].to_numpy()).all(axis=1)][inputs.populations[population]]
    select, _, _ = estimators.halve(table, 12, np.random.default_rng(seed))
    chosen = table.hard(select)
    every = np.ones((1, len(rate)), bool)
    ways = {"all": (every, table.routes[None]), "split": (chosen, table.decide(chosen))}
    out = {}
    for name, (among, routes) in ways.items():
        routed = np.take_along_axis(rate[None], routes[..., None], axis=-1)[..., 0]
        out[name] = ((routed - rate[:, 0]) * among).sum() / among.sum()
    return out


@pytest.mark.slow
@pytest.mark.parametrize("population", POPULATIONS)
@pytest.mark.parametrize("effect", ["planted", "tied"])
def test_a_planted_effect_is_found(effect, population):
    n, study = 40, {"effect": effect, "size": 0.25}
    found = many(n, population, **study)
    for name in ("published", "all", "split", "null", "null_twins"):
        assert (found[name][:, 1] > 0).all(), name
        assert supported(found[name]) >= 0.9 * n, name
    truth = [true_lifts(seed, population, **study) for seed in range(n)]
    for name in ("all", "split"):
        inside = sum(covers(found[name][i : i + 1], truth[i][name]) for i in range(n))
        assert within(inside, n, 0.95)
    assert found["published"][:, 0].mean() > found["split"][:, 0].mean()


def test_the_simulation_says_what_it_does():
    ds = make_study(effect="planted", size=0.5, n_problems=10, seed=2)
    rate = ds["true_rate"].to_numpy()
    assert rate[:, 2:] == pytest.approx(np.minimum(rate[:, :1] + 0.5, 1).repeat(4, axis=1))
    tied = make_study(effect="tied", size=0.5, n_problems=10, seed=2)["true_rate"].to_numpy()
    assert ((tied[:, 2:] > tied[:, 1:2]).sum(axis=1) == 1).all()
    again = make_study(effect="planted", size=0.5, n_problems=10, seed=2)
    assert (again["correct"] == ds["correct"]).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"effect": "huge"}, "effect must be one of none, planted, tied, got 'huge'"),
        ({"size": 2.0}, "size must be a share from 0 to 1, got 2.0"),
        ({"n_attempts": 1}, "n_attempts must be a whole number of at least 2, got 1"),
    ],
)
def test_simulation_refuses(options, words):
    with pytest.raises(InputError, match=words):
        make_study(**options)
