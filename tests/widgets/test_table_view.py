"""The table: sorting, paging and choosing by traits; nothing is drawn here."""

import numpy as np
import pandas as pd
import pytest
import traitlets

from recover_nb.core.errors import InputError
from recover_nb.widgets import TableView


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "place": [10, 11, 12, 13, 14],
            "name": ["b", "a", "<b>c</b>", "a", "e"],
            "rate": [0.5, np.nan, 0.25, 1.0, 0.25],
            "count": [3, 1, 2, 2, 5],
        }
    )


@pytest.fixture
def table(frame):
    table = TableView(page_size=2)
    table.show(frame, key="place", digits={"rate": 1})
    return table


def test_shows_the_first_page_as_text(table):
    assert table.columns == [
        {"name": "name", "title": "name", "number": False},
        {"name": "rate", "title": "rescue rate", "number": True},
        {"name": "count", "title": "count", "number": True},
    ]
    assert table.rows == [["b", "0.5", "3"], ["a", "\u2013", "1"]]
    assert table.row_keys == [10, 11]
    assert (table.page, table.pages, table.note) == (0, 3, "rows 1 to 2 of 5")


def test_markup_is_left_as_text(table):
    table.page = 1
    assert table.rows[0][0] == "<b>c</b>"


def test_pages(table):
    table.page = 2
    assert table.row_keys == [14]
    assert table.note == "rows 5 to 5 of 5"
    table.page = 99
    assert table.page == 2


def all_keys(table):
    found = []
    for page in range(table.pages):
        table.page = page
        found += table.row_keys
    return found


@pytest.mark.parametrize(
    ("sort", "descending", "keys"),
    [
        ("", False, [10, 11, 12, 13, 14]),
        ("name", False, [12, 11, 13, 10, 14]),
        ("name", True, [14, 10, 11, 13, 12]),
        ("rate", False, [12, 14, 10, 13, 11]),
        ("rate", True, [13, 10, 12, 14, 11]),
        ("count", False, [11, 12, 13, 10, 14]),
    ],
)
def test_sorting_keeps_equals_in_order_and_missing_last(table, sort, descending, keys):
    table.sort, table.descending = sort, descending
    assert all_keys(table) == keys


def test_sorting_by_what_is_not_there_is_refused(table):
    with pytest.raises(
        traitlets.TraitError, match="no column 'place' to sort by; allowed: name, rate, count"
    ):
        table.sort = "place"
    assert table.sort == ""


def test_a_shorter_frame_cuts_the_page_and_keeps_the_order(table, frame):
    table.sort, table.descending, table.page = "count", True, 2
    table.show(frame.iloc[:3], key="place")
    assert (table.page, table.pages) == (1, 2)
    assert all_keys(table) == [10, 12, 11]


def test_another_frame_drops_a_sort_it_does_not_have(table):
    table.sort = "rate"
    table.show(pd.DataFrame({"word": ["x", "y"]}))
    assert table.sort == ""
    assert table.rows == [["x"], ["y"]] and table.row_keys == [0, 1]


def test_no_row(table, frame):
    table.show(frame.iloc[:0], key="place")
    assert (table.rows, table.row_keys, table.pages, table.note) == ([], [], 1, "no row")


def test_reveal_turns_to_the_page_of_a_row_in_the_present_order(table):
    table.reveal(14)
    assert table.page == 2
    table.sort = "rate"
    table.reveal(14)
    assert table.page == 0 and 14 in table.row_keys
    table.reveal(999)
    assert table.page == 0


def test_choosing_outlives_sorting_and_paging(table):
    table.chosen = 12
    table.sort, table.page = "name", 1
    assert table.chosen == 12


def test_the_frame_is_not_changed(table, frame):
    before = frame.copy()
    table.sort = "rate"
    pd.testing.assert_frame_equal(frame, before)
    pd.testing.assert_frame_equal(table.frame, before)


def test_wrong_use_is_said(frame):
    with pytest.raises(InputError, match="no column 'id' for a key; it has place, name"):
        TableView().show(frame, key="id")
    with pytest.raises(InputError, match="page_size must be a whole number of at least 1, got 0"):
        TableView(page_size=0)


def test_a_reader_changes_several_traits_at_once(table):
    # As a message from the browser does.
    table.page = 2
    table.set_state({"sort": "count", "descending": True, "page": 0})
    assert table.row_keys == [14, 10]


@pytest.mark.parametrize(
    ("search", "keys"),
    [
        ("", [10, 11, 12, 13, 14]),
        ("A", [11, 13]),
        ("a 1.0", [13]),
        # As shown: a dash for what is missing, one digit of the rate.
        ("\u2013", [11]),
        ("0.2", [12, 14]),
        ("<B>", [12]),
        # Words of two cells are two words.
        ("a1.0", []),
    ],
)
def test_searching_finds_all_words_in_any_column(table, search, keys):
    table.search = search
    assert all_keys(table) == keys


def test_searching_says_how_many_fit_and_cuts_the_page(table):
    table.page = 2
    table.search = "0.2"
    assert (table.page, table.pages, table.note) == (0, 1, "rows 1 to 2 of 2 that fit")
    table.search = "nothing"
    assert (table.rows, table.note) == ([], "no row fits the search")


def test_a_search_goes_with_the_order_and_outlives_another_frame(table, frame):
    table.search, table.sort, table.descending = "2", "rate", True
    assert all_keys(table) == [13, 12, 14]
    table.search = "0.2"
    table.show(frame.iloc[:3], key="place", digits={"rate": 1})
    assert all_keys(table) == [12]


def test_search_and_page_are_set_together(table):
    table.search = "nothing"
    table.set_state({"search": "", "page": 2})
    assert table.row_keys == [14]


def test_chosen_columns_are_shown_in_the_order_of_the_frame(table):
    table.chosen_columns = ("count", "name")
    assert [column["name"] for column in table.columns] == ["name", "count"]
    assert table.rows == [["b", "3"], ["a", "1"]]
    table.chosen_columns = ()
    assert [column["name"] for column in table.columns] == ["name", "rate", "count"]


def test_a_sensible_set_of_columns_is_shown_first(table, frame):
    table.show(frame, key="place", first=["rate"])
    assert [column["name"] for column in table.columns] == ["rate"]
    assert [column["title"] for column in table.offered] == ["name", "rescue rate", "count"]
    # As a message from the browser does, which has no tuples.
    table.set_state({"chosen_columns": ["name"]})
    assert table.rows == [["b"], ["a"]]


def test_a_hidden_column_sorts_and_is_searched(table, frame):
    table.show(frame, key="place", first=["name"])
    table.sort, table.descending = "count", True
    assert all_keys(table) == [14, 10, 12, 13, 11]
    table.page = 0
    assert table.note == "rows 1 to 2 of 5, sorted by count, which is not shown"
    table.search = "5"
    assert all_keys(table) == [14, 10, 12]


def test_columns_that_are_not_there_are_refused_and_dropped(table, frame):
    with pytest.raises(traitlets.TraitError, match="no column 'x' to show; allowed: name, rate"):
        table.chosen_columns = ("x",)
    with pytest.raises(InputError, match="no column 'place' to show first; allowed: name, rate"):
        table.show(frame, key="place", first=["place"])
    table.chosen_columns = ("name", "rate")
    table.show(frame.drop(columns="rate"), key="place")
    assert table.chosen_columns == ("name",)


def test_a_row_that_is_not_found_is_not_turned_to(table):
    table.search, table.page = "", 1
    table.search = "b"
    table.reveal(14)
    assert table.row_keys == [10, 12]
