"""Problems being answered within a budget: what is asked, and what is kept of it.

See docs/method.md#21-recovery. Needs torch.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb import tasks
from recover_nb.core.labels import FEATURES, FIRING, Intervention, Signal
from recover_nb.core.schema import assemble, is_failure, joined
from recover_nb.core.validation import validate
from recover_nb.features.features import problem_features, rollout_features
from recover_nb.generation.decoding import Decoded, Pair, Settings, calibrate, decode, problem_key
from recover_nb.generation.generate import (
    Plan,
    blank_arrays,
    keep_checks,
    keep_features,
    keep_traces,
    select_problems,
    text_of_tokens,
)
from recover_nb.generation.provenance import describe_pair, study_attrs
from recover_nb.generation.recovered import OBSERVED, OPERATED, RETRIED, SPENT, STOPPED
from recover_nb.generation.traces import trace_text
from recover_nb.routing.derive import derive
from recover_nb.routing.recovery.choosing import Options, said_plans, stop_after
from recover_nb.routing.recovery.plans import stages
from recover_nb.routing.recovery.reading import Seen, describe
from recover_nb.tasks import Problem, make_checker
from recover_nb.tasks.checkers import Checker

NONE, RETRY = Intervention.NONE.value, Intervention.RETRY.value


@dataclass
class Live:
    """Problems being answered, and all that was asked."""

    pair: Pair
    problems: list[Problem]
    unit: tuple[str, str]
    settings: Settings
    checker: str | Checker | None
    n_rollouts: int
    rest: int
    tell: Callable[[int], object] = lambda n: None
    asked: dict[str, Decoded] = field(default_factory=dict)
    known: dict[tuple[str, str], bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin with nothing asked."""
        n, own = len(self.problems), self.checker
        self.keys = np.array(
            [problem_key(*self.unit, each.task, each.problem_id) for each in self.problems],
            dtype=np.uint64,
        )
        self.rule = None if own is None else make_checker(own)
        self.right, self.stopped = np.zeros(n, bool), np.zeros(n, bool)
        self.passes, self.forward = np.zeros(n, int), np.zeros(n, int)
        self.given: list[str] = [""] * n
        self.how = np.full(n, SPENT, dtype=object)
        self.arm = np.full(n, NONE, dtype=object)
        self.features = np.full((n, len(FEATURES)), np.nan)
        self.read: Decoded | None = None
        self.was_read = np.zeros(n, bool)

    @property
    def open(self) -> np.ndarray:
        """Places of problems without a right answer."""
        return np.flatnonzero(~self.right)

    def judge(self, said: str, answer: str) -> bool:
        """Return whether a text is right; a checker is asked about each text once."""
        if self.rule is None:
            return tasks.parse_answer(said) == answer
        if (said, answer) not in self.known:
            self.known[said, answer] = bool(self.rule(said, answer))
        return self.known[said, answer]

    def decoded(self, name: str, rows: np.ndarray, rollouts: np.ndarray, **more) -> Decoded:
        """Decode some rollouts of some problems."""
        prompts = [self.problems[i].prompt for i in rows]
        return decode(self.pair, prompts, self.keys[rows], rollouts, name, self.settings, **more)

    def ask(self, name: str, rows: np.ndarray, rollout: int, cost: int, calibration=None) -> None:
        """Get one answer to each of some problems, check it, and keep all of it."""
        found = self.decoded(name, rows, np.array([rollout]), calibration=calibration)
        kept = self._room(name)
        for each in fields(Decoded):
            if each.name != "signals":
                getattr(kept, each.name)[rows, rollout] = getattr(found, each.name)[:, 0]
        self.passes[rows] += cost
        self.forward[rows] += (found.forward_specialist + found.forward_ancestor)[:, 0]
        for place, i in enumerate(rows.tolist()):
            n = found.n_tokens[place, 0]
            said = trace_text(self.pair, found.token_id[place, 0, :n].tolist())
            self.right[i] = self.judge(said, self.problems[i].answer)
            if self.right[i] or (name == NONE and rollout == 0):
                self.given[i] = self._answer(said)
                self.arm[i] = name
            if self.right[i]:
                self.how[i] = {NONE: OBSERVED, RETRY: RETRIED}.get(name, OPERATED)
        self.tell(cost * len(rows))

    def _answer(self, said: str) -> str:
        return said.strip() if self.rule is not None else tasks.parse_answer(said) or ""

    def _room(self, name: str) -> Decoded:
        if name not in self.asked:
            rollouts = self.n_rollouts if name == NONE else self.rest
            shape = (len(self.problems), rollouts)
            self.asked[name] = Decoded(
                np.full((*shape, self.settings.max_new_tokens), -1, np.int32),
                np.zeros(shape, np.int32),
                np.full(shape, -1, np.int32),
                np.zeros(shape, bool),
                np.zeros(shape, np.int32),
                np.zeros(shape, np.int32),
            )
        return self.asked[name]

    def observe(self) -> None:
        """Get the first answers, until one is right."""
        for rollout in range(self.n_rollouts):
            if len(self.open):
                self.ask(NONE, self.open, rollout, 1)

    def failed(self) -> np.ndarray:
        """Return which observed answers of open problems are failures, (problem, rollout)."""
        ended = self.asked[NONE].stopped.astype(np.int8)
        wrong = np.zeros(ended.shape, np.int8)  # All that an open problem has is wrong.
        return is_failure(wrong, ended) & ~self.right[:, None]

    def seen(self, rows: np.ndarray) -> Seen:
        """Return what is known of problems whose observed answers are all wrong."""
        first = self.asked[NONE]
        given = None
        if self.rule is None:
            given = np.full((len(rows), self.n_rollouts), -1)
            for place, i in enumerate(rows.tolist()):
                names: dict[str, int] = {}
                for r, n in enumerate(first.n_tokens[i]):
                    said = trace_text(self.pair, first.token_id[i, r, :n].tolist())
                    answer = tasks.parse_answer(said)
                    if answer is not None:
                        given[place, r] = names.setdefault(answer, len(names))
        some = [self.problems[i] for i in rows]
        x = describe(
            np.array([each.level for each in some], float),
            [len(each.prompt) for each in some],
            first.forward_specialist[rows],
            given,
        )
        cells = [joined((*self.unit, each.task)) for each in some]
        return Seen(x, np.array(cells, dtype=str), self.features[rows])

    def read_failures(self, rows: np.ndarray) -> None:
        """Have both models read the observed answers of some problems.

        The same random numbers give the same answers. The specialist has been charged for them:
        what reading adds is the pass of the ancestor.
        """
        rows = rows[~self.was_read[rows]]
        if not len(rows):
            return
        found = self.decoded(NONE, rows, np.arange(self.n_rollouts), record=True)
        self.was_read[rows] = True
        self.passes[rows] += self.n_rollouts
        self.forward[rows] += found.forward_ancestor.sum(axis=1)
        signals = found.signals or {}
        if self.read is None:
            blank = self.asked[NONE]
            room = {
                name: np.zeros((len(self.problems), *each.shape[1:]), np.float32)
                for name, each in signals.items()
            }
            self.read = Decoded(
                *(getattr(blank, each.name) for each in fields(Decoded)[:-1]), signals=room
            )
        for name, each in signals.items():
            (self.read.signals or {})[name][rows] = each
        values = rollout_features(
            signals[Signal.DEMOTION_PRESSURE.value],
            signals[Signal.LOGIT_VARIANCE.value],
            found.n_tokens,
            window=self.settings.window,
        )
        self.features[rows] = problem_features(values, self.failed()[rows])
        self.tell(self.n_rollouts * len(rows))

    def spend(
        self,
        rows: np.ndarray,
        choice: np.ndarray,
        learned: np.ndarray,
        given: Options,
        least: float,
    ) -> str:
        """Follow the plan of each problem until it is right; return the plans, in words."""
        steps: dict[int, list[str]] = {}
        for place in np.unique(choice).tolist():
            plan, mine = given.plans[place], rows[choice == place]
            like = np.flatnonzero(learned == place)
            like = like if len(like) else np.arange(len(learned))
            course = [
                arm
                for arm, k in stages(plan, given.rest, given.tried.prices) or []
                for _ in range(k)
            ]
            made = stop_after(given, plan, like, least)
            if plan.reads and made:
                self.read_failures(mine)
            steps |= dict.fromkeys(mine.tolist(), course[:made])
            if made < len(course):
                self.how[mine] = STOPPED
        self._follow(steps, given.tried.prices.passes)
        return said_plans(given, choice) if len(choice) else "nothing to do"

    def _follow(self, steps: dict[int, list[str]], cost) -> None:
        for rollout in range(max(map(len, steps.values()), default=0)):
            due: dict[str, list[int]] = {}
            for i, course in steps.items():
                if not self.right[i] and rollout < len(course):
                    due.setdefault(course[rollout], []).append(i)
            for name, some in due.items():
                rows, calibration = np.array(some), None
                if name in FIRING and self.read is not None:
                    calibration = calibrate(
                        select_problems(self.read, rows), self.failed()[rows], self.settings
                    )
                # One number for every attempt of a problem: no two are twins.
                self.ask(name, rows, rollout, cost[name], calibration)

    def answers(self) -> pd.DataFrame:
        """Return one row a problem."""
        return pd.DataFrame(
            {
                "task": [each.task for each in self.problems],
                "problem_id": [each.problem_id for each in self.problems],
                "answer": self.given,
                "right": self.right,
                "how": self.how.astype(str),
                "intervention": self.arm.astype(str),
                "passes": self.passes,
                "forward_passes": self.forward,
            }
        )

    def study(self, asked: dict) -> xr.Dataset:
        """Return all that was asked, as a study."""
        names = (NONE, RETRY, *(name for name in self.asked if name not in (NONE, RETRY)))
        judged = None if self.rule is None else self.judge
        plan = Plan(names, self.n_rollouts, self.rest, self.settings, checker=judged)
        arrays, every = blank_arrays(self.problems, self.unit, plan), np.arange(len(self.problems))
        for name in self.asked:
            keep_traces(arrays, self.asked[name], every, names.index(name))
            keep_checks(arrays, self.pair, self.problems, self.asked[name], every, name, plan)
        n = self.n_rollouts
        correct, ended = (arrays[name][:, :n, 0] for name in ("correct", "ended"))
        failed = is_failure(correct, ended)
        if self.read is not None:
            keep_features(arrays, self.read, failed & self.was_read[:, None], plan)
        arrays["n_failed_rollouts"][:] = failed.sum(1)
        described = {**asked, "n_attempts": self.rest, "settings": asdict(self.settings)}
        models = {"|".join(self.unit): describe_pair(self.pair)}
        attrs = study_attrs(self.settings.seed, described, models)
        attrs |= text_of_tokens(self.pair, arrays, self.unit)
        return validate(derive(assemble(arrays, names, attrs)))
