"""What the import of a study says of itself, folded below every view of it."""

import html
from typing import Any

import ipywidgets

from recover_nb.core.visible import visible
from recover_nb.tables.notes import import_notes
from recover_nb.widgets.parts.fold import Fold


class Notes(Fold):
    """The notes of an import, folded; whatever comes from a file is escaped.

    Parameters
    ----------
    notes : list of str
    """

    def __init__(self, notes: list[str]) -> None:
        n = len(notes)
        self._title = f"{n:,} {'note' if n == 1 else 'notes'} on this import"
        rows = "".join(f"<li>{html.escape(visible(note))}</li>" for note in notes)
        self.words = ipywidgets.HTML(f"<ul>{rows}</ul>")
        super().__init__(self._title, self.words)

    def still(self) -> str:
        """Return the notes, folded as a page without a kernel folds."""
        return f"<details><summary>{self._title}</summary>{self.words.value}</details>"


def notes_of(ds: Any) -> tuple[Notes, ...]:
    """Return the fold of a study's notes; nothing where there are none."""
    found = [] if ds is None or not hasattr(ds, "attrs") else import_notes(ds)
    return (Notes(found),) if found else ()
