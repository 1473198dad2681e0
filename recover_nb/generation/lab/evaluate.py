"""How good a model is: sampled pass@1 by task and level, on the train or dev split only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recover_nb import tasks
from recover_nb.core.labels import Task
from recover_nb.generation.decoding import Settings, decode, load_pair, problem_key
from recover_nb.tasks import Problem

#: The longest reference traces have about 70 characters; a trace unfinished here counts as wrong.
MAX_NEW_TOKENS = 80


@dataclass(frozen=True)
class Samples:
    """Sampled traces: `texts`, `correct` and `parseable` (P, R), `decoded` as it came."""

    problems: list[Problem]
    texts: np.ndarray
    correct: np.ndarray
    parseable: np.ndarray
    decoded: object


def texts_of(tokenizer, token_id: np.ndarray) -> np.ndarray:
    """Return the text of each trace of `token_id` (..., token), without special tokens.

    Traces are padded with -1.
    """
    flat = token_id.reshape(-1, token_id.shape[-1])
    rows = [row[row >= 0].tolist() for row in flat]
    texts = tokenizer.batch_decode(rows, skip_special_tokens=True)
    return np.array(texts, dtype=object).reshape(token_id.shape[:-1])


def right_of(problems: Sequence[Problem], texts: np.ndarray) -> np.ndarray:
    """Return which texts (P, R) are right answers to their problems, bool."""
    right = [
        [tasks.is_correct(problem, text) for text in row]
        for problem, row in zip(problems, texts, strict=True)
    ]
    return np.array(right, bool).reshape(texts.shape)


def sample(
    model, tokenizer, problems: list[Problem], n: int, *, temperature: float, seed: int, stage: str
) -> Samples:
    """Sample `n` traces of each problem and check them.

    `stage` keeps the random numbers of stages apart.
    """
    pair = load_pair(model, model, tokenizer=tokenizer)
    settings = Settings(
        temperature=temperature, max_new_tokens=MAX_NEW_TOKENS, seed=seed, batch_size=512
    )
    keys = np.array(
        [problem_key("lab", stage, p.task, p.problem_id) for p in problems], dtype=np.uint64
    )
    decoded = decode(pair, [p.prompt for p in problems], keys, np.arange(n), "none", settings)
    texts = texts_of(tokenizer, decoded.token_id)
    correct = right_of(problems, texts)
    answered = np.vectorize(lambda text: tasks.parse_answer(text) is not None, otypes=[bool])(texts)
    return Samples(problems, texts, correct, answered & decoded.stopped, decoded)


def dev_figures(model, tokenizer, *, n_problems: int = 50, n: int = 4, seed: int = 0) -> dict:
    """Return pass@1 on dev at temperature 0.6, by task and level, and the parseable share.

    Pass@1 is given by task alone too.
    """
    by_task, by_level, parseable = {}, {}, []
    for task in Task:
        problems = tasks.problems(task, "dev", n_problems)
        samples = sample(model, tokenizer, problems, n, temperature=0.6, seed=seed, stage="dev")
        level = np.array([p.level for p in problems])
        rate = samples.correct.mean(1)
        by_task[task.value] = float(rate.mean())
        by_level[task.value] = {
            int(one): float(rate[level == one].mean()) for one in np.unique(level)
        }
        parseable.append(samples.parseable.mean())
    return {
        "pass_at_1": by_task,
        "pass_at_1_by_level": by_level,
        "mean_pass_at_1": float(np.mean(list(by_task.values()))),
        "parseable": float(np.mean(parseable)),
    }
