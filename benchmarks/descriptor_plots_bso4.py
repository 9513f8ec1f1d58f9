"""Figures of the documentation of bSO(4): ``python -m benchmarks.descriptor_plots_bso4 [FOLDER]`` (docs/images)."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np
from ase import Atoms

from ldml.descriptors.bso4 import BSO4
from ldml.descriptors.cutoff_functions import cutoff_function
from ldml.descriptors.hyperspherical import characters, rotation_angle

matplotlib.use("Agg")
from matplotlib import pyplot

CUTOFF = 5.0
TWO_J_MAX = 7
SHOWN = ((0.5, 0), (1, 1), (2, 0), (2, 2), (3.5, 0), (3.5, 3))
"""j1 = j2 and j of the components drawn."""
BOND = 2.5
"""Å, about the nearest distance in bcc iron."""


def main() -> None:
    """Draw all figures."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")
    for name, draw in {"radial": draw_radial, "response": draw_response}.items():
        figure = draw()
        figure.savefig(folder / f"bso4_{name}.png", dpi=110)
        pyplot.close(figure)


def draw_radial():
    """theta0 and f, and the functions f chi that the neighbours are expanded in."""
    r = np.linspace(0.0, CUTOFF, 501)
    theta0 = rotation_angle(r, CUTOFF, BSO4().rfac0)
    f = cutoff_function("cosine", r, CUTOFF)
    chi = characters(theta0, TWO_J_MAX) * f
    figure, (angle, highest, isotropic) = pyplot.subplots(1, 3, figsize=(11.0, 3.6), layout="constrained")
    angle.plot(r, theta0 / np.pi, label=r"$\theta_0/\pi$")
    angle.plot(r, f, label="f")
    angle.set_title("place on the sphere, and weight")
    colours = pyplot.get_cmap("viridis")(np.linspace(0.0, 0.9, TWO_J_MAX + 1))
    for n, colour in enumerate(colours):
        highest.plot(r, chi[TWO_J_MAX, n], color=colour, label=f"l = {n}")
        isotropic.plot(r, chi[n, 0], color=colour, label=f"j = {n / 2:g}")
    highest.set_title(r"$f\,\chi^j_l$, j = 3.5")
    isotropic.set_title(r"$f\,\chi^j_l$, l = 0")
    for axes in (angle, highest, isotropic):
        axes.set_xlabel("r (Å)")
        axes.legend(frameon=False, fontsize=8, ncols=2 if axes is not angle else 1)
    return figure


def draw_response():
    """Components of an atom with one neighbour moving out, and with two at an angle, as parts of their largest change."""
    r = np.linspace(1.5, CUTOFF + 0.2, 186)
    degrees = np.linspace(10.0, 180.0, 171)
    angles = np.radians(degrees)
    one = _components([[(0.0, 0.0, x)] for x in r])
    two = _components([[(0.0, 0.0, BOND), (BOND * np.sin(a), 0.0, BOND * np.cos(a))] for a in angles])
    figure, (out, turned) = pyplot.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
    for axes, x, values, rest in ((out, r, one, one[-1]), (turned, degrees, two, two[-1])):
        change = values - rest
        for (j1, j), curve in zip(SHOWN, change.T, strict=True):
            axes.plot(x, curve / abs(curve).max(), ls="-" if j == 0 else "--", label=f"$j_1=j_2={j1}$, $j={j}$")
        axes.axhline(0.0, color="0.8", lw=0.8, zorder=0)
    out.set_xlabel("distance of one neighbour (Å)")
    out.set_ylabel("change from no neighbour / largest")
    turned.set_xlabel(f"angle between two neighbours at {BOND:g} Å (degrees)")
    turned.set_ylabel("change from 180° / largest")
    out.legend(frameon=False, fontsize=8)
    return figure


def _components(neighbourhoods):
    descriptor = BSO4()
    columns = [descriptor.feature_names.index(f"B[j1={j1},j2={j1},j={j}]") for j1, j in SHOWN]
    centred = (Atoms(f"Fe{len(vectors) + 1}", positions=[(0.0, 0.0, 0.0), *vectors]) for vectors in neighbourhoods)
    return np.array([descriptor.compute(atoms)[0, columns] for atoms in centred])


if __name__ == "__main__":
    main()
