"""Formation entropy against cell size: ``python -m benchmarks.size_convergence [--sizes 8 10 12 16 20 28 40] [--figure FILE]``.

A vacancy and a <110> dumbbell, of Fe-AM04 unless ``--potential`` says otherwise, relaxed in 8a0 and carried to larger cells,
relaxed there by preconditioned Newton steps; S_f by the lattice Green's function. ``--sizes 80`` is the cell of 1,024,000
sites. The figure shows the distance to the infinite crystal, which is the value of the largest cell corrected by a fit in 1/N.
"""

from __future__ import annotations

import argparse
import resource
import time

import ldml
from benchmarks.timing import Row, print_table
from ldml.entropy.defect_green import green_formation_entropy
from ldml.entropy.lattice_green import LatticeGreen
from ldml.newton import embed, relax_newton
from ldml.potentials import perfect_crystal
from ldml.structures import interstitial_cluster, vacancy_cluster

SMALL = 8
SIZES = (8, 10, 12, 16, 20, 28, 40)
BARS = {40: 60.0, 80: 600.0}
"""Seconds for relaxation and entropy of one defect, the lattice's own work included, by cell."""


def main() -> None:
    """Print the table; draw the figure if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--potential", default="Fe-AM04")
    parser.add_argument("--figure")
    arguments = parser.parse_args()
    potential = ldml.get_potential(arguments.potential)
    unit = perfect_crystal(potential, 1)
    seeds = small_defects(potential)
    results = {name: {} for name in seeds}
    for n in arguments.sizes:
        rows, values = one_size(potential, unit, n, seeds)
        print_table(f"{potential.name}, {n}a0, {2 * n**3:,} sites", rows)
        for name, value in values.items():
            results[name][n] = value
    if arguments.figure:
        draw(results, arguments.figure)


def small_defects(potential):
    """Both defects at rest in the small cell."""
    bulk = perfect_crystal(potential, SMALL)
    starts = {"V1": vacancy_cluster(bulk, 1), "<110>": interstitial_cluster(bulk, 1)}
    return {name: ldml.relax(start, potential, 1e-8).atoms for name, start in starts.items()}


def one_size(potential, unit, n, seeds):
    """Rows of the table of one cell, and S_f of each defect."""
    start = time.perf_counter()
    lattice = LatticeGreen(unit, n, potential)
    preparation = time.perf_counter() - start
    rows, values = [Row("lattice Green's function", preparation, "s")], {}
    for name, small in seeds.items():
        start = time.perf_counter()
        relaxed = relax_newton(embed(small, unit, SMALL, n), lattice)
        relaxation = time.perf_counter() - start
        start = time.perf_counter()
        result = green_formation_entropy(relaxed.atoms, unit, n, potential, lattice=lattice)
        entropy = time.perf_counter() - start
        values[name] = result.value
        core = f"core of {result.n_core} sites, {max(result.radii):.1f} Å"
        rows += [
            Row(
                f"{name}: relaxation, {relaxed.n_steps} Newton steps",
                relaxation,
                "s",
                note=f"force {relaxed.max_force:.0e}",
            ),
            Row(f"{name}: entropy", entropy, "s", note=core),
            Row(f"{name}: all", preparation + relaxation + entropy, "s", BARS.get(n)),
            Row(f"{name}: S_f", result.value, "k_B", note=f"{result.value:.5f} ± {result.error:.1e}"),
        ]
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e9
    return [*rows, Row("peak memory", peak, "GB", 14.0 if n == 80 else None)], values


def draw(results, path):
    """Distance of S_f from that of the infinite crystal against the number of sites."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.0, 3.8), layout="constrained")
    for name, style in zip(results, ("o-", "s-"), strict=False):
        sizes = sorted(results[name])
        sites = [2 * n**3 for n in sizes]
        last, before = (results[name][n] for n in (sizes[-1], sizes[-2]))
        # S_f(N) = S_f(infinity) + a/N through the two largest cells
        limit = last + (last - before) * sites[-2] / (sites[-1] - sites[-2])
        distance = [abs(results[name][n] - limit) for n in sizes[:-1]]
        axes.loglog(sites[:-1], distance, style, label=f"{name}: {limit:.4f} $k_B$ for $N \\to \\infty$")
    axes.set_xlabel("sites $N$ of the periodic cell")
    axes.set_ylabel("|$S_f(N) - S_f(\\infty)$|  ($k_B$)")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
