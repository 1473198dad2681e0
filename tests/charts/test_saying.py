"""What those who hear a chart are told: the point of it, worked by hand, and from every chart."""

import ast
from pathlib import Path

import pandas as pd
import pytest

from recover_nb import charts
from recover_nb.charts.showing import picture
from recover_nb.tables.saying import extremes, peaks, totals

FRAME = pd.DataFrame(
    {
        "intervention": ["retry", "calculator", "ancestor"],
        "cell": ["x", "x", "x"],
        "rate": [0.2, 0.8, float("nan")],
    }
)


def test_extremes_are_named_in_words_and_unknown_is_left_out():
    said = extremes(FRAME, "rate", "intervention,cell", ".0%")
    assert said == "Highest: a calculator, x 80%. Lowest: asking again, x 20%"
    assert extremes(FRAME, "rate", form=".1f") == "Highest: 0.8. Lowest: 0.2"
    assert extremes(FRAME.assign(rate=-0.0), "rate", form="+.1f") == "All at 0.0"
    assert extremes(FRAME.iloc[2:], "rate") == ""


def test_totals_leave_out_the_row_of_all_cells():
    rows = {"cell": ["a", "b", "all"], "regime": ["resample"] * 3, "count": [2, 3, 5]}
    assert totals(pd.DataFrame(rows), "regime", "count") == "asking again helps: 5"
    rows["cell"] = ["all"] * 3
    assert totals(pd.DataFrame(rows), "regime") == "asking again helps: 3"


def test_peaks_say_where():
    rows = {"signal": ["a_b", "a_b", "c"], "token": ["1", " 2", "3"], "value": [0.5, 1.25, -1.0]}
    assert peaks(pd.DataFrame(rows), "signal", "value", "token") == "a b 1.25 at ' 2', c -1 at '3'"


def regimes(counts):
    total = sum(counts)
    ends = [sum(counts[: i + 1]) / total for i in range(3)]
    shares = [count / total for count in counts]
    columns = {"cell": "q|s|p", "regime": ["steerable_hard", "beyond_reach", "resample"]}
    columns |= {"count": counts, "share": shares, "failed": total, "end": ends}
    frame = pd.DataFrame(columns)
    return frame.assign(start=frame["end"] - frame["share"], middle=frame["end"])


def test_a_chart_and_its_picture_say_the_point():
    spec = charts.plot_regimes(regimes([1, 2, 7])).to_dict()
    assert spec["description"] == (
        "Chart: What failed problems need: regimes by cell. asking again helps: 7, nothing helps:"
        " 2, an operator helps: 1."
    )
    other = charts.plot_regimes(regimes([8, 1, 1])).to_dict()
    assert "an operator helps: 8" in other["description"]
    assert f'alt="{spec["description"]}"' in picture(spec)


def plots():
    for path in sorted(Path(charts.__file__).parent.glob("*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            # The film is a page and no chart of Altair: test_training_film hears what it says.
            film = isinstance(node, ast.FunctionDef) and "TrainingFilm" in ast.unparse(node)
            if isinstance(node, ast.FunctionDef) and node.name.startswith("plot_") and not film:
                yield pytest.param(path, node, id=node.name)


@pytest.mark.parametrize(("path", "node"), list(plots()))
def test_every_chart_says_its_point(path, node):
    # `finish` and `facet` take nothing without it; here it must be worked out from the data.
    functions = {
        each.name: each
        for each in ast.parse(path.read_text("utf-8")).body
        if isinstance(each, ast.FunctionDef)
    }
    calls = [each for each in ast.walk(node) if isinstance(each, ast.Call)]
    names = {each.func.id for each in calls if isinstance(each.func, ast.Name)}
    inside = [functions[name] for name in names & set(functions)]
    given = [
        keyword.value
        for function in [node, *inside]
        for each in ast.walk(function)
        if isinstance(each, ast.Call)
        for keyword in each.keywords
        if keyword.arg == "says"
    ]
    assert given and all(any(isinstance(x, ast.Call) for x in ast.walk(each)) for each in given)
