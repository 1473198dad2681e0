"""Write ``requirements.txt`` beside this file from ``pyproject.toml``: ``make binder``.

Binder reads nothing but this folder, so every dependency of the package, its models and the lab is named here, at one
version. A pin that is still allowed stays; one that is missing, or no longer allowed, becomes the installed version.
Comments and options at the top of the file stay as they are.
"""

import argparse
import importlib.metadata
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).parent
PYPROJECT = HERE.parent / "pyproject.toml"
REQUIREMENTS = HERE / "requirements.txt"

#: What Binder installs besides the dependencies of the package itself.
EXTRAS = ("models", "lab", "io")

#: The release of torch on the public index brings gigabytes of CUDA; PyTorch's own index, which the file names, has
#: one for the processor.
BUILD = {"torch": "+cpu"}


def wanted(pyproject: str) -> list[Requirement]:
    """Return the requirements of the package and of `EXTRAS`, by name."""
    project = tomllib.loads(pyproject)["project"]
    lines = [*project["dependencies"], *(line for extra in EXTRAS for line in project["optional-dependencies"][extra])]
    return sorted(map(Requirement, lines), key=lambda each: canonicalize_name(each.name))


def read_pins(text: str) -> tuple[list[str], dict[str, str]]:
    """Return the comments and options of a requirements file, and name -> version of the rest, pinned with ``==``."""
    lines = [line for line in text.splitlines() if line.strip()]
    top = [line for line in lines if line.startswith(("#", "-"))]
    pinned = [Requirement(line) for line in lines if line not in top]
    return top, {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in pinned}


def render(requirements: list[Requirement], top: list[str], pins: dict[str, str]) -> str:
    """Return the text of ``requirements.txt``; where `pins` has nothing that is allowed, the installed version."""
    lines = [*top]
    for each in requirements:
        name = canonicalize_name(each.name)
        version = pins.get(name)
        if version is None or not each.specifier.contains(version):
            installed = importlib.metadata.version(name).partition("+")[0]
            version = installed + BUILD.get(name, "")
        extras = f"[{','.join(sorted(each.extras))}]" if each.extras else ""
        lines.append(f"{name}{extras}=={version}")
    return "".join(f"{line}\n" for line in lines)


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--upgrade", action="store_true", help="pin everything to what is installed now")
    upgrade = parser.parse_args().upgrade
    top, pins = read_pins(REQUIREMENTS.read_text())
    REQUIREMENTS.write_text(render(wanted(PYPROJECT.read_text()), top, {} if upgrade else pins))


if __name__ == "__main__":
    main()
