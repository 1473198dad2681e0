"""Tokens of a completion by the names that a log has beside their log-probabilities."""

from recover_nb.io.lines import Row
from recover_nb.io.records import Collector


def logged_tokens(out: Collector, choice: Row, text: str) -> list[int] | None:
    """Return token ids by the names in ``logprobs``; None where they are not those of the text.

    Parameters
    ----------
    out : Collector
        Its tokenizer knows the names; it counts texts of other tokens.
    choice : Row
        A completion, with ``logprobs.content[].token``.
    text : str

    Raises
    ------
    InputError
        No list of tokens there.
    """
    logged = choice.part("logprobs", needed=False)
    if logged is None or out.tokenizer is None:
        return None
    content = logged.find("content", needed=True)[1]
    if not isinstance(content, list) or not all(isinstance(each, dict) for each in content):
        raise logged.wrong("content", content, "a list of tokens")
    vocabulary = out.tokenizer.get_vocab()
    names = [each.get("token") for each in content]
    tokens = [vocabulary[name] for name in names if isinstance(name, str) and name in vocabulary]
    written = out.tokenizer.decode(tokens, skip_special_tokens=True)
    # Some providers log other tokens than they return, or go on past the end: the text is what was
    # graded.
    if len(tokens) < len(names) or written.strip() != text.strip():
        out.count("logged_tokens_of_another_text")
        return None
    return tokens
