"""Fig. 5: (a) distances between the point defects of each structure, (b) formation entropies of the structures.

A point defect is a vacant site or a site that holds more than one atom, at the place of the site; distances go to the
nearest image. Two defects nearer than twice the cutoff of the descriptors share neighbours and so interact in the model;
how many do is compared with defects put on the sites of the same cells at random. Source: paper, Sec. V.C and Fig. 5.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase.geometry import find_mic

from ldml.dataset import Dataset
from ldml.figures.base import FigureKind, read_only, single
from ldml.figures.defect_counts import point_defects_of
from ldml.figures.palette import BLUE, NEUTRAL, VERMILLION
from ldml.figures.style import journal_style, new_figure, panel_letter
from ldml.point_defects import PointDefects, defect_distances
from ldml.progress import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INTERACTION_DISTANCE = 10.0
"""Å, twice the paper's cutoff of the descriptors."""
BIN_WIDTH = 1.0
"""Å"""
PAPER_SHARE, PAPER_RANGE = "about 1/3", "a range of about 250 k_B"


@dataclass(frozen=True, eq=False)
class DefectDistances:
    """Distances between point defects, and formation entropies, of a database.

    Attributes
    ----------
    dataset : str
    n_structures : int
    n_pairs : int
        Of point defects in one structure, over all structures.
    interaction_distance : float, Å
    share_below : float
        Of the pairs, nearer than the interaction distance; NaN without pairs.
    random_share_below : float
        The same for defects on sites chosen at random in the same cells.
    distance_edges : (n + 1,) float, Å
        Of the bins.
    distance_counts : (n,) int
        Pairs in each.
    random_distance_counts : (n,) float
        Pairs expected there for defects on random sites.
    formation_entropy : (M,) float, k_B
        NaN where unknown.
    """

    dataset: str
    n_structures: int
    n_pairs: int
    interaction_distance: float
    share_below: float
    random_share_below: float
    distance_edges: np.ndarray
    distance_counts: np.ndarray
    random_distance_counts: np.ndarray
    formation_entropy: np.ndarray


@dataclass(frozen=True, eq=False)
class PairDistances:
    """Distances between the point defects of each of M structures, P pairs in all.

    Attributes
    ----------
    dataset : str
    distances : (P,) float, Å
    structure : (P,) int
        Which structure each pair is in.
    crystal : (M,) int
        Which crystal each structure is in.
    by_chance : tuple of (N_b - 1,) float, Å
        For each crystal, distances from a site to all others: those of defects on random sites.
    formation_entropy : (M,) float, k_B
    """

    dataset: str
    distances: np.ndarray
    structure: np.ndarray
    crystal: np.ndarray
    by_chance: tuple[np.ndarray, ...]
    formation_entropy: np.ndarray

    def subset(self, chosen) -> PairDistances:
        """The pairs of some structures, chosen by a boolean mask (M,)."""
        chosen = np.asarray(chosen, dtype=bool)
        kept, place = chosen[self.structure], np.cumsum(chosen) - 1
        return PairDistances(
            self.dataset,
            self.distances[kept],
            place[self.structure[kept]],
            self.crystal[chosen],
            self.by_chance,
            self.formation_entropy[chosen],
        )

    def distribution(self, interaction_distance: float = INTERACTION_DISTANCE) -> DefectDistances:
        """How the distances are distributed, beside those of defects on random sites.

        Parameters
        ----------
        interaction_distance : float, Å
            Twice the cutoff of the descriptors.
        """
        longest = max((d.max() for d in self.by_chance), default=0.0)
        edges = np.arange(0.0, longest + BIN_WIDTH, BIN_WIDTH)
        pairs_in = np.bincount(self.crystal[self.structure], minlength=len(self.by_chance))
        # each pair of defects is a draw from the distances of its own cell
        chance_weights = [n / len(d) for n, d in zip(pairs_in, self.by_chance, strict=True)]
        chances = list(zip(chance_weights, self.by_chance, strict=True))
        n_pairs = len(self.distances)
        random_below = sum(w * (d < interaction_distance).sum() for w, d in chances)
        return DefectDistances(
            dataset=self.dataset,
            n_structures=len(self.crystal),
            n_pairs=n_pairs,
            interaction_distance=interaction_distance,
            share_below=float(np.mean(self.distances < interaction_distance)) if n_pairs else float("nan"),
            random_share_below=float(random_below / n_pairs) if n_pairs else float("nan"),
            distance_edges=read_only(edges),
            distance_counts=read_only(np.histogram(self.distances, edges)[0]),
            random_distance_counts=read_only(sum(w * np.histogram(d, edges)[0] for w, d in chances)),
            formation_entropy=read_only(self.formation_entropy),
        )


def pair_distances(data: Dataset, defects: Iterable[PointDefects]) -> PairDistances:
    """Gather the distances between the point defects of each structure, given in the order of `data`."""
    found = [defect_distances(entry.atoms, d) for entry, d in zip(data.entries, defects, strict=True)]
    return PairDistances(
        dataset=data.name,
        distances=np.concatenate([np.empty(0), *found]),
        structure=np.repeat(np.arange(len(data)), [len(d) for d in found]),
        crystal=np.array([entry.bulk for entry in data.entries], dtype=int),
        by_chance=tuple(_site_distances(bulk) for bulk in data.bulks),
        formation_entropy=data.formation_entropy,
    )


def defect_distances_of(
    data: Dataset, *, interaction_distance: float = INTERACTION_DISTANCE, progress: Progress | None = None
) -> DefectDistances:
    """Distribution of the distances between the point defects of each structure.

    Parameters
    ----------
    data : Dataset
    interaction_distance : float, Å
        Twice the cutoff of the descriptors.
    progress : Progress, optional
    """
    return pair_distances(data, point_defects_of(data, progress=progress)).distribution(interaction_distance)


def _site_distances(bulk):
    """Distances (N_b - 1,) from a site to all others, Å; the same from every site of a crystal of one kind of site."""
    return find_mic(bulk.positions[1:] - bulk.positions[0], bulk.cell, pbc=True)[1]


def draw_defect_distances(result: DefectDistances) -> Figure:
    """Two panels: the distances with the interaction distance marked, and the formation entropies."""
    with journal_style():
        figure, (upper, lower) = new_figure(2, height=116)
        _draw_distances(upper, result)
        _draw_entropies(lower, result.formation_entropy[np.isfinite(result.formation_entropy)])
        for axes, letter in ((upper, "a"), (lower, "b")):
            panel_letter(axes, letter)
    return figure


def _draw_distances(axes, result):
    from matplotlib.ticker import MultipleLocator

    edges, scale = result.distance_edges, 100.0 / max(result.n_pairs, 1) / BIN_WIDTH
    axes.stairs(
        scale * result.distance_counts, edges, fill=True, color=BLUE, alpha=0.55, label="pairs of point defects"
    )
    axes.stairs(scale * result.random_distance_counts, edges, color=NEUTRAL, linewidth=1.0, label="on random sites")
    axes.axvline(result.interaction_distance, color=VERMILLION, linestyle="--", linewidth=1.0)
    highest = scale * max(result.distance_counts.max(initial=0), result.random_distance_counts.max(initial=0.0))
    axes.set(
        xlim=(0.0, edges[-1]), ylim=(0.0, 1.45 * highest or 1.0),
        xlabel="distance between point defects (Å)", ylabel="share of pairs (% per Å)",
    )  # fmt: skip
    axes.xaxis.set_major_locator(MultipleLocator(5.0))
    if result.n_pairs:
        axes.annotate(
            f"2$r_{{cut}}$ = {result.interaction_distance:g} Å\n{100 * result.share_below:.0f} % below ",
            (result.interaction_distance, 1.22 * highest), (-3, 0), textcoords="offset points",
            ha="right", va="center", fontsize=7.5, color=VERMILLION,
        )  # fmt: skip
    axes.legend(loc="upper right")


def _draw_entropies(axes, entropies):
    from matplotlib.ticker import MaxNLocator

    axes.set(xlabel="formation entropy $S_f$ ($k_B$)", ylabel="structures")
    if len(entropies):
        counts, edges = np.histogram(entropies, bins=min(max(int(np.sqrt(len(entropies))), 10), 40))
        axes.stairs(counts, edges, fill=True, color=BLUE, alpha=0.55)
        axes.set_ylim(0, 1.25 * counts.max())
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axes.text(
            0.96, 0.96, f"{len(entropies)} structures\n{entropies.mean():.0f} ± {entropies.std():.0f} $k_B$",
            transform=axes.transAxes, ha="right", va="top", fontsize=7.5,
        )  # fmt: skip


def report(result: DefectDistances) -> list[str]:
    """The distributions in words, beside the paper's."""
    entropies = result.formation_entropy[np.isfinite(result.formation_entropy)]
    lines = [f"{result.dataset}: {result.n_structures} structures, {result.n_pairs} pairs of point defects"]
    if result.n_pairs:
        lines.append(
            f"  nearer than {result.interaction_distance:g} Å   {100 * result.share_below:.1f} % of the pairs "
            f"(paper: {PAPER_SHARE}; on random sites of these cells: {100 * result.random_share_below:.1f} %)"
        )
    if len(entropies):
        lines.append(
            f"  S_f   {entropies.mean():.1f} ± {entropies.std():.1f} [{entropies.min():.1f}, {entropies.max():.1f}] k_B "
            f"(paper: {PAPER_RANGE})"
        )
    unknown = result.n_structures - len(entropies)
    return lines + ([f"  {unknown} structures without S_f"] if unknown else [])


def _compute(datasets: Sequence[Dataset], *, progress=None):
    return defect_distances_of(single(datasets, "figure 5"), progress=progress)


KIND = FigureKind(
    name="5",
    title="Distances between point defects, and formation entropies, of the random database",
    datasets=("fe-meam-random",),
    compute=_compute,
    report=report,
    draw=draw_defect_distances,
)
