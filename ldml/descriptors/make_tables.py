"""Make the rotations U = S^(-1/2) C of `ldml.descriptors.radial_basis` in 120-digit arithmetic.

Run ``python -m ldml.descriptors.make_tables [FILE]`` (needs mpmath, some ten seconds); without FILE it rewrites the table
that ships with the package.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mpmath
import numpy as np

from ldml.descriptors.radial_basis import MAX_RADIAL, ROTATIONS_FILE, table_name

DIGITS = 120


def overlap(n_max: int) -> mpmath.matrix:
    """S_ab = sqrt((5+2a)(5+2b)) / (5+a+b), a, b = 1 ... n_max."""
    entries = range(1, n_max + 1)
    return mpmath.matrix(
        [[mpmath.sqrt(mpmath.mpf((5 + 2 * a) * (5 + 2 * b))) / (5 + a + b) for b in entries] for a in entries]
    )


def inverse_square_root(symmetric: mpmath.matrix) -> mpmath.matrix:
    """S^(-1/2) of a positive definite matrix."""
    eigenvalues, vectors = mpmath.eigsy(symmetric)
    return vectors * mpmath.diag([1 / mpmath.sqrt(value) for value in eigenvalues]) * vectors.T


def rotation(n_max: int) -> np.ndarray:
    """U = S^(-1/2) C rounded to double precision, shape (n_max, n_max)."""
    with mpmath.workdps(DIGITS):
        s = overlap(n_max)
        u = inverse_square_root(s) * mpmath.cholesky(s)
        return np.array(u.tolist(), dtype=float).reshape(n_max, n_max)


def make_tables(path: Path) -> None:
    """Write the rotations for n_max = 1 ... 30 to one ``.npz`` file of plain arrays."""
    np.savez(path, **{table_name(n_max): rotation(n_max) for n_max in range(1, MAX_RADIAL + 1)})


if __name__ == "__main__":
    make_tables(Path(sys.argv[1]) if len(sys.argv) > 1 else ROTATIONS_FILE)
