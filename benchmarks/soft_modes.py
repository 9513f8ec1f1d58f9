"""What soft modes cost and gain: ``python -m benchmarks.soft_modes [--cells 6 8 10] [--data NAME --structures N]``.

First a dumbbell in growing cells: modes relative to the crystal beside plain eigenvalues of the Hessian, and processor time beside
that of the exact entropy by dense factorisation. Then test errors of descriptors with and without soft modes, on the same ten
random splits at 80 % train, beside the processor time of one structure: accuracy against cost. The exact entropy itself is
the last row, without error.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import ldml
from benchmarks.descriptor_choices import HELD_OUT, N_SPLITS
from ldml.dataset import Dataset, load_dataset
from ldml.descriptors import SoftModes, get_descriptor
from ldml.entropy.defect_green import ExtendedCrystal, softest_modes
from ldml.entropy.lattice_green import LatticeGreen
from ldml.evaluation.splits import split_curve_arrays
from ldml.newton import relax_newton
from ldml.potentials import perfect_crystal
from ldml.structures import interstitial_cluster

CELL_POTENTIAL = "Fe-AM04"
LEVELS = (
    (0.1,),
    (0.2,),
    (0.3,),
    (0.4,),
    (0.5,),
    (0.1, 0.2, 0.3),
    (0.1, 0.2, 0.3, 0.4, 0.5),
    (0.1, 0.2, 0.3, 0.4, 0.5, 2.0),
)
"""Levels compared; the modes are computed once, for all of them."""


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, nargs="*", default=(6, 8, 10, 12))
    parser.add_argument("--data", default="fe-meam-8a0")
    parser.add_argument("--structures", type=int, default=600, help="drawn at random, as many of each class")
    arguments = parser.parse_args()
    if arguments.cells:
        print_cells(arguments.cells)
    if arguments.structures:
        print_errors(drawn(load_dataset(arguments.data), arguments.structures))


def print_cells(cells) -> None:
    """The modes and costs of one dumbbell."""
    unit = perfect_crystal(CELL_POTENTIAL, 1)
    print(
        f"{'cell':>6}{'atoms':>8}  {'lowest mu':<24}{'F(0.5) k_B':>11}  {'lowest of H, eV/Å²':<24}{'modes s':>9}{'exact s':>9}"
    )
    for n in cells:
        lattice = LatticeGreen(unit, n, CELL_POTENTIAL)
        atoms = relax_newton(interstitial_cluster(lattice.crystal(), 1), lattice).atoms
        descriptor = SoftModes(potential=CELL_POTENTIAL, levels=(0.5,))
        descriptor.total(atoms)
        seconds, total = timed(descriptor.total, atoms)
        modes = descriptor.modes(atoms).values[:3]
        plain, _ = softest_modes(atoms, ExtendedCrystal(atoms, lattice), 3, tolerance=1e-4)
        exact, _ = timed(ldml.harmonic_entropy, atoms, CELL_POTENTIAL)
        print(
            f"{n:>4}a0{len(atoms):>8}  {listed(modes):<24}{total[0]:>11.4f}  {listed(plain):<24}{seconds:>9.2f}{exact:>9.2f}",
            flush=True,
        )


def listed(values) -> str:
    """Three decimals each."""
    return "  ".join(f"{value:.3f}" for value in values)


def timed(function, *arguments):
    """Processor seconds, and the answer."""
    start = time.process_time()
    answer = function(*arguments)
    return time.process_time() - start, answer


def drawn(data: Dataset, n: int) -> Dataset:
    """`n` structures at random, as many of each of the paper's classes as there are."""
    rng, labels = (
        np.random.default_rng(0),
        [label for label in ("I2", "I3", "I4", "V4") if (data.labels == label).any()],
    )
    chosen = [rng.permutation(np.flatnonzero(data.labels == label))[: n // len(labels)] for label in labels]
    return data.subset(np.sort(np.concatenate(chosen)))


def print_errors(data: Dataset) -> None:
    """A line for each descriptor."""
    potential = data.metadata["potential"]
    print(f"\n{data.name}: {len(data)} structures, {', '.join(sorted(set(data.labels)))}")
    print(f"{'':<46}{'D':>5}{'RMSE k_B':>10}{'MAE k_B':>9}{'s a structure':>15}")
    for name in ("BSO4", "AFS", "AFS+BSO4"):
        print_fit(name, data, get_descriptor(name))
    both = get_descriptor("AFS+SoftModes", potential=potential, levels=LEVELS[-1])
    for levels in LEVELS:
        print_fit("AFS+SoftModes, s = " + ", ".join(map(str, levels)), data, both, levels)
    seconds, _ = timed(ldml.formation_entropy, data[0], data.bulk_of(0), potential)
    print(f"{'exact':<46}{'':>5}{0:>10}{0:>9}{seconds:>15.3f}")


def print_fit(label: str, data: Dataset, descriptor, levels=()) -> None:
    """Errors on the splits, of soft modes with some levels only, and the cost of a structure in a sample of ten."""
    X = data.descriptor_differences(descriptor)
    names = [f"F[s={level}]" for level in levels]
    kept = [not levels or not name.startswith("F[") or name in names for name in descriptor.feature_names]
    curve = split_curve_arrays(X[:, kept], data.formation_entropy, proportions=[HELD_OUT], n_repeats=N_SPLITS)
    sample = np.linspace(0, len(data) - 1, 10).astype(int)
    seconds, _ = timed(lambda: [descriptor.total(data[i]) for i in sample])
    print(
        f"{label:<46}{sum(kept):>5}{curve.rmse_test.mean():>10.3f}{curve.mae_test.mean():>9.3f}{seconds / len(sample):>15.3f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
