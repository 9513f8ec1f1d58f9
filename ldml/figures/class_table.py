"""Table I: the structures of each defect class in each cell, with their formation entropies, beside the paper's.

    strain = (v / v_0)^(1/3) - 1

v volume of an atom in the perfect cell, v_0 that of the potential's crystal at zero pressure. The counts are those of the
paper's Table I; its entropies are the labels of the 8a0 cells without strain, published by one of the authors as numbers
without structures. They were computed in a cell of 8 x 2.8553 Å for both potentials.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np

from ldml.dataset import Dataset
from ldml.errors import InputError
from ldml.figures.base import FigureKind
from ldml.potentials import get_potential, perfect_crystal

PAPER_COUNTS = {"I2": 434, "I3": 1105, "I4": 1280, "V4": 1701}
"""Structures in every cell of the paper's Table I."""
PAPER_CELLS = ((1024, 0.0), (1024, -0.01), (1024, 0.01), (1024, 0.02), (1024, 0.03), (2000, 0.0), (3456, 0.0))
"""Atoms of the perfect cell, and strain."""
STRAIN_TOLERANCE = 5e-4


@dataclass(frozen=True)
class EntropySummary:
    """Formation entropies of one class, k_B.

    Attributes
    ----------
    n : int
        Structures whose entropy is known.
    mean, std, lowest, highest : float, k_B
        The standard deviation is that of the structures, not of the mean; NaN without structures.
    """

    n: int
    mean: float
    std: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, entropies) -> EntropySummary:
        """Summary of an array (k_B); what is not finite is left out."""
        known = np.asarray(entropies, dtype=float)
        known = known[np.isfinite(known)]
        if not len(known):
            return cls(0, *4 * [float("nan")])
        return cls(len(known), float(known.mean()), float(known.std()), float(known.min()), float(known.max()))

    def __str__(self):
        return f"{self.mean:.2f} ± {self.std:.2f} [{self.lowest:.2f}, {self.highest:.2f}]" if self.n else "–"


PAPER_LABELS: Mapping[str, Mapping[str, EntropySummary]] = {
    "Fe-AM04": {
        "I2": EntropySummary(423, 4.08, 1.70, 1.10, 15.44),
        "I3": EntropySummary(1104, 5.94, 2.29, 1.18, 19.72),
        "I4": EntropySummary(1280, 7.98, 2.36, 0.97, 17.65),
        "V4": EntropySummary(1701, 10.22, 0.85, 7.87, 15.20),
    },
    "Fe-EtesamiAsadi2018": {
        "I2": EntropySummary(423, 10.33, 0.82, 7.01, 16.46),
        "I3": EntropySummary(1104, 13.81, 1.87, 8.63, 18.59),
        "I4": EntropySummary(1280, 15.88, 1.67, 9.87, 23.81),
        "V4": EntropySummary(1701, 17.55, 1.92, 12.81, 27.94),
    },
}
"""By potential and class: 8a0, no strain."""


@dataclass(frozen=True)
class ClassRow:
    """One class of one dataset in one cell.

    Attributes
    ----------
    dataset, potential : str
    n_sites : int
        Atoms of the perfect cell.
    strain : float
        Of the perfect cell against the potential's own crystal; NaN where that is not known.
    label : str
        Defect class.
    n_structures : int
    entropy : EntropySummary
    paper_structures : int or None
        In the same row and column of the paper's Table I.
    paper_entropy : EntropySummary or None
        Of the paper's labels.
    """

    dataset: str
    potential: str
    n_sites: int
    strain: float
    label: str
    n_structures: int
    entropy: EntropySummary
    paper_structures: int | None
    paper_entropy: EntropySummary | None

    @property
    def cell(self) -> tuple:
        """What rows of one cell share."""
        return self.dataset, self.potential, self.n_sites, self.strain_text

    @property
    def strain_text(self) -> str:
        """Such as "+1 %"."""
        percent = round(100.0 * self.strain, 2) + 0.0 if np.isfinite(self.strain) else None
        return "unknown" if percent is None else f"{percent:+g} %"


@dataclass(frozen=True)
class ClassTable:
    """Table I of some datasets: their rows in order of dataset, cell and class."""

    rows: tuple[ClassRow, ...]


def class_table(datasets: Sequence[Dataset], *, progress=None) -> ClassTable:
    """Summarise every class in every cell of the datasets; no structures are touched, so there is no progress to report."""
    return ClassTable(tuple(row for data in datasets for row in _rows(data)))


def _rows(data):
    potential = str(data.metadata.get("potential", "unknown"))
    cells = [(len(bulk), _strain(bulk, potential)) for bulk in data.bulks]
    # crystals that differ by rounding alone are one cell
    names = [(n, "" if np.isnan(e) else f"{e:.4f}") for n, e in cells]
    of_structure = [names[entry.bulk] for entry in data.entries]
    rows = []
    for name in sorted(set(of_structure), key=lambda c: (c[0], abs(float(c[1] or 0.0)), c[1])):
        n_sites, strain = cells[names.index(name)]
        here = np.array([cell == name for cell in of_structure])
        for label in np.unique(data.labels[here]):
            chosen = here & (data.labels == label)
            rows.append(
                ClassRow(
                    data.name,
                    potential,
                    n_sites,
                    strain,
                    str(label),
                    int(chosen.sum()),
                    EntropySummary.of(data.formation_entropy[chosen]),
                    _paper_count(n_sites, strain, label),
                    _paper_label(potential, n_sites, strain, label),
                )
            )
    return rows


def _strain(bulk, name):
    """Of a perfect cell against the crystal of the potential; NaN for clusters and potentials without one."""
    try:
        potential = get_potential(name)
        unit = perfect_crystal(potential, 1)
    except InputError:
        return float("nan")
    if not bulk.pbc.all():
        return float("nan")
    return float((bulk.get_volume() / len(bulk) / (unit.get_volume() / len(unit))) ** (1.0 / 3.0) - 1.0)


def _paper_count(n_sites, strain, label):
    listed = any(n == n_sites and abs(e - strain) < STRAIN_TOLERANCE for n, e in PAPER_CELLS)
    return PAPER_COUNTS.get(str(label)) if listed else None


def _paper_label(potential, n_sites, strain, label):
    same_cell = n_sites == 1024 and abs(strain) < STRAIN_TOLERANCE
    return PAPER_LABELS.get(potential, {}).get(str(label)) if same_cell else None


def report(table: ClassTable) -> list[str]:
    """One line for each class and cell."""
    lines = []
    for cell in dict.fromkeys(row.cell for row in table.rows):
        dataset, potential, n_sites, strain = cell
        lines.append(f"{dataset}: {potential}, {n_sites} sites, strain {strain}")
        for row in (row for row in table.rows if row.cell == cell):
            line = f"  {row.label:4s} {row.n_structures:6d}   S_f {row.entropy!s:34s}"
            if row.paper_structures:
                line += f"  paper {row.paper_structures:5d}"
            if row.paper_entropy:
                line += f"   {row.paper_entropy}"
            lines.append(line.rstrip())
    return [*lines, "S_f in k_B: mean ± standard deviation of the structures [lowest, highest]"]


def tabulate(table: ClassTable, suffix: str) -> str:
    """The table as Markdown in the paper's arrangement (".md"), or one line for each class and cell (".csv")."""
    return _markdown(table) if suffix == ".md" else _csv(table)


def _csv(table):
    text = io.StringIO()
    summary = [field.name for field in fields(EntropySummary)]
    units = ["" if name == "n" else "_k_B" for name in summary]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["dataset", "potential", "n_sites", "strain", "label", "n_structures"]
        + [f"S_f_{name}{unit}" for name, unit in zip(summary, units, strict=True)]
        + ["paper_n_structures"]
        + [f"paper_S_f_{name}{unit}" for name, unit in zip(summary, units, strict=True)]
    )
    for row in table.rows:
        paper = asdict(row.paper_entropy) if row.paper_entropy else dict.fromkeys(summary, "")
        writer.writerow(
            [row.dataset, row.potential, row.n_sites, _known(round(row.strain, 6)), row.label, row.n_structures]
            + [_known(value) for value in asdict(row.entropy).values()]
            + ["" if row.paper_structures is None else row.paper_structures, *paper.values()]
        )
    return text.getvalue()


def _known(value):
    return "" if value != value else value


def _markdown(table):
    labels = sorted({row.label for row in table.rows})
    parts = []
    for potential in dict.fromkeys(row.potential for row in table.rows):
        rows = [row for row in table.rows if row.potential == potential]
        parts += [
            f"**{potential}**",
            "",
            _line("dataset", "*N*, *ε*", *labels, "total"),
            _line(*["---"] * (len(labels) + 3)),
        ]
        for cell in dict.fromkeys(row.cell for row in rows):
            parts += _cell_lines({row.label: row for row in rows if row.cell == cell}, cell, labels)
        parts.append("")
    return "\n".join([*parts, "Structures, and *S*_f in k_B: mean ± standard deviation [lowest, highest].", ""])


def _cell_lines(rows, cell, labels):
    """The line of a cell, and under it what the paper has for it."""
    dataset, _, n_sites, strain = cell
    ours = [f"{rows[label].n_structures}: {rows[label].entropy}" if label in rows else "" for label in labels]
    lines = [_line(f"`{dataset}`", f"{n_sites}, {strain}", *ours, sum(row.n_structures for row in rows.values()))]
    counts = {label: row.paper_structures for label, row in rows.items() if row.paper_structures}
    if counts:
        entropies = {label: f": {rows[label].paper_entropy}" if rows[label].paper_entropy else "" for label in counts}
        theirs = [f"{counts[label]}{entropies[label]}" if label in counts else "" for label in labels]
        lines.append(_line("paper", "", *theirs, sum(counts.values())))
    return lines


def _line(*cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


KIND = FigureKind(
    name="table1",
    title="Table I: structures and formation entropies of each class and cell, beside the paper's",
    datasets=("fe-am04-8a0", "fe-meam-8a0", "fe-meam-strained", "fe-meam-sizes"),
    compute=class_table,
    report=report,
    tabulate=tabulate,
)
