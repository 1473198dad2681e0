"""The `calculator` intervention: a tool fills in what follows "=" (docs/method.md#calculator)."""

from functools import cache

import torch

from recover_nb.generation.decoding.batch import Batch, Proposal
from recover_nb.generation.decoding.operators import Operator, register
from recover_nb.tasks.tool import evaluate, modulus_of

#: How far back an expression may reach, and the longest result that is filled in, in tokens.
TAIL, LONGEST_RESULT = 48, 32


@register("calculator")
class Calculator(Operator):
    """Sample S at T; once the trace ends in an evaluable ``47+85=``, force the result's tokens.

    Results are taken modulo what the prompt names after ``%``, else modulo the setting. Control
    returns to the model after the last digit, so the tool may act many times in a trace. Only what
    was generated counts: an expression that ends in the prompt is the model's to answer. A left
    side that is not two whole operands and one of + - * is skipped. Never runs the ancestor.
    """

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch)
        # One spare column stays empty, so that a cursor past a full queue reads "nothing left".
        shape = (len(batch), LONGEST_RESULT + 1)
        self._queue = torch.full(shape, -1, device=batch.pair.device)
        self._cursor = torch.zeros(len(batch), dtype=torch.int64, device=batch.pair.device)
        tokenizer = batch.pair.tokenizer
        self._text = cache(lambda token: tokenizer.decode([token]) if token >= 0 else "")
        self._digits = cache(self._encode)
        self._modulus = cache(
            lambda problem: modulus_of(
                tokenizer.decode(batch.prompts[problem]), batch.settings.modulus
            )
        )

    def act(self, step: Proposal) -> tuple[torch.Tensor, torch.Tensor]:
        """Emit what is queued, else the candidate."""
        rows = step.rows
        self._fill(step)
        forced = self._queue[rows, self._cursor[rows]]
        acted = forced >= 0
        self._cursor[rows[acted]] += 1
        return torch.where(acted, forced, step.candidate), acted

    def _fill(self, step: Proposal) -> None:
        """Queue the results of rows that have just emitted "="; the others cost no Python."""
        idle = self._queue[step.rows, self._cursor[step.rows]] < 0
        previous = self.batch.token_id[step.rows, (step.position - 1).clamp(min=0)]
        previous = torch.where(idle & (step.position > 0), previous, -1)
        equals = [token for token in previous.unique().tolist() if "=" in self._text(token)]
        if not equals:
            return
        wanted = (
            torch.isin(previous, torch.tensor(equals, device=previous.device)).nonzero().squeeze(-1)
        )
        for row, position in zip(
            step.rows[wanted].tolist(), step.position[wanted].tolist(), strict=True
        ):
            tail = self.batch.token_id[row, max(0, position - TAIL) : position].tolist()
            modulus = self._modulus(int(self.batch.problem[row]))
            digits = evaluate("".join(map(self._text, tail)), modulus)
            tokens = self._digits(digits) if digits else ()
            self._queue[row] = -1
            self._queue[row, : len(tokens)] = torch.tensor(
                tokens, dtype=torch.int64, device=self._queue.device
            )
            self._cursor[row] = 0

    def _encode(self, digits: str) -> tuple[int, ...]:
        """Tokens of `digits` as they follow "="; nothing where the tokenizer cannot write them."""
        tokenizer = self.batch.pair.tokenizer
        # In context, because some tokenizers put a space before a word that begins a text.
        before, whole = (
            tokenizer.encode(each, add_special_tokens=False) for each in ("=", "=" + digits)
        )
        tokens = whole[len(before) :] if whole[: len(before)] == before else []
        written = "".join(map(self._text, tokens)).strip()
        return tuple(tokens) if written == digits and len(tokens) <= LONGEST_RESULT else ()
