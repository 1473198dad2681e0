"""Sliders and chips: what they take, refuse and say. The browser's part is in tests/browser."""

import ipywidgets
import pytest
import traitlets

from recover_nb.core.errors import InputError
from recover_nb.widgets.parts.chips import Chips
from recover_nb.widgets.parts.controls import tie
from recover_nb.widgets.parts.keys import tooltips_of
from recover_nb.widgets.parts.slider import Slider
from recover_nb.widgets.parts.still import still


def slider(**traits):
    return Slider(description="clusters", tooltip="how many to look for", **traits)


def test_a_slider_starts_at_its_lower_end():
    assert slider(min=2, max=8).value == 2
    assert slider(min=2, max=8, value=5).value == 5


def test_a_slider_refuses_what_is_not_on_it():
    it = slider(min=2, max=8)
    with pytest.raises(traitlets.TraitError, match="clusters is 9; allowed: 2 to 8"):
        it.value = 9
    assert it.value == 2


def test_new_bounds_move_the_value():
    it = slider(min=2, max=8, value=7)
    it.max = 5
    assert it.value == 5


def test_a_slider_without_a_name_or_tooltip_is_refused():
    with pytest.raises(InputError, match="a slider needs a description and a tooltip"):
        Slider()
    with pytest.raises(InputError, match="a slider needs a tooltip"):
        Slider(description="clusters")


def test_a_slider_is_tied_to_a_trait():
    class Settings(traitlets.HasTraits):
        k = traitlets.Int(4)

    settings, it = Settings(), slider(min=2, max=8)
    tie(settings, "k", it)
    assert it.value == 4
    it.set_state({"value": 6})
    assert settings.k == 6
    settings.k = 99
    assert it.value == 6


def test_a_slider_leaves_its_value():
    assert still(slider(value=3)) == '<span class="still-control">clusters 3</span>'


def test_chips_of_which_one_is_pressed():
    chips = Chips(options=["bars", "table", "words"], single=True, label="show")
    assert (chips.value, chips.chosen) == ("bars", ["bars"])
    chips.set_state({"chosen": ["words"]})
    assert chips.value == "words"
    chips.value = "table"
    assert chips.chosen == ["table"]
    with pytest.raises(traitlets.TraitError, match=r"show is 'pie'; allowed: bars, table, words"):
        chips.value = "pie"
    assert chips.chosen == ["table"]
    # Never none.
    chips.chosen = []
    assert (chips.value, chips.chosen) == ("table", ["table"])


def test_one_chip_stays_pressed_when_the_options_change():
    chips = Chips(options=["bars", "table"], single=True, value="table")
    chips.options = ["table", "words"]
    assert (chips.value, chips.chosen) == ("table", ["table"])
    chips.options = ["words"]
    assert (chips.value, chips.chosen) == ("words", ["words"])


def test_chips_that_filter_press_any_number():
    chips = Chips(options=["a", "b"], label="regime")
    assert chips.chosen == []
    chips.chosen = ["a", "b"]
    assert chips.chosen == ["a", "b"]


def test_chips_leave_the_one_choice():
    one = Chips(options=["a", "b"], texts=["A<", "B"], single=True, label="show")
    assert still(one) == '<span class="still-control">show A&lt;</span>'
    assert still(Chips(options=["a"], chosen=["a"], label="regime")) == ""


def test_tooltips_are_found_at_any_depth():
    inner = ipywidgets.Dropdown(description="cell", tooltip="whose")
    without = ipywidgets.IntText(description="seed")
    outer = ipywidgets.VBox([ipywidgets.HBox([inner, without]), ipywidgets.HTML("text")])
    assert tooltips_of([outer, slider()]) == {"cell": "whose", "clusters": "how many to look for"}
