"""The tokenizer that both models share, and how far their vocabularies go together."""

from collections.abc import Mapping
from os import PathLike
from typing import Any

from transformers import AutoTokenizer

from recover_nb.core.errors import InputError
from recover_nb.generation.decoding.bounded import bounded
from recover_nb.generation.decoding.loading import plain_reason

PROBE = "Solve: 47 + 85 = 132; (a) x > y, then B?\n"


def shared_tokenizer(sources: dict[str, Any], trust_remote_code: bool) -> tuple[Any, int]:
    """Load the tokenizers of two checkpoints and return the specialist's, if they can be shared.

    Parameters
    ----------
    sources : dict of str to (str, Path or model)
        Role to where its tokenizer is; a model in memory may know its folder.
    trust_remote_code : bool

    Returns
    -------
    tokenizer
    size : int
        Entries that both have; one may have more at its end.

    Raises
    ------
    InputError
        A tokenizer that cannot be loaded, none at all, or two that differ before their ends.
    """
    found = {
        role: own_tokenizer(role, source, trust_remote_code) for role, source in sources.items()
    }
    loaded = {role: each for role, each in found.items() if each is not None}
    if not loaded:
        raise InputError(
            "models in memory do not say where their tokenizer is; pass load_pair(...,"
            " tokenizer=...)"
        )
    first = next(iter(loaded.values()))
    if len(loaded) == 2:
        check_same(loaded["specialist"], loaded["ancestor"])
    return first, min(map(entries, loaded.values()))


def own_tokenizer(role: str, source: Any, trust_remote_code: bool) -> Any:
    """Return the tokenizer that lies beside a model; None where a model in memory has none.

    Raises
    ------
    InputError
        One that cannot be loaded.
    """
    given = isinstance(source, str | PathLike)
    name = str(source) if given else getattr(source.config, "_name_or_path", "")
    if not name:
        return None
    try:
        return AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code)
    # Files of any kind may lie there, and each makes its reader raise something else.
    except Exception as error:
        if given:
            raise InputError(
                f"tokenizer of {role} {name!r} cannot be loaded: {plain_reason(error)}; copy"
                " its files again, or pass load_pair(..., tokenizer=...)"
            ) from error
        return None


def entries(tokenizer: Any) -> int:
    """Return how many rows the vocabulary of a tokenizer needs.

    Raises
    ------
    InputError
        No tokenizer of transformers.
    """
    try:
        return max(tokenizer.get_vocab().values(), default=-1) + 1
    except AttributeError:
        raise InputError(
            f"tokenizer is a {type(tokenizer).__name__}; allowed: a tokenizer of transformers, such"
            " as AutoTokenizer.from_pretrained(...)"
        ) from None


def check_same(specialist: Any, ancestor: Any) -> None:
    """Refuse two tokenizers that differ before their ends."""
    left, right = specialist.get_vocab(), ancestor.get_vocab()
    size = min(entries(specialist), entries(ancestor))
    # What one has beyond the end of the other is no difference, if it was added.
    differ = set(left.items()) ^ set(right.items())
    added = {**specialist.get_added_vocab(), **ancestor.get_added_vocab()}
    unlike = sorted(token for token, i in differ if i < size or added.get(token) != i)
    if unlike:
        raise InputError(
            f"specialist and ancestor have different tokenizers: {len(left)} and {len(right)}"
            f" tokens, {len(set(unlike))} of them unlike (first {unlike[0]!r}); they must share one"
            " (where only special tokens are named differently, pass load_pair(...,"
            " tokenizer=...))"
        )
    if specialist.encode(PROBE) != ancestor.encode(PROBE):
        raise InputError(
            f"specialist and ancestor tokenize {PROBE!r} differently with the same vocabulary; they"
            " must share one"
        )


def head_size(role: str, model: Any) -> int:
    """Return how many tokens a model has logits for.

    Raises
    ------
    InputError
        A model without a language modelling head.
    """
    head = getattr(model, "get_output_embeddings", lambda: None)()
    size = getattr(getattr(head, "weight", None), "shape", [None])[0]
    size = size or getattr(model.config.get_text_config(), "vocab_size", None)
    if not size:
        raise InputError(
            f"{role} ({type(model).__name__}) has no language modelling head; allowed: a causal"
            " language model"
        )
    return size


def shared_vocabulary(tokenizer: Any, size: int, models: dict[str, Any]) -> int:
    """Return how many tokens the tokenizer and both models have.

    A tokenizer may go beyond the models with tokens that were added to it (Gemma 3's placeholder
    for images), not with ordinary ones: it would be another model's.

    Raises
    ------
    InputError
        Naming the model that is too narrow.
    """
    widths = {role: head_size(role, model) for role, model in models.items()}
    role = min(widths, key=widths.__getitem__)
    added = set(tokenizer.get_added_vocab().values())
    ordinary = max((i for i in tokenizer.get_vocab().values() if i not in added), default=-1) + 1
    if widths[role] < ordinary:
        raise InputError(
            f"{role} has {widths[role]} logits for a tokenizer of {entries(tokenizer)} tokens; it"
            " needs at least as many as there are ordinary ones"
        )
    return min(size, widths[role])


def end_tokens(tokenizer: Any, model: Any, vocab_size: int) -> tuple[int, ...]:
    """Return every token that ends a trace, of the generation config and the tokenizer.

    `generate` obeys the former.

    Raises
    ------
    InputError
        None inside the shared vocabulary, or one beyond it that the specialist can say.
    """
    generation = getattr(model, "generation_config", None)
    given = [getattr(generation, "eos_token_id", None), getattr(tokenizer, "eos_token_id", None)]
    if given == [None, None]:
        given = [getattr(model.config, "eos_token_id", None)]
    flat = [
        one
        for item in given
        if item is not None
        for one in (item if isinstance(item, list | tuple) else [item])
    ]
    odd = [one for one in flat if not isinstance(one, int)]
    if odd:
        raise InputError(
            f"the generation config ends answers with {odd[0]!r}; allowed: numbers of tokens, in"
            " model.generation_config.eos_token_id"
        )
    beyond = sorted(one for one in flat if vocab_size <= one < head_size("specialist", model))
    if beyond:
        raise InputError(
            f"the specialist ends its answers with {named(tokenizer, beyond[0])}, which is beyond"
            f" the vocabulary of {vocab_size} that it shares with its ancestor: its traces would"
            " never end; give the ancestor a row for it (resize_token_embeddings), or set"
            " model.generation_config.eos_token_id and tokenizer.eos_token to tokens inside"
        )
    eos_ids = tuple(sorted(one for one in set(flat) if 0 <= one < vocab_size))
    if not eos_ids:
        raise InputError(
            "neither tokenizer nor generation config names an end-of-sequence token inside the"
            " vocabulary; set tokenizer.eos_token, or traces would never end"
        )
    return eos_ids


def padding_token(tokenizer: Any, vocab_size: int) -> int:
    """Return the token that fills rows up; any of the vocabulary does, as it is masked.

    Raises
    ------
    InputError
        Neither a padding token nor one that ends a sequence.
    """
    found = [getattr(tokenizer, name, None) for name in ("pad_token_id", "eos_token_id")]
    found = [each for each in found if each is not None]
    if not found:
        raise InputError(
            "the tokenizer has no padding token and no end-of-sequence token to stand in; set"
            " pad_token"
        )
    return next((each for each in found if each < vocab_size), 0)


def named(tokenizer: Any, token: int) -> str:
    """Return a token as a sentence names it: its text, then its number."""
    convert = getattr(tokenizer, "convert_ids_to_tokens", None)
    text = convert(token) if convert else None
    return f"token {text!r} ({token})" if text else f"token {token}"


def write_chat(tokenizer: Any, prompt: str, system: str, options: Mapping[str, Any]) -> list[int]:
    """Return the tokens of a prompt as one user message in the tokenizer's chat template.

    Raises
    ------
    InputError
        A template that refuses the messages, with its reason.
    """
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": prompt})
    try:
        # The template writes its own beginning of sequence: tokenizing its text again would double
        # it.
        with bounded("the template"):
            found = tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=True, return_dict=True, **options
            )
        return list(found["input_ids"])
    # Templates are programs of their own, and raise what they like.
    except Exception as error:
        advice = "leave system out" if system else "check chat_options and the template"
        raise InputError(
            f"the tokenizer's chat template cannot write prompt {prompt!r}: {plain_reason(error)};"
            f" {advice}, or set tokenizer.chat_template and pass tokenizer="
        ) from error
