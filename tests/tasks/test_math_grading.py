"""The rule "math": expressions that are equal, through math-verify, with verdicts by hand."""

import threading

import pytest

from recover_nb.core.errors import InputError
from recover_nb.tasks import can_grade, grade, make_checker

PAIRS = [
    # (given, gold, equal)
    (r"\frac{1}{2}", "0.5", True),
    ("1/2", r"\dfrac12", True),
    ("0.333", r"\frac{1}{3}", False),
    (r"2\sqrt{2}", r"\sqrt{8}", True),
    (r"\sqrt{2}", "2", False),
    (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}", True),
    (r"\frac{\pi}{2}", r"\pi/2", True),
    (r"3\pi", "3", False),
    ("1,000", "1000", True),
    (r"10,\!000", "10000", True),
    (r"2^{10}", "1024", True),
    (r"2^{2021}", r"2^{2021}", True),
    (r"2^{2021}", r"2^{2020}", False),
    (r"1.5\times10^3", "1500", True),
    (r"7\frac12", "7.5", True),
    ("50%", "50", True),
    (r"50\%", "0.5", True),
    (r"90^\circ", "90", True),
    (r"5\text{ cm}", "5", True),
    (r"\$5", "5", True),
    ("-5", "5", False),
    ("\u22125", "-5", True),
    ("x = 5", "5", True),
    ("5", "x = 5", True),
    ("x=5", "x=6", False),
    ("y = 2x+1", "y=1+2x", True),
    ("x^2+2x+1", "(x+1)^2", True),
    ("x^2+2x", "(x+1)^2", False),
    (r"\{1, 2\}", r"\{2, 1\}", True),
    (r"\{1, 2\}", r"\{1, 3\}", False),
    ("1, 2, 3", "3, 2, 1", True),
    (r"7 \text{ or } 8", "7, 8", True),
    ("(1, 2)", "(1, 2)", True),
    ("(2, 1)", "(1, 2)", False),
    ("(1, 2]", "(1, 2)", False),
    ("[1, 2]", "[1, 2]", True),
    (r"[0,1)\cup(2,3]", r"(2,3]\cup[0,1)", True),
    (r"(-\infty, 3)", "x<3", True),
    ("x<3", r"(-\infty, 3)", True),
    (r"x \in (-\infty,3)", r"(-\infty,3)", True),
    (r"\infty", r"\infty", True),
    (r"\infty", r"-\infty", False),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{bmatrix}1&2\\3&4\end{bmatrix}", True),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&2\\3&5\end{pmatrix}", False),
    ("3+2i", "2i+3", True),
    (r"\pm 3", "3, -3", True),
    (r"\text{Monday}", "Monday", True),
    ("monday", r"\text{Monday}", True),
    (r"\text{Monday}", r"\text{Friday}", False),
    ("east", "seat", False),
    ("Mondya", "Monday", False),
    (r"\text{not possible}", "not possible", True),
    ("5:3", "5/3", True),
    ("A", "A", True),
    ("A", "B", False),
    (r"\sqrt{2", "1", False),
    ("", "1", False),
    (r"\frac{1}{0}", "1", False),
    ("}{", "1", False),
]


@pytest.mark.parametrize(("given", "gold", "equal"), PAIRS)
def test_expressions(given, gold, equal):
    check = make_checker("math")
    texts = (given, f"\\boxed{{{given}}}", f"So $\\boxed{{{given}}}$ by 7 rules.")
    for text in texts:
        assert check(text, gold) is equal, text
    if given:
        assert check(f"The answer is ${given}$.", gold) is equal


@pytest.mark.parametrize(
    ("text", "gold", "place"),
    [
        (r"First $x=1$. So \boxed{\frac{3}{4}} in all.", "0.75", "boxed"),
        (r"First $x=1$. So \[ \boxed{\frac{3}{\sqrt{2}}} \]", r"\frac{3\sqrt2}{2}", "boxed"),
        ("2+1=3\n#### 3", "3", "####"),
        ("Final Answer: The final answer is $x+1$. I hope it is correct.", "1+x", "announced"),
        (r"The answer is \(x+1\), by 3 steps.", "1+x", "announced"),
        (r"The answer is $x=2$ and $x=3$.", "2, 3", "announced"),
        (r"**Answer:** $\frac{3}{4}$", "3/4", "announced"),
        (
            r"Hence, after all of the steps, we end with $y = 1$ and then the area $\frac{3}{4}$",
            "3/4",
            "last formula",
        ),
        (
            "Hence, after much work of many kinds, all that is left is then 3/4",
            "3/4",
            "last number",
        ),
        ("\\boxed{3/4}\nQuestion: and \\boxed{5}?", "3/4", "boxed"),
        ("<think>\\boxed{5}</think>\\boxed{3/4}", "3/4", "boxed"),
    ],
)
def test_the_expression_is_read_where_it_is_announced(text, gold, place):
    found = grade("math", text, gold)
    assert (found.correct, found.place) == (True, place)
    assert not grade("math", text, "17").correct


@pytest.mark.parametrize(
    ("gold", "readable"),
    [
        ("5", True),
        (r"\frac{1}{2}", True),
        ("2+1=3\n#### 3", True),
        (r"We get $\boxed{x^2}$, as 3 rules say, and so on and so on and so on.", True),
        (r"\text{Monday}", True),
        ("(1, 2]", True),
        ("x > 3", True),
        ("", False),
        ("  ", False),
        (r"\frac{", False),
        ("}{", False),
        ("9^{9^{9^9}}", False),
        ("9" * 500, False),
    ],
)
def test_what_math_can_grade(gold, readable):
    assert can_grade("math", gold) is readable
    assert grade("math", gold, gold).correct is readable


@pytest.mark.parametrize(
    "steep",
    ["9^{9^{9}}", "9^9^9", "9**9**9", "99^{99^{4}}", "10^{1000000000}", "123456!", "5!!!", "(10!)!",
     r"(x+1)^{999}", r"\sum_{i=1}^{1000000000} i", r"\int x", r"\binom{1000000}{500000}",
     "(" * 200 + "x" + ")" * 200, "x+" * 110 + "x", "{" * 230, r"\frac{" * 30, r"\sqrt{" * 30,
     "(x+y+z)^{9}(x-y+z)^{9}(x+y-z)^{9}(a+b)^{9}(a-b)^{9}", "x^" * 100, "1/" * 100,
     r"\sin(x)^{12}\cos(y)^{12}\tan(z)^{12}(x+y)^{12}(a+b+c)^{12}", "2^{" * 20 + "2" + "}" * 20,
     r"\boxed{9^{9^9}}", r"\left(1+x\right)^{500}", "100^{9999}", r"\prod_{k=1}^{10^{9}} k",
     "0^{-1}", r"\log(0)", "1e999999999", "10^{-999999999}", r"\lim_{x\to 0} 1/x"],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_what_would_take_forever_is_unequal_at_once(steep):
    assert grade("math", f"\\boxed{{{steep}}}", "17").correct is False
    assert grade("math", r"\boxed{17}", steep).correct is False
    assert grade("math", f"\\boxed{{{steep}+1}}", steep).correct is False


def test_it_works_outside_the_main_thread():
    said = []
    thread = threading.Thread(
        target=lambda: said.append(grade("math", r"\boxed{2\sqrt2}", r"\sqrt8").correct)
    )
    thread.start()
    thread.join()
    assert said == [True]


def test_without_math_verify_it_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "math_verify", None)
    with pytest.raises(InputError, match=r"pip install 'recover-nb\[math\]'"):
        make_checker("math")


def test_importing_tasks_does_not_import_math_verify():
    import subprocess
    import sys

    code = (
        "import sys, recover_nb.tasks; print('math_verify' in sys.modules, 'sympy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
