import gzip
import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from completions_server import CompletionsServer
from served_study import FAMILY, METHOD, as_text, few_problems

import recover_nb as rnb
from recover_nb import Endpoint, InputError, Patience
from recover_nb.core.labels import Signal
from recover_nb.core.schema import TOKEN
from recover_nb.features.features import problem_features, rollout_features
from recover_nb.generation.decoding import Settings, score_traces
from recover_nb.io.served.caller import Caller
from recover_nb.io.served.completions import Sent, Unlisted, read

FIXTURES = Path(__file__).parents[1] / "fixtures"
KEY = "sk-very-secret-123"
N_VOCABULARY = 59
#: float32 log-probabilities of another batch shape: what the two routes may differ by.
TOLERANCE = 5e-4


class FakeClock:
    """Passes only when slept through."""

    def __init__(self):
        self.time, self.slept, self.lock = 0.0, [], threading.Lock()

    def now(self):
        return self.time

    def date(self):
        return 1_000_000.0 + self.time

    def sleep(self, seconds):
        with self.lock:
            self.time += seconds
            if seconds:
                self.slept.append(seconds)


@pytest.fixture(scope="module")
def shipped():
    return rnb.load_lineage(FAMILY, METHOD, device="cpu")


@pytest.fixture(scope="module")
def study():
    return few_problems()


@pytest.fixture
def server(shipped):
    pairs = {
        "s": (shipped.specialist, shipped.tokenizer),
        "a": (shipped.ancestor, shipped.tokenizer),
    }
    with CompletionsServer(pairs) as server:
        yield server


def score(ds, server, **keywords):
    endpoint = {"top": N_VOCABULARY, "key_env": None, **keywords.pop("endpoint", {})}
    given = {
        "clock": FakeClock(),
        "patience": Patience(concurrent=1),
        "vocab_size": N_VOCABULARY,
        "progress": False,
    }
    return rnb.score_with_server(
        ds,
        Endpoint(server.url, "s", **endpoint),
        Endpoint(server.url, "a", **endpoint),
        **given | keywords,
    )


def counts(ds):
    return json.loads(ds.attrs["server_counts_json"])


def distinct(ds):
    """Count the failed traces that differ; each is asked for once."""
    places = np.argwhere(failed(ds))
    return len({(p, *ds["token_id"].values[p, r, 0].tolist()) for p, r in places})


def none_but(**given):
    return {"kept_from_before": 0, "retokenised": 0, "scored": 0, "unanswered": 0} | given


def failed(ds):
    return ds["correct"].sel(intervention="none").values == 0


@pytest.fixture(scope="module")
def plain(study, shipped):
    """Return the signals of a teacher-forced pass over every observed rollout."""
    return rnb.compute_signals(study, shipped)


def assert_features(found, wanted, pressure, study):
    """Assert that features agree, spread but for tokens whose pressure is nothing but rounding.

    It counts every token whose pressure is above 0, be it by the last bit.
    """
    np.testing.assert_allclose(found[:, 1:], wanted[:, 1:], atol=TOLERANCE)
    inside = (
        np.arange(pressure.shape[-1]) < study["n_tokens"].sel(intervention="none").values[..., None]
    )
    used = inside & failed(study)[..., None]
    noise = (used & (pressure < 1e-6)).sum(-1) / np.maximum(used.sum(-1), 1)
    assert (
        np.abs(found[:, 0] - wanted[:, 0]) <= noise.sum(-1) / failed(study).sum(-1) + TOLERANCE
    ).all()


# --- what is measured
# ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", ["echo", "prompt_logprobs"])
def test_whole_vocabulary_equals_a_teacher_forced_pass(study, plain, server, shipped, reply):
    found = score(study, server, tokenizer=shipped.tokenizer, endpoint={"reply": reply})
    used = failed(study)
    np.testing.assert_array_equal(found["has_signals"].values == 1, used)
    for name in Signal:
        ours, wanted = found[name.value].values, plain[name.value].values
        np.testing.assert_allclose(
            ours[used], wanted[used], rtol=TOLERANCE, atol=TOLERANCE, err_msg=name
        )
        assert (ours[~used] == 0).all()
    # The study's own features, from all failed rollouts at full precision.
    assert_features(
        found["features"].values, study["features"].values, plain["demotion_pressure"].values, study
    )
    assert found["missing_mass"].values.max() < 1e-5
    assert counts(found) == none_but(scored=int(used.sum()))
    assert len(server.requests) == 2 * distinct(study)


def test_truncated_lists_show_what_they_miss(study, server, shipped):
    found = score(
        study, server, tokenizer=shipped.tokenizer, endpoint={"top": 3, "reply": "prompt_logprobs"}
    )
    p, r = np.argwhere(failed(study))[0]
    tokens = study["token_id"].values[p, r, 0, : int(study["n_tokens"].values[p, r, 0])]
    import torch

    prompt = shipped.tokenizer.encode(str(study["prompt"].values[p]))
    with torch.inference_mode():
        probabilities = (
            shipped.specialist(torch.tensor([[*prompt, *tokens]])).logits[0].softmax(-1).numpy()
        )
    for t, token in enumerate(tokens):
        row = probabilities[len(prompt) - 1 + t]
        listed = {*np.argsort(row)[-3:].tolist(), int(token)}
        wanted = 1 - row[list(listed)].sum()
        assert found["missing_mass"].values[p, r, t] == pytest.approx(wanted, abs=1e-5)
    mean = found["missing_mass"].values[p, r, : len(tokens)].mean()
    assert found["mean_missing_mass"].values[p, r] == pytest.approx(mean)
    assert found["missing_mass"].values.max() > 1e-3
    assert np.isnan(found["mean_missing_mass"].values[~failed(study)]).all()


def of_text(study, pair):
    """Return features and pressure of a teacher-forced pass over the text, less its end token."""
    used, tokens = failed(study), study["token_id"].values[:, :, 0]
    length = (tokens >= 0).sum(-1) - (tokens == pair.eos_ids[0]).sum(-1)
    signals = score_traces(
        pair, study["prompt"].values.tolist(), tokens, np.where(used, length, 0), Settings()
    )
    rows = rollout_features(signals["demotion_pressure"], signals["logit_variance"], length)
    return problem_features(rows, used), signals["demotion_pressure"]


def test_text_alone_gives_features_of_what_was_written(study, server, shipped):
    found = score(as_text(study, shipped), server)
    assert_features(found["features"].values, *of_text(study, shipped), study)
    assert TOKEN not in found.dims
    assert counts(found)["scored"] == failed(study).sum()


@pytest.fixture(scope="module")
def asked():
    """Return what llama.cpp was asked about, and the models it served: of the first lineage."""
    folder = FIXTURES / "llama_cpp"
    pair = rnb.load_lineage(FAMILY, METHOD, root=folder / "lab", device="cpu")
    return rnb.open_study(folder / "study.zarr.zip", load=True), pair


@pytest.fixture
def llama_cpp(monkeypatch):
    """Answer as llama.cpp's server did to `tests/fixtures/make_llama_cpp.py` about these traces."""
    kept = json.loads(gzip.decompress((FIXTURES / "llama_cpp" / "exchanges.json.gz").read_bytes()))
    replies = {json.dumps(each["request"], sort_keys=True): each for each in kept["exchanges"]}

    def exchange(_caller, body, _key):
        found = replies[json.dumps(json.loads(body), sort_keys=True)]
        return found["status"], {}, json.dumps(found["reply"]).encode()

    monkeypatch.setattr(Caller, "_exchange", exchange)

    def score(ds, reply, **keywords):
        about = {"top": N_VOCABULARY, "reply": reply, "extra": {"max_tokens": 1}}
        ends = (Endpoint("http://127.0.0.1:1/v1", name, **about) for name in (METHOD, "ancestor"))
        return rnb.score_with_server(ds, *ends, vocab_size=N_VOCABULARY, progress=False, **keywords)

    return score


def test_replies_of_llama_cpp_give_the_features_of_a_teacher_forced_pass(asked, llama_cpp):
    study, pair = asked
    found = llama_cpp(as_text(study, pair), "echo_late")
    assert counts(found) == none_but(scored=int(failed(study).sum()))
    assert_features(found["features"].values, *of_text(study, pair), study)


def test_a_server_that_is_one_place_off_is_refused(asked, llama_cpp, tmp_path):
    ds, partial = as_text(*asked), tmp_path / "scored.jsonl"
    with pytest.raises(
        InputError, match=r"'grpo' at .* 5 traces \d+\.\d nat .*; ask for reply='echo_late'"
    ):
        llama_cpp(ds, "echo", partial=partial)
    # Also where all of it was kept before; and what was kept is not taken for the other form's.
    with pytest.raises(
        InputError, match="what may follow a token is listed beside it, as llama-cpp-python does"
    ):
        llama_cpp(ds, "echo", partial=partial)
    assert counts(llama_cpp(ds, "echo_late", partial=partial))["kept_from_before"] == 0


def test_a_late_list_that_does_not_hold_what_came_is_counted():
    late = replace(Endpoint("http://127.0.0.1:1/v1", "m"), reply="echo_late")
    tops = [None, {"a": -0.5, "b": -1.0}, {"c": -0.1}, {"z": -9.0}]
    logged = {
        "tokens": list("xabc"),
        "token_logprobs": [None, -7.0, -8.0, -9.0],
        "top_logprobs": tops,
    }
    scored = read(late, Sent("xa", "b"), {"choices": [{"logprobs": logged}]})
    assert scored.token_logprob.tolist() == [-1.0] and scored.logprobs.tolist() == [[-0.5, -1.0]]
    with pytest.raises(Unlisted):
        read(
            late, Sent("xa", "bd"), {"choices": [{"logprobs": {**logged, "tokens": list("xabd")}}]}
        )


@pytest.mark.parametrize(
    ("given", "most"), [({"part": 20}, 10**9), ({"part": 20}, 40), ({}, 10**9)]
)
def test_traces_asked_for_in_parts_have_the_same_signals(
    study, server, shipped, given, most, monkeypatch
):
    whole = score(study, server, tokenizer=shipped.tokenizer)
    server.requests.clear()
    server.most = most
    if not given:
        # Refused as too large, every trace is asked for in halves.
        monkeypatch.setattr("recover_nb.io.served.asking.LEAST_PART", 1)
        longest = study["n_tokens"].sel(intervention="none").values[failed(study)].max()
        server.most = int(longest) - 1
    parts = score(study, server, tokenizer=shipped.tokenizer, endpoint=given)
    assert len(server.requests) > 2 * distinct(study)
    assert {"logprob_start_len" in body for _, _, body in server.requests} >= {True}
    assert counts(parts)["scored"] == failed(study).sum()
    for name in Signal:
        np.testing.assert_allclose(
            parts[name.value].values, whole[name.value].values, rtol=TOLERANCE, atol=TOLERANCE
        )


def test_several_requests_at_once_change_nothing(study, server, shipped):
    one = score(study, server, tokenizer=shipped.tokenizer)
    four = score(study, server, tokenizer=shipped.tokenizer, patience=Patience(concurrent=4))
    for name in Signal:
        np.testing.assert_array_equal(one[name.value].values, four[name.value].values)


# --- faults
# ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("429", "status 429"),
        ("500", "status 500"),
        ("malformed", "malformed"),
        ("list", "malformed"),
        ("cut", "connection"),
        ("hang", "time-out"),
        ("drip", "time-out"),
    ],
)
def test_a_fault_is_tried_again_and_counted(study, plain, server, shipped, fault, reason):
    server.faults[:] = [fault, None, fault, fault]
    clock = FakeClock()
    endpoint = {"timeout": 0.5 if reason == "time-out" else 30}
    found = score(study, server, tokenizer=shipped.tokenizer, clock=clock, endpoint=endpoint)
    told = counts(found)
    # The second request of the first trace is the ancestor's; it is asked once the specialist has
    # answered.
    assert told[f"specialist {reason}"] + told.get(f"ancestor {reason}", 0) == 3
    assert told["scored"] == failed(study).sum()
    assert len(clock.slept) == 3
    least = 7 if fault == "429" else 0
    for slept, wait in zip(clock.slept, (1, 1, 2), strict=True):
        assert max(least, 0.5 * wait) <= slept <= max(least, wait)
    np.testing.assert_allclose(
        found["entropy"].values[failed(study)],
        plain["entropy"].values[failed(study)],
        atol=TOLERANCE,
    )


def test_server_that_stays_away_stops_the_run_and_a_second_call_goes_on(
    study, server, shipped, tmp_path
):
    partial = tmp_path / "scored.jsonl"
    server.faults[:] = [None] * 4 + ["500"] * 1000
    patience = Patience(tries=2, concurrent=1)
    with pytest.raises(InputError, match="3 traces in a row got no answer"):
        score(study, server, tokenizer=shipped.tokenizer, patience=patience, partial=partial)
    assert len(partial.read_text().splitlines()) == 2
    with partial.open("a") as file:
        file.write('{"key": "cut off')
    server.faults.clear()
    server.requests.clear()
    found = score(study, server, tokenizer=shipped.tokenizer, partial=partial)
    total = int(failed(study).sum())
    assert counts(found)["scored"] == total
    assert counts(found)["kept_from_before"] >= 2
    assert len(server.requests) == 2 * (distinct(study) - 2)
    whole = score(study, server, tokenizer=shipped.tokenizer)
    for name in Signal:
        np.testing.assert_array_equal(found[name.value].values, whole[name.value].values)
    server.requests.clear()
    again = score(study, server, tokenizer=shipped.tokenizer, partial=partial)
    assert counts(again)["kept_from_before"] == total
    assert server.requests == []
    # Other constants are other results.
    score(study, server, tokenizer=shipped.tokenizer, partial=partial, temperature=1.0)
    assert len(server.requests) == 2 * distinct(study)


def test_one_unanswered_trace_is_left_out_and_counted(study, server, shipped):
    server.faults[:] = ["500", "500"]
    found = score(
        study, server, tokenizer=shipped.tokenizer, patience=Patience(tries=2, concurrent=1)
    )
    p, r = np.argwhere(failed(study))[0]
    tokens = study["token_id"].values[p, :, 0]
    same = int((failed(study)[p] & (tokens == tokens[r]).all(-1)).sum())
    total = int(failed(study).sum())
    assert counts(found) == none_but(scored=total - same, unanswered=same) | {
        "specialist status 500": 2
    }
    assert found["has_signals"].values[p, r] == 0
    assert found["has_signals"].values.sum() == total - same


def drop_a_token(reply):
    lists = reply["choices"][0]["logprobs"]
    return {"choices": [{"logprobs": {name: values[:-1] for name, values in lists.items()}}]}


def merge_over(edge):
    """Join the last of a prompt's `edge` characters with the trace's first, as tokenizers might."""

    def merge(reply):
        lists = reply["choices"][0]["logprobs"]
        names = lists["tokens"]
        joined = [*names[: edge - 1], names[edge - 1] + names[edge], *names[edge + 1 :]]
        cut = {name: [*values[:edge], *values[edge + 1 :]] for name, values in lists.items()}
        return {"choices": [{"logprobs": {**cut, "tokens": joined}}]}

    return merge


def test_other_tokens_than_were_sent_are_counted_and_left_out(study, server, shipped):
    server.faults[:] = [drop_a_token]
    found = score(study, server, tokenizer=shipped.tokenizer)
    left_out = counts(found)["retokenised"]
    assert left_out >= 1
    assert counts(found)["scored"] == failed(study).sum() - left_out
    assert found["has_signals"].values.sum() == failed(study).sum() - left_out
    # The family's tokens are characters.
    server.faults[:] = [merge_over(len(study["prompt"].values[np.argwhere(failed(study))[0][0]]))]
    assert counts(score(as_text(study, shipped), server))["retokenised"] == left_out


def test_text_of_a_study_with_tokens_must_give_as_many(study, server, shipped):
    both = study.assign(generated_text=as_text(study, shipped)["generated_text"])
    found = score(both, server)
    # Every trace that ended by itself has lost its last token.
    tokens = study["token_id"].sel(intervention="none").values[failed(study)]
    ended = int((tokens == shipped.eos_ids[0]).any(-1).sum())
    assert ended > 0
    assert counts(found)["retokenised"] == ended
    assert counts(found)["scored"] == len(tokens) - ended


def test_rate_limit(study, server, shipped):
    clock = FakeClock()
    score(
        study,
        server,
        tokenizer=shipped.tokenizer,
        clock=clock,
        patience=Patience(per_minute=30, concurrent=1),
    )
    # Two servers, one after the other: each is asked once in two seconds.
    assert clock.slept == pytest.approx([2.0] * (distinct(study) - 1))


# --- what is refused
# ------------------------------------------------------------------------------------------


def without_logprobs(reply):
    return {"choices": [{"text": "hello", "logprobs": None}]}


def test_server_without_log_probabilities_is_named(study, server, shipped):
    server.faults[:] = [without_logprobs]
    with pytest.raises(InputError, match="no log-probabilities of the prompt in the form 'echo'"):
        score(study, server, tokenizer=shipped.tokenizer)
    with pytest.raises(InputError, match="pass tokenizer="):
        score(as_text(study, shipped), server, endpoint={"reply": "prompt_logprobs"})


def test_unknown_model_is_not_asked_for_again(study, server, shipped):
    endpoint = Endpoint(server.url, "nobody")
    with pytest.raises(InputError, match=r"answers 404 for model 'nobody': .*no model nobody"):
        rnb.score_with_server(
            study,
            endpoint,
            endpoint,
            tokenizer=shipped.tokenizer,
            clock=FakeClock(),
            progress=False,
            patience=Patience(concurrent=1),
        )
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"url": "ftp://x/v1"}, "http://HOST:PORT/v1"),
        ({"url": "https://me:sk-1@x/v1"}, "key_env"),
        ({"url": "https://x/v1?key=sk-1"}, "key_env"),
        ({"url": "http://example.org/v1", "key_env": "K"}, "in the clear"),
        (
            {"reply": "logits"},
            "reply must be one of echo, echo_late, prompt_logprobs, got 'logits'",
        ),
        ({"top": 0}, "top must be a whole number of at least 1, got 0"),
        ({"timeout": 0}, "timeout must be a number of seconds above 0, got 0"),
    ],
)
def test_endpoint_says_what_is_wrong(given, said):
    with pytest.raises(InputError, match=said) as caught:
        Endpoint(**{"url": "https://x/v1", "model": "m", **given})
    assert "sk-1" not in str(caught.value)


@pytest.mark.parametrize("name", ["prompt", "correct", "generated_text"])
def test_study_without_traces_is_refused(study, shipped, server, name):
    with pytest.raises(InputError, match=f"the study has no {name}"):
        score(as_text(study, shipped).drop_vars(name), server)


# --- the key
# ------------------------------------------------------------------------------------------


def test_key_is_sent_and_shown_nowhere(
    study, server, shipped, tmp_path, monkeypatch, capfd, caplog
):
    monkeypatch.setenv("TEST_KEY", KEY)
    caplog.set_level(0)
    partial = tmp_path / "p.jsonl"
    server.faults[:] = ["500"]
    given = {"tokenizer": shipped.tokenizer, "partial": partial, "progress": True}
    found = score(study, server, endpoint={"key_env": "TEST_KEY"}, **given)
    assert all(headers["Authorization"] == f"Bearer {KEY}" for _, headers, _ in server.requests)
    said = capfd.readouterr()
    endpoint = Endpoint(server.url, "s", key_env="TEST_KEY")
    shown = [
        json.dumps(found.attrs, default=str),
        partial.read_text(),
        repr(endpoint),
        str(endpoint),
        said.out,
        said.err,
        caplog.text,
        repr(found),
        *map(str, server.requests[0][2].values()),
    ]
    assert not [each for each in shown if KEY in each or "sk-very" in each]


def test_key_that_a_server_repeats_is_blotted_out(study, server, shipped, monkeypatch):
    monkeypatch.setenv("TEST_KEY", KEY)
    server.faults[:] = ["401"]
    with pytest.raises(
        InputError, match=r"answers 401 for model 's': bad key: Bearer \*\*\*"
    ) as caught:
        score(study, server, tokenizer=shipped.tokenizer, endpoint={"key_env": "TEST_KEY"})
    error = caught.value
    while error is not None:
        assert KEY not in str(error) + repr(error)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("value", ["", "sk-bro\nken", "sk bro ken", "schlüssel"])
def test_key_that_cannot_be_one_is_named_and_not_shown(study, server, shipped, monkeypatch, value):
    monkeypatch.setenv("TEST_KEY", value)
    with pytest.raises(InputError, match="environment variable TEST_KEY") as caught:
        score(study, server, tokenizer=shipped.tokenizer, endpoint={"key_env": "TEST_KEY"})
    assert not value or value not in str(caught.value)
    assert server.requests == []


def test_a_redirect_is_not_followed(study, server, shipped, monkeypatch):
    monkeypatch.setattr(
        "completions_server.Handler.play_500",
        lambda self: self.send(307, "", Location=f"{self.server.url}/elsewhere"),
    )
    server.faults[:] = ["500"]
    with pytest.raises(InputError, match="answers 307"):
        score(study, server, tokenizer=shipped.tokenizer)
    assert len(server.requests) == 1


def test_results_do_not_depend_on_the_name_of_the_key(study):
    from recover_nb.io.served.completions import Sent
    from recover_nb.io.served.server import _key

    here, constants, sent = (
        Endpoint("http://127.0.0.1:1/v1", "m"),
        {"temperature": 0.6},
        Sent("a", "b"),
    )
    other = replace(here, key_env="K")
    assert _key(sent, (here, here), constants) == _key(sent, (other, other), constants)
    assert _key(sent, (here, here), constants) != _key(Sent("a", "c"), (here, here), constants)
