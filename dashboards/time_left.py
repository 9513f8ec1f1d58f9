"""How long work on many things of known sizes will still take, from what the first of them took.

    t_left = t / s x S_left

t is the time taken for work of total size s, S_left the size of what is left. The first measurement is dropped as soon as there is
a second: it holds the loading, or compiling, of kernels.
"""

from __future__ import annotations


class TimeLeft:
    """Counts what was done and estimates the rest.

    Parameters
    ----------
    size : float
        Of all the work, in any unit.
    """

    def __init__(self, size: float):
        self._left = size
        self._measured: list[tuple[float, float]] = []

    def done(self, size: float, seconds: float) -> None:
        """Tell that work of `size` took `seconds`."""
        self._left -= size
        self._measured.append((size, seconds))

    def seconds(self) -> float | None:
        """Estimate of what is left, s; None before anything was measured."""
        if not self._measured:
            return None
        counted = self._measured[1:] or self._measured
        return sum(seconds for _, seconds in counted) / sum(size for size, _ in counted) * self._left


def duration(seconds: float) -> str:
    """A rough time in words.

    Examples
    --------
    >>> duration(0.4), duration(40), duration(500), duration(9000)
    ('under a second', 'about 40 s', 'about 8 min', 'about 2.5 h')
    """
    if seconds < 1:
        return "under a second"
    if seconds < 90:
        return f"about {seconds:.0f} s"
    if seconds < 5400:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h"
