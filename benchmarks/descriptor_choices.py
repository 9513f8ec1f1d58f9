"""What the choices in a descriptor do to the fit of S_f: ``python -m benchmarks.descriptor_choices [--structures N]``.

Every row fits the shipped defects of Fe-AM04 (fe-am04-8a0) on 80 % of the structures and predicts the rest, on the same
ten random splits for all rows. `change` is the mean change of the test RMSE against the first row, split by split, with
the standard error of that mean: splits are hard or easy for all rows alike. µs an atom is processor time.

Rows without self pairs stand for distinct pairs as well: these are half of them, and columns are scaled before the fit.
Descriptors that are not local are slow: they are fitted on `SLOW_STRUCTURES` structures, with AFS on the same beside them.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np

from ldml.dataset import Dataset, load_dataset
from ldml.descriptors import DESCRIPTORS, Descriptor, get_descriptor
from ldml.descriptors.cutoff_functions import NAMES
from ldml.evaluation.splits import split_curve_arrays

DATASET = "fe-am04-8a0"
HELD_OUT = 0.2
N_SPLITS = 10
SLOW_STRUCTURES = 120

VARIANTS = [{"cutoff_function": f, "pairs": pairs} for f in NAMES for pairs in ("all", "without_self")]
SIZES = [
    {"n_max": 8, "l_max": 10},
    {"n_max": 30, "l_max": 10},
    {"n_max": 20, "l_max": 4},
    {"n_max": 20, "l_max": 20},
    {"cutoff": 4.0},
    {"cutoff": 6.0},
]


@dataclass(frozen=True)
class Fit:
    """Test errors of one descriptor on each split (N_SPLITS,), k_B, and its cost in µs an atom."""

    name: str
    n_structures: int
    n_features: int
    rmse: np.ndarray
    mae: np.ndarray
    cost: float

    def line(self, reference: Fit) -> str:
        """One row of the table."""
        change = self.rmse / reference.rmse - 1.0
        error = change.std(ddof=1) / np.sqrt(len(change))
        against = "" if self is reference else f"{100 * change.mean():+6.1f} ± {100 * error:.1f} %"
        return (
            f"{self.name:<48}{self.n_structures:>6}{self.n_features:>6}{self.rmse.mean():>9.4f}{self.mae.mean():>9.4f}"
            f"  {against:<16}{self.cost:>9.1f}"
        )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--structures", type=int, help="use only so many structures, drawn at random")
    arguments = parser.parse_args()
    data = load_dataset(DATASET)
    if arguments.structures:
        data = drawn(data, arguments.structures)
    print(f"{'':<48}{'n':>6}{'D':>6}{'RMSE k_B':>9}{'MAE k_B':>9}  {'change':<16}{'µs/atom':>9}")
    local = [kind for name, kind in DESCRIPTORS.items() if kind.is_local and name != "AFS"]
    others = [kind for kind in DESCRIPTORS.values() if not kind.is_local and not kind.needs_minimum]
    rows = [("AFS", choices) for choices in [*VARIANTS, *SIZES]] + [(kind.name, {}) for kind in local]
    print_fits(data, rows)
    if others:
        print_fits(drawn(data, min(SLOW_STRUCTURES, len(data))), [("AFS", {}), *((kind.name, {}) for kind in others)])


def drawn(data: Dataset, n: int) -> Dataset:
    """`n` structures at random."""
    return data.subset(np.sort(np.random.default_rng(0).permutation(len(data))[:n]))


def print_fits(data: Dataset, rows: list[tuple[str, dict]]) -> None:
    """A line for each descriptor; the first is what the others are held against."""
    reference = None
    for name, choices in rows:
        label = f"{name} " + " ".join(f"{key}={value}" for key, value in choices.items())
        result = fitted(label.strip(), data, get_descriptor(name, **choices))
        reference = reference or result
        print(result.line(reference), flush=True)


def fitted(label: str, data: Dataset, descriptor: Descriptor) -> Fit:
    """Descriptor totals computed afresh, then the errors of all splits."""
    descriptor.total(data[0])
    start = time.process_time()
    bulk = np.array([descriptor.total(crystal) / len(crystal) for crystal in data.bulks])
    totals = np.array([descriptor.total(entry.atoms) for entry in data.entries])
    cost = 1e6 * (time.process_time() - start) / (data.n_atoms.sum() + sum(map(len, data.bulks)))
    which = [entry.bulk for entry in data.entries]
    learned = ~descriptor.trivial_features
    differences = (totals - data.n_atoms[:, None] * bulk[which])[:, learned]
    curve = split_curve_arrays(differences, data.formation_entropy, proportions=[HELD_OUT], n_repeats=N_SPLITS)
    return Fit(label, len(data), int(learned.sum()), curve.rmse_test[0], curve.mae_test[0], cost)


if __name__ == "__main__":
    main()
