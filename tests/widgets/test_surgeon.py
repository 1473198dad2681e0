"""The trace surgeon: branching against `decode`, rates and trees by hand, the view's traits."""

import numpy as np
import pandas as pd
import pytest
from of_shipped import of_shipped
from tiny_study import tiny_study

from recover_nb.charts.traces import plot_branches
from recover_nb.core.errors import InputError
from recover_nb.core.theme import OUTCOME_COLOURS
from recover_nb.routing.rescue import proportion_interval
from recover_nb.tables.examples import dev_problems
from recover_nb.tables.inspection import first_failed
from recover_nb.tables.twin_tree import HISTORY, branch_rows, diff_tree, rate_rows, say_rates
from recover_nb.widgets import Selection, TraceSurgeon
from recover_nb.widgets.parts.markup import rates_html, tree_html
from recover_nb.widgets.surgeon import OPERATORS

HOSTILE = "<script>alert(1)</script>"
KEY = 12345
PLACE = 3


def by_length(text, _answer):
    """A checker under which some traces of random models are correct."""
    return len(text) % 2 == 0


@pytest.fixture(scope="module")
def settings():
    from recover_nb.generation.decoding import Settings

    return Settings(max_new_tokens=12, seed=3, temperature=0.8)


@pytest.fixture(scope="module")
def study(pair, settings):
    from recover_nb.generation.generate import generate

    return generate(
        pair,
        dev_problems("arithmetic")[:3],
        interventions=("none", "retry"),
        n_rollouts=6,
        n_attempts=2,
        settings=settings,
        unit=("qwen3", "sft"),
        checker=by_length,
    )


@pytest.fixture(scope="module")
def failed(study):
    """Place, prompt and tokens of a failed trace that is long enough to branch."""
    wrong = (study["correct"].values[..., 0] == 0) & (study["n_tokens"].values[..., 0] > PLACE + 3)
    problem, rollout = np.argwhere(wrong)[0]
    n = int(study["n_tokens"].values[problem, rollout, 0])
    tokens = study["token_id"].values[problem, rollout, 0, :n]
    return int(problem), int(rollout), str(study["prompt"].values[problem]), tokens


@pytest.fixture
def view(study, pair, failed):
    selection = Selection(problem=failed[0], rollout=failed[1])
    return TraceSurgeon(study, pair=pair, checker=by_length, selection=selection)


def cut(pair, failed, position=PLACE, intervention="sparse_steer", **changes):
    from recover_nb.generation.surgery import branch

    _, _, prompt, tokens = failed
    given = {"answer": "", "checker": by_length, "key": KEY, **changes}
    return branch(pair, prompt, tokens, position, intervention, **given)


# --- branching


@pytest.mark.parametrize("intervention", OPERATORS)
@pytest.mark.parametrize("position", [0, PLACE])
def test_every_operator_keeps_what_came_before(pair, failed, settings, intervention, position):
    found = cut(pair, failed, position, intervention, n=4, settings=settings)
    tokens = failed[3]
    assert found.token_id.shape == (4, settings.max_new_tokens)
    assert (found.token_id[:, :position] == tokens[:position]).all()
    assert (found.n_tokens > position).all()
    assert (found.fired_at[found.fired_at >= 0] >= position).all()
    if intervention not in ("retry", "calculator"):
        assert (found.fired_at == position).all()


def test_branching_at_the_first_token_is_decoding(pair, failed, settings):
    """From the prompt on, `retry` has nothing to replay: the twins are what `decode` gives."""
    from recover_nb.generation.decoding import decode

    found = cut(pair, failed, 0, "retry", n=6, settings=settings)
    plain = decode(pair, [failed[2]], np.array([KEY], np.uint64), np.arange(6), "retry", settings)
    assert np.array_equal(found.token_id, plain.token_id[0])
    assert np.array_equal(found.n_tokens, plain.n_tokens[0])
    texts = [pair.tokenizer.decode(trace, skip_special_tokens=True) for trace in found.traces]
    assert found.correct.tolist() == [by_length(text, "") for text in texts]


def test_operators_share_their_random_numbers(pair, failed, settings):
    """An operator that changes nothing is `retry`: alpha 1 and a sample of the mixture."""
    from dataclasses import replace

    retry = cut(pair, failed, intervention="retry", n=6, settings=settings)
    same = cut(
        pair, failed, intervention="dense_sample", n=6, settings=replace(settings, alpha=1.0)
    )
    assert np.array_equal(retry.token_id, same.token_id)
    other = cut(pair, failed, intervention="retry", n=6, settings=settings, seed=99)
    assert not np.array_equal(retry.token_id, other.token_id)
    key = cut(pair, failed, intervention="retry", n=6, settings=settings, key=1)
    assert not np.array_equal(retry.token_id, key.token_id)


@pytest.mark.parametrize("alpha", [0.0, 0.7])
@pytest.mark.parametrize("sd", [1e-3, 0.0])
def test_steer_takes_the_argmax_of_the_mixture_that_scored_higher(
    pair, failed, settings, alpha, sd
):
    from dataclasses import replace

    import torch

    from recover_nb.generation.decoding import firing_score, score_traces, to_grid
    from recover_nb.generation.decoding.mixtures import coverage_mixture, path_mixture

    _, _, prompt, tokens = failed
    # With next to no spread of the coverage its score wins; with none at all it is not looked at.
    coverage = (-1.0, sd)
    found = cut(pair, failed, n=2, settings=replace(settings, alpha=alpha), coverage=coverage)
    ids = torch.tensor([pair.tokenizer(prompt)["input_ids"] + tokens[:PLACE].tolist()])
    with torch.inference_mode():
        rows = [
            to_grid(model(ids).logits[:, -1, : pair.vocab_size], settings.logit_grid)
            for model in (pair.specialist, pair.ancestor)
        ]
    signals = score_traces(pair, [prompt], tokens[None, None], np.array([[len(tokens)]]), settings)
    here = [
        torch.tensor(signals[name][0, 0, PLACE]) for name in ("path_score", "coverage_deformation")
    ]
    is_coverage = bool(firing_score(*here, *coverage)[1])
    assert is_coverage == (sd > 0)
    mixture = coverage_mixture if is_coverage else path_mixture
    expected = int(mixture(*rows, alpha, settings.temperature).argmax())
    assert found.token_id[:, PLACE].tolist() == [expected, expected]


def test_coverage_of_the_trace_alone_is_the_default(pair, failed, settings):
    from recover_nb.generation.decoding import score_traces

    signals = score_traces(
        pair, [failed[2]], failed[3][None, None], np.array([[len(failed[3])]]), settings
    )
    values = signals["coverage_deformation"][0, 0]
    given = cut(
        pair, failed, n=3, settings=settings, coverage=(float(values.mean()), float(values.std()))
    )
    assert np.array_equal(cut(pair, failed, n=3, settings=settings).token_id, given.token_id)


def test_greedy_twins_are_one_observation(pair, failed, settings):
    from dataclasses import replace

    greedy = replace(settings, continuation="greedy")
    found = cut(pair, failed, n=5, settings=greedy)
    assert found.deterministic
    assert len({tuple(trace) for trace in found.traces}) == 1
    assert np.isnan(found.interval).all()
    assert found.rate in (0.0, 1.0)
    drawn = cut(pair, failed, n=5, settings=settings)
    assert not drawn.deterministic
    assert not cut(
        pair, failed, intervention="local_temperature", n=5, settings=greedy
    ).deterministic
    dense = cut(pair, failed, intervention="dense_steer", n=4, settings=settings)
    assert dense.deterministic
    assert dense.traces[0] == dense.traces[2]
    assert dense.traces[1] == dense.traces[3]


def test_rate_and_interval_by_hand(pair, failed, settings):
    calls = iter(range(10**6))
    found = cut(
        pair,
        failed,
        intervention="retry",
        n=20,
        settings=settings,
        checker=lambda *_: next(calls) < 0,
    )
    assert (found.n, found.rescued, found.rate) == (20, 0, 0.0)
    # Wilson at 0 of 20: 0 to z^2 / (n + z^2), z = 1.959964.
    assert found.interval == pytest.approx((0.0, 3.841459 / 23.841459), abs=1e-6)
    assert proportion_interval(8, 20) == pytest.approx((0.218807, 0.613418), abs=1e-6)
    assert proportion_interval(20, 20) == pytest.approx((20 / 23.841459, 1.0), abs=1e-6)
    assert np.isnan(proportion_interval(0, 0)).all()
    with pytest.raises(InputError, match="3 of 2 attempts cannot be correct"):
        proportion_interval(3, 2)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"position": -1}, "position must be a whole number of at least 0, got -1"),
        ({"position": 400}, "position 400 is not in the trace; allowed: 0 to"),
        ({"intervention": "none"}, "'none' is the failed trace itself"),
        ({"intervention": "prayer"}, "intervention must be one of .*, got 'prayer'"),
        ({"n": 0}, "n must be a whole number of at least 1, got 0"),
        ({"checker": "telepathy"}, "checker must be .*, got 'telepathy'"),
    ],
)
def test_what_cannot_be_branched(pair, failed, settings, changes, said):
    with pytest.raises(InputError, match=said):
        cut(pair, failed, **{"settings": settings, "n": 2, **changes})


def test_a_trace_longer_than_the_settings_allow(pair, failed):
    from recover_nb.generation.decoding import Settings

    with pytest.raises(InputError, match="max_new_tokens is 2; raise it to at least"):
        cut(pair, failed, settings=Settings(max_new_tokens=2))


# --- the tree


def test_tree_by_hand():
    tree = diff_tree(
        [1, 2, 3, 4],
        [[1, 2, 7, 8], [1, 2, 7, 9], [1, 2, 7, 8], [1, 2, 3, 4], [1, 2, 7]],
        [True, False, False, False, True],
    )
    assert (tree.start, tree.tokens, tree.twins, tree.n_correct, tree.failed) == (
        0,
        (1, 2),
        (0, 1, 2, 3, 4),
        2,
        True,
    )
    changed, kept = tree.children
    assert (changed.start, changed.tokens, changed.twins, changed.n_correct) == (
        2,
        (7,),
        (0, 1, 2, 4),
        2,
    )
    assert not changed.failed
    assert changed.ends == (4,)
    below = [(each.tokens, each.twins, each.n_correct) for each in changed.children]
    assert below == [((8,), (0, 2), 1), ((9,), (1,), 0)]
    assert (kept.tokens, kept.twins, kept.failed, kept.children) == ((3, 4), (3,), True, ())
    assert kept.ends == (3,)


def test_tree_of_what_parts_at_once_or_never():
    tree = diff_tree([1], [[2], [3]], [False, False])
    assert tree.tokens == ()
    assert [each.tokens for each in tree.children] == [(2,), (3,), (1,)]
    assert tree.children[-1].twins == ()
    same = diff_tree([1, 2], [[1, 2]], [False])
    assert (same.tokens, same.children, same.failed) == ((1, 2), (), True)
    longer = diff_tree([1], [[1, 2]], [True])
    assert [(each.tokens, each.failed) for each in longer.children] == [((2,), False)]


@pytest.mark.parametrize(("twins", "correct"), [([], []), ([[1]], [True, False])])
def test_tree_of_nothing(twins, correct):
    with pytest.raises(InputError, match="make no tree"):
        diff_tree([1], twins, correct)


def test_tree_is_drawn_with_colour_sign_and_count():
    tree = diff_tree([1, 2], [[1, 3], [1, 3], [1, 4]], [True, False, True])
    drawn = tree_html(tree, lambda tokens: "".join(f"<{token}>" for token in tokens), 1)
    assert "<b>3 \u00d7</b>" in drawn
    assert f"background:{OUTCOME_COLOURS['correct']}" in drawn
    assert "\u2713 2 correct" in drawn
    assert "\u2717 1 wrong" in drawn
    assert "<mark>&lt;3&gt;</mark>" in drawn
    assert "no twin <code><mark>&lt;2&gt;</mark></code> <em>failed trace</em>" in drawn


# --- the view


def test_opens_on_a_failed_trace(study):
    view = TraceSurgeon(study)
    assert not view.message
    assert not view.trace.correct
    assert view.value == {
        "position": -1,
        "operator": "sparse_steer",
        "alpha": 0.7,
        "continuation": "temperature",
        "twins": 20,
        "seed": 3,
    }
    assert view.history.columns.tolist() == list(HISTORY)
    assert view.history.empty
    assert view.tables() == view.charts() == {}


def test_twenty_twins_are_those_of_branch(view, study, pair, failed, settings):
    from recover_nb.generation.decoding import problem_key
    from recover_nb.generation.surgery import branch

    problem, rollout, prompt, tokens = failed
    view.position = PLACE
    view.branch()
    assert not view.message
    key = problem_key("qwen3", "sft", "arithmetic", str(study["problem_id"].values[problem]))
    coverage = tuple(
        float(study[name].values[problem]) for name in ("coverage_mean", "coverage_sd")
    )
    expected = branch(
        pair,
        prompt,
        tokens,
        PLACE,
        "sparse_steer",
        answer="",
        checker=by_length,
        key=key,
        settings=settings,
        coverage=coverage,
    )
    assert view.surgery.n == 20
    assert view.surgery.traces == expected.traces
    # Retry from the same token runs beside it.
    retry = branch(
        pair,
        prompt,
        tokens,
        PLACE,
        "retry",
        answer="",
        checker=by_length,
        key=key,
        settings=settings,
        coverage=coverage,
    )
    assert view.control.traces == retry.traces
    twins = view.tables()["twins"]
    outcomes = [*retry.correct.tolist(), *expected.correct.tolist()]
    assert twins["correct"].tolist() == outcomes
    assert twins["operator"].tolist() == ["retry"] * 20 + ["sparse_steer"] * 20
    assert view.history["operator"].tolist() == ["retry", "sparse_steer"]
    one = view.history.iloc[1]
    assert (one["problem"], one["rollout"], one["position"], one["n"]) == (
        problem,
        rollout,
        PLACE,
        20,
    )
    assert one["rescued"] == expected.correct.sum()
    assert one["rate"] == one["rescued"] / 20
    assert (one["low"], one["high"]) == pytest.approx(proportion_interval(int(one["rescued"]), 20))
    said = view.outcome.rates.value
    for arm in view.history.itertuples():
        assert f"{arm.operator}: {arm.rescued} of 20 right" in said
        assert f'<i class="rate" style="left:{arm.rate:.1%}">' in said
        assert f'<i class="span" style="left:{arm.low:.1%};width:{arm.high - arm.low:.1%}">' in said
    assert view.busy.said[-2:] == [
        "decoding 20 twins of retry",
        "decoding 20 twins of sparse_steer",
    ]


@pytest.mark.parametrize(
    ("name", "value", "column"),
    [
        ("operator", "dense_sample", "operator"),
        ("alpha", 0.1, "alpha"),
        ("continuation", "greedy", "continuation"),
        ("twins", 5, "n"),
        ("seed", 8, "seed"),
        ("position", 1, "position"),
    ],
)
def test_each_control_reaches_the_history(view, name, value, column):
    view.value = {"position": PLACE, "twins": 4}
    view.branch()
    view.value = {name: value}
    view.button.click()
    assert not view.message
    history = view.history
    assert len(history) == 4
    assert history["operator"].tolist()[::2] == ["retry"] * 2
    history = history.iloc[1::2].reset_index(drop=True)
    assert history[column].iloc[1] == value
    unlike = [
        each
        for each in HISTORY
        if each not in ("rescued", "rate", "low", "high", "deterministic", column)
    ]
    assert history[unlike].iloc[0].equals(history[unlike].iloc[1])
    if name == "continuation":
        assert history["deterministic"].tolist() == [False, True]
        assert "nothing was drawn" in view.outcome.rates.value
        assert "nothing can be said of luck" in view.outcome.rates.value


def test_retry_alone_is_run_once(view):
    view.value = {"position": PLACE, "twins": 3, "operator": "retry"}
    view.branch()
    assert view.history["operator"].tolist() == ["retry"]
    assert view.surgery.intervention == "retry" and view.control is None
    assert 'class="row operator"' not in view.outcome.rates.value


def arm(name, rescued, n=20, *, deterministic=False):
    low, high = (np.nan, np.nan) if deterministic else proportion_interval(rescued, n)
    counts = {"operator": name, "rescued": rescued, "n": n, "rate": rescued / n}
    return counts | {"low": low, "high": high, "deterministic": deterministic}


@pytest.mark.parametrize(
    ("retry", "steer", "said"),
    [
        (4, 20, "The intervals lie apart: at this token steer is better than asking again."),
        (20, 4, "The intervals lie apart: at this token steer is worse than asking again."),
        (8, 10, "The intervals overlap: from this token it could be luck."),
        (0, 0, "Neither ever ends right from this token."),
    ],
)
def test_two_rates_by_hand(retry, steer, said):
    rates = rate_rows(pd.DataFrame([arm("retry", retry), arm("steer", steer)]))
    assert rates["rate"].tolist() == [retry / 20, steer / 20]
    assert say_rates(rates) == said
    # Wilson, 4 of 20: (0.2 + z^2/40 -+ z sqrt(0.008 + z^2/1600)) / (1 + z^2/20), z = 1.959964.
    if retry == 4:
        assert rates["said"].tolist() == [
            "4 of 20 right (95 %: 8 to 42 %)",
            "20 of 20 right (95 %: 84 to 100 %)",
        ]


def test_rates_of_which_one_drew_nothing():
    rates = rate_rows(pd.DataFrame([arm("retry", 4), arm("steer", 20, deterministic=True)]))
    assert rates["said"][1] == "20 of 20 right; nothing was drawn"
    assert say_rates(rates) == "Equal twins are one observation, so nothing can be said of luck."
    assert 'class="span"' not in rates_html(rates.iloc[1:])


def test_token_is_chosen_in_the_text(view):
    view.text.pinned = PLACE
    assert view.position == PLACE
    view.position = 1
    assert view.text.pinned == 1
    view.text.cursor = 2
    assert view.selection.token == 2


def test_branch_without_a_token(view):
    view.branch()
    assert view.message.startswith("choose the token to branch at")
    assert view.surgery is None
    view.position = 500
    assert view.message.startswith("token 500 is not in this trace; allowed: 0 to")
    view.button.click()
    assert view.message.startswith("token 500 is not in this trace")
    assert view.history.empty


def test_another_trace_has_no_branch_yet(view, study, failed):
    view.value = {"position": PLACE, "twins": 3}
    view.branch()
    other = (failed[0] + 1) % study.sizes["problem"]
    view.settings.problem.value = other
    assert view.selection.problem == other
    assert view.selection.rollout == first_failed(study, other)
    assert (view.position, view.surgery, view.outcome.trees.value) == (-1, None, "")
    assert len(view.history) == 2
    assert "branchings so far: 2" in view.outcome.past.value
    view.selection.value = {"problem": failed[0], "rollout": failed[1]}
    assert (view.settings.problem.value, view.settings.rollout.value) == failed[:2]


def test_a_correct_trace_is_not_branched(view, study):
    problem, rollout = np.argwhere(study["correct"].values[..., 0] == 1)[0]
    view.selection.value = {"problem": int(problem), "rollout": int(rollout)}
    assert "is correct, so there is nothing to rescue; those that failed: " in view.message
    view.position = 0
    view.branch()
    assert "is correct" in view.message
    assert view.history.empty


def test_a_failed_attempt_of_an_operator_can_be_branched(view, study):
    problem, rollout = np.argwhere(
        (study["correct"].values[..., 1] == 0) & (study["n_tokens"].values[..., 1] > 1)
    )[0]
    view.selection.value = {
        "problem": int(problem),
        "rollout": int(rollout),
        "intervention": "retry",
    }
    view.value = {"position": 1, "twins": 2, "operator": "dense_steer"}
    view.branch()
    assert view.history["trace"].tolist() == ["retry", "retry"]
    assert view.surgery.traces[0][0] == study["token_id"].values[problem, rollout, 1, 0]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"miracle": 1}, "the state of TraceSurgeon must be one of position.*, got 'miracle'"),
        ({"operator": "none"}, "unknown operator 'none'; allowed: retry"),
        ({"operator": "prayer"}, "unknown operator 'prayer'"),
        ({"alpha": 1.5}, "alpha"),
        ({"continuation": "prayer"}, "continuation"),
        ({"twins": 0}, "twins"),
    ],
)
def test_state_that_there_is_not(view, state, said):
    before = view.value
    with pytest.raises(InputError, match=said):
        view.value = state
    assert view.value == before


def test_an_operator_of_ones_own(study, pair, failed):
    from recover_nb.generation.decoding import REGISTRY, Operator, register

    @register("surgeon_test_zero")
    class Zero(Operator):
        def act(self, step):
            token = step.candidate.clone()
            token[:] = 5
            return token, token == 5

    try:
        view = TraceSurgeon(
            study,
            pair=pair,
            selection=Selection(problem=failed[0], rollout=failed[1]),
            operators=("surgeon_test_zero",),
            operator="surgeon_test_zero",
            position=PLACE,
            twins=2,
        )
        view.branch()
        assert (view.surgery.token_id[:, PLACE:] == 5).all()
    finally:
        del REGISTRY["surgeon_test_zero"]


def test_markup_is_escaped(study, pair, failed):
    hostile = study.copy(deep=True)
    for name in ("prompt", "answer"):
        hostile[name].values[failed[0]] = HOSTILE
    view = TraceSurgeon(
        hostile, pair=pair, selection=Selection(problem=failed[0], rollout=failed[1])
    )
    assert "<script" not in view.panel.head.value
    assert "&lt;script&gt;" in view.panel.head.value
    view.value = {"position": 1, "twins": 2, "operator": "retry"}
    view._models._own = dict.fromkeys(range(pair.vocab_size), HOSTILE)
    view.branch()
    assert not view.message
    assert "<script" not in view.outcome.trees.value
    assert "&lt;script&gt;" in view.outcome.trees.value


def test_history_is_exported(view, tmp_path):
    view.value = {"position": PLACE, "twins": 3}
    view.branch()
    assert view._saver.items == {
        "branches": ["png", "svg", "html"],
        "history": ["csv", "parquet"],
        "twins": ["csv", "parquet"],
    }
    back = pd.read_csv(view.save(tmp_path / "history.csv", "history"))
    assert back.columns.tolist() == list(HISTORY)
    assert view.save(tmp_path / "rates.svg").read_text().startswith("<svg")


def test_chart_draws_the_history(view):
    view.value = {"position": PLACE, "twins": 3}
    view.branch()
    frame = branch_rows(view.history)
    assert frame["branch"].tolist() == [1, 2]
    assert frame["label"][1].startswith(
        f"2: problem {view.selection.problem}, token {PLACE}, sparse_steer"
    )
    layers = plot_branches(frame).to_dict()["layer"]
    assert [layer["mark"]["type"] for layer in layers] == ["rule", "point"]
    with pytest.raises(InputError, match="no column rate"):
        plot_branches(frame.drop(columns="rate"))


def test_a_study_without_traces():
    view = TraceSurgeon(tiny_study().drop_vars(["token_id"]))
    assert "stores no tokens" in view.message
    view.branch()
    assert "stores no tokens" in view.message


def test_a_checkpoint_that_is_missing_becomes_the_message(monkeypatch, study, failed):
    def absent(*_unit):
        raise InputError("no checkpoint in there")

    monkeypatch.setattr("recover_nb.widgets.models.load_lineage", absent)
    view = TraceSurgeon(
        of_shipped(study), selection=Selection(problem=failed[0], rollout=failed[1]), position=1
    )
    view.button.click()
    assert view.message == "no checkpoint in there"
    assert view.busy.layout.display == "none"
