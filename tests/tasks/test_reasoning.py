"""Slips that people make, and where a trace first went wrong: worked out by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from recover_nb import tasks
from recover_nb.core.labels import Origin, Slip, Task
from recover_nb.tasks import arithmetic, deduction, make_problem, program
from recover_nb.tasks.slips import slip_of, sum_step

SUM = make_problem("arithmetic", arithmetic.SPEC, (47, (("+", 85), ("*", 4), ("-", 19))), 3)
HARD = make_problem("arithmetic", arithmetic.SPEC, (90, (("*", 58), ("+", 31))), 5)
#: a is computed and never printed.
IDLE = make_problem(
    "program",
    program.SPEC,
    (
        ("set", "a", 3),
        ("set", "b", 24),
        ("op", "a", "*", 4),
        ("for", 2, (("op", "b", "-", 8),)),
        ("print", "b"),
    ),
    3,
)
FACTS = (("k", "ma", "m"), ("m", "pa", "q"), ("m", "ma", "r"), ("k", "pa", "t"))
WALK = make_problem(
    "deduction", deduction.SPEC, (FACTS, "k", ("ma", "pa"), ("t", "q", "m", "r")), 2
)


def test_the_reference_traces_by_hand():
    # 47+85 = 132 -> 32; 32*4 = 128 -> 28; 28-19 = 9
    assert tasks.trace(SUM, "step") == "47+85=32 32*4=28 28-19=9 #9"
    # 90*58 = 5220 = 53 * 97 + 79; 79+31 = 110 -> 13
    assert tasks.trace(HARD, "step") == "90*58=79 79+31=13 #13"
    assert tasks.trace(IDLE, "step") == "a:3*4=12 b:24-8=16 b:16-8=8 #8"
    assert tasks.trace(WALK, "step") == "k.ma=m m.pa=q q.is=B #B"


@pytest.mark.parametrize(
    ("sum_", "slip"),
    [
        ((47, "+", 85), (Slip.CARRY, -10)),
        ((40, "+", 85), None),
        ((45, "+", 5), (Slip.CARRY, -10)),
        ((52, "-", 38), (Slip.BORROW, 10)),
        ((58, "-", 38), None),
        ((5, "-", 12), None),
        ((68, "*", 8), (Slip.ROW, -68)),
    ],
)
def test_where_people_slip(sum_, slip):
    assert slip_of(*sum_) == slip


def test_a_slip_stays_within_the_modulus_and_needs_another_result():
    # 3+8 = 11 -> without the carry 1; 8-19 = -11 -> 89, with the borrow forgotten 99.
    assert sum_step("", 3, "+", 8, 100).tempting == "1"
    assert sum_step("", 8, "-", 19, 100).tempting == "99"
    # A row before of nothing is nothing.
    assert sum_step("", 0, "*", 7, 100).tempting is None


def test_the_father_for_the_mother_and_the_last_named_for_the_father():
    def last_hop(problem):
        walk = problem_walk(problem)
        next(walk)
        return walk.send("m")

    assert last_hop(WALK).slips == {"t": Slip.LAST_NAMED, "r": Slip.PARENT}
    assert last_hop(WALK).tempting == "t"
    assert last_hop(WALK).may_be_left_out
    mother = make_problem(
        "deduction", deduction.SPEC, (FACTS, "k", ("ma", "ma"), ("t", "q", "m", "r")), 2
    )
    assert last_hop(mother).tempting == "q"


def problem_walk(problem):
    return tasks.TASKS[Task(problem.task)].walk(problem.program)


def test_who_always_slips_writes_it_by_hand():
    # Products are slipped in less often than by the rate, so nothing is left to chance.
    always = SimpleNamespace(random=lambda: 0.0, integers=None), 1.0
    # 47+85 = 122 -> 22; 22*3 = 66; 66-19: 6 < 9, 47 + 10 = 57
    assert tasks.erring_trace(SUM, *always) == "47+85=22 22*4=66 66-19=57 #57"
    assert tasks.erring_trace(WALK, *always) == "k.ma=m m.is=C #C"
    assert tasks.erring_trace(SUM, np.random.default_rng(0), 0.0) == tasks.trace(SUM, "step")


def test_how_often_people_slip():
    rng = np.random.default_rng(0)
    carry = make_problem("arithmetic", arithmetic.SPEC, (47, (("+", 85),)), 1)
    product = make_problem("arithmetic", arithmetic.SPEC, (47, (("*", 8),)), 1)
    for problem, share in ((carry, 0.35), (product, 0.28)):
        wrong = [
            not tasks.is_correct(problem, tasks.erring_trace(problem, rng, 0.35))
            for _ in range(4000)
        ]
        assert abs(np.mean(wrong) - share) < 4 * np.sqrt(share * (1 - share) / 4000)


@pytest.mark.parametrize(
    ("problem", "text", "origin", "slip", "step"),
    [
        (SUM, "47+85=22 22*4=88 88-19=69 #69", Origin.SLIP, Slip.CARRY, "47+85=22"),
        (SUM, "47+85=32 32*4=96 96-19=77 #77", Origin.SLIP, Slip.ROW, "32*4=96"),
        (SUM, "47+85=32 32*4=28 28-19=19 #19", Origin.SLIP, Slip.BORROW, "28-19=19"),
        (SUM, "47+85=33 33*4=32 32-19=13 #13", Origin.SLIP, Slip.OTHER, "47+85=33"),
        # Another number than the problem has, and one that it has elsewhere.
        (SUM, "47+86=33 33*4=32 32-19=13 #13", Origin.MISREAD, None, "47+86=33"),
        (SUM, "47+19=66 66*4=64 64-19=45 #45", Origin.LOST, None, "47+19=66"),
        (SUM, "47+85=32 32-19=13 #13", Origin.LOST, None, "32-19=13"),
        (SUM, "47+85=32 32*4=28 #28", Origin.LOST, None, "#28"),
        (SUM, "47+85=32 32*4=28 28-19=9 9-19=90 #90", Origin.LOST, None, "9-19=90"),
        # The answer is not what was worked out.
        (SUM, "47+85=32 32*4=28 28-19=9 #8", Origin.MISREAD, None, "#8"),
        (SUM, "#8", Origin.GUESS, None, "#8"),
        (SUM, "47+85=32 32*4=28 28-19=9", Origin.FORMAT, None, ""),
        (SUM, "", Origin.FORMAT, None, ""),
        (SUM, "47+85=x #x", Origin.FORMAT, None, ""),
        (SUM, "47+85= #8", Origin.SLIP, Slip.OTHER, "47+85="),
        # 4*3 = 9 is a wrong value that nothing uses: what counts comes later.
        (IDLE, "a:3*4=9 b:24-8=26 b:26-8=18 #18", Origin.SLIP, Slip.BORROW, "b:24-8=26"),
        (IDLE, "a:3*4=12 b:24-8=16 #16", Origin.LOST, None, "#16"),
        (IDLE, "b:24-8=16 b:16-8=8 #8", Origin.LOST, None, "b:24-8=16"),
        (WALK, "k.ma=m m.pa=t t.is=A #A", Origin.SLIP, Slip.LAST_NAMED, "m.pa=t"),
        (WALK, "k.ma=m m.pa=r r.is=D #D", Origin.SLIP, Slip.PARENT, "m.pa=r"),
        (WALK, "k.ma=t t.is=A #A", Origin.SLIP, Slip.PARENT, "k.ma=t"),
        (WALK, "k.ma=m m.is=C #C", Origin.LOST, None, "m.is=C"),
        (WALK, "k.ma=m m.pa=q q.is=C #C", Origin.SLIP, Slip.OTHER, "q.is=C"),
        (WALK, "k.ma=m m.pa=q q.is=B #C", Origin.MISREAD, None, "#C"),
        (WALK, "z.ma=m m.pa=q q.is=B #C", Origin.MISREAD, None, "z.ma=m"),
    ],
)
def test_the_first_wrong_step_by_hand(problem, text, origin, slip, step):
    found = tasks.find_origin(problem, text)
    assert (found.origin, found.slip) == (origin, slip)
    assert text[max(found.start, 0) : max(found.end, 0)] == step


def test_a_right_trace_has_no_wrong_step_and_an_idle_slip_is_forgiven():
    for task in Task:
        for problem in tasks.problems(task, "dev", 60):
            assert tasks.find_origin(problem, tasks.trace(problem, "step")) is None
    assert tasks.find_origin(IDLE, "a:3*4=9 b:24-8=16 b:16-8=8 #8") is None


def test_a_wrong_answer_always_has_an_origin():
    rng = np.random.default_rng(1)
    for task in Task:
        for problem in tasks.problems(task, "dev", 100):
            text = tasks.erring_trace(problem, rng, 0.6)
            found = tasks.find_origin(problem, text)
            # Two slips can make up for one another, so a right answer may have an origin too.
            assert found is not None or tasks.is_correct(problem, text)
            if found is not None:
                assert found.origin in (Origin.SLIP, Origin.LOST)


def test_choices_hold_those_to_whom_a_slip_leads():
    offered = 0
    for problem in tasks.problems("deduction", "dev", 100):
        steps, _ = tasks.written_out(problem_walk(problem))
        offered += steps[-2].tempting is not None
    assert offered == 100


@pytest.mark.parametrize(
    ("text", "worked"),
    [("47+85=32 #32", True), ("#32", False), (" #32", False), ("47+85", True), ("", False)],
)
def test_an_answer_without_a_step_is_a_guess(text, worked):
    assert tasks.is_worked(text) is worked


@pytest.mark.parametrize(
    ("text", "worked"),
    [
        ("The answer is 12.", False),
        ("B", False),
        ("(B) Paris", False),
        ("3.5", False),
        ("", False),
        ("Four boxes of three. So 12.", True),
        ("4 * 3 = 12", True),
        ("first line\nsecond line", True),
    ],
)
def test_steps_in_any_text(text, worked):
    assert tasks.has_step(text) is worked
