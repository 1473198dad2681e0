"""The state of long work: its plan, and parts that are each made once. Needs no torch."""

import json
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from recover_nb.core.errors import InputError
from recover_nb.core.places import placed

#: What reading a damaged file of arrays raises.
DAMAGED = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error)


def keep_plan(folder: Path, plan: dict[str, Any], other: str, *, but: tuple[str, ...] = ()) -> None:
    """Write the plan of a work into its folder, or refuse the state that another plan left.

    Parameters
    ----------
    folder : Path
    plan : dict
        What decides the work.
    other : str
        What else a state can be of, in words.
    but : tuple of str
        What may differ.

    Raises
    ------
    InputError
        The folder holds the state of another plan.
    """
    kept, whole = folder / "plan.json", json.loads(json.dumps(plan))
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(whole), "utf-8")
        return
    try:
        same = json.loads(kept.read_text("utf-8")) | {name: whole[name] for name in but} == whole
    except (TypeError, ValueError):
        same = False
    if not same:
        raise InputError(
            f"{folder} holds the state of another plan or {other}; give another folder for the"
            " work, or move it away"
        )


class Parts:
    """Parts of a work in a folder, each made once.

    Parameters
    ----------
    folder : Path
    plan, other
        As for `keep_plan`.
    tell : callable (str) -> None, optional
        Told the name of each part that is done.
    """

    def __init__(
        self,
        folder: Path,
        plan: dict[str, Any],
        other: str,
        tell: Callable[[str], object] | None = None,
    ) -> None:
        keep_plan(folder, plan, other)
        self.folder, self.tell = folder, tell or (lambda _: None)

    def get(self, name: str, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Return a part, made if it is not there.

        Raises
        ------
        InputError
            The part is damaged.
        """
        path = self.folder / f"{name}.npz"
        if not path.exists():
            with placed(path) as fresh, fresh.open("wb") as file:
                np.savez_compressed(file, **make())  # type: ignore[arg-type]
            self.tell(name)
        try:
            with path.open("rb") as file, np.load(file) as stored:
                return {each: stored[each] for each in stored.files}
        except DAMAGED as error:
            raise InputError(f"{path} is damaged; remove it to make it anew") from error
