"""An unfinished run, and the study it becomes, at a URL.

This is what an object store offers in place of files and renames.

Any URL that fsspec understands will do. fsspec comes with the extra ``cluster``; the driver of a
store (s3fs, gcsfs, adlfs) is the user's to install, and keys stay where that driver looks for them.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from recover_nb.core.errors import InputError
from recover_nb.core.extras import need
from recover_nb.generation.staging import _OWN, Staging
from recover_nb.io import store

#: Written last: a study at a URL is whole exactly if it is there, for nothing can be moved into
#: place.
COMMIT = ".zmetadata"


class UrlStaging(Staging):
    """Blocks of a run at ``URL.partial``.

    An object appears whole or not at all, as a renamed file does. There is no lock: two runs at one
    URL write the same bytes twice.

    Parameters
    ----------
    url : str
        Of the study it will become; ends in ``.zarr``.

    Raises
    ------
    InputError
        Another ending, a protocol that fsspec does not know, or a driver that is not installed.
    """

    def __init__(self, url: str) -> None:
        if store.suffix_of(url) != ".zarr":
            raise InputError(f"{url}: a study at a URL ends in .zarr")
        self.out, self.folder, self._key = url, url + ".partial", None
        fsspec = need("fsspec.core", "cluster", "writing to a URL")
        try:
            self._fs, self._root = fsspec.url_to_fs(self.folder)
        except (ImportError, ValueError) as error:
            raise InputError(f"{url} cannot be used: {error}") from None

    def finished(self) -> bool:
        """Whether the whole study is at the URL."""
        return self._fs.exists(f"{self._study()}/{COMMIT}")

    def occupied(self) -> bool:
        """Whether anything is at the URL."""
        return self._fs.exists(self._study())

    def remove(self) -> None:
        """Forget the run: delete what a run makes, and the folder if nothing else is in it."""
        for name in self._names():
            if _OWN.fullmatch(name):
                with suppress(FileNotFoundError):
                    self._fs.rm(f"{self._root}/{name}", recursive=True)
        self._key = None
        # Many stores have no folders at all, and say so in their own ways.
        with suppress(OSError, NotImplementedError):
            self._fs.rmdir(self._root)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold nothing, see the class; refuse a place that no run has made."""
        self.check()
        yield

    def _study(self) -> str:
        return self._root.removesuffix(".partial")

    def _make(self) -> None:
        self._fs.makedirs(self._root, exist_ok=True)

    def _names(self) -> list[str]:
        self._fs.invalidate_cache()
        try:
            found = self._fs.ls(self._root, detail=False)
        except FileNotFoundError:
            return []
        return sorted(name for each in found if (name := each.rstrip("/").rpartition("/")[2]))

    def _is_link(self) -> bool:
        return False

    def _is_there(self, name: str) -> bool:
        return self._fs.exists(f"{self._root}/{name}")

    def _is_mine(self, error: OSError) -> bool:
        return True

    def _is_own(self, name: str) -> bool:
        return bool(_OWN.fullmatch(name))

    def _read(self, name: str) -> bytes:
        return self._fs.cat_file(f"{self._root}/{name}")

    def _write(self, name: str, content: bytes) -> None:
        self._fs.pipe_file(f"{self._root}/{name}", content)
