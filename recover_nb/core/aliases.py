"""Short dotted names of modules that lie deeper: `recover_nb.decoding` is the decoding of a room.

A name leads to the module itself, never to a second copy of it, and nothing is loaded before it is
asked for.
"""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class Aliases(MetaPathFinder, Loader):
    """Finds modules under their short names, and what lies below them.

    Parameters
    ----------
    names : mapping of str to str
        Short dotted name -> dotted name of the module.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = dict(names)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to load a short name, or None for any other name."""
        return ModuleSpec(fullname, self) if self._longer(fullname) else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module that a short name stands for."""
        module = import_module(self._longer(spec.name))
        # Python writes the short spec over the module's own, which is put back once it is loaded.
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Leave the module as it is: it has run, and keeps the name and place it had."""
        short = module.__spec__
        if short is not None and short.loader is self:
            module.__spec__ = short.loader_state

    def _longer(self, name: str) -> str:
        """Return the full name of a short one, "" for any other."""
        for short, long in self._names.items():
            if name == short or name.startswith(f"{short}."):
                return long + name[len(short) :]
        return ""


def install(package: str, names: Mapping[str, str]) -> None:
    """Let parts of a package be imported by short names too.

    Parameters
    ----------
    package : str
        Its dotted name.
    names : mapping of str to str
        Short name -> dotted module, both without the package's name; equal ones are passed over.
    """
    if not any(isinstance(each, Aliases) for each in sys.meta_path):
        full = {f"{package}.{a}": f"{package}.{b}" for a, b in names.items() if a != b}
        sys.meta_path.insert(0, Aliases(full))
