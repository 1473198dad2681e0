"""Answers to problems within a budget: observe, decide, and spend what is left.

See docs/method.md#21-recovery. Needs torch.
"""

import sys
from collections.abc import Callable, Sequence
from types import TracebackType

import numpy as np
import xarray as xr
from tqdm import tqdm

from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Anchoring
from recover_nb.core.schema import joined, text
from recover_nb.generation.decoding import Pair, Settings
from recover_nb.generation.decoding.settings import SETTINGS
from recover_nb.generation.decoding.threads import threads_for
from recover_nb.generation.recovered import Recovery
from recover_nb.generation.recovering import Live
from recover_nb.io import store
from recover_nb.routing.recovery.choosing import RULES, Options, choose_rule, follow
from recover_nb.routing.recovery.reading import read_tried
from recover_nb.tasks import Problem
from recover_nb.tasks.base import PROBLEMS
from recover_nb.tasks.checkers import RULE, Checker


@takes_study("study")
@checks.takes(
    pair=checks.PAIR,
    problems=PROBLEMS,
    checker=RULE,
    budget=checks.COUNT,
    n_rollouts=checks.ROLLOUTS,
    interventions=checks.NAMES,
    rule=checks.one_of(RULES),
    stop_below=checks.SHARE,
    settings=SETTINGS,
    unit=checks.UNIT,
    progress=checks.COUNTED,
)
def recover(
    pair: Pair,
    problems: Sequence[Problem],
    checker: str | Checker | None = None,
    *,
    budget: int = 8,
    study: xr.Dataset | None = None,
    n_rollouts: int = 1,
    interventions: Sequence[str] | None = None,
    rule: str | None = None,
    stop_below: float = 0.0,
    settings: Settings | None = None,
    unit: tuple[str, str] = ("", ""),
    progress: Callable[[int], object] | None = None,
) -> Recovery:
    """Answer problems within a budget: observe, decide what failures get, and stop when right.

    On the shipped specialists, of 589 problems that nobody had seen and whose first answer was
    wrong, the policy rescues 54.5 % with 8 passes all told, asking again 40.4 %: 14.1 points more
    [10.8, 17.9]. The rule is to ask once more and then the ancestor. Without the ancestor it is a
    temperature of 1.0, and gains 6.1 points [3.7, 8.4]. `recover-nb recover-gain` prints this.

    Parameters
    ----------
    pair : Pair
        From `rnb.load_pair` or `rnb.load_lineage`.
    problems : sequence of Problem
        From `rnb.tasks.problems` or `rnb.read_problems`.
    checker : str or callable (text, answer) -> bool, optional
        What says that an answer is right; see `rnb.generate`. It is asked once about each different
        text. Failure must be known, so there is always one: that of the shipped tasks unless given.
    budget : int
        Model passes a problem may cost, all told. A pass is one answer, written or read by one
        model: an answer of a mixture costs two.
    study : Dataset, optional
        What the rule is chosen on: a study of this pair, as `rnb.generate` makes it. By default the
        bundled one, whose models are tiny.
    n_rollouts : int
        Answers observed before anything is decided.
    interventions : sequence of str, optional
        What may be done beside asking again; what the study has of temperature, ancestor, mixture
        and the published four unless given.
    rule : str, optional
        Follow this rule (`recovery.choosing.RULES`) in place of the one that the study supports;
        ``"retry"`` asks again.
    stop_below : float
        End a problem where going on is expected to rescue less than this for each pass.
    settings : Settings, optional
    unit : (str, str)
        Family and method, by which the rule knows the cell and the random numbers are chosen.
    progress : callable, optional
        Called with passes spent since the last call; a bar on standard error unless given.

    Returns
    -------
    Recovery
        ``answers``, ``study``, ``sentence``, ``passes``.

    Raises
    ------
    InputError
        A budget that is not above `n_rollouts` or beyond what the study supports, greedy or replay
        settings, or what `generate` and `recover_gain` refuse.

    See Also
    --------
    recover_gain : What the policy gains over asking again at equal passes.
    generate : A whole study of some problems.

    Notes
    -----
    docs/method.md#21-recovery.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> pair = rnb.load_lineage("neox", "sft")
    >>> some = rnb.tasks.problems("arithmetic", "dev", 4)
    >>> found = rnb.recover(pair, some, budget=4, unit=("neox", "sft"))
    >>> found.answers["passes"].tolist(), found.rule
    ([1, 1, 1, 3], 'fixed')
    """
    settings = settings or Settings()
    _check_settings(settings)
    learned_from = "the study given"
    if study is None:
        study, learned_from = store.load_study(), "the bundled study"
    tried = read_tried(study, n_rollouts, interventions)
    followed, given, value = choose_rule(tried, budget, rule=rule)
    if joined((unit[0], unit[1])) not in _units(study):
        learned_from += ", which is of other models"
    live = Live(pair, list(problems), unit, settings, checker, n_rollouts, given.rest)
    with _Bar(len(live.problems) * budget, progress) as tell, threads_for(pair):
        live.tell = tell
        live.observe()
        plans = live.spend(*_decided(live, followed, given, value), given, stop_below)
    asked = {"budget": budget, "n_rollouts": n_rollouts, "stop_below": stop_below, "rule": followed}
    return Recovery(
        live.answers(),
        live.study(asked),
        followed,
        plans,
        {**asked, "asked_rule": rule, "learned_from": learned_from, "arms": list(tried.arms)},
    )


def _check_settings(settings: Settings) -> None:
    if settings.anchoring == Anchoring.REPLAY or settings.temperature == 0:
        what = "temperature=0" if settings.temperature == 0 else "anchoring='replay'"
        raise InputError(
            f"settings must sample whole answers, got {what}; use a temperature above 0 and"
            " anchoring='online'"
        )


def _units(study: xr.Dataset) -> set[str]:
    pairs = zip(text(study["family"]).tolist(), text(study["method"]).tolist(), strict=True)
    return {joined(each) for each in pairs}


class _Bar:
    """Say what is spent: to a function, or as a bar that shows up after two seconds."""

    def __init__(self, total: int, progress: Callable[[int], object] | None) -> None:
        self.progress = progress
        options = {"unit": "pass", "file": sys.stderr, "delay": 2, "leave": False}
        self.bar = tqdm(total=total, desc="recovering", disable=progress is not None, **options)

    def __enter__(self) -> Callable[[int], object]:
        self.bar.__enter__()
        return self.progress or self.bar.update

    def __exit__(self, *raised: type | BaseException | TracebackType | None) -> None:
        self.bar.close()


def _decided(
    live: Live, rule: str, given: Options, value: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return open problems, the plan of each, and the plans of the problems learned from."""
    rows, every = live.open, np.arange(len(given.tried.wins))
    learned = follow(rule, given, value, every, given.tried.seen)
    if not len(rows):
        return rows, np.zeros(0, int), learned
    readable: np.ndarray = np.asarray(live.failed().any(axis=1))
    if rule == "published":
        live.read_failures(rows[readable[rows]])
    choice = np.array(follow(rule, given, value, every, live.seen(rows)))
    # Nothing can be learned from an answer that was cut off.
    reads = np.array([plan.reads for plan in given.plans])
    return rows, np.where(reads[choice] & ~readable[rows], 0, choice), learned
