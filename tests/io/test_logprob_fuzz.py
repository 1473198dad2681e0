"""Any change to any form of log-probabilities gives a study or a sentence; echoes never shift."""

import copy
import json
import math
import os

import numpy as np
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from test_logprob_shapes import BESIDE, FORMS, IDS, READERS, write

from recover_nb import Endpoint, InputError
from recover_nb.io.served.completions import Retokenised, Sent, Unlisted, read

EXAMPLES = int(os.environ.get("RECOVER_NB_FUZZ", "60"))
many = settings(max_examples=EXAMPLES, derandomize=True, deadline=None)

ODD = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        5,
        2**40,
        0.5,
        -0.25,
        math.nan,
        math.inf,
        -math.inf,
        10**400,
        "",
        "x",
        "-Infinity",
        "NaN",
        "token_id:3",
        "bytes:\\xff",
        "\N{REPLACEMENT CHARACTER}",
        [],
        {},
        [None],
        [[]],
        [{}],
        {"a": None},
        {"logprob": -1},
        {"7": -1.0},
        [[-1.0, 3, None]],
    ]
)


def places_of(value, before=()):
    """Yield the path of every part of a JSON value."""
    yield before
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in items:
        if isinstance(each, dict | list):
            yield from places_of(each, (*before, key))
        else:
            yield (*before, key)


def put(value, path, new):
    """Change one part: another value, taken away, or doubled."""
    kind, other = new
    if not path:
        return
    for key in path[:-1]:
        value = value[key]
    key = path[-1]
    if kind == "drop":
        del value[key]
    elif kind == "double" and isinstance(value, list):
        value.insert(key, value[key])
    else:
        value[key] = copy.deepcopy(other)


CHANGE = st.tuples(st.sampled_from(["put", "put", "put", "drop", "double"]), ODD)


@many
@given(data=st.data(), form=st.sampled_from(sorted(FORMS)), reader=st.sampled_from(sorted(READERS)))
def test_any_change_gives_a_study_or_a_sentence(tmp_path_factory, data, form, reader):
    folder = tmp_path_factory.getbasetemp() / "forms"
    folder.mkdir(exist_ok=True)
    rows = [BESIDE | json.loads(json.dumps(each)) for each in FORMS[form][:2]]
    if data.draw(st.booleans()):
        rows[0] |= {"generated_text": " a b"}
    if data.draw(st.booleans()):
        rows[0] |= copy.deepcopy(IDS)
    for _ in range(data.draw(st.integers(1, 4))):
        row = data.draw(st.sampled_from(rows))
        put(row, data.draw(st.sampled_from(list(places_of(row)))), data.draw(CHANGE))
    paths = [write(folder / f"{i}.jsonl", [row]) for i, row in enumerate(rows)]
    try:
        ds = READERS[reader](*paths, temperature=1.0, k_cov=1)
    except InputError as error:
        assert str(error)
        return
    assert isinstance(ds, xr.Dataset)
    for name in ("path_deformation", "missing_mass", "entropy"):
        if name in ds:
            assert np.isfinite(ds[name].values).all()


PIECES = st.sampled_from(["a", "b", " a", " ", "ab", "\n", "\u00e9", " \u65e5", "<s>", "aa"])
TORN = "\N{REPLACEMENT CHARACTER}"


@many
@given(
    before=st.lists(PIECES, max_size=3),
    prompt=st.lists(PIECES, min_size=1, max_size=6),
    trace=st.lists(PIECES, min_size=1, max_size=6),
    more=st.booleans(),
    asked=st.booleans(),
    counted=st.booleans(),
    split=st.sampled_from(["", "escaped", "torn", "nameless"]),
    as_ids=st.booleans(),
)
def test_an_echo_is_never_shifted(before, prompt, trace, more, asked, counted, split, as_ids):
    def torn(pieces):
        if not split:
            return list(pieces)
        out = []
        for piece in pieces:
            if piece.isascii():
                out.append(piece)
                continue
            head = piece[:-1]
            out += [head] if head else []
            for byte in piece[-1].encode():
                out.append({"escaped": f"bytes:\\x{byte:02x}", "torn": TORN, "nameless": ""}[split])
        return out

    # A token asked for is generated; one may come unasked, where servers cannot but.
    more = more or asked
    parts = [torn(each) for each in (before, prompt, trace, ["z"] if more else [])]
    # One token before ids is all that servers put there.
    if as_ids:
        parts[0] = parts[0][:1]
    names = [name for part in parts for name in part]
    own = [None, *(-0.001 * i for i in range(1, len(names)))]
    logged = {
        "tokens": names,
        "token_logprobs": own,
        "top_logprobs": [
            None,
            *({n: v, "~": -1.0} for n, v in zip(names[1:], own[1:], strict=True)),
        ],
    }
    answer = {"choices": [{"logprobs": logged}]}
    if counted:
        answer["usage"] = {"prompt_tokens": len(names) - more}
    sent = Sent("".join(prompt), "".join(trace))
    if as_ids:
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
        sent = Sent(*([numbers[name] for name in part] for part in parts[1:3]))
    endpoint = Endpoint("http://127.0.0.1:1/v1", "m", extra={"max_tokens": 1} if asked else {})
    start = len(parts[0]) + len(parts[1])
    try:
        found = read(endpoint, sent, answer)
    except (Retokenised, Unlisted):
        return
    assert found.token_logprob.tolist() == own[start : start + len(parts[2])]
