"""Verdicts of an import: the checker's, which may be a user's own function, else the file's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from recover_nb.core.errors import InputError
from recover_nb.io.rows import ProblemRow, RolloutRow, Unit, shortened
from recover_nb.tasks import CHECKERS, can_grade
from recover_nb.tasks.checkers import Checker, as_verdict

#: What a study stores of a rollout, and of a problem's failed rollouts, that is true only as long
#: as the verdicts are.
OF_A_VERDICT = ("origin", "slip", "first_wrong", "wrong_step_start", "junction", "first_firing")
OF_FAILED = (
    "features",
    "fire_threshold",
    "coverage_mean",
    "coverage_sd",
    "warmup",
    "value_right",
    "value_n",
    "alternative_token_id",
    "alternative_log_probability",
    "solved_by_majority",
)


def need_verdicts(rows: list[RolloutRow]) -> None:
    """Refuse rows that do not say whether they are correct.

    Raises
    ------
    InputError
        Such a row.
    """
    for row in rows:
        _need_verdict(row)


@dataclass
class Grading:
    """A checker at work on the rows of an import.

    Attributes
    ----------
    rule : str or callable
        As the user gave it.
    checker : callable (text, answer) -> bool
    problems : mapping of unit to ProblemRow
    tell : callable
        `Collector.tell`.
    changed : int
        Rows graded otherwise than their file says.
    """

    rule: str | Checker
    checker: Checker
    problems: Mapping[Unit, ProblemRow]
    tell: Callable[[str, str], None]
    changed: int = 0

    def grade(self, rows: list[RolloutRow], source: str) -> list[RolloutRow]:
        """Return the rows that have a verdict then.

        Raises
        ------
        InputError
            No row has a text, no expected answer can be read, a checker that fails.
        """
        if rows and all(row.text is None for row in rows):
            raise InputError(
                f"{source}: no rollout has a text, so is_correct= has nothing to grade; leave it"
                " out to take the file's verdicts, or write the texts as generated_text (or"
                " response)"
            )
        kept = [row for row in rows if self._takes(row)]
        self._need_answers(rows)
        return kept

    def _takes(self, row: RolloutRow) -> bool:
        """Grade a row; tell whether it stays. What keeps its verdict, or goes, is said."""
        if row.text is None:
            _need_verdict(row)
            self.tell(
                "not_graded",
                "{n} rollouts have no text for is_correct= to grade; they keep the verdict of the"
                " file",
            )
            return True
        if self._can_grade(row.unit):
            verdict = _verdict(self.checker, row, self.problems[row.unit].answer)
            if row.correct is not None and verdict != row.correct:
                self.changed += 1
                _forget(row, self.problems[row.unit])
            row.correct = verdict
            return True
        if row.correct is not None:
            self.tell(
                "answers_not_read_verdict_kept",
                "{n} rollouts are of problems whose expected answer the checker cannot read; they"
                " keep the verdict of the file",
            )
            return True
        self.tell(
            "answers_not_read",
            "{n} rollouts are of problems whose expected answer the checker cannot read, such as"
            f" {row.unit[-1]!r}; they are left out",
        )
        return False

    def _can_grade(self, unit: Unit) -> bool:
        problem = self.problems[unit]
        if problem.gradable is None:
            problem.gradable = can_grade(self.rule, problem.answer)
        return problem.gradable

    def _need_answers(self, rows: list[RolloutRow]) -> None:
        """Refuse rows none of which can be graded: they would all be wrong in silence."""
        texts = [row for row in rows if row.text is not None]
        if not texts or any(self._can_grade(row.unit) for row in texts):
            return
        first = texts[0]
        answer = self.problems[first.unit].answer
        raise InputError(
            f"{first.where}: the checker {self.rule!r} cannot read the expected answer"
            f" {shortened(answer)} of problem {first.unit[-1]}, nor any other; give problems= or a"
            " field `answer` that it can read, or another checker"
        )


def _forget(row: RolloutRow, problem: ProblemRow) -> None:
    """Leave out what a study stored of a rollout and its problem that another verdict changes."""
    for name in OF_A_VERDICT:
        row.extra.pop(name, None)
    for name in OF_FAILED:
        problem.stored.pop(name, None)


def _need_verdict(row: RolloutRow) -> None:
    if row.correct is None:
        raise InputError(
            f"{row.where} does not say whether the rollout is correct; pass is_correct="
            f" ({', '.join(CHECKERS)}, regex:PATTERN, or a function of text and answer)"
        )


def _verdict(checker: Checker, row: RolloutRow, answer: str) -> bool:
    """Return what a checker, which may be the user's own function, says of a text."""
    try:
        said = checker(row.text or "", answer)
    except Exception as error:
        raise InputError(
            f"{row.where}: the function is_correct= raised {type(error).__name__}"
            f" ({shortened(str(error))}) on the text {shortened(row.text)} and the answer"
            f" {shortened(answer)}; make it return True or False for every text"
        ) from error
    if (found := as_verdict(said)) is not None:
        return found
    raise InputError(
        f"{row.where}: the function is_correct= returned {shortened(said)} for the text"
        f" {shortened(row.text)}; make it return True or False"
    )
