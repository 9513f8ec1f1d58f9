"""Refinement of a rough saddle (from a nudged elastic band, a dimer, a guess) to a stationary point of order one.

Newton's method on forces f with the lowest mode v, of eigenvalue lambda, followed uphill and all others downhill:

    delta = -(f . v)/|lambda| v + D_perp^-1 f_perp

in mass-weighted coordinates, D_perp being D without v. Near the saddle, where lambda < 0, this is the plain Newton step.
D_perp is factorised, which proves it positive; where it is not, further low modes are held and followed downhill.

Source: C. J. Cerjan and W. H. Miller, J. Chem. Phys. 75, 2800 (1981).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.linalg
from ase import Atoms

from ldml.entropy.dynamical_matrix import dynamical_matrix, lowest_modes
from ldml.errors import ConvergenceError, InputError
from ldml.potentials import Potential, get_potential
from ldml.progress import NULL_PROGRESS, Progress
from ldml.relaxation import Relaxed, max_norm

MOST_FOLLOWED = 16
"""Modes treated one by one at most; a structure with more negative ones is no guess of a saddle."""


def refine_saddle(
    atoms: Atoms,
    potential: str | Potential,
    fmax: float = 1e-6,
    *,
    max_step: float = 0.1,
    max_steps: int = 60,
    progress: Progress | None = None,
) -> Relaxed:
    """Move `atoms` to the saddle of order one next to it, the cell kept.

    Parameters
    ----------
    atoms : Atoms
        Not changed.
    potential : Potential or its name
    fmax : float, eV/Å
        Largest force left on an atom.
    max_step : float, Å
        Largest move of an atom in one step.
    max_steps : int
    progress : Progress, optional

    Raises
    ------
    ConvergenceError
        If the forces do not fall below `fmax` within `max_steps`.
    InputError
        If the search ends on a stationary point of another order.
    """
    potential, progress = get_potential(potential), progress or NULL_PROGRESS
    potential.check(atoms)
    current = atoms.copy()
    current.calc = None
    for step in range(max_steps + 1):
        energy, forces = potential.energy_and_forces(current)
        largest = max_norm(forces)
        progress.update(step, max_steps, f"refining the saddle, largest force {largest:.1e} eV/Å")
        progress.check()
        dynamics = dynamical_matrix(potential.hessian(current), current)
        values, modes, factor = _held(dynamics)
        if largest < fmax:
            _check_order(values)
            return Relaxed(current, energy, largest, n_steps=step, n_kicks=0, is_minimum=False)
        move = _step(dynamics.masses, values, modes, factor, forces)
        current.positions += move * min(1.0, max_step / max_norm(move))
    raise ConvergenceError(
        f"the saddle was not found within {max_steps} steps: a force of {largest:.2g} eV/Å is left; start closer to it"
    )


def _held(dynamics):
    """The lowest modes beside which D is positive, one if possible, and the Cholesky factor of D with them lifted."""
    n_modes = 1
    while True:
        values, modes = lowest_modes(dynamics, n_modes)
        held = replace(dynamics, rigid_motions=np.hstack([dynamics.rigid_motions, modes]))
        try:
            lifted = held.lifted(2.0 * held.scale - values[0])
            return values, modes, scipy.linalg.cho_factor(lifted, lower=True, overwrite_a=True, check_finite=False)
        except np.linalg.LinAlgError:
            if n_modes >= min(MOST_FOLLOWED, len(modes) - held.n_zero_modes):
                raise InputError(
                    f"the guess has {n_modes} or more modes of negative curvature beside rigid motions; start closer to a saddle"
                ) from None
            n_modes *= 4


def _step(masses, values, modes, factor, forces):
    roots = np.sqrt(np.repeat(masses, 3))
    f = forces.ravel() / roots
    along = modes.T @ f
    relaxed = scipy.linalg.cho_solve(factor, f - modes @ along, check_finite=False)
    along /= np.abs(values)
    along[0] = -along[0]
    return ((relaxed + modes @ along) / roots).reshape(-1, 3)


def _check_order(values):
    n_negative = int((values < 0).sum())
    if n_negative != 1:
        kind = "a minimum" if n_negative == 0 else f"a stationary point of order {n_negative}"
        raise InputError(f"the search ended on {kind}, not on a saddle of order one; start from another guess")
