"""The one decode loop. `steps` yields what it emits; `decode` only gathers it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from recover_nb.core import checks
from recover_nb.generation.decoding.batch import Batch, Proposal, Step
from recover_nb.generation.decoding.cached_model import Runner
from recover_nb.generation.decoding.operators import OPERATOR, Operator, find_operator
from recover_nb.generation.decoding.pair import Pair
from recover_nb.generation.decoding.plan import plan_batches
from recover_nb.generation.decoding.settings import SETTINGS, Settings


@dataclass(frozen=True)
class Decoded:
    """Traces of P problems x R rollouts, padded to `max_new_tokens` positions.

    Attributes
    ----------
    token_id : (P, R, token) int32
        -1 past the end; the end-of-sequence token is part of the trace.
    n_tokens : (P, R) int32
    fired_at : (P, R) int32
        First position where the operator acted, -1 = never.
    stopped : (P, R) bool
        Ended by itself, not by `max_new_tokens`.
    forward_specialist, forward_ancestor : (P, R) int32
        Positions each model had to evaluate for the row; a prompt (and a replayed prefix) counts
        once.
    signals : dict of str to (P, R, token) float32, or None
        NaN-free: 0 past the end.
    """

    token_id: np.ndarray
    n_tokens: np.ndarray
    fired_at: np.ndarray
    stopped: np.ndarray
    forward_specialist: np.ndarray
    forward_ancestor: np.ndarray
    signals: dict[str, np.ndarray] | None = None


#: What `steps` and `decode` are given.
_GIVEN = {
    "pair": checks.PAIR,
    "prompts": checks.several(checks.TEXT, "texts", least=0),
    "intervention": OPERATOR,
    "keys": checks.WHOLES,
    "rollouts": checks.WHOLES,
    "calibration": checks.CALIBRATION,
    "twins": checks.DECODED,
    "settings": SETTINGS,
    "record": checks.FLAG,
}


@checks.takes(**_GIVEN)
@torch.inference_mode()
def steps(
    pair: Pair,
    prompts: Sequence[str],
    keys: np.ndarray,
    rollouts: np.ndarray,
    intervention: str,
    settings: Settings,
    *,
    calibration=None,
    record: bool = False,
    twins: "Decoded | None" = None,
) -> Iterator[Step]:
    """Decode P problems x R rollouts under one intervention, step by step.

    Parameters
    ----------
    pair : Pair
    prompts : list of P str
    keys : (P,) uint64
        `sampling.problem_key` of each problem.
    rollouts : (R,) int
        Rollout numbers, from 0; they choose the random numbers.
    intervention : str
        A registered name.
    settings : Settings
    calibration : firing.Calibration, optional
        Of the same P problems, for operators that fire and for replay.
    record : bool
        Compute the signals of every emitted token; both models then run throughout.
    twins : Decoded, optional
        ``retry`` of the same problems and rollouts. Rows then repeat its tokens until the operator
        acts, rather than draw them again: the same tokens, but to the letter, where drawing again
        can differ by a last bit between batch shapes in about one token of a million.

    Yields
    ------
    Step
        One for each forward pass of the specialist over a batch of rows.

    Raises
    ------
    InputError
        Before any token is generated: unknown intervention, shapes that do not match, an empty
        prompt, prompt plus trace longer than the models can read, an operator that fires without a
        calibration, greedy with an operator.
    """
    operator = find_operator(intervention)
    plan = plan_batches(
        pair, prompts, keys, rollouts, operator, settings, calibration, record, twins
    )
    for batch, contexts, owner in plan:
        yield from _run(batch, contexts, owner, operator(batch), record)


def _run(
    batch: Batch, contexts: list, owner: torch.Tensor, operator: Operator, record: bool
) -> Iterator[Step]:
    """Decode one batch to its end, all rows at the same position.

    A row whose replayed prefix is longer than its neighbours' is fed that prefix up to its own
    start: this costs less than padding all rows to the longest prefix.
    """
    pair, first = batch.pair, int(batch.start.min())
    n_steps = batch.settings.max_new_tokens - first
    specialist = Runner(pair.specialist, pair, contexts, owner, n_steps)
    ancestor = Runner(pair.ancestor, pair, contexts, owner, n_steps)
    history = batch.token_id[:, first:]
    fired_at = torch.full((len(batch),), -1, device=pair.device)
    alive = torch.ones(len(batch), dtype=torch.bool, device=pair.device)
    asks = alive.clone()
    ends = torch.tensor(pair.eos_ids, device=pair.device)

    for step in range(n_steps):
        plays = alive & (batch.start <= first + step)
        if not bool(plays.any()):
            continue
        rows = plays.nonzero().squeeze(-1)
        position = torch.full_like(rows, first + step)
        # Bound, not called: a model runs only if an operator reads its logits.
        readers = (partial(_read, each, batch, history, step) for each in (specialist, ancestor))
        proposal = Proposal(batch, rows, position, fired_at[rows], *readers)
        if not record:
            asks[rows] = operator.may_ask_ancestor(proposal)
        ancestor.keep(alive & asks)
        token, acted = operator.act(proposal)
        emitted = _emit(proposal, token, acted, ends, specialist, ancestor, record)
        history[rows, step] = token
        fires = (proposal.fired_at < 0) & acted
        fired_at[rows] = torch.where(fires, position, proposal.fired_at)
        alive[rows] = ~emitted.last
        yield emitted
        if not bool(alive.any()):
            return
        specialist.keep(alive)


def _read(
    runner: Runner, batch: Batch, history: torch.Tensor, step: int, rows: torch.Tensor
) -> torch.Tensor:
    """Return a model's logits in the order of `rows`, all of which it must still hold."""
    logits = runner.logits(history, step)
    first = batch.settings.max_new_tokens - history.shape[1]
    runner.evaluated[rows] = (first + step + 1 - batch.start[rows]).int()
    if torch.equal(rows, runner.rows):
        return logits
    place = torch.full((len(history),), -1, device=logits.device)
    place[runner.rows] = torch.arange(len(runner.rows), device=logits.device)
    places = place[rows]
    if bool((places < 0).any()):
        raise RuntimeError(
            "an operator read ancestor logits of a row it had said it would not ask for"
        )
    return logits[places]


def _emit(
    proposal: Proposal,
    token: torch.Tensor,
    acted: torch.Tensor,
    ends: torch.Tensor,
    specialist: Runner,
    ancestor: Runner,
    record: bool,
) -> Step:
    batch, rows = proposal.batch, proposal.rows
    signals = None
    if record:
        signals = proposal.signals_of(token) if bool(acted.any()) else proposal.signals
    stopped = torch.isin(token, ends)
    return Step(
        batch=batch,
        rows=rows,
        problem=batch.problem[rows],
        rollout=batch.rollout[rows],
        position=proposal.position,
        token_id=token,
        acted=acted,
        last=stopped | (proposal.position == batch.settings.max_new_tokens - 1),
        stopped=stopped,
        forward_specialist=specialist.evaluated[rows],
        forward_ancestor=ancestor.evaluated[rows],
        logits=proposal.logits if record or proposal.has_logits else None,
        signals=signals,
        ancestor_logits=proposal.ancestor_logits if record else None,
    )


@checks.takes(**_GIVEN, progress=checks.COUNTED)
def decode(
    pair: Pair,
    prompts: Sequence[str],
    keys: np.ndarray,
    rollouts: np.ndarray,
    intervention: str,
    settings: Settings,
    *,
    calibration=None,
    record: bool = False,
    progress: Callable[[int], object] | None = None,
    twins: Decoded | None = None,
) -> Decoded:
    """Decode P problems x R rollouts under one intervention and gather the traces.

    Takes what `steps` takes, and `progress`, called with the number of rows finished so far.

    Returns
    -------
    Decoded
        Independent of batch size, of the order of prompts and of sharding. A replayed prefix is
        part of the trace.
    """
    shape = (len(prompts), len(rollouts))
    token_id = np.full((*shape, settings.max_new_tokens), -1, dtype=np.int32)
    n_tokens, fired_at = np.zeros(shape, np.int32), np.full(shape, -1, np.int32)
    forward_specialist, forward_ancestor = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    stopped, signals, n_done = np.zeros(shape, bool), {} if record else None, 0
    stream = steps(
        pair,
        prompts,
        keys,
        rollouts,
        intervention,
        settings,
        calibration=calibration,
        record=record,
        twins=twins,
    )
    for step in stream:
        at = step.problem.numpy(force=True), step.rollout.numpy(force=True)
        position, acted, last = (
            each.numpy(force=True) for each in (step.position, step.acted, step.last)
        )
        fired_at[at] = np.where((fired_at[at] < 0) & acted, position, fired_at[at])
        n_tokens[at] = position + 1
        stopped[at] = step.stopped.numpy(force=True)
        forward_specialist[at] = step.forward_specialist.numpy(force=True)
        forward_ancestor[at] = step.forward_ancestor.numpy(force=True)
        for name, values in (step.signals or {}).items():
            if name not in signals:
                signals[name] = np.zeros(token_id.shape, np.float32)
            signals[name][(*at, position)] = values.numpy(force=True)
        if last.any():
            token_id[at[0][last], at[1][last]] = step.trace.numpy(force=True)[last]
            n_done += int(last.sum())
            if progress:
                progress(n_done)
    return Decoded(
        token_id, n_tokens, fired_at, stopped, forward_specialist, forward_ancestor, signals
    )


def deltas(progress: Callable[[int], object]) -> Callable[[int], None]:
    """Turn `decode`'s running count into the increments that add up over many decodes."""
    before = 0

    def tell(n_done: int) -> None:
        nonlocal before
        progress(n_done - before)
        before = n_done

    return tell
