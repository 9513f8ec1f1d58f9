"""Lattice Green's function against dense factorisation: ``python -m benchmarks.green [--cells 8 12]``.

Vacancies and dumbbell clusters of Fe-AM04, relaxed, then S_f both ways. 12a0 takes a dense matrix of 0.9 GB.
"""

from __future__ import annotations

import argparse

import ldml
from benchmarks.timing import Row, print_table
from ldml.entropy.defect_green import green_formation_entropy
from ldml.entropy.lattice_green import LatticeGreen
from ldml.potentials import perfect_crystal
from ldml.structures import interstitial_cluster, vacancy_cluster

BAR = 2e-3
"""k_B"""
RADIUS = 4.0
"""Lattice constants; where the default core fills a small cell and is exact, the method is tried with a smaller one, too."""


def main() -> None:
    """Print the differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, nargs="+", default=(8, 12))
    potential = ldml.get_potential("Fe-AM04")
    unit = perfect_crystal(potential, 1)
    for n in parser.parse_args().cells:
        bulk = perfect_crystal(potential, n)
        lattice = LatticeGreen(unit, n, potential)
        rows = [row for name, start in defects(bulk).items() for row in compare(name, start, bulk, lattice, unit, n)]
        print_table(f"{n}a0: |green - dense|", rows)


def defects(bulk):
    """Seeds of the clusters compared."""
    vacancies = {f"V{n}": vacancy_cluster(bulk, n) for n in (1, 4)}
    return vacancies | {f"I{n} <110>": interstitial_cluster(bulk, n) for n in (1, 2, 4)}


def compare(name, start, bulk, lattice, unit, n):
    """The default radii, and in a cell that they fill also a core of 4 a0."""
    atoms = ldml.relax(start, lattice.potential, 1e-7).atoms
    dense = ldml.formation_entropy(atoms, bulk, lattice.potential, method="cholesky").value
    rows = []
    for label, radius in (("", None), (f", core of {RADIUS:g} a0", RADIUS * lattice.potential.lattice_constant)):
        found = green_formation_entropy(atoms, unit, n, lattice.potential, lattice=lattice, radius=radius)
        note = f"dense {dense:.6f}, green {found.value:.6f}, stated error {found.error:.1e}"
        bar = BAR if radius is None else None
        rows.append(Row(f"{name}{label}", abs(found.value - dense), "k_B", bar, note))
        if found.n_core < len(atoms):
            break
    return rows


if __name__ == "__main__":
    main()
