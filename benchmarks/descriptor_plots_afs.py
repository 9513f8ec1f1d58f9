"""Figures of the documentation of AFS: ``python -m benchmarks.descriptor_plots_afs [FOLDER]`` (docs/images)."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np
from ase.build import bulk

from ldml.descriptors import AFS
from ldml.descriptors.cutoff_functions import NAMES, cutoff_function
from ldml.descriptors.radial_basis import radial_functions

matplotlib.use("Agg")
from matplotlib import pyplot

CUTOFF = 5.0
N_MAX = 20
SHOWN = (1, 2, 3, 5, 10, 20)
LATTICE_CONSTANT = 2.8553
"""Å, bcc iron."""


def main() -> None:
    """Draw all figures."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")
    for name, draw in {"radial": draw_radial, "angular": draw_angular, "bcc": draw_bcc}.items():
        figure = draw()
        figure.savefig(folder / f"afs_{name}.png", dpi=110)
        pyplot.close(figure)


def shells() -> dict[float, int]:
    """Distances of the neighbours of an atom of bcc iron within the cutoff, with their numbers."""
    sites = bulk("Fe", a=LATTICE_CONSTANT, cubic=True).repeat(5).positions - 2 * LATTICE_CONSTANT
    distances = np.round(np.linalg.norm(sites, axis=1), 6)
    kept = distances[(distances > 0) & (distances < CUTOFF)]
    return dict(zip(*np.unique(kept, return_counts=True), strict=True))


def draw_radial():
    """g_n and f g_n, and the cutoff functions."""
    r = np.linspace(0.0, CUTOFF, 1001)
    g = radial_functions(r, N_MAX, CUTOFF)
    figure, (plain, damped, functions) = pyplot.subplots(1, 3, figsize=(11.0, 3.6), layout="constrained")
    colours = pyplot.get_cmap("viridis")(np.linspace(0.0, 0.9, len(SHOWN)))
    for n, colour in zip(SHOWN, colours, strict=True):
        plain.plot(r, g[:, n - 1], color=colour, label=f"n = {n}")
        damped.plot(r, g[:, n - 1] * cutoff_function("cosine", r, CUTOFF), color=colour)
    for name in NAMES:
        functions.plot(r, cutoff_function(name, r, CUTOFF), label=name)
    for axes, title in ((plain, "$g_n(r)$"), (damped, "$g_n(r)\\,f(r)$, cosine"), (functions, "$f(r)$")):
        axes.set_title(title)
        axes.set_xlabel("r (Å)")
        for distance in shells():
            axes.axvline(distance, color="0.8", lw=0.8, zorder=0)
    for axes in (plain, damped):
        axes.set_ylim(-1.25, 1.45)
        axes.set_ylabel("Å$^{-1/2}$")
    plain.legend(fontsize=8, ncols=2, loc="upper left")
    functions.legend(fontsize=8)
    return figure


def draw_angular():
    """cos(l theta), and what two neighbours at equal distance give for each choice of pairs."""
    degrees = np.linspace(0.0, 180.0, 361)
    figure, (cosines, response) = pyplot.subplots(1, 2, figsize=(11.0, 3.4), layout="constrained")
    orders = (0, 1, 2, 4, 10)
    colours = pyplot.get_cmap("viridis")(np.linspace(0.0, 0.9, len(orders)))
    for l, colour in zip(orders, colours, strict=True):
        cosines.plot(degrees, np.cos(l * np.radians(degrees)), color=colour, label=f"l = {l}")
    angle = np.cos(4 * np.radians(degrees))
    for name, values in {"all": 2 + 2 * angle, "without_self": 2 * angle, "distinct": angle}.items():
        response.plot(degrees, values, label=f"pairs = {name}")
    cosines.set_title("$\\cos(l\\theta)$")
    response.set_title("two neighbours at one distance, l = 4: $A_{nl}\\,/\\,(g_n f)^2$")
    for axes in (cosines, response):
        axes.set_xlabel("angle between the neighbours (degrees)")
        axes.set_xticks(range(0, 181, 30))
        axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def draw_bcc():
    """A_nl of an atom of perfect bcc iron, and what one missing first neighbour changes."""
    descriptor = AFS(n_max=N_MAX, l_max=10, cutoff=CUTOFF)
    crystal = bulk("Fe", a=LATTICE_CONSTANT, cubic=True).repeat(4)
    vacancy = crystal.copy()
    distance = crystal.get_distances(0, range(len(crystal)), mic=True)
    del vacancy[int(np.argsort(distance)[1])]
    perfect = descriptor.compute(crystal)[0].reshape(N_MAX, 11)
    change = descriptor.compute(vacancy)[0].reshape(N_MAX, 11) - perfect
    figure, panels = pyplot.subplots(1, 2, figsize=(9.0, 3.9), layout="constrained")
    titles = ("$A_{nl}$ of bcc iron (Å$^{-1}$)", "change beside a vacancy (Å$^{-1}$)")
    for axes, values, title in zip(panels, (perfect, change), titles, strict=True):
        largest = abs(values).max()
        norm = matplotlib.colors.SymLogNorm(1e-3 * largest, vmin=-largest, vmax=largest)
        image = axes.imshow(
            values.T, origin="lower", aspect="auto", cmap="RdBu_r", norm=norm, extent=(0.5, 20.5, -0.5, 10.5)
        )
        axes.set(title=title, xlabel="n", ylabel="l", xticks=range(2, 21, 3), yticks=range(0, 11, 2))
        figure.colorbar(image, ax=axes)
    return figure


if __name__ == "__main__":
    main()
