"""What the search for minima found: their energy spectrum, and formation entropy against formation energy.

    dS/dE = cov(E_f, S_f) / var(E_f),      r = cov(E_f, S_f) / (std(E_f) std(S_f))

E_f formation energy and S_f formation entropy of the distinct minima of one class, by which classes of interstitials and
of vacancies can be told apart. The paper searches as in its Sec. IV.A and finds S_f between 8 and 28 k_B with MEAM (Sec. V.A).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ldml.dataset import Dataset
from ldml.errors import InputError
from ldml.figures.base import FigureKind, read_only, single
from ldml.figures.palette import class_colour, class_marker
from ldml.figures.style import journal_style, new_figure, panel_letter
from ldml.progress import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N_BINS = 60


@dataclass(frozen=True, eq=False)
class ClassLandscape:
    """Minima of one class.

    Attributes
    ----------
    label : str
    formation_energy, formation_entropy : (M,) float, eV and k_B
        In order of energy.
    within_one_ev : int
        Minima less than 1 eV above the lowest, which is counted.
    slope, correlation : float, k_B/eV and 1
        Of S_f against E_f; NaN for fewer than three minima or where one of them does not vary.
    search : mapping
        How the search went: attempts, distinct minima by either rule, failures; empty where it is not recorded.
    """

    label: str
    formation_energy: np.ndarray
    formation_entropy: np.ndarray
    within_one_ev: int
    slope: float
    correlation: float
    search: Mapping


@dataclass(frozen=True)
class EnergyLandscape:
    """Minima of a database by class."""

    dataset: str
    potential: str
    classes: tuple[ClassLandscape, ...]


def energy_landscape(data: Dataset, *, progress: Progress | None = None) -> EnergyLandscape:
    """Energies and entropies of each class; no structures are touched, so there is no progress to report.

    Raises
    ------
    InputError
        If no structure has both.
    """
    known = np.isfinite(data.formation_energy) & np.isfinite(data.formation_entropy)
    if not known.any():
        raise InputError(f"no structure of {data.name!r} has a formation energy and a formation entropy to show")
    searches = _searches(data.metadata)
    classes = []
    for label in np.unique(data.labels[known]):
        chosen = np.flatnonzero(known & (data.labels == label))
        chosen = chosen[np.argsort(data.formation_energy[chosen], kind="stable")]
        classes.append(
            _class(str(label), data.formation_energy[chosen], data.formation_entropy[chosen], searches.get(label, {}))
        )
    return EnergyLandscape(data.name, str(data.metadata.get("potential", "unknown")), tuple(classes))


def _class(label, energy, entropy, search):
    slope = correlation = float("nan")
    if len(energy) > 2 and np.ptp(energy) > 0 and np.ptp(entropy) > 0:
        slope = float(np.polyfit(energy, entropy, 1)[0])
        correlation = float(np.corrcoef(energy, entropy)[0, 1])
    within = int((energy < energy[0] + 1.0).sum())
    return ClassLandscape(label, read_only(energy), read_only(entropy), within, slope, correlation, dict(search))


def _searches(metadata):
    """Search statistics by class, of the dataset or of the parts it was put together from."""
    parts = metadata.get("parts", ())
    parts = parts.values() if isinstance(parts, Mapping) else parts
    return {label: tally for source in (*parts, metadata) for label, tally in dict(source.get("search", {})).items()}


def draw_energy_landscape(landscape: EnergyLandscape) -> Figure:
    """Two panels over formation energy: minima in each interval of energy, and the entropy of each minimum."""
    with journal_style():
        figure, (upper, lower) = new_figure(2, height=120, share_x=True)
        energies = np.concatenate([c.formation_energy for c in landscape.classes])
        edges = np.histogram_bin_edges(energies, bins=N_BINS)
        highest = 1
        for minima in landscape.classes:
            colour = class_colour(minima.label)
            counts = np.histogram(minima.formation_energy, edges)[0]
            highest = max(highest, counts.max())
            upper.stairs(counts, edges, color=colour, linewidth=1.1)
            upper.stairs(counts, edges, color=colour, fill=True, alpha=0.15)
            lower.plot(
                minima.formation_energy, minima.formation_entropy, class_marker(minima.label), color=colour,
                markersize=2.2, markeredgewidth=0.0, alpha=0.6, rasterized=True,
                label=f"{_pretty(minima.label)} ({len(minima.formation_energy)})",
            )  # fmt: skip
        upper.set(ylabel=f"minima per {edges[1] - edges[0]:.2g} eV", ylim=(0, 1.15 * highest))
        lower.set(xlabel="formation energy $E_f$ (eV)", ylabel="formation entropy $S_f$ ($k_B$)")
        legend = figure.legend(loc="outside upper center", ncols=4, markerscale=2.0, columnspacing=1.2)
        for handle in legend.legend_handles:
            handle.set_alpha(1.0)
        for axes, letter in ((upper, "a"), (lower, "b")):
            panel_letter(axes, letter)
    return figure


def _pretty(label):
    """I3 with the number as an index, other names as they are."""
    return f"{label[0]}$_{{{label[1:]}}}$" if label[1:].isdigit() else label.replace("$", r"\$")


def report(landscape: EnergyLandscape) -> list[str]:
    """One line for each class."""
    lines = [f"{landscape.dataset}: {landscape.potential}"]
    for c in landscape.classes:
        energy, entropy = c.formation_energy, c.formation_entropy
        line = (
            f"  {c.label:4s} {len(energy):5d} minima   E_f {energy[0]:.3f} to {energy[-1]:.3f} eV, {c.within_one_ev} within "
            f"1 eV of the lowest   S_f {entropy.min():.2f} to {entropy.max():.2f} k_B"
        )
        if np.isfinite(c.slope):
            line += f"   dS/dE {c.slope:+.2f} k_B/eV, r {c.correlation:+.2f}"
        lines.append(line)
        if c.search:
            lines.append("       " + _search_text(c.search))
    return lines


def _search_text(search):
    said = [f"{search['attempts']} attempts"] if "attempts" in search else []
    for key, words in (
        ("distinct_energy_or_inertia", "energy or inertia"),
        ("distinct_energy_and_inertia", "energy and inertia"),
    ):
        if key in search:
            said.append(f"distinct by {words}: {search[key]}")
    failures = sum(dict(search.get("failures", {})).values())
    return ", ".join([*said, f"{failures} failed"] if failures else said)


def _compute(datasets: Sequence[Dataset], *, progress=None):
    return energy_landscape(single(datasets, "figure landscape"), progress=progress)


KIND = FigureKind(
    name="landscape",
    title="Energy spectrum of the minima found, and formation entropy against formation energy",
    datasets=("fe-am04-8a0",),
    compute=_compute,
    report=report,
    draw=draw_energy_landscape,
)
