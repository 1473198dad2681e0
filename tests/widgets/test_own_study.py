"""A study of one's own models shows text: never token ids, never another tokenizer's words."""

import json
import re
from dataclasses import replace

import pytest

pytest.importorskip("torch")

from byte_level import byte_level_tokenizer
from decoding_models import near, tiny_model

import recover_nb as rnb
from recover_nb.core.errors import InputError
from recover_nb.core.token_text import TOKEN_TEXT, pieces_at, pieces_in
from recover_nb.generation.traces import token_texts, trace_text
from recover_nb.report import write_html
from recover_nb.tasks import Problem
from recover_nb.widgets import RolloutStepper, Selection, TraceInspector, TraceSurgeon

FEW = {"n_bootstrap": 50, "n_permutations": 50, "n_null": 10, "n_splits": 4}
UNIT = ("mine", "tuned")


@pytest.fixture(scope="module")
def pair():
    tokenizer = byte_level_tokenizer()
    model = tiny_model(vocab_size=len(tokenizer))
    # One end of sequence among 320 tokens would seldom come: a sixth of them end a trace.
    model.generation_config.eos_token_id = list(range(0, len(tokenizer), 6))
    return rnb.load_pair(model, near(model), tokenizer=tokenizer)


def made(pair, unit=UNIT, longest=24):
    problems = [
        Problem("sums", f"p{i}", "test", -1, f"Add {i} and 3.", str(i + 3), ()) for i in range(4)
    ]
    return rnb.generate(
        pair,
        problems,
        interventions=list(rnb.PUBLISHED.interventions),
        n_rollouts=4,
        n_attempts=2,
        settings=rnb.Settings(max_new_tokens=longest),
        checker="numeric",
        unit=unit,
    )


@pytest.fixture(scope="module")
def study(pair):
    return made(pair)


def tokens_of(study):
    return study["token_id"].values[0, 0, 0, : int(study["n_tokens"].values[0, 0, 0])].tolist()


def test_the_inspector_shows_text(study, pair):
    view = TraceInspector(study, selection=Selection(problem=0, rollout=0))
    ids = tokens_of(study)
    assert view.message == "" and len(view.text.tokens) == len(ids)
    assert "".join(view.text.tokens) == "".join(token_texts(pair, [i])[i] for i in ids)
    assert not any(re.fullmatch(r"#\d+", piece) for piece in view.text.tokens)


def test_text_of_tokens_joins_to_the_text_of_the_trace(pair):
    ids = pair.tokenizer.encode(" Add 3 and 4, then check", add_special_tokens=False)
    pieces = token_texts(pair, ids)
    assert "".join(pieces[i] for i in ids) == trace_text(pair, ids) == " Add 3 and 4, then check"


def test_parts_of_a_character_are_marked_and_no_id_outside_is_asked(pair):
    ids = pair.tokenizer.encode("\u00e9", add_special_tokens=False)
    assert len(ids) == 2
    assert token_texts(pair, [*ids, -1, pair.vocab_size]) == dict.fromkeys(sorted(ids), "\ufffd")


def test_stored_text_is_of_the_tokens_that_occur(study):
    stored = json.loads(study.attrs[TOKEN_TEXT])
    assert list(stored) == ["mine|tuned"]
    held = set(study["token_id"].values.ravel().tolist())
    held |= set(study["alternative_token_id"].values.ravel().tolist())
    assert {int(name) for name in stored["mine|tuned"]} == held - {-1}


def test_the_report_shows_text(study, tmp_path):
    page = write_html(study, rnb.evaluate_routing(study, **FEW), tmp_path / "report.html")
    seen = re.sub(r"<(script|style).*?</\1>", "", page.read_text("utf-8"), flags=re.DOTALL)
    assert not re.search(r"(?:#\d+ ){2,}", seen)


def test_the_failed_text_is_read_without_a_tokenizer(study, pair):
    text = rnb.failed_text(study, rollouts="first")[0]
    assert text.replace("<eos>", "") == trace_text(pair, tokens_of(study))


def test_it_comes_back_from_disk_and_from_json_lines(study, tmp_path):
    rnb.save_zip(study, tmp_path / "own.zarr.zip")
    rnb.to_jsonl(study, tmp_path / "own.jsonl")
    for back in (rnb.open_study(tmp_path / "own.zarr.zip"), rnb.from_jsonl(tmp_path / "own.jsonl")):
        assert pieces_at(back, 0) == pieces_at(study, 0)
        assert pieces_at(back, 0)


@pytest.mark.parametrize("unit", [("qwen3", "sft"), ("neox", "grpo")])
def test_a_shipped_name_does_not_make_it_a_shipped_model(pair, unit):
    ds = made(pair, unit)
    ids = tokens_of(ds)
    text = "".join(token_texts(pair, [i])[i] for i in ids)
    view = TraceInspector(ds, selection=Selection(problem=0, rollout=0))
    assert "".join(view.text.tokens) == text
    view.compute()
    assert "is not the shipped checkpoint of that name; pass pair=rnb.load_pair(" in view.message
    del ds.attrs[TOKEN_TEXT]
    assert pieces_in(ds, *unit) == {}
    bare = TraceInspector(ds, selection=Selection(problem=0, rollout=0))
    assert bare.text.tokens == [f"#{i}" for i in ids]


@pytest.mark.parametrize("view", [TraceInspector, TraceSurgeon, RolloutStepper])
def test_views_take_the_pair(study, pair, view):
    state = {"source": "live", "problem": 0} if view is RolloutStepper else {}
    shown = view(study, pair=pair, selection=Selection(problem=0, rollout=0), **state)
    if view is TraceInspector:
        shown.compute()
        assert shown.computing.on
    elif view is TraceSurgeon:
        shown.value = {"position": 1, "twins": 2, "operator": "retry"}
        shown.branch()
        assert shown.surgery.token_id.shape[0] == 2
    else:
        shown.step()
        assert shown.text.tokens == ["".join(token_texts(pair, tokens_of(study)[:1]).values())]
    assert shown.message == ""


def test_another_pair_is_refused(study):
    tokenizer = byte_level_tokenizer()
    model = tiny_model(seed=7, vocab_size=len(tokenizer))
    other = rnb.load_pair(model, near(model), tokenizer=tokenizer)
    view = TraceInspector(study, pair=other, selection=Selection(problem=0, rollout=0))
    view.compute()
    assert "the specialist of pair= is LlamaForCausalLM" in view.message
    assert "its weights are not those of" in view.message


def test_a_family_without_text_is_said(pair):
    ds = made(pair)
    del ds.attrs[TOKEN_TEXT]
    with pytest.raises(InputError, match="pass tokenizers="):
        rnb.failed_text(ds)


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (TraceInspector, "no signals are stored for this trace"),
        (TraceSurgeon, ""),
        (RolloutStepper, "no rollout of this problem failed, so no alternatives are stored"),
    ],
)
def test_a_study_in_which_every_answer_was_cut_off_opens(pair, view, said):
    ds = made(replace(pair, eos_ids=(0,)), longest=3)
    assert not ds["ended"].values[:, :, 0].any()
    shown = view(ds)
    assert shown.message.startswith(said) and bool(shown.message) == bool(said)
    assert view is not TraceInspector or shown.text.tokens


@pytest.fixture(scope="module")
def valued(pair):
    """A study whose answers are right when they are short, so that some are and some are not."""
    problems = [Problem("sums", f"p{i}", "test", -1, f"Add {i}.", "x", ()) for i in range(6)]
    return rnb.generate(
        pair,
        problems,
        n_rollouts=6,
        n_attempts=4,
        settings=rnb.Settings(max_new_tokens=16),
        checker=lambda text, _answer: len(text) < 9,
        unit=UNIT,
        value_problems=2,
    )


def test_a_story_of_ones_own_study(valued):
    told = rnb.story(valued).stories[0]
    assert told["tokens"] and not re.search(r'"#\d+"', json.dumps(told))
    known = rnb.problems_with_value(valued)
    values = rnb.recorded_value(valued, known[0])
    assert not any(re.fullmatch(r"#\d+", piece) for piece in values["token"].values.tolist())


def test_value_problems_is_a_whole_number(pair):
    problem = Problem("sums", "p", "test", -1, "Add 1.", "2", ())
    with pytest.raises(
        InputError, match="value_problems must be a whole number of at least 0, got -1"
    ):
        rnb.generate(pair, [problem], value_problems=-1)
