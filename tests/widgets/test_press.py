"""A press does its work once asked, keeps the result, and says in a sentence what went wrong."""

import ipywidgets
import pandas as pd

from recover_nb.core.errors import InputError
from recover_nb.widgets import Press


def shown(press):
    return press.children[3].children


def test_nothing_happens_before_the_press():
    asked = []
    press = Press("go", lambda tell: asked.append(1))
    assert (asked, press.done, press.result, press.or_else(lambda: 7)) == ([], False, None, 7)


def test_the_button_does_it_and_the_result_is_kept():
    press = Press("go", lambda tell: "1 < 2")
    press.children[0].click()
    assert press.done and press.or_else(lambda: 7) == "1 < 2"
    assert shown(press)[0].value == '<p role="status">1 &lt; 2</p>'


def test_progress_adds_up():
    seen = []
    press = Press(
        "go",
        lambda tell: [tell(2), tell(3)] and seen.append(press.children[1].children[1].value),
        total=9,
    )
    press.press()
    assert seen == [5]
    assert press.children[1].layout.display == "none"


def test_tables_and_widgets_are_shown():
    press = Press("go", lambda tell: pd.DataFrame({"a<b": ["<script>"]}))
    press.press()
    assert "a&lt;b" in shown(press)[0].value and "<script>" not in shown(press)[0].value
    inner = ipywidgets.Button()
    press = Press("go", lambda tell: inner)
    press.press()
    assert shown(press) == (inner,)
    press = Press("go", lambda tell: {"any": "thing"})
    press.press()
    assert shown(press) == () and "Done." in press.children[2].value


def test_what_goes_wrong_is_a_sentence_and_can_be_tried_again():
    errors = [InputError("no <folder>; give one"), ModuleNotFoundError("torch is missing")]

    def work(tell):
        if errors:
            raise errors.pop(0)
        return "fine"

    press = Press("go", work)
    press.press()
    assert (
        press.message == "no <folder>; give one"
        and not press.done
        and not press.children[0].disabled
    )
    assert "no &lt;folder&gt;" in press.children[2].value
    press.press()
    assert press.message == "torch is missing"
    press.press()
    assert (press.message, press.result) == ("", "fine") and "missing" not in press.children[
        2
    ].value
