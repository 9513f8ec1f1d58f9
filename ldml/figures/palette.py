"""A colour and a marker for each defect class, the same in every figure.

Colours are those of Okabe and Ito, which readers of any colour vision tell apart (https://jfly.uni-koeln.de/color).
"""

from __future__ import annotations

import hashlib

BLACK, ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE = (
    "#000000", "#e69f00", "#56b4e9", "#009e73", "#0072b2", "#d55e00", "#cc79a7",
)  # fmt: skip
NEUTRAL = "#8c8c8c"
"""For guides and what belongs to no class."""

_CLASSES = {
    "I1": (BLUE, "v"),
    "I2": (SKY, "s"),
    "I3": (GREEN, "^"),
    "I4": (ORANGE, "D"),
    "V1": (BLUE, "P"),
    "V2": (VERMILLION, "X"),
    "V3": (GREEN, "p"),
    "V4": (PURPLE, "o"),
}
_OTHERS = tuple(zip((BLUE, VERMILLION, SKY, GREEN, ORANGE, PURPLE), "<>hHd*", strict=True))


def class_colour(label: str) -> str:
    """Colour of a defect class as ``#rrggbb``; of a class without its own, one that depends on its name alone."""
    return _style(label)[0]


def class_marker(label: str) -> str:
    """Marker of a defect class, in matplotlib's letters."""
    return _style(label)[1]


def _style(label):
    return _CLASSES.get(label) or _OTHERS[hashlib.sha256(label.encode()).digest()[0] % len(_OTHERS)]
