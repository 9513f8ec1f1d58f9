"""Progress of long work, and the way to stop it: the library reports, the caller decides what to show."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What a library loop needs from whoever watches it."""

    def update(self, done: int, total: int, stage: str = "") -> None:
        """Report `done` of `total` steps of the named stage."""

    def check(self) -> None:
        """Raise `ldml.errors.Cancelled` if the caller wants the work to stop."""


class _Silent:
    def update(self, done: int, total: int, stage: str = "") -> None:
        pass

    def check(self) -> None:
        pass


NULL_PROGRESS: Progress = _Silent()
