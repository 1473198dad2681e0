"""Log-probabilities as serving APIs return them: lists of the likeliest tokens of both models.

Both go along the same traces.

One JSONL file per model, one line per rollout: what the API returned, with ``problem_id``,
``rollout_idx`` and (in the specialist's) ``is_correct``, ``prompt`` and ``answer`` beside it. An
answer of several completions is as many rollouts, counted on from ``rollout_idx``.
"""

import json
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import xarray as xr

from recover_nb.core import checks
from recover_nb.features.features import DEFAULT_WINDOW
from recover_nb.features.signal_reductions import DEFAULT_TEMPERATURE, DEFAULT_TOP_K
from recover_nb.io.lines import read_jsonl
from recover_nb.io.logprobs.pairs import GENERATED, PROMPT, Form, read_both
from recover_nb.io.logprobs.token_names import Ids
from recover_nb.io.records import Collector
from recover_nb.tasks.checkers import RULE

#: What both readers are given.
_GIVEN = {
    "tokenizer": checks.VOCABULARY,
    "specialist": checks.PATH,
    "ancestor": checks.PATH,
    "temperature": checks.POSITIVE,
    "top_k": checks.COUNT,
    "k_cov": checks.COUNT,
    "is_correct": RULE,
    "unit": checks.UNIT,
    "task": checks.TEXT,
    "window": checks.DRAWS,
}


@checks.takes(**_GIVEN)
def from_vllm_logprobs(
    specialist: str | PathLike,
    ancestor: str | PathLike,
    *,
    temperature: float = DEFAULT_TEMPERATURE,
    top_k: int = DEFAULT_TOP_K,
    k_cov: int | None = None,
    is_correct: str | Callable[[str, str], bool] | None = None,
    tokenizer: Any = None,
    unit: tuple[str, str] = ("imported", "imported"),
    task: str = "imported",
    window: int = DEFAULT_WINDOW,
) -> xr.Dataset:
    """Read both models' ``prompt_logprobs`` of vLLM along the same rollouts.

    Parameters
    ----------
    specialist, ancestor : path
        JSON lines: ``problem_id``, ``rollout_idx``, ``output_ids`` and ``prompt_logprobs`` over
        prompt and output (first entry null, then ``{token_id: {"logprob", "rank",
        "decoded_token"}}``), beside them or in ``choices``; the specialist's also ``is_correct``,
        ``prompt``, ``answer``, ``generated_text``. Every form of `from_openai_logprobs` is read
        too.
    temperature : float
        T at which the rollouts were sampled. vLLM returns log-probabilities at T = 1; they are
        tempered here.
    top_k, k_cov
        See `recover_nb.signals_from_topk`.
    tokenizer : optional
        See `from_openai_logprobs`; ``prompt_logprobs`` need none.
    is_correct, unit, task, window
        See `from_jsonl`.

    Returns
    -------
    Dataset
        A study with signals, ``missing_mass`` and ``missing_mass_ancestor`` (problem, rollout,
        token): the probability at T = 1 that is not in the lists; and both models' likeliest tokens
        along each problem's first failed rollout.

    Raises
    ------
    InputError
        A field that cannot be used, a rollout that the ancestor's file lacks, a list of
        ``prompt_logprobs`` that is empty or lacks the token, no rollout with lists at all.

    Notes
    -----
    docs/method.md#top-k-lists. Rollouts whose lists do not go along their tokens (another
    tokenizer), or that have an empty one, keep no signals; they are counted in
    ``import_counts_json`` and said in ``import_notes``. Memory is that of one line of each file
    where both hold the rollouts in the same order.
    """
    return _study(
        (specialist, ancestor),
        PROMPT,
        tokenizer,
        {"temperature": temperature, "top_k": top_k, "k_cov": k_cov},
        window,
        unit=unit,
        task=task,
        is_correct=is_correct,
    )


@checks.takes(**_GIVEN)
def from_openai_logprobs(
    specialist: str | PathLike,
    ancestor: str | PathLike,
    *,
    temperature: float = DEFAULT_TEMPERATURE,
    top_k: int = DEFAULT_TOP_K,
    k_cov: int | None = None,
    is_correct: str | Callable[[str, str], bool] | None = None,
    tokenizer: Any = None,
    unit: tuple[str, str] = ("imported", "imported"),
    task: str = "imported",
    window: int = DEFAULT_WINDOW,
) -> xr.Dataset:
    """Read OpenAI-style completions with ``logprobs``, and the ancestor's along the same text.

    Parameters
    ----------
    specialist : path
        JSON lines: ``problem_id``, ``rollout_idx`` and the answer of a server; ``is_correct``,
        ``prompt``, ``answer``. Read are ``choices`` with ``text`` and ``logprobs`` (``tokens``,
        ``token_logprobs``, ``top_logprobs``), those of chats (``logprobs.content``), SGLang's
        ``meta_info``, TGI's ``details``, llama.cpp's ``completion_probabilities``, and vLLM's
        ``prompt_logprobs``. The trace is what was generated, or ``output_ids`` where they are
        given; of an answer that echoes its prompt, what follows ``prompt``.
    ancestor : path
        The same lines scored by the ancestor: prompt and text sent with ``echo``; what stands
        before the text's tokens, and one token after them, is passed over.
    tokenizer : optional
        With ``get_vocab``, and better ``encode``: token names become its ids. Otherwise tokens
        that come with ids keep them, others are numbered in the order they come, and attribute
        ``vocabulary_json`` lists their names.
    temperature, top_k, k_cov, is_correct, unit, task, window
        See `from_vllm_logprobs`.

    Returns
    -------
    Dataset
        As `from_vllm_logprobs`.

    Raises
    ------
    InputError
        As `from_vllm_logprobs`.
    """
    return _study(
        (specialist, ancestor),
        GENERATED,
        tokenizer,
        {"temperature": temperature, "top_k": top_k, "k_cov": k_cov},
        window,
        unit=unit,
        task=task,
        is_correct=is_correct,
    )


def _study(
    paths: tuple[str | PathLike, str | PathLike],
    form: Form,
    tokenizer: Any,
    options: dict[str, Any],
    window: int,
    **keywords: Any,
) -> xr.Dataset:
    out = Collector(Path(paths[0]).name, form.name, **keywords)
    names = Ids(tokenizer, out.tell)
    both = [read_jsonl(Path(path), form.what, out.tell) for path in paths]
    read_both(out, both[0], both[1], paths[1], form, names, options)
    ds = out.study(window=window)
    if not names.numbered:
        return ds
    return ds.assign_attrs(vocabulary_json=json.dumps(list(names.numbered)))
