"""Multi-hop relations with lettered choices, in the format of GPQA.

Facts say who is whose `ma` and `pa`; the question walks a chain of relations from one person and
offers four choices. A program is `(facts, start, relations, choices)`: facts as `(person, relation,
other)`, relations to follow (`kid` walks a fact backwards), and the four people to choose from.
"""

import string

import numpy as np

from recover_nb.core.labels import Slip
from recover_nb.tasks.base import Step, TaskSpec, Walk

_HOPS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 3}
_LETTERS = "ABCD"
RELATIONS = ("ma", "pa")


def draw(rng: np.random.Generator, level: int) -> tuple:
    """Draw a program of 1 to 4 hops by level; level 5 has three, the first walking backwards.

    The choices are the right person, those to whom a slip would lead, and others to fill up.
    """
    hops = _HOPS[level]
    people = iter(str(letter) for letter in rng.permutation(list(string.ascii_lowercase)))
    chain = [next(people) for _ in range(hops + 1)]
    relations = [str(r) for r in rng.choice(RELATIONS, size=hops)]
    facts, others = [], []
    for i, relation in enumerate(relations):
        if level == 5 and i == 0:
            facts.append((chain[1], relation, chain[0]))
            relations[1] = _other(relation)
            continue
        facts.append((chain[i], relation, chain[i + 1]))
        if level != 5 or i != 1:  # the person that a backward hop reaches has that parent already
            facts.append((chain[i], _other(relation), next(people)))
            others.append(facts[-1][2])
    while len(others) < 3:
        facts.append((next(people), str(rng.choice(RELATIONS)), next(people)))
        others.append(facts[-1][2])
    if level == 5:
        relations[0] = "kid"
    told = tuple(facts[i] for i in rng.permutation(len(facts)))
    before, right = chain[-2:]
    tempting = [*_slips(told, before, relations[-1], right), before]
    fill = [str(p) for p in rng.permutation(others + chain[:-1])]
    wrong = [p for p in dict.fromkeys(tempting + fill) if p != right][:3]
    choices = tuple(str(p) for p in rng.permutation([right, *wrong]))
    return told, chain[0], tuple(relations), choices


def _other(relation: str) -> str:
    return RELATIONS[relation == RELATIONS[0]]


def render(program: tuple) -> tuple[str, str]:
    """Return facts, question and choices on three lines, and the letter of the right choice."""
    facts, start, relations, choices = program
    told = ";".join(f"{a}.{r}={b}" for a, r, b in facts)
    asked = ".".join((start, *relations))
    offered = " ".join(f"{p}.is={letter}" for letter, p in zip(_LETTERS, choices, strict=True))
    person: str = start
    for relation in relations:
        person = _next(facts, person, relation) or ""
    return f"{told}\n{asked}?\n{offered}\n", _letter(choices, person)


def _letter(choices: tuple, person: str) -> str:
    return _LETTERS[choices.index(person)]


def walk(program: tuple) -> Walk:
    """Yield one `person.relation=other` a hop, then the person's letter.

    People slip at the last hop, to somebody who is offered; after an earlier slip there is seldom a
    fact to go on with.
    """
    facts, person, relations, choices = program
    for i, relation in enumerate(relations):
        right = _next(facts, person, relation) or ""
        slips = _slips(facts, person, relation, right)
        ends = i == len(relations) - 1
        written = yield Step(
            f"{person}.{relation}=",
            right,
            slips,
            tempting=next((other for other in slips if ends and other in choices), None),
            may_be_left_out=ends and i > 0 and person in choices,
        )
        person = person if written is None else written
    letter = _letter(choices, person) if person in choices else ""
    return (yield Step(f"{person}.is=", letter, {})) or ""


def _next(facts: tuple, person: str, relation: str) -> str | None:
    """Return who stands in a relation to a person, None where no fact tells."""
    found = [
        source if relation == "kid" else target
        for source, told, target in facts
        if (target if relation == "kid" else source) == person and relation in ("kid", told)
    ]
    return found[0] if found else None


def _slips(facts: tuple, person: str, relation: str, right: str) -> dict[str, Slip]:
    """Return whom people name in error, the likeliest first.

    For the mother it is the father, for the father the person named last.
    """
    other = None if relation == "kid" else _next(facts, person, _other(relation))
    named = [(other, Slip.PARENT), (facts[-1][2], Slip.LAST_NAMED)]
    if relation == "pa":
        named.reverse()
    slips: dict[str, Slip] = {}
    for who, slip in named:
        if who and who != right:
            slips.setdefault(who, slip)
    return slips


def remap(rng: np.random.Generator, program: tuple) -> tuple:
    """Rename everybody and shuffle the choices, keep the family tree and the question."""
    facts, start, relations, choices = program
    people = sorted({p for a, _, b in facts for p in (a, b)})
    fresh = [str(p) for p in rng.permutation(list(string.ascii_lowercase))[: len(people)]]
    name = dict(zip(people, fresh, strict=True))
    renamed = tuple((name[a], r, name[b]) for a, r, b in facts)
    offered = tuple(name[choices[i]] for i in rng.permutation(4))
    return renamed, name[start], relations, offered


SPEC = TaskSpec(draw, render, walk, remap)
