"""The table in JupyterLab, by keyboard: searched, its columns chosen, sorted, and a row chosen."""

import pytest
from axe import OF_THE_PAGE, violations
from lab_page import ACT, SCREENSHOTS
from playwright.sync_api import expect
from widget_page import cells_run, page_of, picture, view, wear

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SOURCE = """\
import pandas as pd
from recover_nb.widgets import TableView

names = [f"<i>name {at}</i>" for at in range(30)]
frame = pd.DataFrame({"key": range(100, 130), "name": names, "count": [at % 7 for at in range(30)],
                      **{f"wide_{at}": [0.5] * 30 for at in range(20)}})
table = TableView(page_size=5, label="thirty rows")
table.show(frame, key="key", first=["name", "count"])
table"""


@pytest.fixture(scope="module")
def opened(browser, server, tmp_path_factory):
    with page_of(browser, server, tmp_path_factory.mktemp("table"), SOURCE, "1 + 1") as notebook:
        yield notebook


@pytest.fixture
def table(opened):
    """The same table for every test, as it was at first."""
    state = {"search": "", "sort": "", "descending": False, "page": 0, "chosen_columns": ()}
    opened.read(f"table.set_state({state})")
    opened.page.mouse.click(2, 2)
    return view(opened, "table")


@pytest.fixture
def keys(opened):
    return opened.page.keyboard


def test_tab_goes_from_the_search_to_the_pager_with_one_stop_for_rows(table, opened, keys):
    opened.read("table.set_trait('page', 1)")
    expect(table.get_by_role("button", name="Previous")).to_be_enabled(timeout=ACT)
    table.get_by_role("searchbox", name="search").focus()
    stops = []
    for _ in range(7):
        stops.append(opened.page.evaluate("document.activeElement.textContent.trim()"))
        keys.press("Tab")
    # The second column's number is what follows its name: a row is one stop.
    assert stops == ["", "columns", "name", "count", "<i>name 5</i>5", "Previous", "Next"]


def test_a_row_is_reached_and_chosen(table, opened, keys):
    table.get_by_role("button", name="count").focus()
    keys.press("Tab")
    keys.press("ArrowDown")
    keys.press("Enter")
    opened.wait_for("table.chosen", 101)
    keys.press("PageDown")
    expect(table.locator("tbody tr").first).to_contain_text("name 5", timeout=ACT)
    keys.press("End")
    keys.press("Space")
    opened.wait_for("table.chosen", 109)
    expect(table.locator("tr[aria-selected=true]")).to_contain_text("<i>name 9</i>")
    assert cells_run(opened) == (["[1]:", "[2]:"], "command")


def test_a_heading_sorts(table, opened, keys):
    heading = table.get_by_role("button", name="count")
    heading.focus()
    keys.press("Enter")
    opened.wait_for("table.row_keys", [100, 107, 114, 121, 128])
    expect(table.get_by_role("columnheader", name="count")).to_have_attribute(
        "aria-sort", "ascending"
    )
    expect(heading).to_be_focused()
    keys.press("Space")
    opened.wait_for("[table.descending, table.row_keys[0]]", [True, 106])


def test_typing_searches_and_keeps_the_focus(table, opened, keys):
    opened.read("table.set_trait('page', 3)")
    field = table.get_by_role("searchbox", name="search")
    field.focus()
    keys.type("NAME 1 3")
    opened.wait_for("table.search", "NAME 1 3")
    expect(table.get_by_role("status")).to_have_text("rows 1 to 3 of 3 that fit", timeout=ACT)
    expect(field).to_be_focused()
    assert opened.read("table.row_keys") == [110, 113, 117]


def test_columns_are_chosen_from_a_menu(table, opened, keys):
    menu = table.get_by_role("button", name="columns")
    expect(menu).to_have_attribute("aria-expanded", "false")
    menu.focus()
    keys.press("Enter")
    expect(menu).to_have_attribute("aria-expanded", "true")
    boxes = table.get_by_role("group", name="columns to show").get_by_role("checkbox")
    expect(boxes).to_have_count(22)
    keys.press("Tab")
    expect(boxes.nth(0)).to_be_focused()
    keys.press("Tab")
    keys.press("Space")
    opened.wait_for("list(table.chosen_columns)", ["name"])
    expect(table.get_by_role("columnheader", name="count")).to_have_count(0, timeout=ACT)
    expect(boxes.nth(1)).to_be_focused()
    expect(boxes.nth(1)).not_to_be_checked()
    picture(opened, "table")
    keys.press("Escape")
    expect(menu).to_have_attribute("aria-expanded", "false")
    expect(menu).to_be_focused()


def test_a_wide_table_scrolls_in_its_box_by_keys(table, opened, keys):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    opened.page.set_viewport_size({"width": 400, "height": 900})
    opened.read("table.set_trait('chosen_columns', tuple(frame.columns[1:]))")
    expect(table.get_by_role("columnheader")).to_have_count(22, timeout=ACT)
    box = table.locator(".scroll")
    assert box.evaluate("(box) => box.scrollWidth - box.clientWidth") > 500
    over = "(box) => [...box.children].map((each) => each.offsetWidth - box.clientWidth)"
    assert max(table.evaluate(over)) <= 0
    table.locator("tbody tr").first.focus()
    keys.press("ArrowRight")
    assert box.evaluate("(box) => box.scrollLeft") == 80
    keys.press("ArrowLeft")
    assert box.evaluate("(box) => box.scrollLeft") == 0
    table.screenshot(path=SCREENSHOTS / "widget-table-400.png", timeout=ACT)
    opened.page.set_viewport_size({"width": 1400, "height": 900})


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("n_columns", [2, 22])
def test_axe_finds_nothing(table, opened, theme, n_columns):
    wear(opened, theme)
    opened.read(f"table.set_trait('chosen_columns', tuple(frame.columns[1:{n_columns + 1}]))")
    expect(table.get_by_role("columnheader")).to_have_count(n_columns, timeout=ACT)
    assert violations(opened.page, ".recover-nb-table", without=OF_THE_PAGE) == []
    wear(opened, "light")
