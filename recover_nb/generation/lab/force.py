"""Ask a specialist token by token, and force a cue where a monitor doubts.

docs/method.md#20-cues. A forced attempt is a retry up to the place where the monitor doubts: there
the cue is replaced, and the specialist goes on from there.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from recover_nb import tasks
from recover_nb.core.checkpoints import checkpoint_hash
from recover_nb.core.labels import Cue
from recover_nb.generation.decoding import Settings, decode, problem_key
from recover_nb.generation.decoding.teacher_forced import top_alternatives
from recover_nb.generation.generate import round_mantissa
from recover_nb.generation.lab.evaluate import right_of, texts_of
from recover_nb.generation.lineage import load_lineage
from recover_nb.prediction.monitor_features import CUES, DOUBT, Monitor, Traces
from recover_nb.prediction.monitor_result import FORCED
from recover_nb.tasks.cues import MARKS

__all__ = ["ask", "checkpoint_hash", "force", "load"]

SIGNALS = ("entropy", "kl_divergence")
#: Mantissa bits of a stored signal: a relative error below 1 %.
_BITS = 6
#: Most places of an attempt at which a cue is forced; no trace has more steps.
_MOST = 10


def load(family: str, method: str, lab: Any) -> Any:
    """Return a specialist with its ancestor, on one thread: sums are then taken in one order."""
    torch.set_num_threads(1)
    return load_lineage(family, method, root=lab)


def ask(
    pair: Any, family: str, method: str, problems: Sequence[tasks.Problem], plan: Any
) -> dict[str, np.ndarray]:
    """Return the rollouts of problems: arrays (problem, rollout) and (problem, rollout, token)."""
    keys = [problem_key(family, method, each.task, each.problem_id) for each in problems]
    decoded = decode(
        pair,
        [each.prompt for each in problems],
        np.array(keys, dtype=np.uint64),
        np.arange(plan.n_rollouts),
        "none",
        _settings(plan, plan.seed),
        record=True,
    )
    found = _kept(pair, decoded)
    texts = texts_of(pair.tokenizer, decoded.token_id)
    return {"correct": right_of(problems, texts).astype(np.int8), **found}


def _settings(plan: Any, seed: int) -> Settings:
    return Settings(
        temperature=plan.temperature,
        max_new_tokens=plan.max_new_tokens,
        seed=seed,
        batch_size=512,
    )


def _kept(pair: Any, decoded: Any) -> dict[str, np.ndarray]:
    signals = {
        name: round_mantissa(decoded.signals[name].astype(np.float32), _BITS) for name in SIGNALS
    }
    token_id = decoded.token_id.astype(np.int16)
    n_tokens = decoded.n_tokens.astype(np.int16)
    return {"n_tokens": n_tokens, "token_id": token_id, "cue": cues_of(pair, token_id), **signals}


def cues_of(pair: Any, token_id: np.ndarray) -> np.ndarray:
    """Return which cue each token is, its place in `CUES`, int8; -1 for other tokens."""
    found = np.full(token_id.shape, -1, np.int8)
    for at, cue in enumerate(CUES):
        found[token_id == token_of(pair, cue)] = at
    return found


def token_of(pair: Any, cue: Cue) -> int:
    """Return the token of a cue."""
    return int(pair.tokenizer(MARKS[cue])["input_ids"][0])


def force(
    pair: Any,
    family: str,
    problems: Sequence[tasks.Problem],
    rows: dict[str, np.ndarray],
    fit: Monitor,
    arm: str,
    plan: Any,
) -> dict[str, np.ndarray]:
    """Return attempts that are retries until the monitor doubts at a doubtful cue.

    ``force_cue`` writes the likeliest other cue there, ``redraw`` draws the cue anew; both go on
    from there, until the monitor doubts at a later one.

    Parameters
    ----------
    rows : dict of str to array
        The retries, as `ask` returns them.

    Returns
    -------
    dict
        ``correct`` and ``n_tokens`` (problem, attempt).
    """
    shape = rows["correct"].shape
    width = rows["entropy"].shape[-1]
    owner = np.repeat(np.arange(len(problems)), shape[1])
    held = {
        name: rows[name].reshape(-1, width).copy() for name in ("token_id", "cue", *SIGNALS)
    } | {"n_tokens": rows["n_tokens"].ravel().copy()}
    task = problems[0].task if problems else ""
    after = np.full(len(owner), -1)
    for turn in range(_MOST):
        place = doubted(fit, held, f"{family}|{task}", after, plan.threshold)
        todo = np.flatnonzero(place >= 0)
        if not len(todo):
            break
        prompts = [problems[owner[row]].prompt for row in todo]
        starts = [held["token_id"][row, : place[row]].tolist() for row in todo]
        if arm == FORCED:
            chosen = _likeliest_kind(pair, prompts, held, todo, place)
            starts = [[*start, token] for start, token in zip(starts, chosen, strict=True)]
        keys = [
            problem_key(
                f"{family}-{arm}", str(turn), f"{row % shape[1]}", problems[owner[row]].problem_id
            )
            for row in todo
        ]
        _go_on(pair, prompts, starts, keys, todo, held, plan)
        after[todo] = place[todo]
    texts = texts_of(pair.tokenizer, held["token_id"].astype(np.int32))
    return {
        "correct": right_of(problems, texts.reshape(shape)).astype(np.int8),
        "n_tokens": held["n_tokens"].astype(np.int16).reshape(shape),
    }


def doubted(
    fit: Monitor, held: dict[str, np.ndarray], cell: str, after: np.ndarray, threshold: float
) -> np.ndarray:
    """Return the first place after `after` with a `?` that the monitor doubts, (trace,); or -1."""
    n = len(after)
    traces = Traces(
        np.zeros(n, bool),
        held["n_tokens"].astype(int),
        held["entropy"],
        held["kl_divergence"],
        held["cue"],
        np.repeat(cell, n),
        np.repeat("", n),
    )
    place = np.arange(held["cue"].shape[1])
    hits = (fit.score(traces) > threshold) & (held["cue"] == DOUBT) & (place > after[:, None])
    return np.where(hits.any(axis=1), hits.argmax(axis=1), -1)


def _likeliest_kind(
    pair: Any, prompts: list[str], held: dict, todo: np.ndarray, place: np.ndarray
) -> list[int]:
    """Return the token of the likeliest cue but `doubt` at each place."""
    tokens, values = top_alternatives(
        pair, prompts, held["token_id"][todo], (place[todo] + 1).astype(int), k=pair.vocab_size
    )
    rows = np.arange(len(todo))
    tokens, values = tokens[rows, place[todo], 0], values[rows, place[todo], 0]
    kinds = [token_of(pair, cue) for cue in CUES if cue is not Cue.DOUBT]
    of_kind = np.isin(tokens, kinds)
    return tokens[rows, np.where(of_kind, values, -np.inf).argmax(axis=1)].tolist()


def _go_on(
    pair: Any,
    prompts: list[str],
    starts: list[list[int]],
    keys: list[int],
    todo: np.ndarray,
    held: dict[str, np.ndarray],
    plan: Any,
) -> None:
    """Decode on after each start, and put what came in the place of the old trace."""
    width = held["token_id"].shape[1]
    begun = [
        prompt + pair.tokenizer.decode(start) for prompt, start in zip(prompts, starts, strict=True)
    ]
    # What was written already takes up room: a trace and its prompt fit, a start and a whole trace
    # need not.
    longest = max(map(len, pair.tokenizer(begun)["input_ids"]))
    room = min(width, (pair.max_positions or longest + width) - longest)
    decoded = decode(
        pair,
        begun,
        np.array(keys, dtype=np.uint64),
        np.arange(1),
        "none",
        replace(_settings(plan, plan.seed + 1), max_new_tokens=room),
        record=True,
    )
    fresh = _kept(pair, decoded)
    for at, row in enumerate(todo):
        start = starts[at]
        k, n = len(start), int(fresh["n_tokens"][at, 0])
        n = min(n, width - k)
        held["token_id"][row, :k] = start
        held["token_id"][row, k:] = -1
        held["token_id"][row, k : k + n] = fresh["token_id"][at, 0, :n]
        for name in SIGNALS:
            held[name][row, k:] = 0
            held[name][row, k : k + n] = fresh[name][at, 0, :n]
        held["n_tokens"][row] = k + n
    held["cue"][todo] = cues_of(pair, held["token_id"][todo])
