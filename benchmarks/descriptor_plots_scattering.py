"""Figures of the scattering page: ``python -m benchmarks.descriptor_plots_scattering [--folder docs/images]``.

The wavelets' profiles, convolved with the Gaussian of an atom as they enter, and the error of S[j, l] against the spacing of
the grid, for a vacancy in bcc Fe with displaced atoms.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from unittest import mock

import numpy as np
from ase.build import bulk

from ldml.descriptors import scattering
from ldml.descriptors.scattering import Scattering
from ldml.descriptors.solid_harmonics import profile

ORDERS = (1, 2, 3, 5, 8)
SPACINGS = (0.45, 0.38, 0.295, 0.25, 0.19)
PLACES = 6
REFERENCE = 0.12
"""Spacing of what the errors are measured against."""


def main() -> None:
    """Draw both figures and print the table of the second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("docs/images"))
    folder = parser.parse_args().folder
    draw_profiles(folder / "scattering_profiles.png")
    errors = convergence()
    for l, row in errors.items():
        print(f"l = {l}: " + "  ".join(f"{error:.1e}" for error in row))
    draw_convergence(errors, folder / "scattering_convergence.png")


def _pyplot():
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def draw_profiles(path: Path) -> None:
    """(sum_m |g * psi_jl^m|^2)^(1/2) of one atom against the distance, for each scale and for each l."""
    pyplot = _pyplot()
    descriptor = Scattering()
    figure, (by_scale, by_order) = pyplot.subplots(1, 2, figsize=(9.0, 3.4), layout="constrained")
    r = np.geomspace(0.02, 60.0, 600)
    colours = pyplot.cm.viridis(np.linspace(0, 0.9, len(descriptor.scales)))
    for scale, colour in zip(descriptor.scales, colours, strict=True):
        field = smoothed(r, descriptor, scale, 3)
        by_scale.semilogx(r, field / field.max(), color=colour, label=f"{scale:g}")
    by_scale.set_title("$l = 3$, by scale $j$")
    by_scale.legend(fontsize=7, title="$j$")
    r = np.linspace(0.0, 4.0, 400)
    for l in range(descriptor.l_max + 1):
        field = smoothed(r, descriptor, 0.0, l)
        by_order.plot(r, field / field.max(), color=pyplot.cm.plasma(l / 11), label=f"{l}")
    by_order.set_title("$j = 0$, by $l$")
    by_order.legend(fontsize=7, title="$l$")
    for axes in (by_scale, by_order):
        axes.set_xlabel("distance from the atom (Å)")
        axes.grid(alpha=0.3)
    by_scale.set_ylabel("field of one atom / its maximum")
    figure.savefig(path, dpi=90)


def smoothed(r, descriptor, scale, l):
    """Field of one atom at r (Å)."""
    width = descriptor.unit * 2.0**scale
    smeared = np.hypot(width, descriptor.sigma)
    return (width / smeared) ** (l + 3) * profile(r / smeared, l)


def convergence() -> dict[int, list[float]]:
    """Relative error of S[0, l] for each of `SPACINGS`, root mean square over places of the crystal on the grid."""
    atoms = bulk("Fe", a=2.8553, cubic=True).repeat(4)
    atoms.rattle(0.05, seed=7)
    del atoms[3]
    exact = totals_at(atoms, REFERENCE)
    shifts = np.random.default_rng(1).uniform(0.0, 1.0, (PLACES, 3))
    squares = {h: np.zeros_like(exact) for h in SPACINGS}
    for shift in shifts:
        moved = atoms.copy()
        moved.translate(shift)
        for h in SPACINGS:
            squares[h] += (totals_at(moved, h) / exact - 1.0) ** 2 / PLACES
    return {l: [float(np.sqrt(squares[h][l])) for h in SPACINGS] for l in ORDERS}


def totals_at(atoms, spacing):
    """S[0, l] with the given spacing in units of the width, the same for every l."""
    settings = {"SPACING": spacing, "SPACING_OF_CONES": spacing, "CRYSTAL_COARSENING": 1.0, "FEWEST_POINTS": 1}
    with mock.patch.multiple(scattering, **settings):
        return Scattering(scales=(0.0,), l_max=8).total(atoms)


def draw_convergence(errors, path: Path) -> None:
    """Error against spacing, with the defaults marked."""
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(figsize=(5.2, 3.6), layout="constrained")
    for l, row in errors.items():
        axes.loglog(SPACINGS, row, "o-", label=f"$l = {l}$")
    h = np.array(SPACINGS)
    axes.loglog(h, 2e-5 * (h / 0.38) ** 4, "k:", label="$h^4$")
    axes.axvline(scattering.CRYSTAL_COARSENING * scattering.SPACING, color="grey", lw=0.8)
    axes.axvline(scattering.CRYSTAL_COARSENING * scattering.SPACING_OF_CONES, color="grey", lw=0.8, ls="--")
    axes.set_xticks(SPACINGS, [f"{x:g}" for x in SPACINGS])
    axes.minorticks_off()
    axes.set_xlabel("grid spacing $h / a_j$")
    axes.set_ylabel("relative error of $S[0, l]$")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
