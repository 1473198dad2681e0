"""Read a lock (a requirements file with versions and hashes), and say what is wrong with it."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
#: What `make demo`, `make lab` and Binder install, and what `make test`, `make lint` and `make
#: docs` do.
LAB, TEST = ROOT / "binder" / "requirements.txt", ROOT / "tests" / "requirements.txt"
#: The one place that names the version of torch, which no lock holds: its build differs by machine.
TORCH = ROOT / "binder" / "torch.txt"
PACKAGE = "recover-nb"
#: What a build of torch for GPUs brings.
OF_GPUS = re.compile(r"nvidia-.*|cuda-.*|triton")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = {
    "Linux": {"sys_platform": "linux", "os_name": "posix", "platform_machine": "x86_64"},
    "Darwin": {"sys_platform": "darwin", "os_name": "posix", "platform_machine": "arm64"},
    "Windows": {"sys_platform": "win32", "os_name": "nt", "platform_machine": "AMD64"},
}
ENVIRONMENTS = {
    f"Python {python} on {system}": {
        **default_environment(),
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "platform_system": system,
        **names,
    }
    for python in PYTHONS
    for system, names in PLATFORMS.items()
}


class Pin(NamedTuple):
    """One line of a lock, its hashes, and the names that need it (`PACKAGE` for the project)."""

    requirement: Requirement
    hashes: tuple[str, ...]
    needed_by: frozenset[str]

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        """The version, or "" where it is not exactly one."""
        exact = re.fullmatch(r"==([\w.+!-]+)", str(self.requirement.specifier))
        return exact[1] if exact else ""

    def holds(self, environment: Mapping[str, str]) -> bool:
        return holds(self.requirement, environment)


def holds(requirement: Requirement, environment: Mapping[str, str], extra: str = "") -> bool:
    return requirement.marker is None or requirement.marker.evaluate(
        {**environment, "extra": extra}
    )


def read_lock(text: str) -> list[Pin]:
    pins = []
    # A pin begins at the margin; its hashes and its comments are set in.
    for block in re.findall(r"^(?![#\s-]).+(?:\n[ \t]+.*)*", text, re.MULTILINE):
        lines = [line.strip().removesuffix("\\").strip() for line in block.splitlines()]
        hashes = tuple(line.removeprefix("--hash=") for line in lines if line.startswith("--hash="))
        comments = (
            re.sub(r"^#\s*(via\b)?", "", line).strip() for line in lines if line.startswith("#")
        )
        needed_by = (
            line.partition(" ")[0] for line in comments if line and not line.startswith("-c ")
        )
        pins.append(Pin(Requirement(lines[0]), hashes, frozenset(needed_by)))
    return pins


def versions(pins: Iterable[Pin], environment: Mapping[str, str]) -> dict[str, str]:
    """Return name -> version of what is installed in an environment."""
    return {pin.name: pin.version for pin in pins if pin.holds(environment)}


def declared(
    *, extras: Iterable[str] | None = None, groups: Iterable[str] | None = None
) -> list[Requirement]:
    """Return pyproject's requirements: the package's own, `extras` and `groups` (default: all)."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, tools = pyproject["project"], pyproject["dependency-groups"]
    optional = project["optional-dependencies"]
    lines = list(project["dependencies"])
    for extra in optional if extras is None else extras:
        lines += optional[extra]
    for group in tools if groups is None else groups:
        lines += [line for line in tools[group] if isinstance(line, str)]
    # An extra may name others (recover-nb[io]): those are extras of this file.
    found = [Requirement(line) for line in lines]
    named = {
        extra for each in found if canonicalize_name(each.name) == PACKAGE for extra in each.extras
    }
    found += [Requirement(line) for extra in sorted(named) for line in optional[extra]]
    return [each for each in found if canonicalize_name(each.name) != PACKAGE]


def complaints(text: str, wanted: list[Requirement]) -> list[str]:
    """Return what is wrong with the lock `text` of what is `wanted`, a sentence each."""
    pins = read_lock(text)
    return [
        *_of_the_text(text, pins),
        *_of_what_is_wanted(pins, wanted),
        *_of_what_is_not(pins, wanted),
    ]


def _of_the_text(text: str, pins: list[Pin]) -> Iterable[str]:
    if "://" in text or "index-url" in text:
        yield "the lock names a host"
    for pin in pins:
        if not pin.version:
            yield f"{pin.name}: {pin.requirement.specifier or 'no version'} is not one version"
        if not pin.hashes or not all(
            re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in pin.hashes
        ):
            yield f"{pin.name}: no hashes"
        if OF_GPUS.fullmatch(pin.name):
            yield f"{pin.name}: is for GPUs"
        if pin.name == "torch":
            yield f"torch: its version is in {TORCH.name}"


def _of_what_is_wanted(pins: list[Pin], wanted: list[Requirement]) -> Iterable[str]:
    for where, environment in ENVIRONMENTS.items():
        for each in wanted:
            name = canonicalize_name(each.name)
            if name == "torch" or not holds(each, environment):
                continue
            found = [pin for pin in pins if pin.name == name and pin.holds(environment)]
            if len(found) != 1:
                yield f"{name}: {len(found)} pins for {where}"
            elif not each.specifier.contains(found[0].version or "0", prereleases=True):
                yield f"{name}: {found[0].version} is outside {each.specifier}"
        twice = [pin.name for pin in pins if pin.holds(environment)]
        yield from (
            f"{name}: pinned twice for {where}" for name in set(twice) if twice.count(name) > 1
        )


def _of_what_is_not(pins: list[Pin], wanted: list[Requirement]) -> Iterable[str]:
    names = {canonicalize_name(each.name) for each in wanted}
    reached, n_before = {PACKAGE, "torch"}, 0
    while n_before != len(reached):
        n_before = len(reached)
        reached |= {pin.name for pin in pins if pin.needed_by & reached}
    for pin in pins:
        if pin.name not in reached:
            yield f"{pin.name}: nothing needs it"
        if PACKAGE in pin.needed_by and pin.name not in names:
            yield f"{pin.name}: pyproject no longer asks for it"


def installed_closure(wanted: Iterable[Requirement]) -> dict[str, str]:
    """Return name -> version of what is `wanted` and installed here, and of all that it needs."""
    environment = default_environment()
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    queue = [each for each in wanted if holds(each, environment)]
    while queue:
        each = queue.pop()
        name = canonicalize_name(each.name)
        if OF_GPUS.fullmatch(name):
            continue
        distribution = metadata.distribution(name)
        found[name] = distribution.version
        needs = [Requirement(line) for line in distribution.requires or ()]
        for extra in {"", *each.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                queue += [need for need in needs if holds(need, environment, extra)]
    return found
