"""Signals of finished traces, by a teacher-forced pass: what the loop records, recomputed."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from recover_nb.core.errors import InputError
from recover_nb.features.signals import signals_in_chunks
from recover_nb.features.steps import TokenNumbers
from recover_nb.generation.decoding.cached_model import Forward, pad_left
from recover_nb.generation.decoding.pair import Pair
from recover_nb.generation.decoding.plan import encode_prompts
from recover_nb.generation.decoding.settings import Settings

DEFAULT_MAX_BYTES = 2**28


@torch.inference_mode()
def score_traces(
    pair: Pair,
    prompts: Sequence[str],
    token_id: np.ndarray,
    n_tokens: np.ndarray,
    settings: Settings,
    *,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> dict[str, np.ndarray]:
    """Compute the signals of every token of finished traces.

    Parameters
    ----------
    pair : Pair
    prompts : list of P str
    token_id : (P, R, token) int
        Traces; what lies past `n_tokens` is ignored.
    n_tokens : (P, R) int
        0 = not run.
    settings : Settings
        `temperature`, `top_k`, `k_cov` and `batch_size` are read.
    max_bytes : int
        Budget of the logits held at a time; a batch is as many traces as fit, at least one.

    Returns
    -------
    dict of str to (P, R, token) float32
        The six signals and ``path_score``; 0 past the end. Equal to what ``decode(record=True)``
        records up to float32 rounding (1e-4).

    Raises
    ------
    InputError
        Shapes that do not match, a token outside the vocabulary, traces too long for the models.
    """
    token_id, n_tokens = np.asarray(token_id), np.asarray(n_tokens)
    _check(prompts, token_id, n_tokens, pair.vocab_size)
    contexts = encode_prompts(pair, prompts, int(n_tokens.max(initial=0)))
    forwards = [Forward(model, pair) for model in (pair.specialist, pair.ancestor)]
    signals: dict[str, np.ndarray] = {}
    for problem, rollout in _batches(contexts, n_tokens, settings.batch_size, max_bytes, pair):
        traces = [token_id[p, r, : n_tokens[p, r]] for p, r in zip(problem, rollout, strict=True)]
        values = _score([contexts[p] for p in problem], traces, forwards, settings, max_bytes)
        lengths = n_tokens[problem, rollout]
        where = np.repeat(problem, lengths), np.repeat(rollout, lengths)
        position = np.concatenate([np.arange(n) for n in lengths])
        for name, each in values.items():
            signals.setdefault(name, np.zeros(token_id.shape, np.float32))[(*where, position)] = (
                each
            )
    return signals


@torch.inference_mode()
def top_alternatives(
    pair: Pair,
    prompts: Sequence[str],
    token_id: np.ndarray,
    n_tokens: np.ndarray,
    *,
    k: int = 5,
    batch_size: int = 256,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the tokens that each model finds likeliest at every place of finished traces.

    Parameters
    ----------
    pair : Pair
    prompts : list of P str
    token_id : (P, token) int
        One trace a prompt; what lies past `n_tokens` is ignored.
    n_tokens : (P,) int
        0 = no trace.
    k : int
        How many; the vocabulary is the limit.
    batch_size, max_bytes : int
        Most traces read together, and the budget of the logits held at a time.

    Returns
    -------
    token_id : (P, token, 2, k) int32
        Specialist, then ancestor; the likeliest first. -1 past the end, and beyond a vocabulary
        smaller than k.
    log_probability : (P, token, 2, k) float32
        At temperature 1, nat; 0 where there is no token.

    Raises
    ------
    InputError
        As for `score_traces`.
    """
    token_id, n_tokens = np.asarray(token_id)[:, None], np.asarray(n_tokens)[:, None]
    _check(prompts, token_id, n_tokens, pair.vocab_size)
    contexts = encode_prompts(pair, prompts, int(n_tokens.max(initial=0)))
    forwards = [Forward(model, pair) for model in (pair.specialist, pair.ancestor)]
    shape = (len(prompts), token_id.shape[-1], len(forwards), k)
    tokens, values = np.full(shape, -1, np.int32), np.zeros(shape, np.float32)
    for problem, _ in _batches(contexts, n_tokens, batch_size, max_bytes, pair):
        traces = [token_id[p, 0, : n_tokens[p, 0]] for p in problem]
        lengths = n_tokens[problem, 0]
        where = np.repeat(problem, lengths), np.concatenate([np.arange(n) for n in lengths])
        for m, logits in enumerate(_logits([contexts[p] for p in problem], traces, forwards)):
            found = logits.log_softmax(-1).topk(min(k, pair.vocab_size))
            tokens[(*where, m, slice(0, found.indices.shape[-1]))] = found.indices.numpy(force=True)
            values[(*where, m, slice(0, found.values.shape[-1]))] = found.values.numpy(force=True)
    return tokens, values


@torch.inference_mode()
def token_numbers(
    pair: Pair,
    prompts: Sequence[str],
    token_id: np.ndarray,
    n_tokens: np.ndarray,
    temperature: float,
    *,
    batch_size: int = 256,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> TokenNumbers:
    """Return what both models say of every token of finished traces, at one temperature.

    Parameters
    ----------
    pair : Pair
    prompts : list of P str
    token_id : (P, R, token) int
    n_tokens : (P, R) int
        0 = not run.
    temperature : float
        Above 0.
    batch_size, max_bytes : int
        As for `top_alternatives`.

    Returns
    -------
    TokenNumbers
        Arrays (P, R, token) float32; 0 past the end.

    Raises
    ------
    InputError
        As for `score_traces`.
    """
    token_id, n_tokens = np.asarray(token_id), np.asarray(n_tokens)
    _check(prompts, token_id, n_tokens, pair.vocab_size)
    contexts = encode_prompts(pair, prompts, int(n_tokens.max(initial=0)))
    forwards = [Forward(model, pair) for model in (pair.specialist, pair.ancestor)]
    found = TokenNumbers(*(np.zeros(token_id.shape, np.float32) for _ in TokenNumbers._fields))
    for problem, rollout in _batches(contexts, n_tokens, batch_size, max_bytes, pair):
        traces = [token_id[p, r, : n_tokens[p, r]] for p, r in zip(problem, rollout, strict=True)]
        lengths = n_tokens[problem, rollout]
        position = np.concatenate([np.arange(n) for n in lengths])
        where = np.repeat(problem, lengths), np.repeat(rollout, lengths), position
        own, other = (
            (logits / temperature).log_softmax(-1)
            for logits in _logits([contexts[p] for p in problem], traces, forwards)
        )
        token = torch.from_numpy(np.concatenate(traces).astype(np.int64)).to(own.device)[:, None]
        values = (
            own.gather(-1, token)[:, 0],
            other.gather(-1, token)[:, 0],
            torch.special.entr(own.exp()).sum(-1),
            (own.exp() * (own - other)).sum(-1).clamp(min=0),
        )
        for out, each in zip(found, values, strict=True):
            out[where] = each.numpy(force=True)
    return found


def _check(
    prompts: Sequence[str], token_id: np.ndarray, n_tokens: np.ndarray, vocab_size: int
) -> None:
    if token_id.ndim != 3 or n_tokens.shape != token_id.shape[:2] or len(prompts) != len(token_id):
        raise InputError(
            f"token_id has shape {token_id.shape}, n_tokens {n_tokens.shape} for {len(prompts)}"
            " prompts; allowed: (P, R, token) and (P, R) for P prompts"
        )
    inside = np.arange(token_id.shape[-1]) < n_tokens[..., None]
    if inside.any() and not 0 <= token_id[inside].min() <= token_id[inside].max() < vocab_size:
        low, high = token_id[inside].min(), token_id[inside].max()
        raise InputError(f"traces have tokens {low} to {high}; allowed: 0 to {vocab_size - 1}")


def _batches(
    contexts: list[list[int]],
    n_tokens: np.ndarray,
    batch_size: int,
    max_bytes: int,
    pair: Pair,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (problem, rollout) of traces of like length, as many as the budget of logits allows."""
    problem, rollout = np.nonzero(n_tokens)
    lengths = n_tokens[problem, rollout]
    total = lengths + np.array([len(context) for context in contexts])[problem]
    order = np.lexsort((problem, total))
    problem, rollout, total = problem[order], rollout[order], total[order]
    first = 0
    while first < len(problem):
        last = min(first + batch_size, len(total))
        if not pair.reads_padded:
            last = int(np.searchsorted(total[:last], total[first], side="right"))
        # Both models' logits in float32; the longest trace ahead bounds the padding.
        fits = max(1, max_bytes // (8 * pair.vocab_size * int(total[last - 1])))
        last = min(last, first + fits)
        yield problem[first:last], rollout[first:last]
        first = last


def _logits(
    contexts: list[list[int]], traces: list[np.ndarray], forwards: list[Forward]
) -> list[torch.Tensor]:
    """Return each model's raw logits (N, V) of all tokens of the traces, one after the other."""
    pair = forwards[0].pair
    # The last token is predicted, never read. Padding on the left lines up the ends.
    ids, mask = pad_left(
        [[*context, *trace[:-1]] for context, trace in zip(contexts, traces, strict=True)],
        pair.pad_id,
    )
    ids, mask = ids.to(pair.device), mask.to(pair.device)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    keep = max(map(len, traces))
    lengths = torch.tensor([len(trace) for trace in traces], device=pair.device)
    inside = torch.arange(keep, device=pair.device) >= keep - lengths[:, None]
    return [forward(ids, mask, positions, keep=keep)[inside] for forward in forwards]


def _score(
    contexts: list[list[int]],
    traces: list[np.ndarray],
    forwards: list[Forward],
    settings: Settings,
    max_bytes: int,
) -> dict[str, np.ndarray]:
    """Return the signals of all tokens of the traces, one trace after the other, each (N,)."""
    logits_s, logits_a = _logits(contexts, traces, forwards)
    token = torch.from_numpy(np.concatenate(traces).astype(np.int64)).to(logits_s.device)
    values = signals_in_chunks(
        logits_s,
        logits_a,
        token,
        temperature=settings.temperature,
        top_k=settings.top_k,
        k_cov=settings.k_cov,
        max_bytes=max_bytes,
    )
    return {name: each.numpy(force=True) for name, each in values.items()}
