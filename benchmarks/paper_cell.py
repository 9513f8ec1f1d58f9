"""What the paper's cell does to the entropies of its MEAM labels: ``python -m benchmarks.paper_cell [N] [DATASET]``.

The published labels were computed in cells of 8 x 2.8553 Å for both potentials; the crystal of Fe-EtesamiAsadi2018 has
2.8510 Å, so that its labels are those of a cell strained by +0.15 %. Minima of every class are relaxed in both cells,
and the differences of S_f printed. N minima of each class (3 unless said) are the first of DATASET; without it they
are found by random insertion.
"""

from __future__ import annotations

import sys

import numpy as np
from threadpoolctl import threadpool_limits

import ldml
from benchmarks.timing import Row, print_table
from ldml.campaign.crystals import crystal
from ldml.errors import ConvergenceError, InputError
from ldml.landscape import insertion_seed
from ldml.point_defects import WignerSeitz
from ldml.structures import strained

MEAM = "Fe-EtesamiAsadi2018"
PAPER_LATTICE_CONSTANT, REPEATS = 2.8553, 8
CLASSES = ("I2", "I3", "I4", "V4")
FORCE = 1e-5
SAME_SITES = 0.3
"""Å; an atom that moves further than this between the cells, their strain taken off, belongs to another minimum."""


def main(n_each="3", source=None) -> None:
    """Print the change of S_f of each class from our cell to the paper's."""
    strain = PAPER_LATTICE_CONSTANT / ldml.get_potential(MEAM).lattice_constant - 1.0
    with threadpool_limits(limits=1):
        rows = [_row(label, strain, int(n_each), source) for label in CLASSES]
    print_table(f"{MEAM}, strain {100 * strain:+.3f} %: S_f in the paper's cell less that in ours", rows)


def _row(label, strain, n, source):
    ours, theirs = crystal(MEAM, REPEATS), crystal(MEAM, REPEATS, strain)
    entropies, changes, lost = [], [], 0
    for found, entropy in _minima(label, ours, source, n):
        there, changed = theirs.minimum(strained(found, strain), FORCE)
        moved = WignerSeitz(ours.bulk).nearest_sites(strained(there.atoms, -strain / (1 + strain)).positions)[1]
        before = WignerSeitz(ours.bulk).nearest_sites(found.positions)[1]
        if np.abs(moved - before - np.median(moved - before, axis=0)).max() > SAME_SITES:
            lost += 1
            continue
        entropies.append(entropy)
        changes.append(changed - entropy)
    changes = np.array(changes)
    note = (
        f"± {changes.std():.3f} [{changes.min():.3f}, {changes.max():.3f}], {len(changes)} minima, {lost} left theirs; "
    )
    note += f"S_f in our cell {min(entropies):.1f} to {max(entropies):.1f}"
    return Row(label, float(changes.mean()), "k_B", note=note)


def _minima(label, cell, source, n):
    """Structures and their S_f in our cell."""
    if source is not None:
        data = ldml.load_dataset(source)
        starts = iter([data[i] for i in np.flatnonzero(data.labels == label)[:n]])
    else:
        rng = np.random.default_rng([2020, ord(label[0]), int(label[1:])])
        starts = (insertion_seed(cell.bulk, label, rng, spread=1.0) for _ in range(4 * n))
    found = 0
    for start in starts:
        if found == n:
            return
        try:
            relaxed, entropy = cell.minimum(start, FORCE)
        except (ConvergenceError, InputError):
            continue  # an insertion that does not lead to a minimum
        yield relaxed.atoms, entropy
        found += 1


if __name__ == "__main__":
    main(*sys.argv[1:])
