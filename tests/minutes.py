"""A pytest plugin: processor minutes of each folder of tests, of the programs they started too.

``PYTHONPATH=tests .venv/bin/python -m pytest -p minutes -m "not slow"``; workers of ``-n`` are
counted. A program that still runs when its test ends is counted in the test that waits for it.
"""

import resource
from collections import Counter
from pathlib import PurePosixPath

import pytest

SPENT = "processor seconds"
TOTALS: Counter[str] = Counter()


def spent():
    """Return the processor seconds of this process and of its children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def _counted(item):
    before = spent()
    try:
        return (yield)
    finally:
        item.user_properties.append((SPENT, spent() - before))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item):
    return (yield from _counted(item))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item):
    return (yield from _counted(item))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item):
    return (yield from _counted(item))


def part(nodeid):
    """Return the folder of a test, or its file where it lies in none."""
    parts = PurePosixPath(nodeid.partition("::")[0]).parts
    return "/".join(parts[:2])


def pytest_runtest_logreport(report):
    # The last of the three reports of a test has the properties of all.
    if report.when == "teardown":
        told = (value for name, value in report.user_properties if name == SPENT)
        TOTALS[part(report.nodeid)] += sum(told)


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section("processor minutes")
    for name, seconds in TOTALS.most_common():
        terminalreporter.line(f"{seconds / 60:7.2f} {name}")
    terminalreporter.line(f"{TOTALS.total() / 60:7.2f} in all")
