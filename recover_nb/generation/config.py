"""What a study runs: one frozen, validated value with a JSON form."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from recover_nb.core.errors import InputError
from recover_nb.core.extras import need
from recover_nb.core.labels import SPECIALISTS, Family, Intervention, Method, Split, Task, parse

if TYPE_CHECKING:
    from recover_nb.generation.decoding import Settings

#: Attempts that say all there is to say about a deterministic operator: one a mixture type for
#: `dense_steer`, one for `greedy`.
FIXED_ATTEMPTS = {Intervention.DENSE_STEER.value: 2, Intervention.GREEDY.value: 1}

#: What `StudyConfig.quick` changes: every cell of the lineage, small enough for a coffee break.
QUICK = {"n_problems": 12, "n_rollouts": 12, "n_attempts": 10, "value_problems": 0}


@dataclass(frozen=True)
class StudyConfig:
    """Everything that decides the values of a study.

    Parameters
    ----------
    families, methods, tasks : sequence of str
        The study holds one cell for each combination.
    n_problems : int
        Problems a cell.
    split : str
        Which problems: ``"test"``, ``"dev"`` or ``"train"``.
    n_rollouts : int
        Observed rollouts (``none``) a problem.
    n_attempts : int
        Attempts an intervention and failed problem; ``dense_steer`` is deterministic and gets 2.
    interventions : sequence of str
        Registered names; ``none`` and ``retry`` are put first whether named or not.
    seed : int
        Of the random numbers of decoding; overrides ``settings.seed``.
    problem_seed : int
        Of the choice of problems.
    settings : Settings, or dict of some of its fields
        Constants of decoding.
    block_size : int
        Most problems in a block, the unit that is written and resumed.
    signal_rollouts : int
        Failed rollouts per problem whose token-level signals are stored (rounded, see
        `schema.SIGNAL_TOLERANCE`). Features use all of them at full precision.
    value_problems : int
        Failed problems of each block, the first ones, whose value map is measured.
    value_n : int
        Continuations of each prefix of a value map.
    remap_seed : int, optional
        Run the problems over other numbers, drawn from this seed (`tasks.remap_all`); None: as they
        are.

    Raises
    ------
    InputError
        A name or number out of range, with what is allowed.
    """

    families: Sequence[str] = tuple(Family)
    methods: Sequence[str] = SPECIALISTS
    tasks: Sequence[str] = tuple(Task)
    n_problems: int = 150
    split: str = Split.TEST
    n_rollouts: int = 50
    n_attempts: int = 20
    interventions: Sequence[str] = tuple(Intervention)
    seed: int = 0
    problem_seed: int = 0
    settings: "Settings | dict[str, Any]" = field(default_factory=dict)
    block_size: int = 25
    signal_rollouts: int = 10
    value_problems: int = 3
    value_n: int = 24
    remap_seed: int | None = None

    def __post_init__(self) -> None:
        """Validate, and bring every field to its plain form."""
        for name, kind in (("families", Family), ("methods", Method), ("tasks", Task)):
            self._set(name, _names(kind, name, getattr(self, name)))
        wrong = [name for name in self.methods if name not in SPECIALISTS]
        if wrong:
            raise InputError(
                f"method {wrong[0]!r} is not a specialist; allowed: {', '.join(SPECIALISTS)}"
            )
        self._set("split", parse(Split, self.split).value)
        for name in ("n_problems", "n_rollouts", "n_attempts", "block_size", "value_n"):
            self._need_whole(name, 1)
        for name in ("seed", "problem_seed", "signal_rollouts", "value_problems"):
            self._need_whole(name, 0)
        if self.remap_seed is not None:
            self._need_whole("remap_seed", 0)
        self._set("interventions", all_interventions(self.interventions))
        self._set("settings", replace(_settings(self.settings), seed=self.seed))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _need_whole(self, name: str, least: int) -> None:
        value = getattr(self, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise InputError(
                f"{name}={value!r} cannot be used; allowed: a whole number of at least {least}"
            )

    @classmethod
    def quick(cls, **changes: Any) -> "StudyConfig":
        """Return the quick preset, with `changes` on top."""
        return cls(**{**QUICK, **changes})

    @property
    def cells(self) -> list[tuple[str, str, str]]:
        """Every (family, method, task), in the order they run."""
        return [(f, m, t) for f in self.families for m in self.methods for t in self.tasks]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `from_dict` takes."""
        plain = asdict(self)
        return json.loads(json.dumps(plain))

    def to_json(self) -> str:
        """Return one line of JSON, keys sorted."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "StudyConfig":
        """Build a configuration from plain data.

        Raises
        ------
        InputError
            For an unknown field, or a value out of range.
        """
        known = [each.name for each in fields(cls)]
        unknown = [name for name in plain if name not in known]
        if unknown:
            raise InputError(
                f"unknown field {unknown[0]!r} of a study; allowed: {', '.join(known)}"
            )
        return cls(**plain)

    @classmethod
    def from_json(cls, text: str) -> "StudyConfig":
        """Build a configuration from what `to_json` returned."""
        return cls.from_dict(json.loads(text))


def attempts_of(intervention: str, n_rollouts: int, n_attempts: int) -> int:
    """Return how many rollouts an intervention gets."""
    if intervention == Intervention.NONE:
        return n_rollouts
    return min(n_attempts, FIXED_ATTEMPTS.get(intervention, n_attempts))


def all_interventions(names: Sequence[str]) -> tuple[str, ...]:
    """Return `none`, `retry`, then `names` in their order, each once.

    Raises
    ------
    InputError
        For a name that is not registered, listing those that are.
    """
    names = [names] if isinstance(names, str) else names
    decoding = need("recover_nb.generation.decoding", "models", "running interventions")
    ordered = dict.fromkeys([Intervention.NONE.value, Intervention.RETRY.value, *map(str, names)])
    for name in ordered:
        decoding.find_operator(name)
    return tuple(ordered)


def _names(kind: type[StrEnum], field_name: str, values: Sequence[str]) -> tuple[str, ...]:
    values = [values] if isinstance(values, str) else list(values)
    if not values:
        raise InputError(f"{field_name} is empty; allowed: one or more of {', '.join(kind)}")
    return tuple(dict.fromkeys(parse(kind, value).value for value in values))


def _settings(given: "Settings | dict[str, Any]") -> "Settings":
    settings = need("recover_nb.generation.decoding", "models", "decoding").Settings
    if isinstance(given, settings):
        return given
    known = [each.name for each in fields(settings)]
    unknown = [name for name in given if name not in known]
    if unknown:
        raise InputError(f"unknown setting {unknown[0]!r}; allowed: {', '.join(known)}")
    return settings(**given)
