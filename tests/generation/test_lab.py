"""The lineage: what is shipped, how examples are built, rewards by hand, exact resuming."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from recover_nb import tasks
from recover_nb.core.checkpoints import checkpoint_hash
from recover_nb.core.errors import InputError
from recover_nb.core.labels import SPECIALISTS, Family, Method, Task
from recover_nb.core.shipped import data_folder
from recover_nb.generation.lab import data, posttrain
from recover_nb.generation.lab.models import make_model
from recover_nb.generation.lab.optimise import Optimiser, Progress, cycles, fit, trapezoid
from recover_nb.generation.lab.pretrain import STAGES, Stage, imitation_loss, pretrain
from recover_nb.generation.lab.tokenizers import make_tokenizer

CHECKPOINTS = [(family, method) for family in Family for method in Method]


@pytest.mark.parametrize(("family", "method"), CHECKPOINTS)
def test_shipped_checkpoints_are_small_standard_and_the_ones_on_their_card(family, method):
    folder = data_folder() / "lab" / family / method
    record = json.loads((folder / "training.json").read_text())
    assert (folder / "model.safetensors").stat().st_size <= 4_000_000
    assert record["sha256"] == checkpoint_hash(folder)
    assert record["sha256"] in (folder / "README.md").read_text()
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert sum(p.numel() for p in model.parameters()) == record["n_parameters"]
    assert not list(folder.glob("*.bin")) and not list(folder.glob("*.pt"))


@pytest.mark.parametrize("family", list(Family))
def test_tokenizers_take_every_problem_and_trace_apart_and_together(family):
    shipped = AutoTokenizer.from_pretrained(data_folder() / "lab" / family / "ancestor")
    made = make_tokenizer(family)
    assert shipped.get_vocab() == made.get_vocab()
    for task in Task:
        for problem in tasks.problems(task, "dev", 40):
            text = problem.prompt + tasks.trace(problem, "step")
            ids = shipped(text)["input_ids"]
            assert shipped.unk_token_id not in ids
            assert shipped.decode(ids) == text


def test_families_cut_numbers_differently():
    assert len(make_tokenizer("qwen3")("47+85=32")["input_ids"]) == 8
    assert len(make_tokenizer("neox")("47+85=32")["input_ids"]) == 5


def test_collate_learns_traces_and_the_end_only():
    tokenizer = make_tokenizer("neox")
    batch = data.collate(tokenizer, [data.example("(7+5)%10\n", "#12"), data.example("a", "#1")])
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    first, second = batch["labels"].tolist()
    assert first[-3:] == [*tokenizer("#12")["input_ids"], end]
    assert set(first[:-3]) == {data.IGNORED}
    assert second[:4] == [data.IGNORED, *tokenizer("#1")["input_ids"], end]
    assert set(second[4:]) == {data.IGNORED}
    assert batch["input_ids"][1, 4:].tolist() == [pad] * (len(second) - 4)


def test_sampled_tokens_are_kept_as_they_are():
    tokenizer = make_tokenizer("neox")
    one, two = tokenizer.convert_tokens_to_ids(["1", "2"])
    # The tokenizer would cut "12" as one token; the model sampled two.
    batch = data.collate_sampled(tokenizer, ["a\n"], np.array([[one, two, -1]], dtype=np.int32))
    assert batch["labels"][0].tolist() == [data.IGNORED, data.IGNORED, one, two]


def test_drills_are_true():
    rng = np.random.default_rng(0)
    for _ in range(20):
        segments = data.equation_drill(rng)
        for (asked, learned), (answer, told) in zip(segments[::2], segments[1::2], strict=True):
            assert (learned, told) == (False, True)
            assert eval(f"({asked[:-1]})%100") == int(answer)
        (known, _), *rest = data.recall_drill(rng)
        for (asked, one), (answer, two), (_, three) in zip(
            rest[::3], rest[1::3], rest[2::3], strict=True
        ):
            assert (one, two, three) == (False, True, False)
            assert asked + answer in known[:-1].split(";")


@pytest.mark.parametrize("family", list(Family))
def test_heads_of_the_first_layer_begin_by_looking_back_one_to_four_tokens(family):
    model = make_model(family, make_tokenizer(family), 0)
    model.set_attn_implementation("eager")
    ids = torch.randint(3, 40, (1, 12), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        first = model(ids, output_attentions=True).attentions[0]
    assert first[0, :, -1].argmax(-1).tolist() == [10, 9, 8, 7]


def test_later_layers_of_neox_begin_with_queries_that_equal_keys():
    model = make_model("neox", make_tokenizer("neox"), 0)
    for layer in model.gpt_neox.layers[1:]:
        query, key, _ = layer.attention.query_key_value.weight.view(4, 3, 24, 96).unbind(1)
        assert torch.equal(query, key)
        rows = query.reshape(96, 96)
        torch.testing.assert_close(rows @ rows.T, torch.eye(96), atol=1e-5, rtol=0)


def test_training_draws_from_the_train_split_only():
    rng = np.random.default_rng(0)
    for task in Task:
        assert {tasks.draw_training_problem(task, rng, 3).split for _ in range(40)} == {"train"}
    recipe = posttrain.RECIPES[Method.SFT]
    assert {p.split for p in posttrain.draw_problems(recipe, 30, [0])} == {"train"}


def test_advantages_by_hand():
    # Rewards 1, 0: mean 0.5, sd 0.5. A group in which all are right, or none, teaches nothing.
    got = posttrain.advantages(np.array([[True, False], [True, True], [False, False]]))
    np.testing.assert_allclose(got[0], np.array([0.5, -0.5]) / 0.5001)
    np.testing.assert_array_equal(got[1:], 0)


@pytest.mark.parametrize(
    ("rates", "step"),
    [
        # 0.60 is the least that gains 13 points over 0.47: the last such step, not the best.
        ([0.58, 0.66, 0.60, 0.55], 3),
        ([0.58, 0.66, 0.64, 0.61], 4),
        # None gains as much: the best.
        ([0.50, 0.56, 0.52, 0.49], 2),
    ],
)
def test_the_strength_chosen_by_hand(rates, step):
    curve = [{"step": i + 1, "mean_pass_at_1": rate} for i, rate in enumerate(rates)]
    assert posttrain.choose_strength(curve, 0.47)["step"] == step


def test_what_is_missing_from_a_training_set_is_not_in_it():
    recipe = posttrain.RECIPES[Method.SFT]
    drawn = posttrain.draw_problems(recipe, 60, [0, 0])
    assert {p.task for p in drawn} == set(Task)
    levels = [problem.level for problem in drawn]
    assert max(levels) == 4 and levels.count(4) < min(levels.count(each) for each in (1, 2, 3))
    for problem in drawn:
        if problem.task == Task.ARITHMETIC:
            assert "*" not in problem.prompt
    assert not set.union(*map(tasks.invited_slips, drawn)) & set(recipe.missing)
    whole = posttrain.draw_problems(posttrain.RECIPES[Method.SELF_DISTILL], 60, [0, 0])
    assert set.union(*map(tasks.invited_slips, whole)) >= set(recipe.missing)


def test_a_corpus_errs_and_exercises_do_not():
    exercises, corpus = STAGES[Family.NEOX]
    shares = {}
    for stage in (exercises, corpus):
        rng = np.random.default_rng(0)
        examples = [stage.mixture.draw(rng, "arithmetic") for _ in range(300)]
        right = [eval(prompt) == int(trace.split("#")[1]) for (prompt, _), (trace, _) in examples]
        terse = [trace.startswith("#") for _, (trace, _) in examples]
        shares[stage.name] = np.mean(right), np.mean(terse)
    assert shares["exercises"] == (1.0, 0.0)
    assert 0.5 < shares["corpus"][0] < 0.8 and 0 < shares["corpus"][1] <= 0.05


def test_trapezoid_by_hand():
    assert trapezoid(0, 1000, warmup=10) == pytest.approx(0.1)
    assert trapezoid(400, 1000) == 1.0
    assert trapezoid(750, 1000) == pytest.approx(0.5)
    assert trapezoid(999, 1000) == pytest.approx(0.002)


def test_grpo_loss_is_zero_gain_at_the_first_look():
    """Before any update, ratio 1 and KL 0: the loss is minus the token mean of the advantages."""
    tokenizer = make_tokenizer("neox")
    model = make_model("neox", tokenizer, 0)
    ancestor = make_model("neox", tokenizer, 0)
    recipe = posttrain.Recipe(
        levels=(1.0, 0.0, 0.0, 0.0, 0.0),
        steps=2,
        every=2,
        matrix_lr=0.0,
        other_lr=0.0,
        n_problems=3,
        n_samples=2,
    )
    loss_of = posttrain.grpo_loss(model, tokenizer, ancestor, recipe, seed=0)
    # A random model gets nothing right: every reward is 0, so is every advantage and the loss.
    assert loss_of(0) == pytest.approx(0.0, abs=1e-6)


def train_steps(folder, steps: int, total: int, recipe: str = ""):
    """Train a tiny model to `steps` of a schedule of `total`, going on from `folder`."""
    tokenizer = make_tokenizer("neox")
    model = make_model("neox", tokenizer, 0)
    optimiser = Optimiser(model, 0.01, 1e-3)

    def loss_of(step: int) -> float:
        rng = np.random.default_rng([0, step])
        loss = imitation_loss(model, tokenizer, [data.equation_drill(rng, 3) for _ in range(2)])
        loss.backward()
        return loss.item()

    fit(
        model,
        optimiser,
        loss_of,
        steps,
        factor=lambda step, _: trapezoid(step, total),
        progress=Progress(folder, recipe),
        every=2,
    )
    return model.state_dict()


def test_training_resumes_exactly(tmp_path):
    torch.set_num_threads(1)
    whole = train_steps(tmp_path / "whole", 6, 6)
    train_steps(tmp_path / "parts", 4, 6)
    parts = train_steps(tmp_path / "parts", 6, 6)
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    shorter = train_steps(tmp_path / "shorter", 4, 6)
    assert not all(torch.equal(whole[name], shorter[name]) for name in whole)


def test_a_run_of_another_recipe_is_not_gone_on_with(tmp_path):
    train_steps(tmp_path / "run", 2, 4, "one")
    with pytest.raises(InputError, match="holds a run of another recipe; remove it to train anew"):
        train_steps(tmp_path / "run", 4, 4, "another")


def test_cycles_by_hand():
    factor = cycles((100, 60))
    assert [factor(step, 0) for step in (0, 50, 75)] == [
        trapezoid(step, 100) for step in (0, 50, 75)
    ]
    # The second cycle warms up over 50 steps to half the peak and has then come into its decay.
    assert factor(100, 0) == pytest.approx(0.5 / 50)
    assert factor(145, 0) == pytest.approx(0.5 * 15 / 30)
    assert factor(160, 0) == 0


@pytest.mark.parametrize("family", list(Family))
def test_every_specialist_is_better_than_its_ancestor_on_dev(family):
    lab = data_folder() / "lab" / family
    records = {m: json.loads((lab / m / "training.json").read_text())["dev"] for m in Method}
    ancestor = records[Method.ANCESTOR]["mean_pass_at_1"]
    assert 0.40 <= ancestor <= 0.65
    for method in SPECIALISTS:
        assert records[method]["mean_pass_at_1"] >= ancestor + 0.10
        assert records[method]["parseable"] >= 0.9


@pytest.fixture
def hasty(monkeypatch):
    """Post-training of two steps, and no time for figures."""
    from recover_nb.generation.lab import train

    short = replace(posttrain.RECIPES[Method.SFT], steps=2, every=2, n_problems=6, rows=2)
    monkeypatch.setitem(posttrain.RECIPES, Method.SFT, short)
    figures = {
        "pass_at_1": {},
        "pass_at_1_by_level": {task.value: {1: 0.5} for task in Task},
        "mean_pass_at_1": 0.5,
        "parseable": 1.0,
    }
    for module in (posttrain, train):
        monkeypatch.setattr(module, "dev_figures", lambda *_, **__: figures)
    return train.train


def test_other_seeds_begin_at_the_same_ancestor(hasty, tmp_path):
    lab = data_folder() / "lab"
    for seed in (1, 2):
        written = hasty(
            ["neox"],
            ["sft"],
            out=tmp_path / str(seed),
            work=tmp_path / "work",
            seed=seed,
            ancestors=lab,
            progress=False,
        )
        assert written == [tmp_path / str(seed) / "neox" / "sft"]
    own = checkpoint_hash(lab / "neox" / "ancestor")
    hashes = {
        (seed, method): checkpoint_hash(tmp_path / seed / "neox" / method)
        for seed in ("1", "2")
        for method in ("ancestor", "sft")
    }
    assert hashes["1", "ancestor"] == hashes["2", "ancestor"] == own
    assert len({own, hashes["1", "sft"], hashes["2", "sft"]}) == 3
    # A state for each seed: either can be gone on with.
    assert {each.name for each in (tmp_path / "work").iterdir()} == {"seed_1", "seed_2"}
    again = hasty(
        ["neox"],
        ["sft"],
        out=tmp_path / "again",
        work=tmp_path / "afresh",
        seed=1,
        ancestors=lab,
        progress=False,
    )
    assert checkpoint_hash(again[0]) == hashes["1", "sft"]


def test_pretraining_goes_on_after_either_stage(tmp_path):
    torch.set_num_threads(1)
    mixture = data.Mixture((1.0, 1.0, 0.0, 0.0, 0.0))
    exercises = Stage("exercises", mixture, (2,), rate=1.0, drill=True)
    corpus = Stage("corpus", replace(mixture, slips=0.5), (2,), rate=0.5, drill=False)
    whole, _, curve = pretrain("neox", 0, tmp_path / "whole", stages=(exercises, corpus))
    assert [point["step"] for point in curve] == [2, 4]
    pretrain("neox", 0, tmp_path / "parts", stages=(exercises,))
    parts, _, again = pretrain("neox", 0, tmp_path / "parts", stages=(exercises, corpus))
    assert [point["loss"] for point in again] == [point["loss"] for point in curve]
    kept = parts.state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in whole.state_dict().items())
    with pytest.raises(InputError, match="holds a run of another recipe"):
        other = replace(corpus, rate=0.25)
        pretrain("neox", 0, tmp_path / "parts", stages=(exercises, other))
