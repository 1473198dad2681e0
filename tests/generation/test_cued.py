"""Cues: written and read, learned without unlearning the rest, and forced at one place."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import recover_nb as rnb
from recover_nb import tasks
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Family, Task
from recover_nb.generation.cued_study import CuedPlan, as_traces, run_cued
from recover_nb.generation.lab import cued, force
from recover_nb.generation.lab.models import make_model
from recover_nb.generation.lab.tokenizers import make_tokenizer
from recover_nb.prediction.monitor_features import DOUBT
from recover_nb.tasks import arithmetic
from recover_nb.tasks.cues import MARKS, without_cues, write_cues

PLAN = CuedPlan(n_dev=2, n_test=2, n_rollouts=3, n_seen=1)


class Sure:
    """A monitor that always doubts."""

    def score(self, traces):
        return np.ones(traces.entropy.shape)


@pytest.mark.parametrize("task", list(Task))
def test_cues_are_one_character_more_and_come_off_again(task):
    for problem in tasks.problems(task, "dev", 25):
        text = tasks.trace(problem, "step")
        assert not set(MARKS.values()) & set(text)
        marked = write_cues(text)
        assert len(marked) == len(text) + 1
        assert without_cues(marked) == text
        assert tasks.is_correct(problem, marked)
        for family in Family:
            pieces = make_tokenizer(family)(marked)["input_ids"]
            assert len(pieces) == len(make_tokenizer(family)(text)["input_ids"]) + 1


def test_the_step_that_first_went_wrong_is_the_doubtful_one(monkeypatch):
    problem = tasks.base.make_problem("arithmetic", arithmetic.SPEC, (47, (("+", 85), ("*", 4))), 2)
    texts = ["47+85=22 22*4=88 #88", "47+85=32 32*4=28 #28", "#28", "47+85=32 32*4=2", "47+"]
    made = SimpleNamespace(
        texts=np.array([texts], dtype=object),
        decoded=SimpleNamespace(stopped=np.array([[True] * 4 + [False]])),
    )
    monkeypatch.setattr(cued, "sample", lambda *_, **__: made)
    examples = cued.cued_examples(None, None, [problem], 5, seed=0)
    # The fourth has no answer, the fifth did not end.
    assert [each[1][0] for each in examples] == [
        "?47+85=22/22*4=88;#88",
        "/47+85=32/32*4=28;#28",
        "?#28",
    ]
    assert all(each[0] == (problem.prompt, False) for each in examples)


def test_learning_cues_moves_their_rows_and_nothing_else():
    tokenizer = make_tokenizer("neox")
    model = make_model("neox", tokenizer, seed=0)
    before = copy.deepcopy(model.state_dict())
    ids = torch.tensor([tokenizer("/47+85=32;#32")["input_ids"]])

    def loss_of(step):
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        return loss.item()

    losses = cued.begin_cues(model, loss_of, tokenizer, steps=3, rate=0.01)
    assert losses[-1] < losses[0]
    rows = [tokenizer(mark)["input_ids"][0] for mark in MARKS.values()]
    rest = np.setdiff1d(np.arange(len(tokenizer)), rows)
    moved = {name for name, new in model.state_dict().items() if (new != before[name]).any()}
    assert moved == {"gpt_neox.embed_in.weight", "lm_head.weight"}
    for name in moved:
        assert torch.equal(model.state_dict()[name][rest], before[name][rest])
    assert all(each.requires_grad for each in model.parameters())


@pytest.fixture(scope="module")
def asked():
    pair = force.load("neox", "cued", None)
    problems = tasks.problems("arithmetic", "dev", 8)
    plan = CuedPlan(n_rollouts=6)
    return pair, problems, plan, force.ask(pair, "neox", "cued", problems, plan)


def test_a_rollout_is_kept_as_it_was_said(asked):
    pair, problems, _, found = asked
    for problem, right, n, row, marks in zip(
        problems, found["correct"], found["n_tokens"], found["token_id"], found["cue"], strict=True
    ):
        text = pair.tokenizer.decode(row[0, : n[0]].tolist(), skip_special_tokens=True)
        assert tasks.is_correct(problem, text) == bool(right[0])
        assert (marks[0] == DOUBT).sum() == text.count("?")
        assert (marks[0] >= 0).sum() == sum(text.count(mark) for mark in MARKS.values())
        assert (row[0, n[0] :] == -1).all()


def test_a_forced_attempt_is_the_retry_up_to_the_doubt_and_has_no_doubt_after(asked):
    pair, problems, plan, found = asked
    held = {}
    original = force._go_on

    def seen(pair, prompts, starts, keys, todo, into, plan):
        original(pair, prompts, starts, keys, todo, into, plan)
        held.update(into)

    force._go_on = seen
    try:
        made = force.force(pair, "neox", problems, found, Sure(), "force_cue", plan)
    finally:
        force._go_on = original
    first = np.where(found["cue"] == DOUBT, 1, 0).reshape(-1, plan.max_new_tokens)
    doubted = first.any(axis=1)
    assert doubted.any() and not doubted.all()
    place, old = first.argmax(axis=1), found["token_id"].reshape(len(first), -1)
    for row in np.flatnonzero(doubted):
        at = place[row]
        assert (held["token_id"][row, :at] == old[row, :at]).all()
        assert held["cue"][row, at] in (0, 1, 2)
    assert not (held["cue"] == DOUBT).any()
    # What had no doubt is the retry itself.
    same = ~doubted
    assert (made["correct"].ravel()[same] == found["correct"].ravel()[same]).all()
    assert (made["n_tokens"].ravel()[same] == found["n_tokens"].ravel()[same]).all()
    assert made["n_tokens"].max() <= plan.max_new_tokens


def test_the_companion_is_made_once_and_read(tmp_path):
    told = []
    out = run_cued(
        tmp_path / "cued.zarr.zip",
        work=tmp_path / "work",
        families=("neox",),
        plan=PLAN,
        tell=told.append,
    )
    ds = rnb.load_cued(out)
    assert ds.sizes["problem"] == 2 * 2 * 3 * 2
    assert told[:2] == ["neox-cued-dev-arithmetic", "neox-cued-dev-program"]
    run = (ds["attempt_correct"].values >= 0).all(axis=(1, 2))
    mine = (ds["method"].values == "cued") & (ds["split"].values == "test")
    assert (run == (mine & (ds["correct"].values[:, 0] == 0))).all()
    # Retries are the later rollouts.
    assert (ds["attempt_correct"].values[run, 0] == ds["correct"].values[run, 1:]).all()
    again = []
    run_cued(
        tmp_path / "again.zarr.zip",
        work=tmp_path / "work",
        families=("neox",),
        plan=PLAN,
        tell=again.append,
    )
    assert again == []
    with pytest.raises(InputError, match="state of another plan"):
        run_cued(tmp_path / "z.zarr.zip", work=tmp_path / "work", families=("neox",))
    with pytest.raises(InputError, match="must be a new file that ends in"):
        run_cued(tmp_path / "z.zarr", work=tmp_path / "work")


def test_traces_lie_problem_by_problem():
    zeros = np.zeros((2, 2, 3))
    found = {"correct": np.array([[1, 0], [0, 0]]), "n_tokens": np.array([[3, 2], [1, 1]])}
    found |= {"entropy": zeros, "kl_divergence": zeros, "cue": zeros - 1}
    problems = tasks.problems("program", "dev", 2)
    traces = as_traces(found, problems, "neox", "program")
    assert traces.right.tolist() == [True, False, False, False]
    assert traces.n_tokens.tolist() == [3, 2, 1, 1]
    ids = [each.problem_id for each in problems]
    assert traces.question.tolist() == [ids[0], ids[0], ids[1], ids[1]]
    assert set(traces.cell) == {"neox|program"}
