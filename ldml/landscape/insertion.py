"""Random insertion: a cluster of point defects put down at random, to be quenched to the nearest minimum.

A vacancy cluster removes n sites of a small ball; an interstitial cluster turns n sites of it into dumbbells along
random directions, some of them parallel as in the loops and C15 seeds of iron.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms

from ldml.structures import parse_defect

AXES = np.array(
    [
        [1, 1, 0], [1, -1, 0], [1, 0, 1], [1, 0, -1], [0, 1, 1], [0, 1, -1],
        [1, 1, 1], [1, 1, -1], [1, -1, 1], [-1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1],
    ],
    dtype=float,
)  # fmt: skip
BALL_RADIUS = (2.6, 4.2)
"""Å, range of the radius of the ball for two defects in iron; it grows with the cube root of their number."""
VACANCY_SPREAD = 1.15
HALF_DUMBBELL = 0.95
"""Å"""
PARALLEL = 0.4
"""Share of the interstitial clusters whose dumbbells all point the same way."""
ANY_DIRECTION = 0.2
"""Share of the other dumbbells that point anywhere instead of along a low-index axis."""


def insertion_seed(bulk: Atoms, label: str, rng: np.random.Generator, *, spread: float = 1.0) -> Atoms:
    """Unrelaxed structure with the defects of class `label` placed at random.

    Parameters
    ----------
    bulk : Atoms
        Perfect crystal.
    label : str
        Defect class such as "I3" or "V4".
    rng : numpy.random.Generator
    spread : float
        Scales the radius of the ball the defects are put into: 1 is compact, 2 and more is separated.
    """
    kind, n = parse_defect(label)
    sites = _sites_in_ball(bulk, n, rng, spread * (VACANCY_SPREAD if kind == "V" else 1.0))
    keep = np.setdiff1d(np.arange(len(bulk)), sites)
    crystal = bulk[keep]
    if kind == "I":
        crystal += _dumbbells(bulk, sites, rng)
    crystal.positions += rng.normal(scale=0.01, size=crystal.positions.shape)
    return crystal


def _sites_in_ball(bulk, n, rng, spread):
    centre = rng.uniform(size=3) @ bulk.cell.array
    radius = spread * rng.uniform(*BALL_RADIUS) * np.cbrt(n / 2)
    probe = bulk.copy() + Atoms("X", positions=[centre])
    distances = probe.get_distances(len(bulk), np.arange(len(bulk)), mic=True)
    inside = np.flatnonzero(distances < radius)
    if len(inside) < n:
        inside = np.argsort(distances)[:n]
    return rng.choice(inside, n, replace=False)


def _dumbbells(bulk, sites, rng):
    parallel = rng.random() < PARALLEL
    common = AXES[rng.integers(len(AXES))]
    positions = []
    for site in sites:
        axis = common if parallel else AXES[rng.integers(len(AXES))]
        if rng.random() < ANY_DIRECTION:
            axis = rng.normal(size=3)
        arm = HALF_DUMBBELL * axis / np.linalg.norm(axis)
        for side in (arm, -arm):
            positions.append(bulk.positions[site] + side + rng.normal(scale=0.05, size=3))
    symbols = np.repeat(np.array(bulk.symbols)[sites], 2)
    return Atoms(list(symbols), positions=positions, cell=bulk.cell, pbc=bulk.pbc)
