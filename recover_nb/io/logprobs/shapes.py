"""The forms in which servers give log-probabilities, read into one: tokens, own values, lists."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from recover_nb.core.errors import InputError
from recover_nb.features.signal_reductions import LOG_FLOOR
from recover_nb.io.lines import Row
from recover_nb.io.logprobs.token_names import Token

#: Rounding of stored log-probabilities may leave them a little above 0.
SLACK = 1e-2
#: What servers write for a probability of 0.
_NEVER = ("-infinity", "-inf")
#: Parts of an answer in which one may be wrapped: a batch's line, a log of requests.
WRAPPERS = ("response", "body", "output")
FORMS = "prompt_logprobs, choices with logprobs, meta_info, details, completion_probabilities"

Pair = tuple[Token, float]
Reader = Callable[[Row, Any], Iterator[Pair]]


@dataclass
class Logged:
    """Log-probabilities along one sequence.

    Attributes
    ----------
    row : Row
        Where they stand.
    tokens : list of Token or None
        None where the answer does not say which token came: vLLM's ``prompt_logprobs``.
    own : list of float or None
        Log-probability of each token; None where there is none.
    raw : list
        Lists as they are in the file; `listed` reads one.
    reader : callable
    generated : int or None
        How many at the end were generated, where the answer says so.
    sampled : bool
        Probabilities of the sampler, after its temperature and cuts.
    """

    row: Row
    tokens: list[Token | None]
    own: list[float | None]
    raw: list[Any]
    reader: Reader
    generated: int | None = None
    sampled: bool = False

    def listed(self, place: int) -> Iterator[Pair]:
        """Yield the tokens listed at a place with their log-probabilities."""
        return self.reader(self.row, self.raw[place])


def log_probability(row: Row, name: str, value: Any) -> float:
    """Return a stored log-probability, from -1000 (which stands for never) to 0.

    Raises
    ------
    InputError
        No number, NaN, or above 0 by more than rounding.
    """
    if type(value) is float and LOG_FLOOR <= value <= 0:  # nearly all of them
        return value
    if isinstance(value, str) and value.strip().lower() in _NEVER:
        return LOG_FLOOR
    # A NaN equals nothing; asking in another way would stumble over whole numbers without end.
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise row.wrong(name, value, "a finite number")
    if value > SLACK:
        raise row.wrong(name, value, "a log-probability, 0 or less")
    return float(max(min(value, 0), LOG_FLOOR))


def unwrapped(row: Row) -> Row:
    """Return the answer of a server in a row that may hold it under another name."""
    for name in WRAPPERS:
        inner = row.values.get(name)
        if isinstance(inner, dict) and not (_is_answer(row.values)):
            row = Row(f"{row.where}, {name}", inner)
    return row


def _is_answer(values: dict[str, Any]) -> bool:
    names = ("choices", "prompt_logprobs", "meta_info", "details", "completion_probabilities")
    return any(values.get(name) is not None for name in names)


def choices_of(row: Row) -> list[Row]:
    """Return the completions of an answer in their order; the answer itself where it has one.

    Raises
    ------
    InputError
        ``choices`` that is no list of objects, or an empty one.
    """
    choices = row.values.get("choices")
    if choices is None:
        return [row]
    good = isinstance(choices, list) and choices and all(isinstance(c, dict) for c in choices)
    if not good:
        raise row.wrong("choices", choices, "a list with one completion or more")
    order = [choice.get("index") for choice in choices]
    if all(type(i) is int for i in order) and sorted(order) == list(range(len(order))):
        choices = sorted(choices, key=lambda choice: choice["index"])
    many = len(choices) > 1
    return [
        Row(f"{row.where}, choices{f'[{i}]' if many else ''}", choice)
        for i, choice in enumerate(choices)
    ]


def prompt_part(row: Row, choice: Row) -> Logged | None:
    """Return vLLM's ``prompt_logprobs``, of the answer or of its completion."""
    home = choice if choice.values.get("prompt_logprobs") is not None else row
    entries = home.values.get("prompt_logprobs")
    if entries is None:
        return None
    if not isinstance(entries, list):
        raise home.wrong(
            "prompt_logprobs", entries, "a list with one entry per token, the first null"
        )
    nothing: list[Any] = [None] * len(entries)
    return Logged(home, nothing, list(nothing), entries, _by_id, generated=0)


def own_part(row: Row, choice: Row) -> Logged | None:
    """Return log-probabilities of named tokens: generated ones, or a prompt sent with ``echo``."""
    if isinstance(row.values.get("meta_info"), dict):
        return _sglang(row.part("meta_info"))
    if isinstance(row.values.get("details"), dict):
        return _tgi(row.part("details"))
    if row.values.get("completion_probabilities") is not None:
        return _llama_cpp(row, "completion_probabilities")
    logged = choice.values.get("logprobs")
    if logged is None and isinstance(choice.values.get("probs"), list):
        return _llama_cpp(choice, "probs")
    if isinstance(logged, list):
        return _chat(choice, "logprobs", logged)
    if logged is None:
        return None
    part = choice.part("logprobs")
    if part.values.get("content") is not None:
        return _chat(part, "content", part.values["content"])
    if part.values.get("tokens") is None and part.values.get("refusal") is not None:
        return _chat(part, "refusal", part.values["refusal"])
    return _completion(part)


def _completion(row: Row) -> Logged:
    names, own = (row.find(name, needed=True)[1] for name in ("tokens", "token_logprobs"))
    lists = row.find("top_logprobs")[1]
    if isinstance(names, list) and lists is None:
        lists = [None] * len(names)
    for name, value in (("tokens", names), ("token_logprobs", own), ("top_logprobs", lists)):
        if not isinstance(value, list) or len(value) != len(names):
            raise row.wrong(name, value, "a list with one entry per token")
    for name in names:
        if not isinstance(name, str):
            raise row.wrong("tokens", name, "texts")
    values = [None if v is None else log_probability(row, "token_logprobs", v) for v in own]
    return Logged(row, [Token(name=name) for name in names], values, lists, _by_name)


def _chat(row: Row, name: str, content: Any) -> Logged:
    entries = _objects(row, name, content)
    tokens = [_token(row, name, each) for each in entries]
    own = [_value(row, each) for each in entries]
    lists = [each.get("top_logprobs") for each in entries]
    return Logged(row, [*tokens], own, lists, _by_object, generated=len(tokens))


def _sglang(row: Row) -> Logged:
    tokens, own, lists, n = [], [], [], 0
    for side in ("input", "output"):
        entries = row.values.get(f"{side}_token_logprobs") or []
        tops = row.values.get(f"{side}_top_logprobs") or []
        for name, value in (("token", entries), ("top", tops)):
            if not isinstance(value, list):
                raise row.wrong(f"{side}_{name}_logprobs", value, "a list with one entry per token")
        if tops and len(tops) != len(entries):
            raise row.wrong(f"{side}_top_logprobs", len(tops), "as long as the list of tokens")
        pairs = [_triple(row, f"{side}_token_logprobs", each) for each in entries]
        tokens += [token for token, _ in pairs]
        own += [value for _, value in pairs]
        lists += tops or [None] * len(entries)
        n = len(entries)
    if not tokens:
        known = ", ".join(map(str, row.values)) or "nothing"
        raise InputError(
            f"{row.where} has no 'input_token_logprobs' or 'output_token_logprobs'; it has {known};"
            " ask with return_logprob"
        )
    return Logged(row, [*tokens], own, lists, _by_triple, generated=n)


def _tgi(row: Row) -> Logged:
    before, after = (
        _objects(row, name, row.values.get(name) or []) for name in ("prefill", "tokens")
    )
    tops = row.values.get("top_tokens") or []
    if not isinstance(tops, list) or (tops and len(tops) != len(after)):
        raise row.wrong("top_tokens", tops, "a list with one entry per token of 'tokens'")
    entries = [*before, *after]
    if not entries:
        raise InputError(f"{row.where} has no 'tokens'; ask with details and top_n_tokens")
    tokens = [_token(row, "tokens", each) for each in entries]
    own = [_value(row, each) for each in entries]
    lists = [[]] * len(before) + (tops or [None] * len(after))
    return Logged(row, [*tokens], own, lists, _by_object, generated=len(after))


def _llama_cpp(row: Row, name: str) -> Logged:
    entries = _objects(row, name, row.values[name])
    tokens = [_token(row, name, each) for each in entries]
    own, lists, sampled = [], [], False
    for each, token in zip(entries, tokens, strict=True):
        found = next((key for key in ("top_logprobs", "top_probs", "probs") if key in each), "")
        lists.append(each.get(found))
        sampled |= found in ("top_probs", "probs")
        value = _value(row, each)
        if value is None:
            # Older servers give a token's own probability in its list alone.
            pairs = ((other.name, v) for other, v in _by_object(row, lists[-1]))
            value = next((v for other, v in pairs if other == token.name), None)
        own.append(value)
    return Logged(row, [*tokens], own, lists, _by_object, len(tokens), sampled)


def _objects(row: Row, name: str, value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise row.wrong(name, value, "a list of objects, one per token")
    return value


def _token(row: Row, name: str, given: dict[str, Any]) -> Token:
    """Return the token of an object: by id where it has one, else by name and bytes."""
    shown = next((given[k] for k in ("token", "text", "tok_str", "content") if k in given), None)
    number, data = given.get("id"), given.get("bytes")
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 2**31:
        number = None
    if shown is not None and not isinstance(shown, str):
        raise row.wrong(name, shown, "texts")
    if shown is None and number is None:
        raise row.wrong(name, given, "objects with a token")
    good = isinstance(data, list) and all(type(b) is int and 0 <= b < 256 for b in data)
    return Token(number, shown, bytes(data) if good and data else None)


def _value(row: Row, given: dict[str, Any]) -> float | None:
    if given.get("logprob") is not None:
        return log_probability(row, "logprob", given["logprob"])
    probability = given.get("prob")
    if probability is None:
        return None
    number = isinstance(probability, int | float) and not isinstance(probability, bool)
    if not number or not 0 <= probability <= 1 + SLACK:
        raise row.wrong("prob", probability, "a probability, from 0 to 1")
    return max(math.log(min(probability, 1)), LOG_FLOOR) if probability else LOG_FLOOR


def _triple(row: Row, name: str, entry: Any) -> tuple[Token, float | None]:
    """Return token and log-probability of SGLang's [log-probability, id, text]."""
    good = isinstance(entry, list) and len(entry) in (2, 3) and type(entry[1]) is int
    if not good or not 0 <= entry[1] < 2**31:
        raise row.wrong(name, entry, "[log-probability, token id, text]")
    return Token(entry[1]), None if entry[0] is None else log_probability(row, name, entry[0])


def _by_id(row: Row, entry: Any) -> Iterator[Pair]:
    if not isinstance(entry, dict) or not entry:
        raise row.wrong(
            "prompt_logprobs", entry, "objects of token_id to logprob from the second entry on"
        )
    for name, value in entry.items():
        known = name.isascii() and name.isdecimal() and len(name) < 11
        if not known or not isinstance(value, dict | float | int) or int(name) >= 2**31:
            raise row.wrong(
                "prompt_logprobs",
                {name: value},
                "objects of token_id to {logprob, rank, decoded_token}",
            )
        inner = value
        if isinstance(value, dict):
            where = Row(f"{row.where}, prompt_logprobs", value)
            inner = where.find("logprob", needed=True)[1]
        yield Token(int(name)), log_probability(row, "logprob", inner)


def _by_name(row: Row, listed: Any) -> Iterator[Pair]:
    if isinstance(listed, list) and listed and all(isinstance(each, dict) for each in listed):
        yield from _by_object(row, listed)
        return
    if listed is not None and not isinstance(listed, dict) and listed != []:
        raise row.wrong("top_logprobs", listed, "objects of token to log-probability")
    for name, value in (listed or {}).items() if isinstance(listed, dict) else ():
        yield Token(name=name), log_probability(row, name, value)


def _by_object(row: Row, listed: Any) -> Iterator[Pair]:
    for each in _objects(row, "top_logprobs", [] if listed is None else listed):
        value = _value(row, each)
        if value is None:
            raise row.wrong("top_logprobs", each, "objects with a token and its logprob")
        yield _token(row, "top_logprobs", each), value


def _by_triple(row: Row, listed: Any) -> Iterator[Pair]:
    if listed is not None and not isinstance(listed, list):
        raise row.wrong("top_logprobs", listed, "a list of [log-probability, token id, text]")
    for each in listed or []:
        token, value = _triple(row, "top_logprobs", each)
        if value is not None:
            yield token, value


def per_choice(row: Row, name: str, n: int) -> list[Any]:
    """Return a row's value for each of its completions; of several only a list of as many is."""
    value = row.values.get(name)
    if n == 1:
        return [value]
    return value if isinstance(value, list) and len(value) == n else [None] * n
