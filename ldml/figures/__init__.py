"""The paper's figures and tables of databases, and those that tell how a database came about.

Each has a module: a function that computes a frozen result from datasets, one that draws the result, one that puts it into
words. `FIGURES` names them for ``ldml figure``. Drawing needs matplotlib, which is imported when something is drawn.
"""

from __future__ import annotations

from ldml.figures import class_table, defect_counts, defect_distances, energy_landscape, parity
from ldml.figures.base import FigureKind, as_record
from ldml.registry import Registry

FIGURES: Registry[FigureKind] = Registry(
    "figure",
    {
        kind.name: kind
        for kind in (*parity.KINDS, defect_counts.KIND, defect_distances.KIND, class_table.KIND, energy_landscape.KIND)
    },
)

__all__ = ["FIGURES", "FigureKind", "as_record"]
