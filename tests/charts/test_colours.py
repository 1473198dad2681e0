"""One meaning a colour: where colours stand, what each reaches on both pages, and what is told."""

import itertools
import json
import re
from pathlib import Path

import altair as alt
import pytest

from recover_nb import charts
from recover_nb.charts import kit
from recover_nb.core import theme
from recover_nb.core.labels import Intervention, Regime

ROOT = Path(theme.__file__).parent.parent
#: Colours of pages, borders and quiet text, which say nothing: of the report, of the page a still
#: picture lies on, and black or white text on an opaque ground.
NEUTRAL = {
    "report/report.css": set(
        [
            "#1b1f24",
            "#57606a",
            "#ffffff",
            "#f6f8fa",
            "#d0d7de",
            "#e6edf3",
            "#9ea7b3",
            "#0f1318",
            "#1a2028",
            "#343c46",
            "#000",
            "#444",
            "#fff",
            "#f6f6f6",
            "#bbb",
        ]
    ),
    "charts/showing.py": {"#fff"},
    # The ground of a page, its text and edges, in light and dark.
    "pages/front_door.py": {"#16181d", "#fff"},
    "pages/look.css": set(
        [
            "#06281d",
            "#16181d",
            "#59616e",
            "#747c88",
            "#858d99",
            "#aab2bf",
            "#eceef2",
            "#ffffff",
        ]
    ),
    "widgets/parts/token_view.js": {"#000000", "#ffffff"},
    "widgets/parts/token_view.py": {"#000000", "#ffffff"},
}
HEX = re.compile(r"#(?:[0-9a-fA-F]{8}|[0-9a-fA-F]{6}|[0-9a-fA-F]{3,4})(?![\w-])")


def test_contrast_by_hand():
    assert theme.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert theme.contrast("#ffffff", "#ffffff") == pytest.approx(1)
    # The well known grey: just short of 4.5 on white.
    assert theme.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_what_is_seen_of_a_colour_over_a_page():
    assert theme.over("#14818c00", "#111111") == "#111111"
    assert theme.over("#14818c", "#111111") == "#14818c"
    # 0x80 is 128 of 255: 255 - 128 = 127 of white are left.
    assert theme.over("#00000080", "#ffffff") == "#7f7f7f"


@pytest.mark.parametrize("row", theme.contrasts(), ids=lambda row: row[0])
def test_every_colour_that_says_something_is_seen_on_both_pages(row):
    name, _, light, dark = row
    least = 4.5 if name.startswith("text") else 3
    assert min(light, dark) >= least


def test_text_is_read_on_every_bar_and_every_shade():
    bars = [*theme.OUTCOME_COLOURS.values(), *theme.REGIME_COLOURS.values(), theme.RETRY]
    for colour in (*bars, *theme.OPERATOR_SHADES):
        assert theme.contrast(colour, theme.ON_BAR) >= 4.5
    for below, part in itertools.product((False, True), (0.25, 0.5, 1)):
        full = theme.heat(part, below=below)
        pages = [(page, "#000000") for page in theme.LIGHT_PAGES]
        pages += [(page, "#ffffff") for page in theme.DARK_PAGES]
        assert min(theme.contrast(theme.over(full, page), ink) for page, ink in pages) >= 4.5


def test_no_colour_stands_for_two_things():
    colours = [colour for name, colour, *_ in theme.contrasts() if not name.startswith("text")]
    assert len(colours) == len(set(colours))
    own = set(theme.REGIME_COLOURS.values())
    others = {*theme.OUTCOME_COLOURS.values(), *theme.OPERATOR_SHADES, *theme.CLUSTER_COLOURS}
    assert len(own) == len(Regime) and not own & {*others, theme.RETRY, theme.HEAT, theme.BELOW}


def test_colours_stand_in_one_file():
    for path in (*ROOT.rglob("*.py"), *ROOT.rglob("*.css"), *ROOT.rglob("*.js")):
        name = path.relative_to(ROOT).as_posix()
        if name != "core/theme.py":
            text = re.sub(r"\.md#[\w-]+", "", path.read_text("utf-8"))
            assert set(HEX.findall(text)) <= NEUTRAL.get(name, set()), name


def test_every_property_that_a_style_asks_for_is_given():
    given = set(re.findall(r"(--rnb-[\w-]+):", theme.colours_css()))
    asked = set()
    for path in ROOT.rglob("*.css"):
        asked |= set(re.findall(r"var\((--rnb-[\w-]+)", path.read_text("utf-8")))
    assert asked and asked <= given


def test_dark_words_are_dark_where_the_page_says_so():
    light, dark = theme.TEXT["right"]
    found = theme.colours_css()
    for chosen, colour in (("true", light), ("false", dark)):
        rule = found[found.index(f'[data-jp-theme-light="{chosen}"]') :]
        assert rule[: rule.index("}")].count(f"--rnb-right-text:{colour}") == 1


def test_retry_is_grey_and_operators_are_blues():
    names = ["retry", "sparse_steer", "dense_steer", "ancestor", "calculator", "greedy"]
    found = theme.operator_colours(names)
    assert found["retry"] == theme.RETRY
    assert [found[name] for name in names[1:5]] == list(theme.OPERATOR_SHADES)
    assert found["greedy"] == theme.OPERATOR
    # With their dashes and shapes no two of all are alike.
    every = list(map(str, Intervention))
    dashes, shapes = (
        kit.in_turn(every, looks).values()
        for looks in (map(tuple, theme.OPERATOR_DASHES), theme.OPERATOR_SHAPES)
        for looks in [list(looks)]
    )
    looks = set(zip(theme.operator_colours(every).values(), dashes, shapes, strict=True))
    assert len(looks) == len(every)


def test_zero_is_the_colour_of_the_page():
    legend = kit.share_colour("share").to_dict()
    assert legend["scale"]["range"] == [f"{theme.HEAT}00", f"{theme.HEAT}e6"]
    assert legend["legend"]["values"] == [0, 0.5, 1]


def test_a_label_says_what_a_name_means_and_data_keep_the_name():
    said = kit.called(["retry", "mine"])
    assert said == '({"retry": "asking again (retry)"})[datum.value] || (datum.label)'
    assert kit.called(["mine"]) == "datum.label"
    # A name cannot end the text that it stands in.
    hostile = 'a"});alert(1)//'
    assert hostile not in kit.called([hostile, "retry"])
    assert json.loads(kit.called(["x"], {"x": hostile})[1:].split(")[datum")[0])["x"] == hostile


def test_a_chart_is_named_by_a_sentence():
    title = alt.Title("What is drawn", subtitle=["one line", "another"])
    said = kit.sentence(title, "Highest: a 2. Lowest: b 1")
    assert said == "Chart: What is drawn. Highest: a 2. Lowest: b 1. one line another."
    assert kit.sentence("Alone", "") == "Chart: Alone."
    import pandas as pd

    row = {"cell": "a|b|c", "regime": "resample", "count": 1, "share": 1.0, "failed": 1}
    frame = pd.DataFrame([{**row, "start": 0.0, "middle": 0.5, "end": 1.0}])
    spec = charts.plot_regimes(frame).to_dict()
    said = "Chart: What failed problems need: regimes by cell. asking again helps: 1."
    assert spec["description"] == said
