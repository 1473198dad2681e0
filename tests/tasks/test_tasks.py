"""Tasks: answers checked by running, splits that share nothing, remapping that keeps programs."""

import contextlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recover_nb import tasks
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Task
from recover_nb.tasks import arithmetic, deduction, program
from recover_nb.tasks.base import split_of

SOME = [p for task in Task for p in tasks.problems(task, "dev", 60)]


def run(source: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(source, {})
    return out.getvalue().strip()


def walk_family_tree(prompt: str) -> str:
    """Answer a deduction problem from its text alone, by another way than the generator."""
    told, asked, offered = prompt.strip().split("\n")
    facts = [(f[0], f[2:4], f[5]) for f in told.split(";")]
    person, *relations = asked.rstrip("?").split(".")
    for relation in relations:
        if relation == "kid":
            (person,) = [a for a, _, b in facts if b == person]
        else:
            (person,) = [b for a, r, b in facts if (a, r) == (person, relation)]
    (letter,) = [pair[-1] for pair in offered.split() if pair[0] == person]
    return letter


def written(task, program):
    return [step.head + step.result for step in tasks.written_out(task.walk(program))[0]]


def test_arithmetic_prompts_evaluate_to_the_answer():
    for problem in tasks.problems("arithmetic", "dev", 100):
        assert str(eval(problem.prompt)) == problem.answer


def test_programs_print_the_answer():
    for problem in tasks.problems("program", "dev", 100):
        assert run(problem.prompt) == problem.answer


def test_deduction_has_one_reading_and_it_is_the_answer():
    for problem in tasks.problems("deduction", "dev", 100):
        assert walk_family_tree(problem.prompt) == problem.answer


def test_arithmetic_by_hand():
    # (50 - 22) * 7 = 196 -> 96; 96 + 9 = 105 -> 5
    made = (50, (("-", 22), ("*", 7), ("+", 9)))
    assert arithmetic.render(made) == ("(((50-22)*7)+9)%100\n", "5")
    assert written(arithmetic, made) == ["50-22=28", "28*7=96", "96+9=5"]


def test_hard_arithmetic_is_modulo_97_throughout():
    # 90 + 20 = 110 -> 13; 13 * 58 = 754 = 7 * 97 + 75; 75 - 80 = -5 -> 92
    made = (90, (("+", 20), ("*", 58), ("-", 80)))
    assert arithmetic.render(made) == ("(((90+20)*58)-80)%97\n", "92")
    assert written(arithmetic, made) == ["90+20=13", "13*58=75", "75-80=92"]


def test_hard_program_is_modulo_97_throughout():
    # 58 * 69 = 4002 = 41 * 97 + 25
    made = (("set", "a", 58), ("set", "b", 69), ("mod", "a", "b"), ("print", "a"))
    assert program.render(made) == ("a=58\nb=69\na=a*b%97\nprint(a)\n", "25")
    assert written(program, made) == ["a:58*69=25"]
    hard = [p for p in tasks.problems("program", "dev", 100) if p.level == 5]
    values = [int(step.split("=")[1]) for p in hard for step in tasks.trace(p, "step").split()[:-1]]
    assert max(values) < 97


def test_program_by_hand():
    made = (("set", "a", 3), ("set", "b", 4), ("for", 2, (("op", "b", "+", "a"),)), ("print", "b"))
    assert program.render(made) == ("a=3\nb=4\nfor i in range(2):b+=a\nprint(b)\n", "10")
    assert written(program, made) == ["b:4+3=7", "b:7+3=10"]


def test_deduction_by_hand():
    facts = (("k", "ma", "m"), ("m", "pa", "q"), ("k", "pa", "t"))
    made = (facts, "k", ("ma", "pa"), ("t", "q", "m", "k"))
    assert deduction.render(made) == (
        "k.ma=m;m.pa=q;k.pa=t\nk.ma.pa?\nt.is=A q.is=B m.is=C k.is=D\n",
        "B",
    )
    assert written(deduction, made) == ["k.ma=m", "m.pa=q", "q.is=B"]


@pytest.mark.parametrize("style", ["step", "terse"])
def test_reference_traces_are_correct(style):
    for problem in SOME:
        assert tasks.is_correct(problem, tasks.trace(problem, style))
        assert tasks.trace(problem, "terse") == "#" + problem.answer
        assert tasks.is_worked(tasks.trace(problem, style)) == (style == "step")


@pytest.mark.parametrize("task", list(Task))
def test_splits_share_no_prompt_and_a_longer_draw_begins_with_the_shorter(task):
    drawn = {split: tasks.problems(task, split, 80) for split in ("train", "dev", "test")}
    prompts = [{p.prompt for p in drawn[split]} for split in drawn]
    assert (
        not prompts[0] & prompts[1] and not prompts[1] & prompts[2] and not prompts[0] & prompts[2]
    )
    assert all(len(each) == 80 for each in prompts)
    assert tasks.problems(task, "dev", 30) == drawn["dev"][:30]
    assert tasks.problems(task, "dev", 30, seed=1) != drawn["dev"][:30]
    assert all(split_of(p.prompt) == "test" for p in drawn["test"])


def test_levels_are_dealt_20_24_24_20_12():
    levels = [p.level for p in tasks.problems("arithmetic", "test", 100)]
    assert [levels.count(level) for level in (1, 2, 3, 4, 5)] == [20, 24, 24, 20, 12]


def shape(problem):
    """Return the program of a problem with its numbers or names blotted out."""
    if problem.task == "arithmetic":
        return [op for op, _ in problem.program[1]]
    if problem.task == "deduction":
        return problem.program[2]
    return "".join("9" if c.isdigit() else c for c in problem.prompt).replace("99", "9")


def test_remapping_keeps_the_program_and_changes_the_numbers():
    for problem in SOME:
        other = tasks.remap(problem, seed=3)
        assert shape(other) == shape(problem)
        assert other.prompt != problem.prompt
        assert other == tasks.remap(problem, seed=3)
        assert other.level == problem.level
    loops = [p for p in SOME if p.task == "program" and "range" in p.prompt]
    for problem in loops:
        count = problem.prompt.split("range(")[1][0]
        assert f"range({count})" in tasks.remap(problem, seed=5).prompt


def test_unknown_names_are_refused_with_what_is_allowed():
    with pytest.raises(
        InputError, match="task must be one of arithmetic, program, deduction, got 'algebra'"
    ):
        tasks.problems("algebra", "dev", 1)
    with pytest.raises(InputError, match="split must be one of train, dev, test, got 'val'"):
        tasks.problems("program", "val", 1)
    with pytest.raises(InputError, match="n must be a whole number of at least 0, got -1"):
        tasks.problems("program", "dev", -1)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("1+2=3 #3", "3"),
        ("#C", "C"),
        ("#3 #4", "4"),
        ("1+2=3", None),
        ("#", None),
        ("#3 ", None),
        ("#E", None),
        ("#1234", None),
        ("", None),
    ],
)
def test_parse_answer(text, answer):
    assert tasks.parse_answer(text) == answer


@pytest.mark.parametrize(
    ("rule", "text", "answer", "right"),
    [
        ("exact", " 12\n", "12", True),
        ("exact", "12.0", "12", False),
        ("numeric", "so 3 apples and 1,200 pears", "1200", True),
        ("numeric", r"\boxed{0.5} not 7", "1/2", True),
        ("numeric", "none", "1", False),
        ("numeric", "5/0", "5", False),
        ("choice", "The answer is (B).", "B", True),
        ("choice", "A is wrong, so C", "(c)", True),
        ("choice", "Because", "B", False),
        (r"regex:answer: (\w+)", "answer: x, answer: y", "y", True),
        (r"regex:\d+", "1 22 333", "333", True),
        (r"regex:\d+", "none", "333", False),
    ],
)
def test_checkers(rule, text, answer, right):
    assert tasks.make_checker(rule)(text, answer) is right


def test_checkers_take_callables_and_refuse_the_unknown():
    assert tasks.make_checker(str.startswith)("abc", "ab")
    with pytest.raises(
        InputError, match=r"rule must be exact, numeric, choice, math, regex.*, got 'fuzzy'"
    ):
        tasks.make_checker("fuzzy")
    with pytest.raises(InputError, match="does not compile"):
        tasks.make_checker("regex:(")


@given(st.integers(0, 99), st.sampled_from("+-*"), st.integers(1, 99), st.sampled_from([97, 100]))
def test_arithmetic_stays_in_range(value, op, operand, modulus):
    assert arithmetic.apply(value, op, operand, modulus) == eval(
        f"({value}{op}{operand})%{modulus}"
    )
