"""Minima of free clusters: walks of basin hopping, each of them a task of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ldml.campaign.tasks import Result, stage
from ldml.entropy import harmonic_entropy
from ldml.landscape import Hopping, hop
from ldml.landscape.basin_hopping import cluster_inertia
from ldml.potentials import get_potential
from ldml.structures import fcc_ball

OCTAHEDRAL_SITE = (0.5, 0.5, 0.5)


@stage("walk", version=1)
def walk(parameters: Mapping, inputs: Sequence[Result]) -> Result:
    """The minima that one walk meets, with their energies and entropies.

    Parameters
    ----------
    parameters : mapping
        ``potential`` and ``fingerprint``; ``symbol``, ``n_atoms`` and ``lattice_constant`` (Å) of the start; ``seed`` and
        ``number`` of the walk; ``n_steps`` and ``temperature``. Walk 0 starts from the ball of a face-centred cubic crystal
        around an octahedral site (for 38 atoms the truncated octahedron, bottom of one funnel), the others from balls
        around random points.
    """
    potential = get_potential(parameters["potential"])
    rng = np.random.default_rng([parameters["seed"], parameters["number"]])
    centre = OCTAHEDRAL_SITE if parameters["number"] == 0 else rng.random(3)
    start = fcc_ball(parameters["symbol"], parameters["lattice_constant"], parameters["n_atoms"], centre=centre)
    hopping = Hopping(n_steps=parameters["n_steps"], temperature=parameters["temperature"])
    found = list(hop(start, potential, rng, hopping=hopping))
    return {
        "positions": np.array([minimum.atoms.positions for minimum in found]).reshape(-1, len(start), 3),
        "energy": np.array([minimum.energy for minimum in found]),
        "inertia": np.array([cluster_inertia(minimum.atoms.positions) for minimum in found]),
        "entropy": np.array([harmonic_entropy(minimum.atoms, potential).total for minimum in found]),
    }
