"""One pair of traces in every form in which servers give log-probabilities."""

import json
import math

import numpy as np
import pytest

import recover_nb as rnb
from recover_nb import InputError

LOG = {p: math.log(p) for p in (0.5, 0.25, 0.125)}
#: Prompt "Q:" and trace " a b"; ids, names.
PROMPT, TRACE = [(1, "Q"), (2, ":")], [(11, " a"), (12, " b")]
OTHER = (13, " c")
#: What each model gives the token that came and the other one.
SPECIALIST, ANCESTOR = (0.5, 0.25), (0.25, 0.5)


class Vocabulary:
    """The tokenizer of these traces."""

    def get_vocab(self):
        return {name: number for number, name in [*PROMPT, *TRACE, OTHER]}

    def encode(self, text, add_special_tokens=False):
        return {" a b": [11, 12]}.get(text, [])


def listed(token, given):
    """Return the two (id, name, log-probability) listed where `token` came, the likelier first."""
    pairs = [(*token, LOG[given[0]]), (*OTHER, LOG[given[1]])]
    return sorted(pairs, key=lambda each: -each[2])


def vllm(given, *, bare=False):
    rows = [
        {
            str(i): v if bare else {"logprob": v, "rank": 1, "decoded_token": name}
            for i, name, v in listed(token, given)
        }
        for token in [*PROMPT, *TRACE]
    ]
    return {"prompt_logprobs": [None, *rows[1:]]}


def vllm_in_choices(given):
    return {"choices": [{"index": 0, "text": " z", **vllm(given)}]}


def completion(given, *, echo=False, more=False, name=lambda _i, shown: shown, bos=False):
    tokens = [*(PROMPT if echo else []), *TRACE, *([OTHER] if more else [])]
    tokens = [*([(0, "<s>")] if bos else []), *tokens]
    tops = [{name(i, n): v for i, n, v in listed(token, given)} for token in tokens]
    own = [LOG[given[0]]] * len(tokens)
    if echo:
        tops[0], own[0] = None, None
    logged = {
        "tokens": [name(*token) for token in tokens],
        "token_logprobs": own,
        "top_logprobs": tops,
        "text_offset": np.cumsum([0, *(len(n) for _, n in tokens)])[:-1].tolist(),
    }
    text = "".join(n for _, n in tokens)
    return {"choices": [{"index": 0, "text": text, "logprobs": logged, "finish_reason": "stop"}]}


def chat_entries(given, *, ids=False):
    def entry(i, name, value):
        return {"token": name, "logprob": value, "bytes": [*name.encode()]} | (
            {"id": i} if ids else {}
        )

    return [
        {
            **entry(*token, LOG[given[0]]),
            "top_logprobs": [entry(*each) for each in listed(token, given)],
        }
        for token in TRACE
    ]


def chat(given):
    message = {"role": "assistant", "content": " a b"}
    logged = {"content": chat_entries(given), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": logged, "finish_reason": "stop"}
    return {"object": "chat.completion", "choices": [choice]}


def sglang(given, *, text=False, sent=False):
    def triple(i, name, value):
        return [value, i, name if text else None]

    def side(tokens, first=False):
        own = [triple(*token, LOG[given[0]]) for token in tokens]
        tops = [[triple(*each) for each in listed(token, given)] for token in tokens]
        if first:
            own[0][0], tops[0] = None, None
        return own, tops

    before, after = ([*PROMPT, *TRACE], [OTHER]) if sent else (PROMPT, TRACE)
    names = (
        ("input_token_logprobs", "input_top_logprobs"),
        (
            "output_token_logprobs",
            "output_top_logprobs",
        ),
    )
    meta = {"finish_reason": {"type": "stop", "matched": 2}}
    for keys, values in zip(names, (side(before, first=True), side(after)), strict=True):
        meta |= dict(zip(keys, values, strict=True))
    return {"text": "".join(n for _, n in after), "meta_info": meta}


def tgi(given):
    def token(i, name, value):
        return {"id": i, "text": name, "logprob": value, "special": False}

    details = {
        "finish_reason": "eos_token",
        "prefill": [token(1, "Q", None), token(2, ":", -1.0)],
        "tokens": [token(*each, LOG[given[0]]) for each in TRACE],
        "top_tokens": [[token(*x) for x in listed(each, given)] for each in TRACE],
    }
    return {"generated_text": " a b", "details": details}


def llama_cpp(given):
    entries = chat_entries(given, ids=True)
    return {"content": " a b", "stop_type": "eos", "completion_probabilities": entries}


def llama_cpp_sampler(given):
    entries = [
        {
            "id": i,
            "token": name,
            "prob": given[0],
            "top_probs": [
                {"id": j, "token": n, "prob": math.exp(v)} for j, n, v in listed((i, name), given)
            ],
        }
        for i, name in TRACE
    ]
    return {"content": " a b", "completion_probabilities": entries}


def llama_cpp_old(given):
    entries = [
        {
            "content": token[1],
            "probs": [{"tok_str": n, "prob": math.exp(v)} for _, n, v in listed(token, given)],
        }
        for token in TRACE
    ]
    return {"content": " a b", "completion_probabilities": entries}


def numbered(i, _name):
    return f"token_id:{i}"


def written(_i, name):
    return "bytes:" + "".join(f"\\x{byte:02x}" for byte in name.encode())


IDS = {"output_ids": [11, 12]}
#: Name -> (specialist's row, ancestor's row, whether tokens keep their ids without a tokenizer).
FORMS = {
    "prompt_logprobs": (vllm(SPECIALIST) | IDS, vllm(ANCESTOR) | IDS, True),
    "prompt_logprobs, the ancestor's without ids": (vllm(SPECIALIST) | IDS, vllm(ANCESTOR), True),
    "prompt_logprobs of numbers": (
        vllm(SPECIALIST, bare=True) | IDS,
        vllm(ANCESTOR, bare=True) | IDS,
        True,
    ),
    "prompt_logprobs in choices": (
        vllm_in_choices(SPECIALIST) | IDS,
        vllm_in_choices(ANCESTOR) | IDS,
        True,
    ),
    "generated with ids, scored by prompt_logprobs": (
        completion(SPECIALIST, name=numbered),
        vllm(ANCESTOR),
        True,
    ),
    "completions, echo": (completion(SPECIALIST), completion(ANCESTOR, echo=True), False),
    "both echo": (
        completion(SPECIALIST, echo=True),
        completion(ANCESTOR, echo=True, more=True),
        False,
    ),
    "both echo with a token before all": (
        completion(SPECIALIST, echo=True, bos=True),
        completion(ANCESTOR, echo=True, bos=True),
        False,
    ),
    "names are ids": (
        completion(SPECIALIST, name=numbered),
        completion(ANCESTOR, echo=True, more=True, name=numbered),
        True,
    ),
    "names are bytes": (
        completion(SPECIALIST, name=written),
        completion(ANCESTOR, echo=True, name=written),
        False,
    ),
    "bytes and texts": (
        completion(SPECIALIST, name=written),
        completion(ANCESTOR, echo=True),
        False,
    ),
    "chat, echo": (chat(SPECIALIST), completion(ANCESTOR, echo=True), False),
    "chat twice": (chat(SPECIALIST), chat(ANCESTOR), False),
    "sglang": (sglang(SPECIALIST), sglang(ANCESTOR, sent=True), True),
    "sglang with texts": (
        sglang(SPECIALIST, text=True),
        sglang(ANCESTOR, sent=True, text=True),
        True,
    ),
    "sglang, both sent": (
        sglang(SPECIALIST, sent=True) | IDS,
        sglang(ANCESTOR, sent=True) | IDS,
        True,
    ),
    "sglang, vllm": (sglang(SPECIALIST), vllm(ANCESTOR) | IDS, True),
    "tgi": (tgi(SPECIALIST), tgi(ANCESTOR), True),
    "tgi, vllm": (tgi(SPECIALIST), vllm(ANCESTOR), True),
    "llama.cpp": (llama_cpp(SPECIALIST), llama_cpp(ANCESTOR), True),
    "llama.cpp, after the sampler": (llama_cpp_sampler(SPECIALIST), llama_cpp_sampler(ANCESTOR), 1),
    "llama.cpp, older": (llama_cpp_old(SPECIALIST), llama_cpp_old(ANCESTOR), False),
    "under response": ({"response": chat(SPECIALIST)}, {"response": chat(ANCESTOR)}, False),
    "of a batch": (
        {"response": {"status_code": 200, "body": chat(SPECIALIST)}},
        {"response": {"body": completion(ANCESTOR, echo=True)}},
        False,
    ),
}
BESIDE = {"problem_id": "p", "rollout_idx": 0, "is_correct": False, "prompt": "Q:"}
READERS = {"vllm": rnb.from_vllm_logprobs, "openai": rnb.from_openai_logprobs}


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(tmp_path, specialist, ancestor, reader="openai", **keywords):
    paths = [
        write(tmp_path / f"{i}.jsonl", [BESIDE | row for row in rows])
        for i, rows in enumerate((specialist, ancestor))
    ]
    return READERS[reader](*paths, **{"temperature": 1.0, "k_cov": 1} | keywords)


def counts(ds):
    return json.loads(ds.attrs["import_counts_json"])


def notes(ds):
    return " ".join(ds.attrs["import_notes"])


def assert_values(ds, n=2):
    """Assert what follows by hand: lists 2/3, 1/3 and 1/3, 2/3 once renormalised."""
    assert ds["has_signals"].values.ravel().tolist() == [1]
    assert ds["n_tokens"].values[:, :, 0].tolist() == [[n]]
    wanted = {
        "path_deformation": math.log(2),
        "demotion_pressure": 2 * math.log(2),
        "kl_divergence": math.log(2) / 3,
        "missing_mass": 0.25,
        "missing_mass_ancestor": 0.25,
    }
    for name, value in wanted.items():
        np.testing.assert_allclose(ds[name].values.ravel(), [value] * n, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_numbers(tmp_path, form, reader):
    specialist, ancestor, ids = FORMS[form]
    echoes = {"generated_text": " a b"} if "both echo" in form else {}
    ds = read(tmp_path, [specialist | echoes], [ancestor], reader)
    assert_values(ds)
    assert ds["correct"].values[:, :, 0].tolist() == [[0]]
    tokens = ds["token_id"].values[0, 0, 0].tolist()
    if ids:
        assert tokens == [11, 12] and "vocabulary_json" not in ds.attrs
        both = ds["alternative_token_id"].values[0, :, :, :2].tolist()
        assert both == [[[11, 13], [13, 11]], [[12, 13], [13, 12]]]
    else:
        names = json.loads(ds.attrs["vocabulary_json"])
        assert [names[token] for token in tokens] == [" a", " b"]
    if "prompt_logprobs" not in form and "sent" not in form:
        assert ds["generated_text"].values[:, :, 0].tolist() == [[" a b"]]
    assert ("sampler" in notes(ds)) == (form.startswith("llama.cpp,"))


@pytest.mark.parametrize("form", [each for each in FORMS if "prompt_logprobs" not in each])
def test_a_tokenizer_gives_its_ids_in_every_form(tmp_path, form):
    specialist, ancestor, _ = FORMS[form]
    ds = (
        read(tmp_path, [specialist], [ancestor], tokenizer=Vocabulary())
        if ("both echo" not in form)
        else read(tmp_path, [specialist | IDS], [ancestor], tokenizer=Vocabulary())
    )
    assert_values(ds)
    assert ds["token_id"].values[0, 0, 0].tolist() == [11, 12]
    assert "vocabulary_json" not in ds.attrs


def test_every_completion_of_an_answer_is_a_rollout(tmp_path):
    both = [completion(given)["choices"][0] for given in (SPECIALIST, SPECIALIST)]
    choices = [both[1] | {"index": 1, "finish_reason": "length"}, both[0]]
    row = {"choices": choices, "is_correct": [False, True], "rollout_idx": 3}
    others = [completion(ANCESTOR, echo=True) | {"rollout_idx": i} for i in (4, 3)]
    ds = read(tmp_path, [row], others)
    assert ds["correct"].values[:, :, 0].tolist() == [[0, 1]]
    assert ds["has_signals"].values.tolist() == [[1, 1]]
    # One grade is not that of two completions.
    with pytest.raises(InputError, match="does not say whether the rollout is correct"):
        read(tmp_path, [row | {"is_correct": True}], others)
    graded = read(tmp_path, [row | {"is_correct": True}], others, is_correct=lambda t, _a: "a" in t)
    assert graded["correct"].values[:, :, 0].tolist() == [[1, 1]]


def of_first(row, **changes):
    """Return a completion's row with other values of its first token."""
    row = json.loads(json.dumps(row))
    for name, value in changes.items():
        row["choices"][0]["logprobs"][name][0] = value
    return row


#: Own value, list, and what is taken and said for the first token of a completion.
OWN = {
    "null, listed": (None, {" a": LOG[0.5], " c": LOG[0.25]}, LOG[0.5], {}),
    "above 0": (0.004, {" c": -9.0}, 0.0, {}),
    "not in its list": (LOG[0.125], {" c": LOG[0.5]}, LOG[0.125], {}),
    "-Infinity": (-math.inf, {" c": LOG[0.5]}, -1000.0, {"tokens_said_never_likely": 1}),
    "as text": ("-Infinity", {" c": LOG[0.5]}, -1000.0, {"tokens_said_never_likely": 1}),
    "-9999": (-9999.0, {" c": LOG[0.5]}, -1000.0, {"tokens_said_never_likely": 1}),
    "-9999, listed": (-9999.0, {" a": LOG[0.25], " c": LOG[0.5]}, LOG[0.25], {}),
    "another of its name": (
        LOG[0.25],
        {" a": LOG[0.5], " c": LOG[0.125]},
        LOG[0.25],
        {"listed_tokens_of_one_name": 1},
    ),
}


@pytest.mark.parametrize("case", OWN)
def test_values_of_the_token_that_came(tmp_path, case):
    own, tops, value, said = OWN[case]
    row = of_first(completion(SPECIALIST), token_logprobs=own, top_logprobs=tops)
    # Null in front says that a prompt is echoed; what was generated follows it.
    given = {"generated_text": " a b"} if own is None else {}
    if own is None:
        row = completion(SPECIALIST, echo=True)
        row["choices"][0]["logprobs"]["token_logprobs"][2] = None
        row["choices"][0]["logprobs"]["top_logprobs"][2] = tops
    ds = read(tmp_path, [row | given], [completion(ANCESTOR, echo=True)])
    first = ds["alternative_token_id"].values[0, 0, 0].tolist()
    values = ds["alternative_log_probability"].values[0, 0, 0]
    token = int(ds["token_id"].values[0, 0, 0, 0])
    assert values[first.index(token)] == pytest.approx(value)
    told = {
        name: n
        for name, n in counts(ds).items()
        if name in {k for _, _, _, s in OWN.values() for k in s}
    }
    assert told == said
    assert all(f"{n} " in notes(ds) for n in said.values())


def test_two_tokens_of_one_text_are_kept_apart_by_their_bytes(tmp_path):
    torn = "\N{REPLACEMENT CHARACTER}"
    rows = []
    for given in (SPECIALIST, ANCESTOR):
        row = chat(given)
        entry = row["choices"][0]["logprobs"]["content"][0]
        for each, data in zip(
            (entry, *entry["top_logprobs"]), ([0xE2], [0xE2], [0xE3]), strict=True
        ):
            each |= {"token": torn, "bytes": data}
        if given is ANCESTOR:
            entry["top_logprobs"][0]["bytes"], entry["top_logprobs"][1]["bytes"] = [0xE3], [0xE2]
        rows.append(row)
    ds = read(tmp_path, [rows[0]], [rows[1]])
    assert_values(ds)
    assert "listed_tokens_of_one_name" not in counts(ds)
    names = json.loads(ds.attrs["vocabulary_json"])
    assert {"bytes:\\xe2", "bytes:\\xe3"} <= {*names}


@pytest.mark.parametrize("nothing", [{}, [], None])
@pytest.mark.parametrize("side", [0, 1])
def test_a_token_without_a_list_leaves_its_rollout_without_signals(tmp_path, nothing, side):
    rows = [[completion(SPECIALIST), completion(SPECIALIST) | {"rollout_idx": 1}]]
    rows.append([completion(ANCESTOR, echo=True) | {"rollout_idx": i} for i in (0, 1)])
    rows[side][1]["choices"][0]["logprobs"]["top_logprobs"][-1] = nothing
    ds = read(tmp_path, *rows)
    assert ds["has_signals"].values.tolist() == [[1, 0]]
    assert counts(ds)["rollouts_without_lists"] == 1
    assert "1 rollouts have a token without a list" in notes(ds)
    # Not one has lists: nothing would be measured.
    for row in rows[side]:
        logged = row["choices"][0]["logprobs"]
        logged["top_logprobs"] = [nothing] * len(logged["tokens"])
    with pytest.raises(InputError, match="line 1: no rollout has a list of the likeliest tokens"):
        read(tmp_path, *rows)


def test_lists_of_other_lengths_are_read_as_they_are(tmp_path):
    rows = [completion(SPECIALIST), completion(ANCESTOR, echo=True)]
    rows[0]["choices"][0]["logprobs"]["top_logprobs"][1] = {" b": LOG[0.5]}
    ds = read(tmp_path, rows[:1], rows[1:])
    assert ds["missing_mass"].values.ravel() == pytest.approx([0.25, 0.5])
    assert ds["alternative_token_id"].values[0, 1, 0, 1] == -1


@pytest.mark.parametrize("where", ["found", "aside"])
def test_rollouts_are_paired_in_any_order_and_left_over_ones_are_said(tmp_path, where):
    specialist = [completion(SPECIALIST) | {"rollout_idx": i} for i in (0, 1)]
    ancestor = [completion(ANCESTOR, echo=True) | {"rollout_idx": i} for i in (1, 7, 0)]
    if where == "found":
        ancestor = [ancestor[2], ancestor[0], ancestor[1]]
    ds = read(tmp_path, specialist, ancestor)
    assert ds["has_signals"].values.tolist() == [[1, 1]]
    np.testing.assert_allclose(ds["missing_mass"].values, 0.25, atol=1e-6)
    assert counts(ds)["ancestor_only"] == 1 and "1 rollouts are in the ancestor's file" in notes(ds)
    with pytest.raises(InputError, match=r"rollout 1 of problem p came before \(.*1.jsonl: line 1"):
        read(tmp_path, specialist, [ancestor[0 if where == "aside" else 1]] * 2)


def bad(change):
    row = json.loads(json.dumps(FORMS["sglang"][0]))
    change(row)
    return row


REFUSED = {
    "echo of an unknown prompt": (
        completion(SPECIALIST, echo=True) | {"prompt": "R"},
        "echoes its prompt",
    ),
    "ids and names": (completion(SPECIALIST) | {}, "pass tokenizer="),
    "no ids": (vllm(SPECIALIST), "has no 'output_ids' or 'token_ids'"),
    "no own values": ({"meta_info": {"id": 1}}, "ask with return_logprob"),
    "wrong triple": ({"meta_info": {"output_token_logprobs": [[-1.0, "x"]]}}, "token id, text"),
    "wrong lists": (
        {"meta_info": {"output_token_logprobs": [[-1.0, 1]], "output_top_logprobs": [[], []]}},
        "as long as the list of tokens",
    ),
    "details of another kind": ({"details": {"tokens": 5}}, "a list of objects, one per token"),
    "chat of texts": ({"choices": [{"logprobs": {"content": ["a"]}}]}, "a list of objects"),
    "probability of 2": (
        {"completion_probabilities": [{"content": "a", "probs": [{"tok_str": "a", "prob": 2}]}]},
        "a probability, from 0 to 1",
    ),
    "choices of nothing": ({"choices": []}, "a list with one completion"),
    "choices of texts": ({"choices": ["a"]}, "a list with one completion"),
    "nothing": ({"usage": {}}, "has no 'logprobs'"),
    "true": (of_first(completion(SPECIALIST), token_logprobs=True), "must be a finite number"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_said(tmp_path, case):
    row, said = REFUSED[case]
    ancestor = vllm(ANCESTOR) if case == "ids and names" else completion(ANCESTOR, echo=True)
    with pytest.raises(InputError, match=said):
        read(tmp_path, [row], [ancestor])
