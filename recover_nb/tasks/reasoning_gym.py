"""Problems of reasoning-gym, each graded by the checker of its own task. Needs the extra `gym`."""

import ast
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import fields
from difflib import get_close_matches
from io import StringIO
from typing import Any

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.core.extras import need
from recover_nb.core.labels import Split
from recover_nb.tasks.base import Problem

#: Level of a problem: the library has none.
UNKNOWN = -1

#: What the prompt says of the answer's form; the library's own checkers look for these tags.
INSTRUCTION = "Give the final answer between <answer> and </answer>."

#: How many times the number of problems is drawn, at most, to find as many different ones.
DRAWS = (1, 2, 4, 8)

#: Tasks whose checker runs an answer as Python: as a sum, a formula or a list.
SUMS = ("countdown", "puzzle24")
FORMULAS = ("intermediate_integration", "polynomial_multiplication", "simple_integration")
LISTS = ("binary_matrix", "n_queens", "spiral_matrix", "string_insertion")

#: A formula may have these functions, no other name of more than a letter, and small powers.
_FUNCTIONS = {
    *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh"),
    *("exp", "log", "ln", "sqrt", "Abs", "pi"),
}
_LONGEST_FORMULA = 500
_FORMULA = re.compile(r"[\w+\-*/().,=\s]*", re.ASCII)
_NAME = re.compile(r"[A-Za-z_]\w*(?=\s*(\()?)")
_LONG_NUMBER = re.compile(r"\d{13}")
_POWER = re.compile(r"\*\*")
_SMALL_POWER = re.compile(
    r"\*\*\s*(?:-?\d{1,2}|[a-z]|\(\s*-?\d{1,2}\s*(?:/\s*\d{1,2}\s*)?\))(?!\w|\s*\*\*)"
)
_MOST_POWERS_OF_SUMS = 3
_TOWER = re.compile(r"exp\s*\([^()]*exp")
_PLAIN_LIST = re.compile(r"[\w\s\[\],.'\"-]*")


@checks.takes(
    name=checks.TEXT, n=checks.whole(1, 100_000), seed=checks.SEED, instruction=checks.TEXT
)
def from_reasoning_gym(
    name: str,
    *,
    n: int = 100,
    seed: int = 0,
    instruction: str = INSTRUCTION,
    **config: Any,
) -> "tuple[list[Problem], GymChecker]":
    """Make problems of a task of reasoning-gym, and the checker that goes with them.

    For example ``rnb.generate(pair, problems, checker=checker)``.

    Parameters
    ----------
    name : str
        A task of the library, such as ``"chain_sum"`` or ``"countdown"``.
    n : int
        How many problems. Their questions differ: one that comes again is left out.
    seed : int
        Another seed draws other problems.
    instruction : str
        A line below each question that says how to answer; ``""`` for the question alone.
    **config
        Options of the task, such as ``min_digits=2``.

    Returns
    -------
    problems : list of Problem
        In the split ``test``. The answer is the library's reference answer; one that another
        problem has too, and one that the library does not give, is told apart by the problem's id
        in brackets.
    checker : GymChecker
        A callable (text, answer) -> bool for these problems.

    Raises
    ------
    InputError
        reasoning-gym is not installed, an unknown task or option, an option out of range, fewer
        than `n` different questions.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> problems, checker = rnb.tasks.from_reasoning_gym("chain_sum", n=2, seed=3)
    >>> problems[0].problem_id, problems[0].answer
    ('chain_sum-3-0', '214')
    >>> checker("So it is <answer>214</answer>.", problems[0].answer)
    True
    """
    library = need("reasoning_gym", "gym", "from_reasoning_gym")
    _check_options(name, config)
    with _quietly():
        data, entries = _draw(library, name, n, seed, config)
    problems: dict[str, Problem] = {}
    known: dict[str, dict] = {}
    for place, entry in entries.items():
        problem_id = f"{name}-{seed}-{place}"
        prompt = "\n".join(part for part in (entry["question"], instruction) if part) + "\n"
        answer = entry["answer"] if isinstance(entry["answer"], str) else ""
        key = answer if answer and answer not in known else f"{answer} [{problem_id}]".lstrip()
        known[key] = entry
        problems[problem_id] = Problem(name, problem_id, Split.TEST.value, UNKNOWN, prompt, key, ())
    return list(problems.values()), GymChecker(name, data, known)


class GymChecker:
    """Grades as the task's own checker in reasoning-gym does: right is a score of 1, and no less.

    What is graded is what stands in the last ``<answer>`` and ``</answer>`` of a text; without
    them its last lines, as many as the reference answer has.

    The checkers of some tasks run an answer as Python. Such an answer is not passed on unless it
    is a plain formula or list; it then counts as wrong, and in `refused`.

    Attributes
    ----------
    name : str
        The task.
    refused : int
        Answers that would have been run and are no plain formula or list, so far.
    unread : int
        Answers on which the library's checker failed, so far; they count as wrong.
    """

    def __init__(self, name: str, data: Any, entries: Mapping[str, dict]) -> None:
        self.name, self._data, self._entries = name, data, entries
        self.refused = self.unread = 0

    def __repr__(self) -> str:
        """Say which problems it grades."""
        return f"<checker of {len(self._entries)} problems of reasoning-gym's {self.name}>"

    def __call__(self, text: str, answer: str) -> bool:
        """Whether `text` is right for the problem whose `answer` this is."""
        return self.score(text, answer) >= 1

    def score(self, text: str, answer: str) -> float:
        """Return the library's score of a text, from 0 to 1.

        Raises
        ------
        InputError
            No problem of this checker has that answer.
        """
        entry = self._entries.get(answer)
        if entry is None:
            raise InputError(
                f"no problem of this checker has the answer {answer!r}; give it the problems that"
                " from_reasoning_gym returned with it"
            )
        given, reference = self.given(text, entry), entry["answer"]
        if given != reference and not _may_be_run(self.name, given):
            self.refused += 1
            return 0.0
        try:
            with _quietly():
                return float(self._data.score_answer(given, entry))
        except Exception:  # Whatever a checker meets in a text that no model of its makers wrote.
            self.unread += 1
            return 0.0

    @staticmethod
    def given(text: str, entry: Mapping[str, Any]) -> str:
        """Return the answer that a text gives."""
        tagged = need("reasoning_gym.utils", "gym", "the checker").extract_answer(text)
        if tagged is not None:
            return tagged
        n_lines = (entry["answer"] or "").strip().count("\n") + 1
        return "\n".join(text.strip().splitlines()[-n_lines:]).strip()


def _may_be_run(name: str, answer: str) -> bool:
    """Return whether an answer can do no harm where the task's checker runs it."""
    if name in SUMS:
        return _is_plain_formula(answer) and not _NAME.search(answer)
    if name in FORMULAS:
        return _is_plain_formula(answer)
    if name in LISTS:
        return "__" not in answer and (bool(_PLAIN_LIST.fullmatch(answer)) or _is_literal(answer))
    return True


def _is_literal(answer: str) -> bool:
    try:
        ast.literal_eval(answer)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return False
    return True


def _is_plain_formula(answer: str) -> bool:
    """Return whether an answer has numbers, letters, known functions and small powers only."""
    return (
        len(answer) <= _LONGEST_FORMULA
        and bool(_FORMULA.fullmatch(answer))
        and not _LONG_NUMBER.search(answer)
        and not _TOWER.search(answer)
        and all(
            found[0] in _FUNCTIONS or (len(found[0]) == 1 and not found[1])
            for found in _NAME.finditer(answer)
        )
        and len(_POWER.findall(answer)) == len(_SMALL_POWER.findall(answer))
        and len(re.findall(r"\)\s*\*\*", answer)) <= _MOST_POWERS_OF_SUMS
    )


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep the library's warnings and prints to itself: some of its checkers fail on a warning."""
    with warnings.catch_warnings(), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")
        yield


def _check_options(name: str, config: Mapping[str, Any]) -> None:
    known = need("reasoning_gym.factory", "gym", "from_reasoning_gym").DATASETS
    if name not in known:
        like = get_close_matches(str(name), known, n=3)
        raise InputError(
            f"unknown task {name!r} of reasoning-gym; "
            + (
                f"did you mean {' or '.join(like)}?"
                if like
                else f"allowed: {', '.join(sorted(known))}"
            )
        )
    options = sorted({each.name for each in fields(known[name][1])} - {"seed", "size"})
    unknown = sorted(set(config) - set(options))
    if unknown:
        raise InputError(
            f"{name} has no option {', '.join(unknown)}; allowed: {', '.join(options)}"
            " (the number of problems is n)"
        )


def _draw(
    library: Any, name: str, n: int, seed: int, config: Mapping[str, Any]
) -> tuple[Any, dict[int, dict]]:
    """Return the task and `n` entries with different questions, by their number in it."""
    data, found = None, {}
    for more in DRAWS:
        try:
            data = library.create_dataset(name, seed=seed, size=more * n, **config)
            found = _different(data, more * n, n)
        except Exception as error:  # The library says what is wrong in exceptions of any kind.
            raise InputError(
                f"reasoning-gym cannot make {name} with {dict(config) or 'its own options'}:"
                f" {error or type(error).__name__}"
            ) from error
        if len(found) == n:
            return data, found
    raise InputError(
        f"{name} has only {len(found)} different questions in {DRAWS[-1] * n} with these options;"
        f" lower n={n}, or widen the options"
    )


def _different(data: Any, n_drawn: int, n: int) -> dict[int, dict]:
    found, questions = {}, set()
    for place in range(n_drawn):
        if len(found) == n:
            break
        entry = data[place]
        if entry["question"] not in questions:
            questions.add(entry["question"])
            found[place] = entry
    return found
