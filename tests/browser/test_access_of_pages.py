"""Nothing serious keeps anybody out of the report and the front door, folded or open."""

import pytest
from axe_source import axe_source
from chromium import closed_context
from traced_study import traced_study

import recover_nb as rnb
from recover_nb.report import write_html

pytestmark = pytest.mark.browser

GRAVE = ("serious", "critical")
FIND = """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
    .map(({ impact, id, nodes }) => [impact, id, nodes.map((node) => node.target.join(" "))])"""


def write_report(path):
    ds = traced_study()
    few = {"n_bootstrap": 50, "n_permutations": 50, "n_null": 10, "n_splits": 5}
    return write_html(ds, rnb.evaluate_routing(ds, **few), path)


WRITERS = {"report": write_report, "door": lambda path: rnb.front_door().save(path)}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    return {name: write(folder / f"{name}.html") for name, write in WRITERS.items()}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", WRITERS)
def test_nothing_grave_is_found(browser, written, name, scheme):
    context, asked = closed_context(browser, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto(written[name].as_uri())
    for opened in (False, True):
        page.evaluate(f"document.querySelectorAll('details').forEach((x) => (x.open = {opened:d}))")
        page.wait_for_function(
            "[...document.querySelectorAll('.chart')].every((x) => x.querySelector('svg.marks'))"
        )
        page.add_script_tag(content=axe_source())
        found = page.evaluate(FIND)
        assert not [each for each in found if each[0] in GRAVE]
    # What must be found is found: a picture without words.
    page.evaluate("document.querySelector('main').append(new Image())")
    assert "image-alt" in [each[1] for each in page.evaluate(FIND)]
    assert not asked
    context.close()
