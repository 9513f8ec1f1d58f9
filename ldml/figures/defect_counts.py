"""Fig. 4: how many vacancies and self-interstitials the structures of a database hold.

    n_I - n_V = N - N_b

n_I interstitials and n_V vacancies by the Wigner-Seitz method, N atoms in a crystal of N_b sites. Disordering creates
Frenkel pairs, so that structures of one parent class lie on one diagonal. Source: paper, Sec. V.C and Fig. 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ldml.dataset import Dataset
from ldml.figures.base import FigureKind, read_only, single
from ldml.figures.palette import NEUTRAL
from ldml.figures.style import journal_style, new_figure
from ldml.point_defects import PointDefects, WignerSeitz
from ldml.progress import NULL_PROGRESS, Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPER_VACANCIES, PAPER_INTERSTITIALS, PAPER_STRUCTURES = 22, 26, 9016
"""The most of one structure, and the structures, of the paper's database."""


@dataclass(frozen=True, eq=False)
class DefectCounts:
    """Point defects of each structure of a database.

    Attributes
    ----------
    dataset : str
    vacancies, interstitials : (M,) int
    occurrences : (max vacancies + 1, max interstitials + 1) int
        Structures with that many of both.
    """

    dataset: str
    vacancies: np.ndarray
    interstitials: np.ndarray
    occurrences: np.ndarray

    @property
    def differences(self) -> dict[int, int]:
        """Structures of each n_I - n_V."""
        values, counts = np.unique(self.interstitials - self.vacancies, return_counts=True)
        return {int(value): int(count) for value, count in zip(values, counts, strict=True)}

    @property
    def correlation(self) -> float:
        """Pearson's coefficient of the two counts; NaN where one of them does not vary."""
        if np.ptp(self.vacancies) == 0 or np.ptp(self.interstitials) == 0:
            return float("nan")
        return float(np.corrcoef(self.vacancies, self.interstitials)[0, 1])


def point_defects_of(data: Dataset, *, progress: Progress | None = None) -> Iterator[PointDefects]:
    """Point defects of each structure of `data`, in order."""
    progress = progress or NULL_PROGRESS
    crystals: dict[int, WignerSeitz] = {}
    for i, entry in enumerate(data.entries):
        progress.check()
        progress.update(i, len(data), "point defects")
        if entry.bulk not in crystals:
            crystals[entry.bulk] = WignerSeitz(data.bulks[entry.bulk])
        yield crystals[entry.bulk](entry.atoms)
    progress.update(len(data), len(data), "point defects")


def defect_counts(data: Dataset, *, progress: Progress | None = None) -> DefectCounts:
    """Count the point defects of every structure.

    Raises
    ------
    InputError
        For clusters, which have no crystal sites.
    """
    counts = [(defects.n_vacancies, defects.n_interstitials) for defects in point_defects_of(data, progress=progress)]
    vacancies, interstitials = np.array(counts, dtype=int).reshape(-1, 2).T
    occurrences = np.zeros((vacancies.max(initial=0) + 1, interstitials.max(initial=0) + 1), dtype=int)
    np.add.at(occurrences, (vacancies, interstitials), 1)
    return DefectCounts(data.name, read_only(vacancies), read_only(interstitials), read_only(occurrences))


def draw_defect_counts(counts: DefectCounts) -> Figure:
    """Map of occurrences, interstitials against vacancies."""
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import MaxNLocator, NullLocator, ScalarFormatter

    most_v, most_i = np.array(counts.occurrences.shape) - 1
    with journal_style():
        # the map takes some 62 mm of the width, and is as high as its squares make it
        figure, (axes,) = new_figure(height=float(np.clip(12.0 + 62.0 * (most_i + 1) / (most_v + 1), 45.0, 110.0)))
        shown = np.ma.masked_equal(counts.occurrences.T, 0)
        norm = LogNorm(vmin=1, vmax=max(2, int(counts.occurrences.max())))
        edges_v, edges_i = np.arange(most_v + 2) - 0.5, np.arange(most_i + 2) - 0.5
        mesh = axes.pcolormesh(edges_v, edges_i, shown, cmap="viridis_r", norm=norm, linewidth=0, rasterized=True)
        _draw_diagonals(axes, counts, most_v, most_i)
        axes.set(
            xlim=(-0.5, most_v + 0.5), ylim=(-0.5, most_i + 0.5), aspect="equal",
            xlabel="vacancies in a cell", ylabel="self-interstitials in a cell",
        )  # fmt: skip
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True, nbins=7))
        bar = figure.colorbar(mesh, cax=axes.inset_axes([1.04, 0.0, 0.04, 1.0]), label="structures")
        ticks = [t for t in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if t <= norm.vmax]
        bar.set_ticks(ticks)
        bar.ax.yaxis.set_major_formatter(ScalarFormatter())
        bar.ax.yaxis.set_minor_locator(NullLocator())
    return figure


def _draw_diagonals(axes, counts, most_v, most_i):
    """The lines n_I - n_V = constant that the structures lie on; only they can be occupied."""
    for difference in counts.differences:
        ends = np.array([max(0, -difference) - 0.5, min(most_v, most_i - difference) + 0.5])
        axes.plot(ends, ends + difference, color=NEUTRAL, linewidth=0.4, zorder=0.5)


def report(counts: DefectCounts) -> list[str]:
    """The counts in words, beside the paper's."""
    by_difference = ", ".join(f"{n} with {value:+d}" for value, n in counts.differences.items())
    return [
        f"{counts.dataset}: {len(counts.vacancies)} structures (paper: {PAPER_STRUCTURES})",
        f"  vacancies         {_spread(counts.vacancies)}   (paper: up to {PAPER_VACANCIES})",
        f"  interstitials     {_spread(counts.interstitials)}   (paper: up to {PAPER_INTERSTITIALS})",
        f"  interstitials less vacancies: {by_difference}",
        f"  correlation of the two counts {counts.correlation:.3f}",
    ]


def _spread(values):
    return f"{values.min()} to {values.max()}, mean {values.mean():.1f}" if len(values) else "none"


def _compute(datasets: Sequence[Dataset], *, progress=None):
    return defect_counts(single(datasets, "figure 4"), progress=progress)


KIND = FigureKind(
    name="4",
    title="Vacancies and interstitials in the structures of the random database",
    datasets=("fe-meam-random",),
    compute=_compute,
    report=report,
    draw=draw_defect_counts,
)
