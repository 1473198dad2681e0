"""Which logs of evaluation tools belong together: tasks, runs, arms, and the answers they share."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from recover_nb.core.errors import InputError
from recover_nb.io.records import Collector
from recover_nb.io.rows import ProblemRow, Unit
from recover_nb.tasks import make_checker

#: Stands between the answers of a problem that has several.
OR = " | "


@dataclass(frozen=True)
class Log:
    """One log of one task.

    Attributes
    ----------
    path : Path
    task : str
        As the log names it; "" where it does not.
    run : str
        Model and settings in words: what makes two runs of a task two decodings.
    when : str
        Sorts logs by their age, the oldest first.
    finished : bool
    name : str
        Of the task in the study.
    """

    path: Path
    task: str = ""
    run: str = ""
    when: str = ""
    finished: bool = True
    name: str = ""


def choose_logs(
    out: Collector, found: Mapping[str, list[Log]], task: str | None, default: str
) -> list[tuple[str, Log]]:
    """Return the logs to read, with their interventions and the names of their tasks.

    Of several logs of one run of a task the newest is read, one that finished before one that did
    not. Arms of one task each share their problems, whatever the tasks are called.

    Parameters
    ----------
    out : Collector
        Is told what is left out or guessed.
    found : mapping of intervention to list of Log
    task : str, optional
        Names the one task.
    default : str
        Names a task without a name.

    Raises
    ------
    InputError
        Several runs of a task under one intervention, or `task` for several tasks.
    """
    arms = {arm: _one_of_each_task(out, arm, logs) for arm, logs in found.items()}
    names = {log.task for logs in arms.values() for log in logs}
    single = all(len(logs) == 1 for logs in arms.values())
    if task is not None and not single:
        raise InputError(
            f"task={task!r} names one task, and the logs are of {', '.join(sorted(names))}; give"
            " the logs of one task, or no task="
        )
    first = next(iter(arms.values()))[0].task
    shared = task or first or default
    if single and task is None and len(names) > 1:
        out.tell(
            "tasks_paired",
            f"the logs name their tasks {', '.join(sorted(names))}; their problems are taken for"
            f" the same, and the task is called {shared}",
        )
    elif not single:
        _tell_unshared(out, arms)
    return [
        (arm, replace(log, name=shared if single else log.task or default))
        for arm, logs in arms.items()
        for log in logs
    ]


def _tell_unshared(out: Collector, arms: Mapping[str, list[Log]]) -> None:
    """Say which tasks are not in every arm: nothing is compared there."""
    tasks = {arm: {log.task for log in logs} for arm, logs in arms.items()}
    for name in sorted(set().union(*tasks.values())):
        lacking = [arm for arm, known in tasks.items() if name not in known]
        if lacking:
            out.notes.append(f"no log of the task {name} is given for {', '.join(lacking)}")


def _one_of_each_task(out: Collector, arm: str, logs: list[Log]) -> list[Log]:
    by_task: dict[str, list[Log]] = {}
    for log in logs:
        by_task.setdefault(log.task, []).append(log)
    return [_newest(out, arm, same) for same in by_task.values()]


def _newest(out: Collector, arm: str, logs: list[Log]) -> Log:
    """Return the log of a task to read: they are of one run."""
    runs = list(dict.fromkeys(log.run for log in logs))
    if len(runs) > 1:
        raise InputError(
            f"{logs[0].path.parent}: the task {logs[0].task!r} has logs of {len(runs)} runs"
            f" ({'; '.join(run[:90] for run in runs[:4])}), and {arm} is one; give each its own"
            f' name, such as {{"none": "{_shown(logs, runs[0])}", "temperature":'
            f' "{_shown(logs, runs[1])}"}}'
        )
    best = max(logs, key=lambda log: (log.finished, log.when, log.path.name))
    if len(logs) > 1:
        out.tell(
            "older_logs",
            f"{{n}} older or unfinished logs of a task beside its newest are left out, such as"
            f" {next(log.path.name for log in logs if log is not best)}",
            len(logs) - 1,
        )
    return best


def _shown(logs: list[Log], run: str) -> Path:
    return next(log.path for log in logs if log.run == run)


class Answers:
    """The right answers of problems: one, or several of which any is right.

    Parameters
    ----------
    is_correct : str or callable (text, answer) -> bool, optional
        As readers take it.
    """

    def __init__(self, is_correct: str | Callable[[str, str], bool] | None) -> None:
        self._check = None if is_correct is None else make_checker(is_correct)
        self._several: dict[str, tuple[str, ...]] = {}
        self._said: dict[str, str] = {}

    @property
    def checker(self) -> Callable[[str, str], bool] | None:
        """The function that grades a text by any of the answers; None without `is_correct`."""
        return None if self._check is None else self.grade

    def any_of(self, answers: Iterable[str]) -> str:
        """Return the text that stands for all of the answers."""
        each = tuple(dict.fromkeys(answers))
        joined = OR.join(each)
        if len(each) > 1:
            self._several[joined] = each
        return joined

    def graded_by(self, text: str, part: str) -> str:
        """Return `text`, of which only `part` is graded: not what was thought before it."""
        if part != text:
            self._said[text] = part
        return text

    def grade(self, text: str, answer: str) -> bool:
        """Return whether a text gives any of the answers."""
        assert self._check is not None
        said = self._said.get(text, text)
        return any(self._check(said, each) for each in self._several.get(answer, (answer,)))


class Problems:
    """What logs say of problems; where they disagree, that is told or refused."""

    def __init__(self, out: Collector) -> None:
        self._out = out
        self._first: dict[Unit, tuple[Log, str]] = {}

    def take(self, unit: Unit, log: Log, where: str, prompt: str, answer: str) -> None:
        """Fill in a problem, or compare it with what was said before.

        Raises
        ------
        InputError
            Tasks that are called otherwise, and answers that differ: other problems by the same
            names.
        """
        problem = self._out.problem(unit)
        if unit not in self._first:
            self._first[unit] = log, where
            problem.prompt, problem.answer = prompt, answer
            return
        first, at = self._first[unit]
        self._compare(unit, problem, (log, first, where, at), prompt, answer)

    def _compare(
        self,
        unit: Unit,
        problem: ProblemRow,
        places: tuple[Log, Log, str, str],
        prompt: str,
        answer: str,
    ) -> None:
        log, first, where, at = places
        if answer != problem.answer and log.task != first.task:
            raise InputError(
                f"{where}: the answer of problem {unit[-1]} is {answer[:40]!r}, and"
                f" {problem.answer[:40]!r} in {at}; the tasks {first.task} and {log.task} hold"
                " other problems; give logs of one task as arms"
            )
        if answer != problem.answer:
            self._out.tell(
                "answers_differ",
                "{n} rollouts have another answer than the first of their problem, which is kept",
            )
        if prompt != problem.prompt:
            self._out.tell(
                "prompts_differ",
                "{n} rollouts had another prompt than the first of their problem, which is kept",
            )
