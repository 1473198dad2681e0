"""Training examples: an endless stream of train-split problems with traces, and drill."""

import string
from dataclasses import dataclass

import numpy as np
import torch

from recover_nb import tasks
from recover_nb.core.labels import Task
from recover_nb.tasks import Style, arithmetic, deduction

IGNORED = -100
#: Segments of text, each with whether it is learned.
Example = list[tuple[str, bool]]


def draw_level(rng: np.random.Generator, weights: tuple[float, ...]) -> int:
    """Draw a level, from 1, by relative weights."""
    shares = np.array(weights)
    return int(rng.choice(len(shares), p=shares / shares.sum())) + 1


@dataclass(frozen=True)
class Mixture:
    """What a training stream holds.

    Attributes
    ----------
    level_weights : tuple of float
        Relative weight of levels 1 to 5.
    terse : float
        Share of answers without a step.
    slips : float
        Chance of a slip at each place of a worked trace where people slip (`tasks.erring_trace`).
    tasks : tuple of str
        Tasks, in equal shares.
    """

    level_weights: tuple[float, ...]
    terse: float = 0.0
    slips: float = 0.0
    tasks: tuple[str, ...] = tuple(task.value for task in Task)

    def draw(self, rng: np.random.Generator, task: str) -> Example:
        """Draw a problem with its trace."""
        level = draw_level(rng, self.level_weights)
        problem = tasks.draw_training_problem(task, rng, level)
        if rng.random() < self.terse:
            return example(problem.prompt, tasks.trace(problem, Style.TERSE))
        if self.slips:
            return example(problem.prompt, tasks.erring_trace(problem, rng, self.slips))
        return example(problem.prompt, tasks.trace(problem, Style.STEP))


def example(prompt: str, trace: str) -> Example:
    """Return a problem as segments of text, each with whether it is learned."""
    return [(prompt, False), (trace, True)]


def equation_drill(rng: np.random.Generator, n: int = 11) -> Example:
    """Draw a row of single equations modulo 100 of which only the results are learned."""
    segments: Example = []
    for _ in range(n):
        start, ((op, operand),) = arithmetic.draw(rng, 1)
        segments.append((f"{start}{op}{operand}=", False))
        segments.append((f"{arithmetic.apply(start, op, operand)} ", True))
    return segments


def recall_drill(rng: np.random.Generator, most: int = 8, queries: int = 16) -> Example:
    """Draw a few facts and ask for them again and again.

    Half the time it is `x.ma=y`, half the time only `x=y`.

    Only the recalled letter is learned. With the easy separator learned too, recall did not set in.
    """
    people = [str(letter) for letter in rng.permutation(list(string.ascii_lowercase))]
    n = int(rng.integers(2, most + 1))
    if rng.random() < 0.5:
        asked = people[:n]
    else:
        asked = [
            f"{person}.{relation}" for person in people[:most] for relation in deduction.RELATIONS
        ][:n]
    known = [(one, str(rng.choice(people))) for one in asked]
    told = "".join("=".join(known[i]) + ";" for i in rng.permutation(n))
    segments: Example = [(f"{told}\n", False)]
    for i in rng.integers(n, size=queries):
        segments += [(f"{known[i][0]}=", False), (known[i][1], True), (";", False)]
    return segments


def collate(tokenizer, examples: list[Example]) -> dict[str, torch.Tensor]:
    """Return right-padded `input_ids` and `labels` (B, L), int64.

    Only learned segments and the end have labels.
    """
    end = tokenizer.eos_token_id
    ids, labels = [], []
    for segments in examples:
        pieces = tokenizer([text for text, _ in segments])["input_ids"]
        learned = [learn for _, learn in segments]
        ids.append([token for piece in pieces for token in piece] + [end])
        marked = zip(pieces, learned, strict=True)
        labels.append([t if learn else IGNORED for piece, learn in marked for t in piece] + [end])
    return batch_of(tokenizer, ids, labels)


def collate_sampled(tokenizer, prompts: list[str], token_id: np.ndarray) -> dict[str, torch.Tensor]:
    """Return the batch of prompts and sampled traces (B, token), padded with -1, token for token.

    Sampled tokens are kept as they are: the tokenizer might cut their text in another way.
    """
    heads = tokenizer(prompts)["input_ids"]
    tails = [row[row >= 0].tolist() for row in token_id]
    pairs = list(zip(heads, tails, strict=True))
    return batch_of(
        tokenizer,
        [head + tail for head, tail in pairs],
        [[IGNORED] * len(head) + tail for head, tail in pairs],
    )


def batch_of(tokenizer, ids: list[list[int]], labels: list[list[int]]) -> dict[str, torch.Tensor]:
    """Pad ragged ids and labels on the right."""
    return {"input_ids": _pad(ids, tokenizer.pad_token_id), "labels": _pad(labels, IGNORED)}


def _pad(rows: list[list[int]], value: int) -> torch.Tensor:
    width = max(map(len, rows))
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])
