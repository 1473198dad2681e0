"""What a result shows: headline, verdict, sentence, picture, what next; strict JSON; its chart."""

import json
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import recover_nb as rnb
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Structure, Verdict
from recover_nb.core.result import Labelled, labelled

NASTY = "</p><script>window.broken=1</script>&'\""


class Found(Labelled):
    title = "Is it so?"
    chart = "plot_estimators"
    following = ("found.to_dataframe()  # all of it", "rnb.plot_budget(found)")
    sentence = "It is: 3 of 4."
    verdict = Verdict.SUPPORTED

    def to_dataframe(self):
        return pd.DataFrame({"name": ["a", "b"], "share": [0.75, np.nan], "n": [3, 4]})


class Picture:
    """What a chart is to a result: something that a notebook can show."""

    def __init__(self, bundle):
        self.bundle = bundle

    def _repr_mimebundle_(self):
        return self.bundle


class Page(HTMLParser):
    """Collects the elements of a page, its texts, and the style of each element with a border."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.texts, self.chips = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        style = dict(attrs).get("style") or ""
        if tag == "span" and "border:" in style:
            self.chips.append(style)

    def handle_data(self, data):
        if data.strip() and self.elements[-1:] != ["style"]:
            self.texts.append(data.strip())


@pytest.fixture
def found():
    data = {"share": (("name",), [0.75, np.nan])}
    return Found(labelled(data, {"name": ["a", "b"]}, {"seed": 3, "least": np.float64("nan")}))


@pytest.fixture
def drawn(monkeypatch):
    """Return the calls of the chart, whose picture is an image."""
    calls = []

    def draw(result, **options):
        calls.append((result, options))
        return Picture({"text/html": '<img alt="the picture">', "text/plain": "chart"})

    monkeypatch.setattr(rnb, "plot_estimators", draw)
    return calls


def test_a_card_is_headline_verdict_sentence_picture_and_what_next(found, drawn):
    page = Page(found._repr_html_())
    assert page.texts == [
        "Is it so?",
        "supported",
        "It is: 3 of 4.",
        "what next",
        "found.to_dataframe()  # all of it",
        "rnb.plot_budget(found)",
    ]
    shown = found._repr_html_()
    places = [shown.index(each) for each in ("Is it so?", "It is: 3 of 4.", "<img", "<details")]
    assert places == sorted(places)
    assert page.elements.count("li") == page.elements.count("code") == 2
    assert [result for result, _ in drawn] == [found, found]


@pytest.mark.parametrize(
    ("verdict", "words", "colour"),
    [
        (Verdict.SUPPORTED, "supported", "var(--rnb-right-text)"),
        (Verdict.CONTRADICTED, "contradicted", "var(--rnb-wrong-text)"),
        (Verdict.NOT_SHOWN, "not shown", "currentColor"),
        (Verdict.NOT_TESTABLE, "not testable", "currentColor"),
        (Structure.NOT_ABOVE_NULL, "not above null", "currentColor"),
    ],
)
def test_a_verdict_is_a_chip_in_words(found, drawn, monkeypatch, verdict, words, colour):
    monkeypatch.setattr(Found, "verdict", verdict)
    page = Page(found._repr_html_())
    assert page.texts[1] == words
    (chip,) = page.chips
    assert f"color:{colour}" in chip


def test_without_a_verdict_there_is_no_chip(found, drawn, monkeypatch):
    monkeypatch.setattr(Found, "verdict", None)
    page = Page(found._repr_html_())
    assert page.texts[:2] == ["Is it so?", "It is: 3 of 4."] and not page.chips
    assert "verdict" not in found.to_dict()


def test_names_are_text(found, drawn, monkeypatch):
    for name in ("title", "sentence", "verdict"):
        monkeypatch.setattr(Found, name, NASTY)
    monkeypatch.setattr(Found, "following", (NASTY,))
    shown = found._repr_html_()
    assert "script" not in Page(shown).elements
    assert "<script" not in shown and shown.count("</p>") == 1
    # Not lost: the headline, the verdict, the sentence and what to call next.
    assert "".join(Page(shown).texts).count("<script>window.broken=1</script>") == 4


def test_a_card_without_a_picture(found, monkeypatch):
    for bundle in (None, {}, ({"text/html": "<b>mine</b>"}, {}), {"text/plain": "chart"}):
        monkeypatch.setattr(rnb, "plot_estimators", lambda data, made=bundle: Picture(made))
        assert ("<b>mine</b>" in found._repr_html_()) == isinstance(bundle, tuple)

    def nothing(data):
        raise InputError("the frame has no row")

    monkeypatch.setattr(rnb, "plot_estimators", nothing)
    assert "It is: 3 of 4." in found._repr_html_()
    with pytest.raises(InputError, match="no row"):
        found.plot()
    monkeypatch.setattr(Found, "chart", "")
    monkeypatch.setattr(Found, "following", ())
    assert "<details" not in found._repr_html_()


def test_plot_is_the_chart_that_is_named(found, drawn):
    assert found.plot(width=300).bundle["text/html"] == '<img alt="the picture">'
    assert drawn == [(found, {"width": 300})]


def test_a_terminal_shows_title_and_sentence(found):
    assert repr(found) == "Is it so?: It is: 3 of 4."


def test_the_dict_is_strict_json(found):
    told = found.to_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told == {
        "sentence": "It is: 3 of 4.",
        "rows": [{"name": "a", "share": 0.75, "n": 3}, {"name": "b", "share": None, "n": 4}],
        "settings": {"seed": 3, "least": None},
        "verdict": "supported",
    }
    assert type(told["rows"][0]["n"]) is int


def test_labels_and_settings(found):
    assert found.dataset["share"].dims == ("name",)
    assert float(found.dataset["share"].sel(name="a")) == 0.75
    assert json.loads(found.dataset.attrs["settings_json"]) == {"seed": 3, "least": None}
    assert found.settings == {"seed": 3, "least": None}
    assert Found(found.dataset.drop_attrs()).settings == {}


def test_no_labels_are_still_names():
    empty = labelled({"lift": (("estimator",), [])}, {"estimator": []})
    assert empty["estimator"].dtype.kind == "U" and empty.sizes == {"estimator": 0}
    assert json.loads(empty.attrs["settings_json"]) == {}
