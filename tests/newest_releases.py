"""A pytest plugin for `make latest`: third parties may warn, and the versions used are printed.

It is loaded by ``-p newest_releases``. What our own lines cause stays an error: a warning is filed
under the module that its `stacklevel` points at.
"""

from collections.abc import Mapping

from locked import (
    TEST,
    TORCH,
    declared,
    default_environment,
    installed_closure,
    read_lock,
    versions,
)

FILTERS = ("default", r"error:::recover_nb(\..*)?$")


def pytest_configure(config):
    # Later lines win, so these win over the ones in pyproject.toml.
    for line in FILTERS:
        config.addinivalue_line("filterwarnings", line)


def pytest_terminal_summary(terminalreporter):
    wanted = declared(extras=("models", "test"), groups=())
    locked = versions(read_lock(TEST.read_text()), default_environment())
    locked["torch"] = TORCH.read_text().strip().partition("==")[2]
    terminalreporter.section("versions")
    for line in report(installed_closure(wanted), locked, {each.name for each in wanted}):
        terminalreporter.write_line(line)


def report(installed: Mapping[str, str], locked: Mapping[str, str], asked: set[str]) -> list[str]:
    """Return the versions of what pyproject asks for, and of all else unlike the lock."""
    differs = {
        name for name, version in installed.items() if version.partition("+")[0] != locked.get(name)
    }
    lines = []
    for name in sorted(asked & set(installed) | differs):
        note = f"   (locked: {locked.get(name, 'nothing')})" if name in differs else ""
        lines.append(f"{name} {installed[name]}{note}")
    return [*lines, f"{len(differs)} of {len(installed)} differ from the lock"]
