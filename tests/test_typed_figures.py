"""Figures of the shipped study that pages name in prose are those of the data and the code."""

import re
from pathlib import Path

import numpy as np
import pytest

import recover_nb as rnb
from recover_nb.core.schema import failed_units
from recover_nb.features.value import problems_with_value
from recover_nb.generation.lab.posttrain import LEAST_GAIN

ROOT = Path(__file__).parent.parent


def page(name):
    """Return a page with its lines joined, so that a sentence is found wherever it breaks."""
    return " ".join((ROOT / name).read_text("utf-8").split())


@pytest.fixture(scope="module")
def study():
    return rnb.load_study()


def figures(cell):
    """Return the numbers of a cell of a table."""
    return [float(each) for each in re.findall(r"\d+(?:\.\d+)?", cell)]


def test_what_a_study_costs_is_what_the_study_stores(study):
    text = page("docs/scaling.md")
    failed = failed_units(study)
    assert f"{failed.sum():,} of {failed.size:,} problems failed at least once" in text
    table = (ROOT / "docs" / "scaling.md").read_text("utf-8").partition("| passes of A |")[2]
    rows = [line.split("|")[1:-1] for line in table.partition("\n\n")[0].splitlines()[2:]]
    told = []
    for names, rollouts, tokens, specialist, ancestor in rows:
        for name in re.findall(r"`(\w+)`", names):
            told.append(name)
            one = study.sel(intervention=name)
            length = one["n_tokens"].values
            n = (length > 0).sum()
            units = failed.size if name == "none" else failed.sum()
            assert figures(rollouts)[0] == n / units
            if specialist.strip() == "the same":
                specialist = tokens
            for cell, variable in (
                (tokens, "n_tokens"),
                (specialist, "forward_specialist"),
                (ancestor, "forward_ancestor"),
            ):
                mean = one[variable].values.sum() / n
                low, high = min(figures(cell)), max(figures(cell))
                assert low - 0.051 < mean < high + 0.051, (name, variable)
    assert sorted(told) == sorted(study["intervention"].values)


def test_the_card_of_the_study_gives_its_sizes(study):
    text = page("data/README.md")
    cells = {
        "|".join(each)
        for each in zip(*(study[name].values for name in ("family", "method", "task")), strict=True)
    }
    assert f"{len(cells)} cells" in text
    _, counts = np.unique(study["level"].values, return_counts=True)
    *first, last = (int(each) for each in 100 * counts / counts.sum())
    assert f"of each hundred, {', '.join(map(str, first))} and {last} have levels 1 to 5" in text
    made = study["n_tokens"].values > 0
    most = made.sum(axis=study["n_tokens"].dims.index("rollout")).max(axis=0)
    given = dict(zip(study["intervention"].values.tolist(), most.tolist(), strict=True))
    assert f"{given['none']} observed rollouts (`none`, temperature 0.6)" in text
    assert f"gets {given['retry']} attempts of every intervention" in text
    assert f"({given['dense_steer']} of `dense_steer` and {given['greedy']} of `greedy`" in text
    mapped = len(problems_with_value(study))
    assert f"about {mapped / len(cells):.0f} problems per cell" in text


def test_what_a_floor_of_spread_changes_is_what_the_study_says(study):
    table = (ROOT / "docs" / "method.md").read_text("utf-8").partition("| floor | tokens above")[2]
    lines = table.partition("\n\n")[0].splitlines()[2:]
    rows = [[each.strip() for each in line.split("|")[1:-1]] for line in lines]
    found = rnb.tables.features_by_floor(study, floors=[float(row[0]) for row in rows])
    assert len(rows) == len(found) == 4
    for (_, row), (_, tokens, quantiles, correlation, routes) in zip(
        found.iterrows(), rows, strict=True
    ):
        assert tokens == f"{row['tokens']:.0%}".replace("%", " %")
        assert quantiles == ", ".join(f"{row[name]:.2f}" for name in ("q05", "q50", "q95"))
        assert correlation == f"{row['rank_correlation']:.2f}"
        assert routes == f"{row['routes_changed']:.0%}".replace("%", " %")
    below = found.loc[0, "tokens"] - found.loc[1e-6, "tokens"]
    assert abs(below - 1 / 6) < 0.02 and "a sixth of all tokens" in page("docs/method.md")
    assert "a quarter of the routes" in page("docs/method.md")


def test_how_far_training_goes_is_what_the_code_asks_for():
    for name in ("data/README.md", "docs/method.md"):
        assert f"still gains {100 * LEAST_GAIN:g} points of pass@1" in page(name)


def test_companions_hold_the_problems_that_the_card_names():
    text = page("data/README.md")
    for companion in rnb.load_remapped():
        cells = zip(*(companion[name].values for name in ("family", "method", "task")), strict=True)
        _, counts = np.unique(["|".join(each) for each in cells], return_counts=True)
        assert set(counts.tolist()) == {50}
        assert f"Both have the first {counts[0]} problems of each cell" in text
