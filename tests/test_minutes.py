"""The plugin that counts minutes: of a test's three reports, each second once."""

from types import SimpleNamespace

import minutes
import pytest


def report(when, nodeid, *seconds):
    told = [(minutes.SPENT, each) for each in seconds]
    return SimpleNamespace(when=when, nodeid=nodeid, user_properties=[*told, ("other", "x")])


def test_seconds_of_a_test_are_counted_once_by_folder(monkeypatch):
    monkeypatch.setattr(minutes, "TOTALS", type(minutes.TOTALS)())
    for name in ("tests/io/test_a.py::test_b[x/y]", "tests/io/deeper/test_c.py::test_d"):
        minutes.pytest_runtest_logreport(report("setup", name, 1.0))
        minutes.pytest_runtest_logreport(report("call", name, 1.0, 2.0))
        minutes.pytest_runtest_logreport(report("teardown", name, 1.0, 2.0, 4.0))
    minutes.pytest_runtest_logreport(report("teardown", "tests/test_e.py::test_f", 0.5))
    assert minutes.TOTALS == {"tests/io": 14.0, "tests/test_e.py": 0.5}


def test_what_raises_is_counted_too():
    item = SimpleNamespace(user_properties=[])
    counted = minutes.pytest_runtest_call(item)
    next(counted)
    sum(range(200_000))
    with pytest.raises(KeyError):
        counted.throw(KeyError("of the test"))
    ((name, seconds),) = item.user_properties
    assert name == minutes.SPENT and 0 < seconds < 5
