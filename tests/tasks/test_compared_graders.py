"""The table in docs/graders.md says what the script that wrote it finds today."""

import sys
from pathlib import Path

import pytest

from recover_nb.tasks import make_checker

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "fixtures"))
import compare_graders  # noqa: E402

sys.path.pop(0)

TABLE = compare_graders.PAGE.read_text("utf-8").partition(compare_graders.BEGIN)[2]
TABLE = TABLE.partition(compare_graders.END)[0]
ROWS = {
    line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]]
    for line in TABLE.splitlines()
    if line.startswith("| ") and "what is written" not in line
}


def test_the_table_lists_every_kind():
    assert list(ROWS) == list(compare_graders.KINDS)
    assert sum(int(cells[1]) for cells in ROWS.values()) == 5800
    assert "5,800 pairs." in TABLE


@pytest.mark.parametrize("kind", compare_graders.KINDS)
def test_the_rule_agrees_with_the_truth_as_the_table_says(kind):
    rule, _ = compare_graders.KINDS[kind]
    cells = ROWS[kind]
    assert cells[:2] == [rule, str(compare_graders.PAIRS[rule])]
    drawn = compare_graders.pairs(kind)
    assert {each.equal for each in drawn} == ({True, False} if "sqrt" not in kind else {False})
    if rule == "math":  # slow: a few of them
        check = make_checker(rule)
        right = [check(each.text, each.gold) is each.equal for each in drawn[:6]]
        assert cells[2] == "60" and all(right)
        return
    right, wrong = compare_graders.agreement(kind, make_checker(rule))
    assert (str(right), wrong) == (cells[2], [])


@pytest.mark.parametrize("kind", [kind for kind in ROWS if kind.startswith("`####")])
def test_the_harness_agrees_with_the_truth_as_the_table_says(kind):
    assert str(compare_graders.agreement(kind, compare_graders.harness)[0]) == ROWS[kind][4]


def test_the_script_writes_the_table_between_its_marks(tmp_path, monkeypatch):
    page = tmp_path / "graders.md"
    page.write_text(
        "before\n<!-- compared: begin -->\nold\n<!-- compared: end -->\nafter\n", "utf-8"
    )
    monkeypatch.setattr(compare_graders, "PAGE", page)
    monkeypatch.setattr(compare_graders, "table", lambda: "new")
    compare_graders.main()
    assert page.read_text("utf-8") == (
        "before\n<!-- compared: begin -->\n\nnew\n\n<!-- compared: end -->\nafter\n"
    )
