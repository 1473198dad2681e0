"""What a study runs: one frozen, validated value with a JSON form."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.core.extras import need
from recover_nb.core.labels import FIXED_ATTEMPTS, SPECIALISTS, Family, Intervention, Split, Task
from recover_nb.core.stored_json import json_attr

if TYPE_CHECKING:
    from recover_nb.generation.decoding import Settings

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
        checks.settle(self, **_KINDS)
        self._set("interventions", all_interventions(self.interventions))
        self._set("settings", replace(settings_of(self.settings), seed=self.seed))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

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
        checks.check("a configuration", plain, checks.MAPPING)
        for name in plain:
            checks.check_name("field of a study", name, [each.name for each in fields(cls)])
        return cls(**plain)

    @classmethod
    def from_json(cls, text: str) -> "StudyConfig":
        """Build a configuration from what `to_json` returned."""
        try:
            plain = json_attr({"config_json": text}, "config_json")
        except (TypeError, ValueError) as error:
            raise InputError(
                f"a configuration must be the JSON that to_json returns, got {checks.shown(text)}"
            ) from error
        return cls.from_dict(plain)


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
    decoding = need("recover_nb.generation.decoding", "models", "running interventions")
    ordered = dict.fromkeys([Intervention.NONE.value, Intervention.RETRY.value, *map(str, names)])
    for name in ordered:
        decoding.find_operator(name)
    return tuple(ordered)


def settings_of(given: "Settings | dict[str, Any]") -> "Settings":
    """Return settings of decoding from their values by name, as a study stores them."""
    settings = need("recover_nb.generation.decoding", "models", "decoding").Settings
    if isinstance(given, settings):
        return given
    named = checks.check("settings", given, _SETTINGS)
    known = [each.name for each in fields(settings)]
    for name in named:
        checks.check_name("setting", name, known)
    return settings(**named)


_SETTINGS = checks.Kind("settings of decoding, or a dict of some of them", checks.MAPPING.read)
_SIZE = checks.whole(1, 1_000_000)
_KINDS = {
    "families": checks.names(Family),
    "methods": checks.names(SPECIALISTS),
    "tasks": checks.names(Task),
    "split": checks.one_of(Split),
    "interventions": checks.names(empty=True),
    "n_problems": _SIZE,
    "block_size": _SIZE,
    "n_rollouts": checks.ROLLOUTS,
    "n_attempts": checks.ROLLOUTS,
    "value_n": checks.ROLLOUTS,
    "seed": checks.SEED,
    "problem_seed": checks.SEED,
    "remap_seed": checks.SEED,
    "signal_rollouts": checks.DRAWS,
    "value_problems": checks.DRAWS,
}


#: The configuration that a function asks for.
CONFIG = checks.instance(
    StudyConfig, "a configuration of a study", "write it as rnb.StudyConfig(n_problems=10)"
)
