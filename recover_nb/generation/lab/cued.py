"""What `cued` imitates: the ancestor's own answers, with a cue before each step.

docs/method.md#20-cues. The step that first went wrong is marked as doubtful, whatever it is about;
every other has the cue of its kind. So the model is taught no answer: it is taught to say what it
is about to do.
"""

from collections.abc import Callable
from typing import Any

import torch

from recover_nb import tasks
from recover_nb.core.labels import Cue
from recover_nb.generation.lab.data import Example, example
from recover_nb.generation.lab.evaluate import sample
from recover_nb.tasks.cues import MARKS, write_cues

#: Cues that neither a prompt nor a trace has otherwise: they may begin as the space does. The
#: others are read in prompts, and keep what they mean there.
_UNREAD = (Cue.RECALL, Cue.COMPUTE)


def cued_examples(
    ancestor: Any, tokenizer: Any, problems: list[tasks.Problem], n_samples: int, seed: int
) -> list[Example]:
    """Return the ancestor's answers to problems, right and wrong, with cues.

    Left out is what did not end by itself, and what ended in no answer.
    """
    samples = sample(
        ancestor, tokenizer, problems, n_samples, temperature=1.0, seed=seed, stage="cued"
    )
    examples = []
    decoded: Any = samples.decoded
    ended = zip(problems, samples.texts, decoded.stopped, strict=True)
    for problem, texts, stopped in ended:
        for text in texts[stopped]:
            wrong = tasks.find_origin(problem, text)
            if wrong is None:
                examples.append(example(problem.prompt, write_cues(text)))
            elif wrong.start >= 0:
                examples.append(example(problem.prompt, write_cues(text, wrong.start)))
    return examples


def begin_cues(
    model: Any, loss_of: Callable[[int], float], tokenizer: Any, *, steps: int, rate: float
) -> list[float]:
    """Teach a model its cues and nothing else: their rows of the embeddings, all else frozen.

    A cue begins as the space whose place it takes. Trained at once with the rest, cues that the
    model never saw unlearn what it can: half of its pass@1 was gone after 20 steps.

    Returns
    -------
    list of float
        The loss of each step.
    """
    space = tokenizer(" ")["input_ids"][0]
    cues = {cue: tokenizer(mark)["input_ids"][0] for cue, mark in MARKS.items()}
    read, written = (
        part.weight for part in (model.get_input_embeddings(), model.get_output_embeddings())
    )
    with torch.no_grad():
        for cue, token in cues.items():
            written[token] = written[space]
            if cue in _UNREAD:
                read[token] = read[space]
    others = [each for each in model.parameters() if each is not read and each is not written]
    for each in others:
        each.requires_grad_(False)
    optimiser = torch.optim.AdamW([read, written], lr=rate, betas=(0.9, 0.95), weight_decay=0.0)
    rest = torch.ones(len(read), 1, device=read.device)
    rest[list(cues.values())] = 0
    model.train()
    losses = []
    for step in range(steps):
        losses.append(loss_of(step))
        for rows in (read, written):
            rows.grad.masked_fill_(rest.bool(), 0)
        optimiser.step()
        optimiser.zero_grad()
    for each in others:
        each.requires_grad_(True)
    return losses
