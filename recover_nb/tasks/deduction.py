"""Multi-hop relations with lettered choices, in the format of GPQA.

Facts say who is whose `ma` and `pa`; the question walks a chain of relations from one person and
offers four choices. A program is `(facts, start, relations, choices)`: facts as `(person, relation,
other)`, relations to follow (`kid` walks a fact backwards), and the four people to choose from.
"""

import string

import numpy as np

from recover_nb.tasks.base import TaskSpec

_HOPS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 3}
_LETTERS = "ABCD"
RELATIONS = ("ma", "pa")


def draw(rng: np.random.Generator, level: int) -> tuple:
    """Draw a program of 1 to 4 hops by level; level 5 has three, the first walking backwards."""
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
    wrong = [str(p) for p in rng.permutation(others + chain[:-1])[:3]]
    choices = tuple(str(p) for p in rng.permutation([chain[-1], *wrong]))
    order = rng.permutation(len(facts))
    return tuple(facts[i] for i in order), chain[0], tuple(relations), choices


def _other(relation: str) -> str:
    return RELATIONS[relation == RELATIONS[0]]


def _walk(program: tuple) -> list[str]:
    facts, person, relations, _ = program
    forward = {(source, relation): target for source, relation, target in facts}
    backward = {target: source for source, _, target in facts}
    path = [person]
    for relation in relations:
        person = backward[person] if relation == "kid" else forward[person, relation]
        path.append(person)
    return path


def render(program: tuple) -> tuple[str, str]:
    """Return facts, question and choices on three lines, and the letter of the right choice."""
    facts, start, relations, choices = program
    told = ";".join(f"{a}.{r}={b}" for a, r, b in facts)
    asked = ".".join((start, *relations))
    offered = " ".join(f"{p}.is={letter}" for letter, p in zip(_LETTERS, choices, strict=True))
    return f"{told}\n{asked}?\n{offered}\n", _letter(choices, _walk(program)[-1])


def _letter(choices: tuple, person: str) -> str:
    return _LETTERS[choices.index(person)]


def steps(program: tuple) -> list[str]:
    """Return one `person.relation=other` a hop, then the person's letter."""
    path = _walk(program)
    hops = [f"{a}.{r}={b}" for a, r, b in zip(path, program[2], path[1:], strict=False)]
    return [*hops, f"{path[-1]}.is={_letter(program[3], path[-1])}"]


def corrupt(rng: np.random.Generator, program: tuple) -> tuple[list[str], str]:
    """Return the steps with the last hop landing on another choice, and that one's letter."""
    *hops, _ = steps(program)
    right = _walk(program)[-1]
    stray = str(rng.choice([p for p in program[3] if p != right]))
    letter = _letter(program[3], stray)
    return [*hops[:-1], hops[-1].split("=")[0] + "=" + stray, f"{stray}.is={letter}"], letter


def remap(rng: np.random.Generator, program: tuple) -> tuple:
    """Rename everybody and shuffle the choices, keep the family tree and the question."""
    facts, start, relations, choices = program
    people = sorted({p for a, _, b in facts for p in (a, b)})
    fresh = [str(p) for p in rng.permutation(list(string.ascii_lowercase))[: len(people)]]
    name = dict(zip(people, fresh, strict=True))
    renamed = tuple((name[a], r, name[b]) for a, r, b in facts)
    offered = tuple(name[choices[i]] for i in rng.permutation(4))
    return renamed, name[start], relations, offered


SPEC = TaskSpec(draw, render, steps, corrupt, remap)
