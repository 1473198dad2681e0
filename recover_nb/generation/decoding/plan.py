"""Before the loop: check what was given, and lay problems x rollouts out in batches of rows."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from recover_nb.core.errors import InputError
from recover_nb.generation.decoding.batch import Batch
from recover_nb.generation.decoding.memory import rows_that_fit
from recover_nb.generation.decoding.operators import Operator
from recover_nb.generation.decoding.pair import Pair
from recover_nb.generation.decoding.sampling import Stream, uniforms
from recover_nb.generation.decoding.settings import Settings
from recover_nb.generation.decoding.vocabulary import named

Planned = tuple[Batch, list[list[int]], torch.Tensor]


def plan_batches(
    pair: Pair,
    prompts: Sequence[str],
    keys: np.ndarray,
    rollouts: np.ndarray,
    operator: type[Operator],
    settings: Settings,
    calibration,
    record: bool,
    twins,
) -> Iterator[Planned]:
    """Check everything, then return an iterator of (batch, distinct contexts, owner of each row).

    Rows of a problem lie together, so that its prompt is read once; problems are in the order of
    their prompts' lengths, so that little is padding. Uniforms depend on neither.
    """
    keys, rollouts = np.asarray(keys, dtype=np.uint64), np.asarray(rollouts, dtype=np.int64)
    _check(prompts, keys, rollouts, operator, settings, calibration, record, twins)
    tokens = encode_prompts(pair, prompts, settings.max_new_tokens)
    order = np.argsort([len(each) for each in tokens], kind="stable")
    problem = np.repeat(order, len(rollouts))
    rollout = np.tile(np.arange(len(rollouts)), len(order))
    return _batches(
        pair, tokens, keys, rollouts, operator, settings, calibration, twins, problem, rollout
    )


def encode_prompts(pair: Pair, prompts: Sequence[str], max_new_tokens: int) -> list[list[int]]:
    """Tokenize prompts as the pair is told to, and check that prompt plus trace fits the models."""
    tokens = pair.encode(prompts)
    for prompt, each in zip(prompts, tokens, strict=True):
        if not each:
            raise InputError(f"prompt {prompt!r} has no token; a prompt needs at least one")
        if max(each) >= pair.vocab_size:
            beyond = next(one for one in each if one >= pair.vocab_size)
            raise InputError(_beyond(pair, prompt, beyond))
    longest = max(map(len, tokens), default=0)
    if pair.max_positions and longest + max_new_tokens > pair.max_positions:
        raise InputError(
            f"the longest prompt has {longest} tokens and max_new_tokens is {max_new_tokens}, but"
            f" the models read at most {pair.max_positions} positions; lower max_new_tokens to"
            f" {max(pair.max_positions - longest, 0)}"
        )
    return tokens


def _beyond(pair: Pair, prompt: str, token: int) -> str:
    """Say which token of a prompt not both models have, and what to do."""
    name = named(pair.tokenizer, token)
    advice = (
        "the chat template writes it: leave chat out, or pass load_pair(..., tokenizer=...) with a"
        " template of tokens that both have"
        if pair.chat and token not in pair.tokenizer(prompt)["input_ids"]
        else "write the prompt without it"
    )
    return (
        f"prompt {prompt!r} has {name}, outside the vocabulary of {pair.vocab_size} that tokenizer,"
        f" specialist and ancestor share; {advice}"
    )


def _check(
    prompts: Sequence[str],
    keys: np.ndarray,
    rollouts: np.ndarray,
    operator: type[Operator],
    settings: Settings,
    calibration,
    record: bool,
    twins,
) -> None:
    if keys.shape != (len(prompts),):
        raise InputError(
            f"keys have shape {keys.shape} for {len(prompts)} prompts; allowed: one key per prompt"
        )
    if rollouts.ndim != 1 or (rollouts.size and rollouts.min() < 0):
        raise InputError(
            f"rollouts {rollouts.tolist()} cannot be used; allowed: a list of numbers from 0"
        )
    if settings.temperature == 0 and (record or operator.name not in ("none", "retry")):
        raise InputError(
            f"temperature=0 (greedy) has no signals and no {operator.name!r}; allowed: none, retry"
        )
    replays = settings.anchoring == "replay" and operator.name != "none"
    if calibration is None and (operator.needs_calibration or replays):
        reason = "anchoring='replay'" if replays else f"intervention {operator.name!r}"
        raise InputError(
            f"{reason} needs a calibration; make one from recorded `none` rollouts with calibrate()"
        )
    if calibration is not None and len(calibration.threshold) != len(prompts):
        raise InputError(
            f"the calibration is of {len(calibration.threshold)} problems, but {len(prompts)} are"
            " given"
        )
    if replays and not calibration.n_failed.all():
        place = int(np.flatnonzero(calibration.n_failed == 0)[0])
        raise InputError(
            f"problem {place} has no failed rollout to replay; leave it out (Calibration.take)"
        )
    if twins is not None and operator.stream != Stream.ATTEMPTS:
        raise InputError(
            f"{operator.name!r} has random numbers of its own; only attempts can have twins"
        )
    if twins is not None and twins.token_id.shape != (
        len(prompts),
        len(rollouts),
        settings.max_new_tokens,
    ):
        wanted = (len(prompts), len(rollouts), settings.max_new_tokens)
        raise InputError(
            f"twins have shape {twins.token_id.shape}; allowed: retry of the same rows, {wanted}"
        )


def _batches(
    pair: Pair,
    tokens: list[list[int]],
    keys: np.ndarray,
    rollouts: np.ndarray,
    operator: type[Operator],
    settings: Settings,
    calibration,
    twins,
    problem: np.ndarray,
    rollout: np.ndarray,
) -> Iterator[Planned]:
    replays = settings.anchoring == "replay" and operator.name != "none"
    for rows in _rows_together(pair, np.array([len(tokens[p]) for p in problem]), settings):
        p, r = problem[rows], rollout[rows]
        fields = {} if calibration is None else calibration.rows(p, rollouts[r], pair.device)
        u, own_u = (
            torch.from_numpy(row_uniforms(settings.seed, stream, keys[p], rollouts[r], n)).to(
                pair.device
            )
            for stream, n in ((operator.stream, settings.max_new_tokens), (Stream.OPERATOR, 2))
        )
        prefix = torch.full((len(p), settings.max_new_tokens), -1, device=pair.device)
        start = torch.zeros(len(p), dtype=torch.int64, device=pair.device)
        if replays:
            start, prefix = _replayed(operator, fields, own_u, prefix)
        follow = (
            None if twins is None else torch.from_numpy(twins.token_id[p, r]).long().to(pair.device)
        )
        batch = Batch(
            pair,
            settings,
            *(torch.from_numpy(each).to(pair.device) for each in (p, r, rollouts[r])),
            u=u,
            own_u=own_u,
            start=start,
            token_id=prefix,
            calibration=fields,
            follow=follow,
            prompts=tokens,
        )
        yield batch, *_contexts(batch, tokens)


def _rows_together(pair: Pair, lengths: np.ndarray, settings: Settings) -> Iterator[slice]:
    """Yield the rows of each batch, given the lengths (N,) of their prompts in rising order."""
    size, first = rows_that_fit(pair, settings.batch_size), 0
    while first < len(lengths):
        last = min(first + size, len(lengths))
        if not pair.reads_padded:
            last = int(np.searchsorted(lengths[:last], lengths[first], side="right"))
        yield slice(first, last)
        first = last


def row_uniforms(
    seed: int, stream: int, keys: np.ndarray, rollouts: np.ndarray, n_steps: int
) -> np.ndarray:
    """One row of `uniforms` for each (key, rollout) of a batch, (B, n_steps)."""
    draws = [
        uniforms(seed, stream, keys[i : i + 1], rollouts[i : i + 1], n_steps)[0]
        for i in range(len(keys))
    ]
    return np.concatenate(draws)


def _replayed(
    operator: type[Operator],
    fields: dict[str, torch.Tensor],
    own_u: torch.Tensor,
    prefix: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return where decoding takes over, and the failed tokens before it (-1 from there on)."""
    start = operator.first_position(fields["junction"], fields, own_u)
    before = torch.arange(prefix.shape[1], device=prefix.device) < start[:, None]
    return start, torch.where(before, fields["failed_token_id"][:, : prefix.shape[1]], prefix)


def _contexts(batch: Batch, tokens: list[list[int]]) -> tuple[list[list[int]], torch.Tensor]:
    """Return the distinct token sequences the rows continue, and which one each row continues.

    Of a replayed prefix they hold what all rows of the batch have: the loop begins where the first
    row begins.
    """
    replayed = batch.token_id[:, : int(batch.start.min())].tolist()
    contexts: dict[tuple[int, ...], int] = {}
    owner = [
        contexts.setdefault((*tokens[p], *prefix), len(contexts))
        for p, prefix in zip(batch.problem.tolist(), replayed, strict=True)
    ]
    return [list(context) for context in contexts], torch.tensor(owner, device=batch.pair.device)
