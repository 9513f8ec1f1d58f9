"""A file that arrives in pieces: each goes to disk as it comes, so that the server never holds it whole. No Panel in here."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import param

from dashboards.uploads import safe_name
from ldml.errors import InputError


@dataclass(frozen=True)
class ReceivedFile:
    """A file that is there in full: where, what the user calls it, and what is wrong with it, if something is."""

    path: Path | None
    name: str
    failure: str = ""

    def checked_path(self) -> Path:
        """Where it is.

        Raises
        ------
        InputError
            If it did not arrive.
        """
        if self.path is None:
            raise InputError(self.failure)
        return self.path


class Receiver(param.Parameterized):
    """Writes the pieces of one file after the other; `done` changes when one is there or has failed.

    Parameters
    ----------
    max_bytes : int
        Of a file.
    """

    name_shown = param.String("", doc="Name of the file under way.")
    fraction = param.Number(0.0, bounds=(0, 1), doc="Of it, that has arrived.")
    done = param.ClassSelector(class_=ReceivedFile, allow_None=True, doc="The latest file.")

    def __init__(self, max_bytes: int):
        super().__init__()
        self._max_bytes = max_bytes
        self._folder = tempfile.TemporaryDirectory(prefix="ldml-upload-")  # goes with this object
        self._n_files = 0
        self._forget()

    def take(self, name: str, number: int, total: int, data: bytes) -> None:
        """Take piece `number` (from 1) of `total` of the file `name`."""
        if number == 1:
            self._forget()
            self._n_files += 1
            folder = Path(self._folder.name) / str(self._n_files)
            folder.mkdir()
            self._path = folder / safe_name(name)
            self._path.touch()
            self.name_shown = name
        if self._failure:
            return
        if self._path is None or number != self._n_taken + 1:
            self._fail(f"a piece of {name!r} was lost on the way; upload it again")
        elif self._path.stat().st_size + len(data) > self._max_bytes:
            self._fail(f"{name!r} has more than the {self._max_bytes / 1e6:.0f} MB that are taken; split it")
        else:
            with self._path.open("ab") as file:
                file.write(data)
            self._n_taken, self._n_pieces = number, total
            self.fraction = min(1.0, number / max(total, 1))

    def finish(self) -> None:
        """The browser has sent everything."""
        if not self._failure and self._n_taken != self._n_pieces:
            self._fail(f"{self.name_shown!r} did not arrive in full; upload it again")
        if not self._failure and self._path is None:
            self._fail("the file is empty; give a file with structures")
        path, name, failure = self._path, self.name_shown, self._failure
        self._forget()
        self.done = ReceivedFile(path, name, failure)

    def refuse(self, why: str) -> None:
        """The browser has refused to send a file."""
        self._forget()
        self.done = ReceivedFile(None, "", why)

    def _fail(self, why):
        self._failure = why
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None

    def _forget(self):
        self._path: Path | None = None
        self._n_taken = self._n_pieces = 0
        self._failure = ""
        self.fraction = 0.0
