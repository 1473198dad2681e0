"""Interventions inside other people's loops: a logits processor for `generate` of transformers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from transformers import LogitsProcessor

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Anchoring
from recover_nb.generation.decoding.batch import Batch, Proposal
from recover_nb.generation.decoding.cached_model import Runner
from recover_nb.generation.decoding.firing import Calibration
from recover_nb.generation.decoding.mixtures import LOG_FLOOR
from recover_nb.generation.decoding.operators import OPERATOR, Operator, find_operator
from recover_nb.generation.decoding.pair import Pair, load_ancestor
from recover_nb.generation.decoding.plan import row_uniforms
from recover_nb.generation.decoding.sampling import Stream
from recover_nb.generation.decoding.settings import SETTINGS, Settings

#: Longest generation unless settings say another.
LONGEST = 4096

#: These change how a token is drawn, never which one is the likeliest.
DRAW_ONLY = ("temperature", "min_p", "local_temperature")

#: Score of tokens that were not chosen: no draw takes them at any temperature in use, but a beam
#: search does, which must be seen (were it -inf, all beams would be alike).
IMPOSSIBLE = -1e4

#: Name in a calibration -> name in a study.
CALIBRATED = {
    "threshold": "fire_threshold",
    "coverage_mean": "coverage_mean",
    "coverage_sd": "coverage_sd",
    "warmup": "warmup",
}

ONE_PATH = (
    "steering follows one continuation a row, token by token: no beam search (num_beams=1), no"
    " assisted or speculative decoding, no processor after it that picks another token"
)


@checks.takes(
    intervention=OPERATOR,
    keys=checks.WHOLES,
    tokenizer=checks.TOKENIZER,
    settings=SETTINGS,
    sample=checks.FLAG,
    rollout=checks.DRAWS,
    pad_id=checks.DRAWS,
)
def steering(
    ancestor: Any,
    intervention: str,
    *,
    tokenizer: Any = None,
    settings: Settings | None = None,
    calibration: Calibration | Mapping[Any, Any] | None = None,
    sample: bool = False,
    rollout: int = 0,
    keys: Sequence[int] | None = None,
    pad_id: int | None = None,
    device: str | torch.device | None = None,
    dtype: str = "float32",
) -> "Steering":
    """Return an intervention as a logits processor, for `generate` of transformers.

    The specialist is whatever model generates; the ancestor runs beside it with a cache of its own.
    The processor chooses each token itself and leaves only that one possible, so that neither
    ``do_sample`` nor a temperature of the loop changes it. Prompts of a batch are padded on the
    left. One object may serve any number of generations, one after the other.

    Parameters
    ----------
    ancestor : str, Path, model or Pair
        What `load_pair` takes as an ancestor; a pair brings tokenizer and ancestor along.
    intervention : str
        A registered name.
    tokenizer : transformers tokenizer, optional
        The specialist's; needed unless a pair is given.
    settings : Settings, optional
        ``temperature`` is that of the signals, the mixtures and the draws. ``max_new_tokens`` is
        the longest generation, 4096 unless settings are given.
    calibration : Calibration or mapping, optional
        When ``sparse_steer`` and its like fire: from `decoding.calibrate`, or a mapping of
        ``fire_threshold``, ``coverage_mean``, ``coverage_sd`` and ``warmup`` such as a study is
        (``ds.isel(problem=[7])``). Of one problem, which then holds for every row, or of as many as
        there are prompts in a batch.
    sample : bool
        False: where the intervention draws a token, the likeliest is taken. True: it is drawn, as
        `decode` draws it.
    rollout : int
        Number of the rollout, from 0: ``dense_steer`` takes the path mixture where it is even, the
        coverage mixture where it is odd. It also chooses the random numbers.
    keys : sequence of int, optional
        `decoding.problem_key` of each row, which chooses its random numbers. Unless given, every
        row of every generation gets a number of its own.
    pad_id : int, optional
        What pads prompts and finished rows; the tokenizer's unless given.
    device, dtype : optional
        Of an ancestor that is loaded here.

    Returns
    -------
    Steering
        For ``model.generate(..., logits_processor=[it])``. ``fired_at`` says where it first acted
        in each row of the last generation, -1 = never.

    Raises
    ------
    InputError
        An unknown intervention, one that changes nothing without `sample`, one that fires without
        a calibration, ``anchoring="replay"``, another tokenizer than the ancestor's. While it
        runs: beam search and other loops in which rows change places or go back, prompts padded on
        the right, a generation longer than ``max_new_tokens``.

    See Also
    --------
    decode : The package's own loop, whose tokens are the same.

    Examples
    --------
    A shipped specialist, by the `generate` of transformers:

    >>> import recover_nb as rnb
    >>> pair = rnb.load_lineage("neox", "sft")
    >>> prompt = pair.tokenizer("47+85=", return_tensors="pt")
    >>> steer = rnb.steering(pair, "dense_steer")
    >>> out = pair.specialist.generate(
    ...     input_ids=prompt["input_ids"], attention_mask=prompt["attention_mask"],
    ...     max_new_tokens=4, logits_processor=[steer],
    ... )
    >>> steer.fired_at.tolist()
    [0]
    """
    operator = find_operator(intervention)
    settings = settings or Settings(max_new_tokens=LONGEST)
    _check(operator, settings, calibration, sample)
    if isinstance(ancestor, Pair):
        pair = ancestor
    elif tokenizer is None:
        raise InputError(
            "steering needs the tokenizer that the prompts are written with; pass tokenizer=, or a"
            " pair from load_pair"
        )
    else:
        pair = load_ancestor(ancestor, tokenizer=tokenizer, device=device, dtype=dtype)
    pad = pair.pad_id if pad_id is None else pad_id
    return Steering(pair, operator, settings, calibration, sample, rollout, keys, pad)


def _check(operator: type[Operator], settings: Settings, calibration: Any, sample: bool) -> None:
    name = operator.name
    if settings.anchoring == Anchoring.REPLAY:
        raise InputError(
            "anchoring='replay' begins in the middle of a failed trace, which generate cannot;"
            " allowed: online"
        )
    if settings.temperature == 0:
        raise InputError(
            "setting temperature=0 leaves no signals and no mixtures; give the temperature of the"
            " study (sample=False takes the likeliest token at any)"
        )
    if name in DRAW_ONLY and not sample:
        raise InputError(
            f"{name!r} changes how tokens are drawn, never which one is the likeliest, so it does"
            " nothing here; pass sample=True"
        )
    if operator.needs_calibration and calibration is None:
        raise InputError(
            f"intervention {name!r} needs a calibration; pass calibration=, from"
            " decoding.calibrate() or a study's problem (ds.isel(problem=[0]))"
        )


@dataclass(frozen=True)
class _Likeliest(Proposal):
    """A step whose every draw is the likeliest token."""

    @cached_property
    def candidate(self) -> torch.Tensor:
        """The argmax of S."""
        return self.grid_logits.argmax(-1)

    def sample(self, temperature: float) -> torch.Tensor:
        """Return the argmax of S, whatever the temperature."""
        return self.grid_logits.argmax(-1)

    def draw(self, probabilities: torch.Tensor) -> torch.Tensor:
        """Return the argmax."""
        return probabilities.argmax(-1)


class Steering(LogitsProcessor):
    """An intervention as a logits processor. Made by `steering`.

    Attributes
    ----------
    fired_at : (rows,) int64
        Where it first acted in each row of the last generation, -1 = never.
    """

    def __init__(
        self,
        pair: Pair,
        operator: type[Operator],
        settings: Settings,
        calibration: Any,
        sample: bool,
        rollout: int,
        keys: Sequence[int] | None,
        pad_id: int,
    ) -> None:
        self.pair, self.operator, self.settings = pair, operator, settings
        self.calibration, self.sample, self.rollout = calibration, sample, rollout
        self.keys, self.pad_id = keys, pad_id
        self._n_rows = 0
        self._run: _Generation | None = None

    @property
    def fired_at(self) -> torch.Tensor:
        """Where it first acted in each row of the last generation, (rows,) int64."""
        return torch.empty(0, dtype=torch.int64) if self._run is None else self._run.acted_at()

    def reset(self) -> None:
        """Forget the last generation: the next call begins a new one."""
        self._run = None

    @torch.no_grad()
    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return scores (rows, V): 0 for the chosen token, `IMPOSSIBLE` for every other.

        Parameters
        ----------
        input_ids : (rows, length) int64
        scores : (rows, V) float
            The specialist's raw logits of the next token.
        """
        device = self.pair.device
        ids = input_ids.to(device)
        if self._run is None or not self._run.goes_on(ids):
            self._run = self._begin(ids)
        token = self._run.choose(_checked(scores, self.pair.vocab_size).to(device))
        only = torch.full_like(scores, IMPOSSIBLE)
        return only.scatter_(-1, token.to(scores.device)[:, None], 0.0)

    def _begin(self, ids: torch.Tensor) -> "_Generation":
        pair, settings, n = self.pair, self.settings, len(ids)
        contexts = _contexts(ids, self.pad_id, pair)
        keys = self._keys(n)
        rollouts = np.full(n, self.rollout)
        u, own_u = (
            torch.from_numpy(row_uniforms(settings.seed, stream, keys, rollouts, length)).to(
                pair.device
            )
            for stream, length in (
                (self.operator.stream, settings.max_new_tokens),
                (Stream.OPERATOR, 2),
            )
        )
        batch = Batch(
            pair,
            settings,
            problem=torch.arange(n, device=pair.device),
            rollout=torch.zeros(n, dtype=torch.int64, device=pair.device),
            rollout_number=torch.from_numpy(rollouts).to(pair.device),
            u=u,
            own_u=own_u,
            start=torch.zeros(n, dtype=torch.int64, device=pair.device),
            token_id=torch.full((n, settings.max_new_tokens), -1, device=pair.device),
            calibration=_calibrated(self.calibration, n, rollouts, pair.device),
            prompts=contexts,
        )
        return _Generation(batch, self.operator, self.sample, ids, self.pad_id)

    def _keys(self, n: int) -> np.ndarray:
        """Return what chooses the random numbers of each row, (n,) uint64."""
        if self.keys is None:
            first, self._n_rows = self._n_rows, self._n_rows + n
            return np.arange(first, first + n, dtype=np.uint64)
        if len(self.keys) != n:
            raise InputError(
                f"{len(self.keys)} keys were given for a batch of {n} rows; allowed: one a row"
            )
        return np.asarray(self.keys, dtype=np.uint64)


class _Generation:
    """One call of `generate`: what has been seen of it, and what goes on beside it."""

    def __init__(
        self,
        batch: Batch,
        operator: type[Operator],
        sample: bool,
        ids: torch.Tensor,
        pad_id: int,
    ) -> None:
        self.batch, self.pad_id = batch, pad_id
        self.operator = operator(batch)
        self.step_type = Proposal if sample else _Likeliest
        distinct = {tuple(each): list(each) for each in batch.prompts}
        place = {each: i for i, each in enumerate(distinct)}
        owner = torch.tensor([place[tuple(each)] for each in batch.prompts], device=ids.device)
        pair, longest = batch.pair, batch.settings.max_new_tokens
        self.ancestor = Runner(pair.ancestor, pair, list(distinct.values()), owner, longest)
        self.seen, self.prompt_width = ids, ids.shape[1]
        self.chosen = torch.full((len(ids),), -1, device=ids.device)
        self.finished = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
        self.fired_at = torch.full((len(ids),), -1, device=ids.device)

    def goes_on(self, ids: torch.Tensor) -> bool:
        """Take the token that the loop appended; False where another generation begins.

        Raises
        ------
        InputError
            Where it is this generation, but not its next step.
        """
        seen, width = self.seen, self.seen.shape[1]
        if len(ids) == len(seen) and ids.shape[1] > width and torch.equal(ids[:, :width], seen):
            if ids.shape[1] > width + 1:
                return False
            self._take(ids[:, -1])
            self.seen = ids
            return True
        went_back = (
            len(ids) == len(seen)
            and self.prompt_width < ids.shape[1] <= width
            and torch.equal(ids, seen[:, : ids.shape[1]])
        )
        if went_back or (ids.shape[1] == width + 1 and _all_among(ids[:, :width], seen)):
            raise InputError(f"rows of the batch changed places or went back; {ONE_PATH}")
        return False

    def _take(self, appended: torch.Tensor) -> None:
        # A loop may end a row for reasons of its own (a stop string): it then appends padding.
        ended = (appended != self.chosen) & (appended == self.pad_id)
        self.fired_at[ended & ~self.finished & (self.fired_at == self._position)] = -1
        self.finished |= ended
        other = (appended != self.chosen) & (appended != self.pad_id)
        if bool(other.any()):
            row = int(other.nonzero()[0])
            raise InputError(
                f"row {row} got token {int(appended[row])} where steering chose"
                f" {int(self.chosen[row])}; {ONE_PATH}; padding is token {self.pad_id} (pad_id=)"
            )
        self.batch.token_id[:, self._position] = appended

    @property
    def _position(self) -> int:
        return self.seen.shape[1] - self.prompt_width

    def acted_at(self) -> torch.Tensor:
        """Return `fired_at` without what was chosen for rows that had ended."""
        last = self.batch.token_id.gather(1, (self.fired_at - 1).clamp(min=0)[:, None])[:, 0]
        ends = torch.tensor(self.batch.pair.eos_ids, device=last.device)
        ended = (self.fired_at > 0) & torch.isin(last, ends)
        return self.fired_at.masked_fill(ended, -1)

    def choose(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the token (rows,) int64 that follows; padding in finished rows.

        Parameters
        ----------
        logits : (rows, V) float32
            The specialist's.
        """
        place, longest = self._position, self.batch.settings.max_new_tokens
        if place >= longest:
            raise InputError(
                f"the generation is longer than {longest} tokens; pass"
                " settings=Settings(max_new_tokens=...) of at least what generate may write"
            )
        rows = (~self.finished).nonzero().squeeze(-1)
        self.chosen = torch.full_like(self.chosen, self.pad_id)
        if not len(rows):
            return self.chosen
        position = torch.full_like(rows, place)
        # What the loop forbids (its own processors leave -inf) is forbidden to the ancestor too.
        forbidden = logits <= LOG_FLOOR

        def read_ancestor(rows: torch.Tensor) -> torch.Tensor:
            read = self.ancestor.logits(self.batch.token_id, place)[rows]
            return read.masked_fill(forbidden[rows], LOG_FLOOR)

        step = self.step_type(
            self.batch, rows, position, self.fired_at[rows], logits.__getitem__, read_ancestor
        )
        token, acted = self.operator.act(step)
        self.chosen[rows] = token
        fires = (step.fired_at < 0) & acted
        self.fired_at[rows] = torch.where(fires, position, step.fired_at)
        return self.chosen


def _all_among(rows: torch.Tensor, known: torch.Tensor) -> bool:
    """Return whether every row of `rows` (n, L) is one of `known` (m, L)."""
    return bool((rows[:, None] == known[None]).all(-1).any(-1).all())


def _checked(scores: torch.Tensor, vocab_size: int) -> torch.Tensor:
    """Return the logits of the shared vocabulary, float32 and finite."""
    if scores.shape[-1] < vocab_size:
        raise InputError(
            f"the model that generates has {scores.shape[-1]} logits, but its tokenizer"
            f" {vocab_size} tokens; specialist and ancestor must share one tokenizer"
        )
    logits = scores[:, :vocab_size].float()
    if bool(torch.isnan(logits).any()):
        raise InputError(
            "the model that generates gives NaN logits; check its weights, or use dtype float32"
        )
    return logits.clamp(min=LOG_FLOOR)


def _contexts(ids: torch.Tensor, pad_id: int, pair: Pair) -> list[list[int]]:
    """Return the prompt of each row without its padding."""
    if int(ids.max()) >= pair.vocab_size:
        raise InputError(
            f"a prompt has token {int(ids.max())}, outside the vocabulary of {pair.vocab_size};"
            " specialist and ancestor must share one tokenizer"
        )
    n_padding = (ids != pad_id).long().cumsum(-1).eq(0).sum(-1)
    # Where the token that begins every text also pads, the longest prompt shows which is which.
    if pad_id == getattr(pair.tokenizer, "bos_token_id", None):
        n_padding = n_padding - n_padding.min()
    contexts = [row[int(n) :].tolist() for row, n in zip(ids, n_padding, strict=True)]
    for place, context in enumerate(contexts):
        if not context:
            raise InputError(
                f"prompt {place} has nothing but padding (token {pad_id}); a prompt needs at least"
                " one token"
            )
        if len(contexts) > 1 and context[-1] == pad_id:
            raise InputError(
                f"prompt {place} ends in padding (token {pad_id}); pad on the left:"
                " tokenizer.padding_side = 'left'"
            )
    return contexts


def _calibrated(
    calibration: Any, n: int, rollouts: np.ndarray, device: torch.device
) -> dict[str, torch.Tensor]:
    """Return the fields of a calibration by row of the batch; none without one."""
    if calibration is None:
        return {}
    if isinstance(calibration, Calibration):
        problem = _problem_of_rows(len(calibration.threshold), n)
        return calibration.rows(problem, rollouts, device)
    missing = [name for name in CALIBRATED.values() if name not in calibration]
    if missing:
        raise InputError(
            f"the calibration has no {', '.join(missing)}; needed: {', '.join(CALIBRATED.values())}"
        )
    fields = {}
    for ours, theirs in CALIBRATED.items():
        values = np.atleast_1d(np.asarray(calibration[theirs], dtype=np.float64))
        of_row = torch.from_numpy(values[_problem_of_rows(len(values), n)]).to(device)
        fields[ours] = of_row.long() if ours == "warmup" else of_row
    return fields


def _problem_of_rows(n_problems: int, n_rows: int) -> np.ndarray:
    """Return the problem of each row: several sequences of one prompt lie together."""
    if n_problems == 0 or n_rows % n_problems:
        raise InputError(
            f"the calibration is of {n_problems} problems for a batch of {n_rows} rows; allowed:"
            " one problem, or one for each prompt of the batch"
        )
    return np.repeat(np.arange(n_problems), n_rows // n_problems)
