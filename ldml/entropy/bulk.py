"""Entropy of a perfect crystal from its dynamical matrix in reciprocal space.

The modes of a supercell of n1 x n2 x n3 unit cells are those of the unit cell at the n1 n2 n3 wave vectors commensurate
with it, so that

    ln det' D = sum_q ln det D(q),     D(q)_bb' = sum_R Phi(0 b, R b') exp(i q . (x_Rb' - x_0b)) / sqrt(m_b m_b')

(zero modes at q = 0 left out). The force constants Phi come from one supercell just large enough to hold their range.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.geometry import find_mic

from ldml.entropy.dynamical_matrix import frequencies
from ldml.entropy.harmonic import SINGULAR, HarmonicEntropy, check_temperature, mode_entropy
from ldml.errors import InputError, NotAMinimumError
from ldml.neighbours import cell_heights
from ldml.potentials import Potential, get_potential

CHUNK = 4096
"""Wave vectors treated at once, to bound memory."""


def bulk_entropy(
    unit_cell: Atoms,
    repeats,
    potential: str | Potential,
    *,
    temperature: float = 300.0,
    statistics: str = "classical",
) -> HarmonicEntropy:
    """Entropy (k_B) of the supercell ``unit_cell.repeat(repeats)`` without ever building it.

    Parameters
    ----------
    unit_cell : Atoms
        Cell of a perfect crystal at rest.
    repeats : int or three ints
    potential : Potential or its name
    temperature : float, K
    statistics : {"classical", "quantum"}

    Raises
    ------
    NotAMinimumError
        If the crystal has an imaginary mode at one of the wave vectors.
    """
    potential = get_potential(potential)
    potential.check(unit_cell)
    check_temperature(temperature)
    repeats = np.broadcast_to(np.asarray(repeats, dtype=int), (3,))
    if (repeats < 1).any():
        raise InputError(f"repeats = {repeats.tolist()} must be positive whole numbers")
    vectors, blocks, pairs = force_constants(unit_cell, potential)
    eigenvalues = np.concatenate(
        [
            np.linalg.eigvalsh(_dynamical_matrices(q, vectors, blocks, pairs, unit_cell)).ravel()
            for q in _wave_vectors(unit_cell, repeats)
        ]
    )
    eigenvalues.sort()
    scale = eigenvalues[-1]
    if eigenvalues[0] < -SINGULAR * scale:
        n_imaginary = int((eigenvalues < -SINGULAR * scale).sum())
        lowest = float(frequencies(eigenvalues[:1])[0])
        raise NotAMinimumError(
            f"the crystal is unstable: {n_imaginary} imaginary modes (lowest {lowest:.2f} THz); check lattice and lattice constant",
            n_imaginary=n_imaginary,
            lowest_frequency=lowest,
        )
    vibrating = eigenvalues[eigenvalues > SINGULAR * scale]
    n_atoms = len(unit_cell) * int(np.prod(repeats))
    return HarmonicEntropy(
        total=float(mode_entropy(vibrating, temperature, statistics).sum()),
        local=None,
        n_atoms=n_atoms,
        n_modes=len(vibrating),
        n_zero_modes=3 * n_atoms - len(vibrating),
        frequencies=frequencies(vibrating),
        temperature=temperature,
        statistics=statistics,
        method="k-space",
        max_force=float(np.linalg.norm(potential.forces(unit_cell), axis=1).max()),
        hessian="analytic" if potential.analytic_hessian else "differences",
        free_mode=float(mode_entropy(1.0 / unit_cell.get_masses().mean(), temperature, statistics)),
    )


def force_constants(unit_cell: Atoms, potential: Potential):
    """Force constants between the home cell and the crystal around it.

    Returns
    -------
    vectors : (M, 3) float, Å
        From an atom b of the home cell to an atom of the crystal.
    blocks : (M, 3, 3) float, eV/Å²
    pairs : (M, 2) int
        Basis indices (b, b') of both atoms.
    """
    repeats = np.ceil(2.0 * potential.hessian_range / cell_heights(unit_cell.cell.array) + 1e-6).astype(int)
    crystal = unit_cell.repeat(repeats)
    hessian = potential.hessian(crystal)
    n_basis = len(unit_cell)
    stop = hessian.indptr[n_basis]
    rows = np.repeat(np.arange(n_basis), np.diff(hessian.indptr[: n_basis + 1]))
    columns = hessian.indices[:stop]
    vectors, _ = find_mic(crystal.positions[columns] - crystal.positions[rows], crystal.cell, pbc=True)
    return vectors, hessian.data[:stop], np.stack([rows, columns % n_basis], axis=1)


def _wave_vectors(unit_cell, repeats):
    """Chunks of the wave vectors (K, 3), 1/Å, commensurate with the supercell."""
    reciprocal = 2.0 * np.pi * np.linalg.inv(unit_cell.cell.array).T
    axes = [np.arange(n) / n for n in repeats]
    fractions = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    for start in range(0, len(fractions), CHUNK):
        yield fractions[start : start + CHUNK] @ reciprocal


def _dynamical_matrices(wave_vectors, vectors, blocks, pairs, unit_cell):
    n_basis = len(unit_cell)
    phases = np.exp(1j * wave_vectors @ vectors.T)
    masses = unit_cell.get_masses()
    matrices = np.zeros((len(wave_vectors), n_basis, 3, n_basis, 3), dtype=complex)
    for b in range(n_basis):
        for c in range(n_basis):
            chosen = (pairs[:, 0] == b) & (pairs[:, 1] == c)
            weighted = blocks[chosen] / np.sqrt(masses[b] * masses[c])
            matrices[:, b, :, c, :] = np.tensordot(phases[:, chosen], weighted, axes=1)
    return matrices.reshape(len(wave_vectors), 3 * n_basis, 3 * n_basis)
