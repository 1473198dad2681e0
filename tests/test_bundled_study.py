"""The shipped study: its card is true, its twins agree, its result table is the one on disk."""

import json

import numpy as np
import pytest

import recover_nb as rnb
from recover_nb import tasks
from recover_nb.core.checkpoints import checkpoint_hash
from recover_nb.core.labels import Intervention
from recover_nb.core.shipped import data_folder
from recover_nb.generation.lineage import checkpoint_folder

ACT_FROM_THE_START = (
    Intervention.TEMPERATURE,
    Intervention.DENSE_STEER,
    Intervention.DENSE_SAMPLE,
    Intervention.ANCESTOR,
    Intervention.GREEDY,
    Intervention.CONTRASTIVE,
    Intervention.MIN_P,
)


@pytest.fixture(scope="module")
def study():
    return rnb.load_study().load()


def test_sizes(study):
    assert (data_folder() / "study.zarr.zip").stat().st_size <= 40_000_000
    cells, counts = np.unique(rnb.cell_names(study), return_counts=True)
    assert len(cells) == 18 and (counts >= 100).all()
    assert set(study["split"].values) == {"test"}
    run = study["n_tokens"].values > 0
    assert (run[..., 0].sum(1) == 50).all()
    failed = study["n_failed_rollouts"].values > 0
    assert failed.sum() >= 1000
    attempts = dict(zip(study["intervention"].values, run[failed].sum(1).T, strict=True))
    for name, counted in attempts.items():
        wanted = {Intervention.NONE: 50, Intervention.DENSE_STEER: 2, Intervention.GREEDY: 1}
        assert (counted == wanted.get(name, 20)).all(), name
    assert not run[~failed][..., 1:].any()


def test_twins_agree_with_retry_until_they_act(study):
    names = study["intervention"].values.tolist()
    retry = study["token_id"].values[:, :, names.index("retry")]
    position = np.arange(study.sizes["token"])
    for name in names[2:]:
        place = names.index(name)
        token_id = study["token_id"].values[:, :, place]
        fired_at = study["fired_at"].values[:, :, place]
        run = study["n_tokens"].values[:, :, place] > 0
        if name in ACT_FROM_THE_START:
            assert (fired_at[run] == 0).all()
        shared = np.where(fired_at[..., None] < 0, True, position < fired_at[..., None])
        assert (token_id == retry)[shared & run[..., None]].all(), name
        assert (fired_at[~run] == -1).all()


def test_checks_are_those_of_the_tasks(study):
    """Traces are read again from their tokens, by the tokenizer alone."""
    pieces = {f: rnb.tables.token_pieces(f) for f in ("qwen3", "neox")}
    for i in range(0, study.sizes["problem"], 150):
        unit = study.isel(problem=i)
        text = [
            "".join(pieces[str(unit["family"].values)][t] for t in row if t >= 0).removesuffix(
                "<eos>"
            )
            for row in unit["token_id"].values[:, 0]
        ]
        right = [tasks.parse_answer(each) == str(unit["answer"].values) for each in text]
        assert right == (unit["correct"].values[:, 0] == 1).tolist()


def test_made_with_the_shipped_checkpoints(study):
    models = json.loads(study.attrs["provenance_json"])["models"]
    for name, recorded in models.items():
        family, method = name.split("|")
        assert recorded["specialist_sha256"] == checkpoint_hash(checkpoint_folder(family, method))
        assert recorded["ancestor_sha256"] == checkpoint_hash(checkpoint_folder(family, "ancestor"))


def test_decoding_again_gives_the_stored_tokens(study):
    one = study.isel(problem=slice(1302, 1304))
    family, method, task = (str(one[name].values[0]) for name in ("family", "method", "task"))
    n = study.sizes["problem"] // 18
    known = {p.problem_id: p for p in tasks.problems(task, "test", n)}
    problems = [known[str(each)] for each in one["problem_id"].values]
    pair = rnb.load_lineage(family, method)
    again = rnb.generate(pair, problems, n_rollouts=50, n_attempts=20, unit=(family, method))
    np.testing.assert_array_equal(again["token_id"].values, one["token_id"].values)
    np.testing.assert_array_equal(again["correct"].values, one["correct"].values)
    np.testing.assert_allclose(again["features"].values, one["features"].values, rtol=1e-4)


def test_facts_say_what_the_tasks_say(study):
    """Where a stored rollout went wrong, found again from its text and the problem's program."""
    pieces = {f: rnb.tables.token_pieces(f) for f in ("qwen3", "neox")}
    n = study.sizes["problem"] // 18
    checked = 0
    for i in range(7, study.sizes["problem"], 97):
        unit = study.isel(problem=i)
        problem = tasks.problems(str(unit["task"].values), "test", n)[i % n]
        assert problem.problem_id == str(unit["problem_id"].values)
        known = pieces[str(unit["family"].values)]
        for r, arm in np.argwhere(unit["correct"].values == 0)[:40]:
            at = unit.isel(rollout=r, intervention=arm)
            tokens = at["token_id"].values
            text = "".join(known[t] for t in tokens if t >= 0).removesuffix("<eos>")
            if at["ended"] == 0:
                assert str(at["origin"].values) == "cut off"
                continue
            found = tasks.find_origin(problem, text)
            assert str(at["origin"].values) == found.origin
            assert at["worked"] == tasks.is_worked(text)
            if found.end >= 0:
                begin, end = int(at["wrong_step_start"]), int(at["first_wrong"])
                step = "".join(known[t] for t in tokens[begin : end + 1])
                assert step.removesuffix("<eos>") == text[found.start : found.end]
                checked += 1
    assert checked > 100


def test_value_maps_begin_with_the_pass_rate_and_end_with_nothing(study):
    places = rnb.problems_with_value(study)
    cells, counts = np.unique(rnb.cell_names(study)[places], return_counts=True)
    assert len(cells) == 18 and counts.min() >= 5
    for place in places[::10]:
        values = rnb.recorded_value(study, place)
        right = values["right"].sel(intervention="retry").values
        assert right[-1] == 0
        # The first 20 of 24 continuations of nothing are the attempts of retry.
        retried = (study["correct"].values[place, :20, 1] == 1).sum()
        assert retried <= right[0] <= retried + 4


def test_result_table_on_disk_is_the_one_the_command_prints(study):
    text = rnb.summary_text(study, rnb.evaluate_routing(study))
    assert text.strip() == (data_folder() / "study.txt").read_text().strip()
