"""A rescue taken apart: by hand, against the evaluation, on simulated studies of known truth."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import binom, t
from worked_study import EFFECTS, truth, worked_study

import recover_nb as rnb
from recover_nb.core.errors import InputError
from recover_nb.routing.changes import FIGURES, what_changed
from recover_nb.routing.evaluation import evaluate_routing
from recover_nb.stats.decomposition import LENDERS, decompose

NAMES = ["none", "retry", "sparse_steer"]


def study(right, worked, n_tokens=None):
    """Return a study of problems put to a checkpoint each; arrays are (problem, arm, attempt)."""
    right, worked = (np.array(each, np.int8).transpose(0, 2, 1) for each in (right, worked))
    n, axes = len(right), ("problem", "rollout", "intervention")
    observed = np.zeros((*right.shape[:2], 1), np.int8)
    ds = xr.Dataset(
        {
            "correct": (axes, np.concatenate([observed, right], axis=2)),
            "worked": (axes, np.concatenate([observed, worked], axis=2)),
        },
        {
            "intervention": NAMES,
            "family": ("problem", [f"f{place}" for place in range(n)]),
            "method": ("problem", ["m"] * n),
            "task": ("problem", ["t"] * n),
            "problem_id": ("problem", [f"p{place}" for place in range(n)]),
        },
    )
    if n_tokens is not None:
        lengths = np.array(n_tokens, np.int32).transpose(0, 2, 1)
        lengths = np.concatenate([lengths[..., :1], lengths], axis=2)
        ds["n_tokens"] = (axes, lengths)
    return ds


def two_problems():
    """Retry works half of its answers, half of those right.

    Of the first problem the steer works all, three of four right; retry never guesses right. Of the
    second it works as many, all right, where retry guessed right once in two and it never does.
    """
    right = [[[1, 0, 0, 0], [1, 1, 1, 0]], [[1, 0, 1, 0], [1, 1, 0, 0]]]
    worked = [[[1, 1, 0, 0], [1, 1, 1, 1]], [[1, 1, 0, 0], [1, 1, 0, 0]]]
    return study(right, worked)


def test_two_problems_by_hand():
    found = what_changed(two_problems(), populations=["failed"], n_bootstrap=400)
    one = found.dataset.isel(population=0, intervention=0)
    # First: 0.5 more is worked, at (0.5 + 0.75) / 2; 0.75 of a quarter better. Second: half of the
    # answers 0.5 better, half of them 0.5 worse. Each weighs a half.
    expected = {
        "n": 2,
        "retry": (0.25 + 0.5) / 2,
        "rate": (0.75 + 0.5) / 2,
        "difference": 0.25,
        "more": 0.3125 / 2,
        "better": (0.1875 + 0.25) / 2,
        "guesses": -0.25 / 2,
        "share_retry": 0.5,
        "share": 0.75,
        "accuracy_retry": 0.5,
        "accuracy": (0.75 + 0.5) / 1.5,
        # Guesses of the first problem: half of retry's answers and none of the steer's.
        "borrowed": 0.25 / 2,
    }
    for name, value in expected.items():
        assert one[name].item() == pytest.approx(value, abs=1e-12), name
    # A resample holds one problem twice in half of all cases: 0, 0.25 or 0.5.
    assert (one["difference_low"], one["difference_high"]) == (0, 0.5)
    assert (one["guesses_low"], one["guesses_high"]) == (-0.25, 0)
    # Two checkpoints: residuals 0.125 and -0.125, times 2 / 1, t with one degree of freedom.
    half = t.ppf(0.975, 1) * np.sqrt(2 * (0.125**2 + 0.125**2))
    assert one["difference_low_checkpoints"] == pytest.approx(0.25 - half)
    assert one["difference_high_checkpoints"] == pytest.approx(0.25 + half)
    frame = found.to_dataframe()
    assert frame.loc[0, "more_points"] == pytest.approx(15.625)
    assert frame.loc[0, "difference_high_points"] == pytest.approx(50)
    assert found.sentence.startswith("Failed at least once: none of 1 operators rescue more")


def test_lengths_by_hand():
    """Quarters of 10, 20, 30, 40 hold one length each; the steer writes 40 tokens every time."""
    right = [[[0, 0, 0, 1], [1, 1, 1, 1]]]
    ds = study(right, np.ones((1, 2, 4)), [[[10, 20, 30, 40], [40, 40, 40, 41]]])
    one = what_changed(ds, by="length", populations=["failed"]).dataset.squeeze()
    assert one["more"] == pytest.approx(0.75) and one["better"] == pytest.approx(0)
    assert np.isnan(one["guesses"]) and np.isnan(one["guesses_low"])
    assert (one["share_retry"], one["share"], one["accuracy"]) == (0.5, 1.0, 1.0)
    by_work = what_changed(ds, populations=["failed"]).dataset.squeeze()
    assert by_work["more"] == 0 and by_work["better"] == pytest.approx(0.75)


def lending(n):
    """`n` alike problems that lend, and one that has worked answers before and guesses after."""
    share = np.full((n + 1, 2, 2), 0.5)
    right = np.tile([[0.2, 0.3], [0.1, 0.1]], (n + 1, 1, 1))
    share[-1], right[-1] = [[1, 0], [0, 1]], [[0.5, 0], [0, 0.9]]
    return decompose(share, right, [np.zeros(n + 1, int)])


def test_what_a_problem_does_not_have_is_borrowed_by_hand():
    # Worked answers of the lenders go from 0.4 right to 0.6, guesses stay: so would those of the
    # borrower, from 0.5 to 0.7, had it any.
    composition, accuracy, borrowed = lending(LENDERS)
    assert composition[-1] == pytest.approx([-0.6, 0.9])
    assert accuracy[-1] == pytest.approx([0.1, 0])
    assert accuracy[:-1] == pytest.approx(np.tile([0.1, 0], (LENDERS, 1)))
    assert borrowed[-1].all() and not borrowed[:-1].any()
    # Of too few nothing is borrowed: all of it is composition.
    composition, accuracy, _ = lending(LENDERS - 1)
    assert composition[-1] == pytest.approx([-0.5, 0.9])
    assert accuracy[-1] == pytest.approx([0, 0])


def test_parts_add_up_whatever_is_borrowed():
    rng = np.random.default_rng(0)
    counts = rng.multinomial(4, [0.5, 0.4, 0.1], (60, 2)).transpose(0, 2, 1)
    right = rng.binomial(counts, 0.4) / 4
    groups = [rng.integers(3, size=60), np.zeros(60, int)]
    composition, accuracy, borrowed = decompose(counts / 4, right, groups)
    assert borrowed.any()
    total = (right[..., 1] - right[..., 0]).sum()
    assert (composition + accuracy).sum() == pytest.approx(total, abs=1e-12)


@pytest.mark.parametrize("by", ["worked", "length"])
def test_parts_add_up_to_what_the_evaluation_reports(by):
    ds = rnb.load_study()
    found = what_changed(ds, by=by, n_bootstrap=1).dataset
    parts = found[["more", "better", "guesses"]].to_dataarray().sum("variable")
    assert abs(parts - found["difference"]).max() < 1e-12
    rate = evaluate_routing(ds, only=["all"], n_bootstrap=1, n_permutations=1).dataset["rate"]
    rate = rate.sel(estimator="all", cell="all", population=found["population"])
    arms = found["intervention"].values
    differences = rate.sel(comparator=arms) - rate.sel(comparator="retry")
    assert found["difference"].shape == (3, 12)
    assert abs(differences.values - found["difference"].values).max() < 1e-12


def test_lengths_stand_in_for_what_is_not_known():
    lengths = np.full((2, 2, 4), 9)
    ds = two_problems().assign(n_tokens=study(lengths, lengths, lengths)["n_tokens"])
    for unknown, why in (
        (ds.drop_vars("worked"), "the study does not say which answers are worked out"),
        (ds.assign(worked=ds["worked"] * 0 - 1), "of 16 answers it is not known"),
    ):
        found = what_changed(unknown, populations=["failed"], n_bootstrap=1)
        assert found.settings["by"] == "length" and why in found.sentence
        with pytest.raises(InputError, match=f"{why}.*; by='length'"):
            what_changed(unknown, by="worked", populations=["failed"])
        with pytest.raises(InputError, match=r"lengths .* are not stored either"):
            what_changed(unknown.drop_vars("n_tokens"), populations=["failed"])


def test_the_sentence_says_when_working_more_has_nothing_to_give():
    ds = two_problems()
    said = "could not rescue anything here"
    assert said not in what_changed(ds, n_bootstrap=1).sentence
    assert said in what_changed(ds.assign(worked=ds["worked"] * 0 + 1), n_bootstrap=1).sentence


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (None, {"by": "steps"}, "by='steps'; allowed: worked, length"),
        (None, {"interventions": ["retry"]}, "no intervention 'retry'; allowed: sparse_steer"),
        (
            None,
            {"interventions": []},
            r"interventions must be a list of names, or None, got \[\]; give at least one",
        ),
        (None, {"n_bootstrap": 0}, "n_bootstrap must be a whole number of at least 1, got 0"),
        (None, {"populations": ["all"]}, r"populations must be .*failed_first_M.*, got \['all'\]"),
        (lambda ds: ds.drop_vars("correct"), {}, "no variable correct"),
        (lambda ds: ds.isel(intervention=[0, 2]), {}, "has no retry of a failed problem"),
        (lambda ds: ds.isel(intervention=[0, 1]), {}, "allowed: none was run beside retry"),
    ],
)
def test_refusals(change, options, words):
    ds = two_problems()
    with pytest.raises(InputError, match=words):
        what_changed(change(ds) if change else ds, **options)


N_STUDIES = 200
ENDS = ("", "_low", "_high", "_low_checkpoints", "_high_checkpoints")


def many(**options):
    """Return figures and ends by effect, (study, figure, end), and the truth by effect."""
    found = {name: [] for name in EFFECTS}
    for seed in range(N_STUDIES):
        ds = worked_study(seed=seed, **options)
        changes = what_changed(ds, populations=["failed_first_1"], seed=seed, n_bootstrap=400)
        frame = changes.dataset.isel(population=0).to_dataframe()
        for name, rows in found.items():
            rows.append([[frame.loc[name, each + end] for end in ENDS] for each in FIGURES])
    found = {name: np.array(rows) for name, rows in found.items()}
    return found, truth(focus=options.get("focus", 0.0))


def coverage(found, true, low=1):
    """Return how many intervals of each figure hold the truth."""
    return ((found[..., low] <= true) & (true <= found[..., low + 1])).sum(axis=0)


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        pytest.param({}, 4, marks=pytest.mark.slow),
        # An operator that works out hard problems: they are right less often when worked.
        pytest.param({"focus": 2.0}, 3, marks=pytest.mark.slow),
        ({"twin": 0.7}, 4),
        # Few attempts of the operator, as of a deterministic one; of guesses nearly none is left.
        pytest.param({"few": 2}, 3, marks=pytest.mark.slow),
    ],
)
def test_planted_effects_are_recovered(options, asked):
    """Intervals hold the truth as often as a binomial of 95 % would, but for one time in 1,000."""
    found, true = many(**options)
    for name, figures in found.items():
        held = coverage(figures, true[name])[:asked]
        assert (held >= binom.ppf(0.0005, N_STUDIES, 0.95)).all(), (name, held)
        held = coverage(figures, true[name], low=3)[:asked]
        assert (held >= binom.ppf(0.0005, N_STUDIES, 0.95)).all(), (name, held)
        error = figures[..., 0].std(axis=0) / np.sqrt(N_STUDIES)
        assert (abs(figures[..., 0].mean(axis=0) - true[name]) < 4 * error)[:asked].all(), name


def test_the_truth_is_what_was_planted():
    true = truth()
    assert true["nothing"] == pytest.approx([0, 0, 0, 0], abs=1e-12)
    assert true["more"][1] > 0.05 and true["more"][2:] == pytest.approx([0, 0], abs=1e-12)
    assert true["better"][2] > 0.05 and true["better"][[1, 3]] == pytest.approx([0, 0], abs=1e-12)
    assert (true["both"][1:3] > 0.05).all()
