"""Generated tokens as text, and what the checker says of it. Needs torch."""

from collections.abc import Iterable, Sequence

import numpy as np

from recover_nb import tasks
from recover_nb.core.token_text import texts_of_tokens
from recover_nb.generation.decoding import Pair
from recover_nb.tasks import make_checker
from recover_nb.tasks.checkers import Checker


def trace_text(pair: Pair, tokens: Sequence[int]) -> str:
    """Return the text of generated tokens, without end-of-sequence and other special tokens."""
    return pair.tokenizer.decode(
        list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False
    )


def token_texts(pair: Pair, token_id: Iterable[int]) -> dict[int, str]:
    """Return the text of each token as it stands inside a text, by id; see `texts_of_tokens`.

    What is outside the vocabulary is passed over. Empty where the tokenizer does not decode.
    """
    inside = (token for token in token_id if 0 <= token < pair.vocab_size)
    return texts_of_tokens(pair.tokenizer, inside)


def check_traces(
    pair: Pair,
    token_id: np.ndarray,
    n_tokens: np.ndarray,
    answer: str,
    checker: str | Checker | None = None,
) -> np.ndarray:
    """Say which traces of a problem are correct.

    Parameters
    ----------
    pair : Pair
    token_id : (n, token) int
    n_tokens : (n,) int
    answer : str
        What the checker expects.
    checker : str or callable (text, answer) -> bool, optional
        See `tasks.make_checker`; that of the shipped tasks unless given.

    Returns
    -------
    (n,) bool
    """
    rule = _of_the_tasks if checker is None else make_checker(checker)
    texts = [
        trace_text(pair, tokens[:n].tolist()) for tokens, n in zip(token_id, n_tokens, strict=True)
    ]
    verdicts = {text: bool(rule(text, answer)) for text in set(texts)}
    return np.array([verdicts[text] for text in texts], dtype=bool)


def _of_the_tasks(text: str, answer: str) -> bool:
    return tasks.parse_answer(text) == answer
