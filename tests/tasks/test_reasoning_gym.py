"""Problems of reasoning-gym end to end: made, answered, graded as the library grades."""

import sys
import time
import warnings

import pytest
from byte_level import byte_level_tokenizer
from decoding_models import near, tiny_model

import recover_nb as rnb
from recover_nb.core.errors import InputError
from recover_nb.tasks.reasoning_gym import FORMULAS, LISTS, SUMS

reasoning_gym = pytest.importorskip("reasoning_gym")

#: Sums, strings, logic, grids, games, and every task whose checker runs an answer.
TASKS = """
    base_conversion basic_arithmetic binary_matrix caesar_cipher chain_sum coin_flip countdown
    family_relationships fraction_simplification gcd intermediate_integration knights_knaves
    letter_counting mini_sudoku n_queens number_sorting polynomial_multiplication
    prime_factorization puzzle24 simple_equations simple_integration spell_backward spiral_matrix
    string_insertion sudoku time_intervals tower_of_hanoi word_ladder
"""
#: Their checkers take seconds for an answer.
SLOW = ("intermediate_integration", "simple_integration")
#: What a model might write instead.
WRONG = ("", "0", "no idea", "[", "{}", "1/0", "-1", "\x00", "x", "True", "7 7 7", "é", "9" * 12)


def library_score(data, entry, answer):
    """The library's own score; 0 where its checker fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return data.score_answer(answer, entry)
        except Exception:
            return 0.0


@pytest.mark.parametrize("name", TASKS.split())
def test_grades_agree_with_the_library(name):
    began, n = time.perf_counter(), 2 if name in SLOW else 6
    problems, checker = rnb.tasks.from_reasoning_gym(name, n=n, seed=11)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = reasoning_gym.create_dataset(name, seed=11, size=n)
        entries = {f"{name}-11-{i}": data[i] for i in range(n)}
    assert len({each.answer for each in problems}) == len(problems) == n
    compared = 0
    for problem in problems:
        entry = entries.get(problem.problem_id)
        if entry is None:  # Drawn because a question came again.
            continue
        assert problem.prompt.startswith(entry["question"]) and problem.prompt.endswith(".\n")
        reference = entry["answer"]
        assert problem.answer.startswith(reference) or problem.answer.endswith("]")
        assert checker(
            f"I think <answer>3</answer>, no: <answer>{reference}</answer>!", problem.answer
        )
        assert checker(f"Let me see.\n\n{reference}\n", problem.answer)
        others = [each["answer"] for each in entries.values()]
        for given in (*WRONG, *others, reference + " 1"):
            expected = library_score(data, entry, given.strip())
            assert checker(f"<answer>{given}</answer>", problem.answer) == (expected >= 1)
            compared += 1
    assert compared >= 13 * n and time.perf_counter() - began < 60


def test_problems_say_where_they_come_from():
    problems, checker = rnb.tasks.from_reasoning_gym("chain_sum", n=3, seed=3)
    assert problems[0] == rnb.tasks.Problem(
        "chain_sum",
        "chain_sum-3-0",
        "test",
        -1,
        "State the final answer to the following arithmetic problem: 57 + 87 + 70 =\n"
        "Give the final answer between <answer> and </answer>.\n",
        "214",
        (),
    )
    assert problems[:2] == rnb.tasks.from_reasoning_gym("chain_sum", n=2, seed=3)[0]
    assert repr(checker) == "<checker of 3 problems of reasoning-gym's chain_sum>"
    (bare, *_), _ = rnb.tasks.from_reasoning_gym("chain_sum", n=1, seed=3, instruction="")
    assert bare.prompt == problems[0].prompt.partition("\n")[0] + "\n"


def test_a_score_below_1_is_wrong():
    problems, checker = rnb.tasks.from_reasoning_gym("gcd", n=1, seed=1)
    text = f"<answer>{problems[0].answer} or so</answer>"
    assert 0 < checker.score(text, problems[0].answer) < 1
    assert not checker(text, problems[0].answer)


def test_options_reach_the_task():
    problems, _ = rnb.tasks.from_reasoning_gym(
        "chain_sum", n=5, min_digits=1, max_digits=1, min_terms=2, max_terms=2
    )
    assert all(-9 <= int(each.answer.partition(" [")[0]) <= 18 for each in problems)


def test_equal_answers_are_told_apart():
    problems, checker = rnb.tasks.from_reasoning_gym("coin_flip", n=40, seed=2)
    answers = [each.answer for each in problems]
    assert len(set(answers)) == 40
    again = [each for each in problems if each.answer.endswith("]")]
    assert again and all(each.answer.endswith(f" [{each.problem_id}]") for each in again)
    for each in problems:
        assert checker(each.answer.partition(" [")[0], each.answer)


def test_two_problems_of_one_answer_keep_their_own_entries():
    """Both answers are "No"; right for the one question is what the library says of that one."""
    problems, checker = rnb.tasks.from_reasoning_gym("syllogism", n=30, seed=4)
    assert sum(each.answer.startswith("No") for each in problems) > 1
    for each in problems:
        right = each.answer.partition(" [")[0]
        assert checker(right, each.answer)
        assert not checker({"Yes": "No", "No": "Yes"}[right], each.answer)


def test_a_question_that_comes_again_is_left_out():
    problems, _ = rnb.tasks.from_reasoning_gym("tower_of_hanoi", n=20, seed=5, max_disks=4)
    assert len({each.prompt for each in problems}) == 20
    with pytest.raises(InputError, match=r"has only \d+ different questions in 1600"):
        rnb.tasks.from_reasoning_gym("tower_of_hanoi", n=200, max_disks=3)


@pytest.mark.parametrize("name", ["graph_color", "boxnet", "rush_hour"])
def test_tasks_without_a_reference_answer_have_their_ids_for_one(name):
    problems, checker = rnb.tasks.from_reasoning_gym(name, n=2)
    assert [each.answer for each in problems] == [f"[{name}-0-0]", f"[{name}-0-1]"]
    assert not checker("", problems[0].answer) and not checker("0", problems[1].answer)


def test_an_answer_of_many_lines_needs_no_tags():
    problems, checker = rnb.tasks.from_reasoning_gym("mini_sudoku", n=1)
    grid = problems[0].answer
    assert grid.count("\n") == 3
    assert checker(f"First I look at the rows.\n{grid}\n", problems[0].answer)
    assert not checker(f"{grid}\nThat is it.", problems[0].answer)


HOSTILE = [
    "__import__('pathlib').Path('{path}').write_text('x')",
    "().__class__.__base__.__subclasses__()",
    "open('{path}', 'w')",
    "[open('{path}', 'w') for x in [1]]",
    "9**9**9",
    "((9**99)**99)**99**99",
    "(((((9**99)**99)**99)**99)**99)",
    "99999999!",
    "N(pi, 99999999)",
    "exp(exp(exp(99)))",
    "'%9999999999d' % 1",
    "1<<9999999999",
    "[0]*9**9",
    "x.evalf(99999999)",
    "factorial(99999999)",
    "(" * 600,
]


@pytest.mark.parametrize("name", [*SUMS, *FORMULAS, *LISTS])
def test_answers_that_would_be_run_are_looked_at_first(name, tmp_path):
    problems, checker = rnb.tasks.from_reasoning_gym(name, n=1)
    path = tmp_path / "made"
    began = time.perf_counter()
    for text in HOSTILE:
        answer = text.replace("{path}", str(path))
        assert not checker(f"<answer>{answer}</answer>", problems[0].answer)
    assert checker.refused >= len(HOSTILE) - 3 and not path.exists()
    assert time.perf_counter() - began < 20


@pytest.mark.parametrize(
    ("name", "answer", "refused"),
    [
        ("countdown", "94*4 - 61 - 6", 0),
        ("countdown", "(94 + 4)/(61 - 6.5)", 0),
        ("countdown", "sqrt(4)", 1),
        ("simple_integration", "-4*(-2*x - 8)**(3/2)/3 + x**12*exp(2*x) + C", 0),
        ("simple_integration", "x**2 + 3*sin(x)*log(x)**2 + C", 0),
        ("simple_integration", "x**200", 1),
        ("simple_integration", "solve(x)", 1),
        ("n_queens", "[['_', 'Q'], ['Q', '_']]", 0),
        ("n_queens", "_ _ Q\nQ _ _", 0),
        ("n_queens", "exit()", 1),
        ("chain_sum", "__import__('os')", 0),
    ],
)
def test_which_answers_are_passed_on(name, answer, refused):
    problems, checker = rnb.tasks.from_reasoning_gym(name, n=1)
    checker(f"<answer>{answer}</answer>", problems[0].answer)
    assert checker.refused == refused


def test_a_checker_that_fails_is_counted():
    problems, checker = rnb.tasks.from_reasoning_gym("prime_factorization", n=1)
    assert not checker("<answer>two times three</answer>", problems[0].answer)
    assert checker.unread == 1


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("chain_sums", {}, "unknown task 'chain_sums' of reasoning-gym; did you mean chain_sum"),
        ("", {}, "unknown task '' of reasoning-gym; allowed: ab, acre"),
        ("gcd", {"digits": 3}, "gcd has no option digits; allowed: .*min_numbers"),
        ("gcd", {"size": 3}, r"no option size; allowed: .*\(the number of problems is n\)"),
        ("gcd", {"min_numbers": -1}, "cannot make gcd with {'min_numbers': -1}: "),
        ("gcd", {"min_numbers": "two"}, "cannot make gcd with"),
        ("composite", {}, "cannot make composite with its own options: Must specify"),
        ("gcd", {"n": 0}, "n must be a whole number of at least 1, got 0"),
        ("gcd", {"n": 2.5}, "n must be a whole number of at least 1, got 2.5"),
        ("gcd", {"seed": -1}, "seed must be a whole number from 0 to 4294967295, got -1"),
    ],
)
def test_refusals(name, arguments, says):
    with pytest.raises(InputError, match=says):
        rnb.tasks.from_reasoning_gym(name, **arguments)


def test_an_answer_of_another_problem_is_refused():
    _, checker = rnb.tasks.from_reasoning_gym("gcd", n=1)
    with pytest.raises(InputError, match="no problem of this checker has the answer 'other'"):
        checker("1", "other")


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(InputError, match=r"pip install 'recover-nb\[gym\]'"):
        rnb.tasks.from_reasoning_gym("gcd")


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS.split()[:20])
def test_a_task_becomes_a_study(own_pair, name):
    problems, checker = rnb.tasks.from_reasoning_gym(name, n=3, seed=1)
    ds = rnb.generate(
        own_pair,
        problems,
        interventions=["sparse_steer"],
        n_rollouts=2,
        n_attempts=2,
        settings=rnb.Settings(max_new_tokens=16),
        checker=checker,
    )
    assert ds["problem_id"].values.tolist() == [each.problem_id for each in problems]
    assert ds["prompt"].values.tolist() == [each.prompt for each in problems]
    # Random weights solve nothing by more than luck, and each rollout has a verdict.
    assert set(ds["correct"].sel(intervention="none").values.ravel().tolist()) <= {0, 1}


@pytest.fixture(scope="module")
def own_pair():
    """A tiny random pair whose tokenizer reads any text."""
    tokenizer = byte_level_tokenizer()
    model = tiny_model(vocab_size=len(tokenizer), max_position_embeddings=4096)
    model.generation_config.eos_token_id = list(range(0, len(tokenizer), 6))
    return rnb.load_pair(model, near(model), tokenizer=tokenizer)
