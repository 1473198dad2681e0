"""Steps marked under a trace: by the study's own labels, with the verifier's scores beside them."""

import numpy as np
import pytest

import recover_nb as rnb
from recover_nb.tables.inspection import read_trace
from recover_nb.tables.steps import marks_of_trace

#: `46-86=60 60+43=3 3-36=57 #57`: the third step is the first wrong one.
PROBLEM, ROLLOUT = 460, 2


@pytest.fixture(scope="module")
def one():
    return rnb.load_study().isel(problem=[PROBLEM]).load()


def marks_at(one, rollout, name="none"):
    trace = read_trace(one, 0, rollout, name)
    return trace, marks_of_trace(one, 0, rollout, name, trace)


def test_each_step_is_marked(one):
    trace, found = marks_at(one, ROLLOUT)
    assert len(found.marks) == len(found.notes) == len(trace.tokens)
    begins = [mark for mark in found.marks if "begins" in mark]
    assert begins == ["right tool begins", "right tool begins", "wrong tool begins", "after begins"]
    at = found.marks.index("wrong tool begins")
    assert "".join(trace.tokens[at : at + 4]) == "3-36"
    said = found.notes[at]
    assert said.startswith("step 3: first wrong, a calculator could do it, P(right) 0.")


def test_a_trace_that_was_not_read_has_no_score(one):
    _, late = marks_at(one, 20)
    assert late.marks
    assert not any("P(right)" in said for said in late.notes)
    # Steps of attempts are marked, too.
    _, again = marks_at(one, 0, "retry")
    assert again.marks
    assert not any("P(right)" in said for said in again.notes)
    other = one.assign_coords(problem_id=("problem", np.array(["mine"], object)))
    assert not any("P(right)" in said for said in marks_at(other, ROLLOUT)[1].notes)


def test_where_nothing_is_known_nothing_is_marked(one):
    bare = one.drop_vars(["wrong_step_start"])
    assert marks_at(bare, ROLLOUT)[1].marks == ()
    one = one.copy(deep=True)
    one["wrong_step_start"][:] = -1
    assert marks_at(one, ROLLOUT)[1].marks == ()


def test_they_stay_in_the_notebook(one):
    view = rnb.widgets.TraceInspector(rnb.load_study(), problem=PROBLEM)
    assert list(view.steps.marks) == view.text.steps
    assert '<span class="step wrong tool begins"></span>' in view.text.still()
    assert "the first wrong one" in view.panel.legend.value
    assert "step 3: first wrong" in view.text.notes[-8]
    view.panel.empty(None, {})
    assert view.text.steps == []
