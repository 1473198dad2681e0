"""Write ``recover_nb/__init__.pyi``: ``make stub``.

Public names are imported when they are first used, which no editor and no type checker follows. The
stub says the same in plain imports, and `test_import.py` holds it to the table that the package
itself reads.
"""

from pathlib import Path

import recover_nb

STUB = Path(recover_nb.__file__).with_suffix(".pyi")

HEAD = '''"""Written by `make stub` from the tables of public names in `__init__.py`."""

'''
TAIL = """
__version__: str
__all__: list[str]

def __dir__() -> list[str]: ...
"""


def render() -> str:
    """Return the stub: every public name by an import that hands it on."""
    lines = {
        f"from recover_nb.{module} import {name} as {name}"
        for name, module in recover_nb._EXPORTS.items()
    }
    # In a stub, an import hands a name on only under the same name; other names are assigned.
    others = []
    for name, module in recover_nb._PARTS.items():
        folder, _, last = f"recover_nb.{module}".rpartition(".")
        own = last if last == name else f"_{last}"
        lines.add(f"from {folder} import {last} as {own}")
        if own != name:
            others.append(f"{name} = {own}")
    return HEAD + "\n".join(sorted(lines)) + "\n\n" + "\n".join(others) + "\n" + TAIL


if __name__ == "__main__":
    STUB.write_text(render(), "utf-8")
