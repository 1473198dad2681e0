"""Names that servers give to tokens, and where a trace stands among them."""

import json

import pytest

import recover_nb as rnb
from recover_nb import Endpoint, InputError
from recover_nb.io.logprobs.token_names import Ids, Style, Token, boundaries, piece_of, style_of
from recover_nb.io.served.completions import Retokenised, Sent, Unlisted, read

TORN = "\N{REPLACEMENT CHARACTER}"
TEXT = "The sum is 7.\nDas h\u00e9\u0120 \u65e5\u672c \U0001f600 is the <eos> end"


@pytest.fixture(scope="module")
def bpe():
    """Return a byte-level tokenizer: characters beyond ASCII are several tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<eos>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(["The sum is 7.\nthe end is h", "\u00e9"] * 50, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>")


class Pieces:
    """A SentencePiece vocabulary."""

    words = ("<unk>", "<s>", "\u2581the", "the", "\u2581", "sum", "\u2581sum", "<0x0A>", "<0xE2>")

    def get_vocab(self):
        return {name: number for number, name in enumerate(self.words)}

    def get_added_vocab(self):
        return {"<s>": 1}


def told():
    said = {}
    return said, lambda name, _sentence, by=1: said.update({name: said.get(name, 0) + by})


def names_of(tokenizer, ids, form):
    """Return the names of tokens as servers of several kinds write them."""
    words = tokenizer.convert_ids_to_tokens(ids)
    if form == "words":
        return [Token(name=word) for word in words]
    if form == "ids":
        return [Token(name=f"token_id:{number}") for number in ids]
    data = [piece_of(Token(name=word), Style.BYTE_LEVEL) for word in words]
    if form == "escaped":
        return [Token(name="bytes:" + "".join(f"\\x{b:02x}" for b in each)) for each in data]
    shown = [each.decode("utf-8", "replace") for each in data]
    if form == "text and bytes":
        return [Token(name=name, data=each) for name, each in zip(shown, data, strict=True)]
    return [Token(name=name) for name in shown]


@pytest.mark.parametrize("form", ["words", "ids", "escaped", "text and bytes"])
def test_names_of_a_byte_level_vocabulary_are_its_ids(bpe, form):
    ids = bpe.encode(TEXT, add_special_tokens=False)
    assert bpe.eos_token_id in ids and len(ids) > len(set(ids)) > 20
    tokens = names_of(bpe, ids, form)
    style = style_of([each.name for each in tokens])
    assert style == (Style.BYTE_LEVEL if form == "words" else style)
    said, tell = told()
    found = Ids(bpe, tell)
    assert [found.of(each, style) for each in tokens] == ids
    assert said == {}


def test_decoded_texts_are_ids_where_they_are_whole_characters(bpe):
    ids = bpe.encode(TEXT, add_special_tokens=False)
    tokens = names_of(bpe, ids, "text")
    style = style_of([each.name for each in tokens])
    _, tell = told()
    found = [Ids(bpe, tell).of(each, style) for each in tokens]
    assert style == Style.TEXT
    wanted = [
        None if TORN in each.name else number for each, number in zip(tokens, ids, strict=True)
    ]
    assert found == wanted and None in found


def test_a_text_that_is_also_a_word_for_another_byte_is_told(bpe):
    """As a word, e acute is the byte E9; as a text it is the bytes C3 A9."""
    word = "\u00e9"
    vocabulary = bpe.get_vocab()
    assert vocabulary[word] != vocabulary["\u00c3\u00a9"]
    said, tell = told()
    assert Ids(bpe, tell).of(Token(name=word), Style.TEXT) == vocabulary["\u00c3\u00a9"]
    assert said == {"ambiguous_token_names": 1}
    assert Ids(bpe, tell).of(Token(name=word), Style.BYTE_LEVEL) == vocabulary[word]


@pytest.mark.parametrize(
    ("name", "style", "number"),
    [
        ("\u2581the", Style.PIECES, 2),
        ("the", Style.PIECES, 3),
        (" the", Style.TEXT, 2),
        ("the", Style.TEXT, 3),
        (" sum", Style.TEXT, 6),
        (" ", Style.TEXT, 4),
        ("<0x0A>", Style.PIECES, 7),
        ("\n", Style.TEXT, 7),
        ("bytes:\\xe2", Style.TEXT, 8),
        ("<s>", Style.TEXT, 1),
        ("token_id:5", Style.TEXT, 5),
        ("none", Style.TEXT, None),
        (TORN, Style.TEXT, None),
    ],
)
def test_names_of_sentencepiece(name, style, number):
    assert Ids(Pieces(), told()[1]).of(Token(name=name), style) == number


def test_without_a_tokenizer_names_are_numbered_however_they_are_written():
    names = Ids(None, told()[1])
    forms = [
        (Token(name="\u0120the"), Style.BYTE_LEVEL),
        (Token(name=" the"), Style.TEXT),
        (Token(name="\u2581the"), Style.PIECES),
        (Token(name="bytes:\\x20the"), Style.TEXT),
        (Token(name=" the", data=b" the"), Style.TEXT),
    ]
    assert [names.of(*each) for each in forms] == [0] * 5
    assert names.of(Token(name=TORN, data=b"\xe2"), Style.TEXT) == 1
    assert names.of(Token(name=TORN, data=b"\xe3"), Style.TEXT) == 2
    assert list(names.numbered) == [" the", "bytes:\\xe2", "bytes:\\xe3"]
    assert not names.mixed
    names.of(Token(7), Style.TEXT)
    assert names.mixed


#: Name -> (tokens, prompt, trace, where the trace stands).
WHERE = {
    "plain": (["Add", " 3", " ok", "."], "Add 3", " ok.", {(2, 4)}),
    "one more": (["Add", " 3", " ok", ".", " so"], "Add 3", " ok.", {(2, 4)}),
    "BOS": (["<s>", "Add", " 3", " ok", "."], "Add 3", " ok.", {(3, 5)}),
    "BOS and one more": (["<s>", "Add", " 3", " ok", ".", "x"], "Add 3", " ok.", {(3, 5)}),
    "BOS without a name": (["", "Add", " 3", " ok", "."], "Add 3", " ok.", {(3, 5)}),
    "a header": (["<s>", "<h>", "sys", "Add", " 3", " ok"], "Add 3", " ok", {(5, 6)}),
    "words": (["Add", "\u01203", "\u0120ok", "."], "Add 3", " ok.", {(2, 4)}),
    "pieces with a blank before all": (
        ["\u2581Add", "\u25813", "\u2581ok"],
        "Add 3",
        " ok",
        {(2, 3)},
    ),
    "the first blank taken away": (["Add", " 3", " ok"], " Add 3", " ok", {(2, 3)}),
    "every blank taken away": (["Add", "3", "ok", "."], "Add 3", " ok.", {(2, 4)}),
    "a new line as a byte": (["\u2581Add", "<0x0A>", "ok"], "Add\n", "ok", {(2, 3)}),
    "a character in two": (["a ", TORN, TORN, " b"], "a \u00e9", " b", {(3, 4)}),
    "in three, in the trace": (["a", " ", TORN, TORN, TORN, "c"], "a", " \u65e5c", {(1, 6)}),
    "torn and nameless": (["a", "", "", " b", "c"], "a\u00e9", " bc", {(3, 5)}),
    "bytes": (["a", "bytes:\\xc3", "bytes:\\xa9", " b"], "a\u00e9", " b", {(3, 4)}),
    "cut inside a character": (["a", "bytes:\\xc3", "bytes:\\xa9b"], "a\u00e9", "b", set()),
    "partly prompt, partly trace": (["Add", " 3 ok", "."], "Add 3", " ok.", set()),
    "another text": (["Add", " 4", " ok", "."], "Add 3", " ok.", set()),
    "nothing": ([], "a", "b", set()),
    "two readings": (["a", "a", "a", "a"], "aa", "a", {(3, 4), (2, 3)}),
}


@pytest.mark.parametrize("case", WHERE)
def test_where_a_trace_stands(case):
    names, prompt, trace, wanted = WHERE[case]
    style = style_of(names)
    pieces = [piece_of(Token(name=name), style) for name in names]
    found = boundaries(pieces, names, (prompt + trace).encode(), len(prompt.encode()))
    assert found == wanted


ECHO = Endpoint("http://127.0.0.1:1/v1", "m")
MORE = Endpoint("http://127.0.0.1:1/v1", "m", extra={"max_tokens": 1})


def answer(names, **more):
    own = [None, *(-float(i) for i in range(1, len(names)))]
    tops = [None, *({name: v, "~": -0.1} for name, v in zip(names[1:], own[1:], strict=True))]
    logged = {"tokens": names, "token_logprobs": own, "top_logprobs": tops}
    return {"choices": [{"text": "", "logprobs": logged}], **more}


@pytest.mark.parametrize("case", [case for case in WHERE if case != "nothing"])
@pytest.mark.parametrize("endpoint", [ECHO, MORE])
def test_an_echo_gives_the_traces_own_values_or_none(case, endpoint):
    names, prompt, trace, wanted = WHERE[case]
    if case == "two readings":
        # One more was asked for, or it was not: that tells them apart.
        wanted = {(2, 3)} if endpoint is MORE else {(3, 4)}
    if not wanted:
        with pytest.raises(Retokenised):
            read(endpoint, Sent(prompt, trace), answer(names))
        return
    ((start, stop),) = wanted
    found = read(endpoint, Sent(prompt, trace), answer(names))
    assert found.token_logprob.tolist() == [-float(i) for i in range(start, stop)]


#: Ids as sent: 1 2 | 3 1. Names, usage, whether one more token was asked for, first value or none.
BY_IDS = {
    "as sent": (["a", "b", "c", "a"], None, False, -2),
    "one more": (["a", "b", "c", "a", "z"], None, True, -2),
    "one more though none was asked for": (["a", "b", "c", "a", "z"], None, False, -2),
    "BOS": (["<s>", "a", "b", "c", "a"], None, False, -3),
    "BOS, and one more was asked for": (["<s>", "a", "b", "c", "a"], None, True, -3),
    "BOS and one more": (["<s>", "a", "b", "c", "a", "z"], None, True, -3),
    "counted": (["x", "x", "x", "x", "x"], 5, False, -3),
    "counted, one more": (["x", "x", "x", "x", "x"], 4, False, -2),
    "not told": (["x", "x", "x", "x", "x"], None, False, None),
    "other ids": (["token_id:1", "token_id:2", "token_id:4", "token_id:1"], None, False, None),
    "BOS by id": ([f"token_id:{i}" for i in (0, 1, 2, 3, 1)], None, True, -3),
    "one more by id": ([f"token_id:{i}" for i in (1, 2, 3, 1, 3)], None, False, -2),
    "too few": (["a", "b", "c"], None, False, None),
    "too many": (["a", "b", "c", "a", "a", "a", "a"], None, False, None),
}


@pytest.mark.parametrize("case", BY_IDS)
def test_an_echo_of_ids(case):
    names, counted, more, first = BY_IDS[case]
    usage = {} if counted is None else {"usage": {"prompt_tokens": counted}}
    endpoint = MORE if more else ECHO
    if first is None:
        with pytest.raises(Retokenised):
            read(endpoint, Sent([1, 2], [3, 1]), answer(names, **usage))
    else:
        found = read(endpoint, Sent([1, 2], [3, 1]), answer(names, **usage))
        assert found.token_logprob.tolist() == [first, first - 1]


def prompt_logprobs(ids):
    rows = [{str(i): {"logprob": -float(p), "rank": 1}} for p, i in enumerate(ids)]
    return {"choices": [{"prompt_logprobs": [None, *rows[1:]]}]}


@pytest.mark.parametrize(
    ("ids", "first"),
    [([1, 2, 3, 1], -2), ([0, 1, 2, 3, 1], -3), ([1, 3, 2, 1], None), ([9, 2, 3, 4], None)],
)
def test_prompt_logprobs_with_a_token_before_all(ids, first):
    endpoint = Endpoint("http://127.0.0.1:1/v1", "m", reply="prompt_logprobs")
    if first is None:
        with pytest.raises(Retokenised):
            read(endpoint, Sent([1, 2], [3, 1]), prompt_logprobs(ids))
    else:
        found = read(endpoint, Sent([1, 2], [3, 1]), prompt_logprobs(ids))
        assert found.token_logprob.tolist() == [first, first - 1]


def test_a_trace_without_a_prompt_has_no_first_log_probability():
    with pytest.raises(Unlisted):
        read(ECHO, Sent("", "ab"), answer(["a", "b"]))
    late = Endpoint("http://127.0.0.1:1/v1", "m", reply="echo_late")
    with pytest.raises(Unlisted):
        read(late, Sent("", "ab"), answer(["a", "b"]))
    assert read(ECHO, Sent("", "ab"), answer(["<s>", "a", "b"])).token_logprob.tolist() == [-1, -2]


# Files


def rows(tmp_path, names, text, lists=None):
    own = [-0.5] * len(names)
    tops = lists or [{name: -0.5, names[0]: -2.0} for name in names]
    logged = {"tokens": names, "token_logprobs": own, "top_logprobs": tops}
    row = {
        "problem_id": "p",
        "rollout_idx": 0,
        "is_correct": False,
        "prompt": "q",
        "choices": [{"text": text, "logprobs": logged}],
    }
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    return path


def test_torn_names_are_read_from_the_whole_text(tmp_path, bpe):
    text = "is h\u65e5 the"
    ids = bpe.encode(text, add_special_tokens=False)
    names = [each.name for each in names_of(bpe, ids, "text")]
    assert names.count(TORN) == 3
    path = rows(tmp_path, names, text)
    ds = rnb.from_openai_logprobs(path, path, tokenizer=bpe, k_cov=1)
    assert ds["token_id"].values[0, 0, 0].tolist() == ids
    # Listed names that are torn are no token: left out, and said.
    assert json.loads(ds.attrs["import_counts_json"])["unknown_listed_tokens"] == 2 * 3
    lists = [{name: -0.5, names[0]: -2.0, TORN + "x": -3.0} for name in names]
    path = rows(tmp_path, names, text, lists)
    ds = rnb.from_openai_logprobs(path, path, tokenizer=bpe, k_cov=1)
    counts = json.loads(ds.attrs["import_counts_json"])
    assert counts["unknown_listed_tokens"] == 2 * (3 + len(names))
    assert "have names that no token of the tokenizer has" in " ".join(ds.attrs["import_notes"])


def test_a_trace_that_the_tokenizer_cannot_name_keeps_its_text(tmp_path, bpe):
    path = rows(tmp_path, ["is", " the", TORN], "is the \u65e5 and more")
    ds = rnb.from_openai_logprobs(path, path, tokenizer=bpe, k_cov=1)
    assert json.loads(ds.attrs["import_counts_json"])["traces_with_unknown_tokens"] == 1
    assert ds["generated_text"].values[0, 0, 0] == "is the \u65e5 and more"
    assert "token_id" not in ds
    with pytest.raises(InputError, match="a token of the tokenizer"):
        path = rows(tmp_path, [TORN, TORN], "x")
        rnb.from_openai_logprobs(path, path, tokenizer=bpe, k_cov=1)
