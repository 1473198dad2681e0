"""Which failures are told, what is said of them, and that it is said of any study with values."""

import numpy as np
import pandas as pd
import pytest
from traced_study import NASTY, traced_study

import recover_nb as rnb
from recover_nb.cli.main import main
from recover_nb.core.errors import InputError
from recover_nb.core.schema import failed_rollouts
from recover_nb.tables.story import KINDS, any_failure, candidates, choose_stories, stories

#: Of four continuations 2 are right at first; the second token takes both.
RIGHT = [2, 2, 0, 0]


@pytest.fixture(scope="module")
def valued():
    """A simulated study in which two failed problems have a value map of three tokens, by hand."""
    ds = traced_study()
    failed = np.flatnonzero(failed_rollouts(ds).any(1))[:2]
    n, arms = ds.sizes["problem"], ds.sizes["intervention"]
    right = np.full((n, arms, len(RIGHT)), -1, np.int16)
    at = ds["intervention"].values.tolist().index("retry")
    right[failed[0], at], right[failed[1], at] = RIGHT, [0, 0, 0, 0]
    ds["value_right"] = (("problem", "intervention", "prefix"), right)
    ds["value_n"] = ("problem", np.where(np.isin(np.arange(n), failed), 4, 0).astype(np.int32))
    ds["prompt"] = ("problem", np.full(n, NASTY, dtype=object))
    return ds, failed.tolist()


def test_where_it_was_lost(valued):
    ds, failed = valued
    frame = candidates(ds)
    assert frame["problem"].tolist() == failed
    assert frame["fatal"].tolist() == [1, -1]
    assert frame["loss"].tolist() == [0.5, 0.0]
    (told,) = stories(ds, failed[0])
    assert told["value"] == [0.5, 0.5, 0.0, 0.0]
    assert told["turn"] == 1
    token = told["tokens"][1]
    assert told["notes"][1] == (
        f"Here the answer was lost: at \u201c{token}\u201d the chance falls from 50% to 0%."
    )
    assert told["chosen"] == "One of 2 failures with a value for each token."
    (never,) = stories(ds, failed[1])
    assert never["notes"][1].startswith("The chance is zero from the start")


def test_attempts_are_counted(valued):
    ds, failed = valued
    (told,) = stories(ds, failed[0])
    for arm in told["attempts"]:
        stored = ds["correct"].isel(problem=failed[0]).sel(intervention=arm["operator"]).values
        assert sum(arm["right"]) == (stored == 1).sum()
        assert len(arm["right"]) == (stored >= 0).sum()


def test_text_of_a_study_ends_no_script(valued):
    page = rnb.story(valued[0])._repr_mimebundle_()["text/html"]
    assert "<script>alert" not in page
    assert page.count("</script>") == 1


def test_a_study_without_values_says_so(tmp_path, capsys):
    ds = traced_study()
    with pytest.raises(InputError, match=r"stores no value map.*value_problems above 0"):
        rnb.story(ds)
    rnb.save_zip(ds, tmp_path / "study.zarr.zip")
    page = tmp_path / "page.html"
    assert main(["story", str(tmp_path / "study.zarr.zip"), "--out", str(page)]) == 2
    assert "stores no value map" in capsys.readouterr().err
    assert not page.exists()


def test_another_problem_says_which_there_are(valued):
    ds, failed = valued
    other = max(failed) + 1
    with pytest.raises(InputError, match=f"no value map of problem {other}; it has one of 2"):
        rnb.story(ds, problem=other)


def test_kinds():
    """Rates by hand, at the edges of what each kind says."""
    names = ["sparse_steer", "dense_steer", "retry", "calculator", "ancestor", "best"]
    rows = {
        "one token": [0.7, 0.0, 0.5, 0.0, 0.0, 0.7],
        "every token": [0.5, 1.0, 0.4, 0.0, 0.0, 1.0],
        "bad luck": [0.6, 0.5, 0.8, 0.0, 0.0, 0.8],
        "a sum": [0.1, 0.1, 0.1, 0.9, 0.0, 0.9],
        "forgotten": [0.1, 0.0, 0.0, 0.1, 0.5, 0.5],
        "nothing helps": [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    }
    for name, rates in rows.items():
        row = pd.Series(rates, names)
        assert [kind.name for kind in KINDS if kind.belongs(row)] == [name]
    # What was not run proves nothing.
    unknown = pd.Series([np.nan, 0.0, 0.0, 0.9, np.nan, 0.9], names)
    assert [kind.name for kind in KINDS if kind.belongs(unknown)] == []
    assert any_failure(unknown).operator == "calculator"


@pytest.mark.slow
def test_the_bundled_gallery_by_its_rule():
    ds = rnb.load_study()
    frame, chosen = candidates(ds), choose_stories(ds)
    assert chosen["kind"].tolist() == [kind.name for kind in KINDS]
    assert (chosen["best"] == 0).any()
    for kind, (_, row) in zip(KINDS, chosen.iterrows(), strict=True):
        members = frame[[bool(kind.belongs(one)) for _, one in frame.iterrows()]]
        assert row["of"] == len(members)
        better = members["loss"] > row["loss"]
        shorter = (members["loss"] == row["loss"]) & (members["tokens"] < row["tokens"])
        same = (members["loss"] == row["loss"]) & (members["tokens"] == row["tokens"])
        first = int((better | shorter).sum()) + 1
        assert first <= row["rank"] < first + same.sum()
        assert row["tokens"] <= 32
