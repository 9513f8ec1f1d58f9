"""Minimisation by L-BFGS, optionally preconditioned, the energy never rising.

    x_{k+1} = x_k + t d_k,        d_k = B_k f_k

B_k is the inverse Hessian that the last steps suggest, built by the two-loop recursion on a first guess B_0: a number, or an
operator that knows the elastic response of the crystal. Steps are cut at a largest displacement of an atom and halved until the
energy falls by a part of what the forces promise (Armijo), so that a start beside a saddle stays on its side of it.

Sources: J. Nocedal, Math. Comput. 35, 773 (1980); L. Armijo, Pacific J. Math. 16, 1 (1966).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ldml.errors import ConvergenceError
from ldml.potentials.base import Evaluator

MEMORY = 20
"""Steps that B_k is built from."""
ARMIJO = 1e-4
SHORTEST_STEP = 1e-6
"""A step cut to this fraction without the energy falling is given up."""
ENERGY_NOISE = 1e-12
"""Rounding of an energy, as a fraction of it; changes below mean nothing."""
MOST_BLIND_STEPS = 200
"""Steps that rounding hides in the energy, before the forces are taken for rounding, too."""


@dataclass(frozen=True)
class Descent:
    """Where a minimisation ended.

    Attributes
    ----------
    positions : (N, 3) float, Å
    energy : float, eV
    forces : (N, 3) float, eV/Å
    n_steps : int
    """

    positions: np.ndarray
    energy: float
    forces: np.ndarray
    n_steps: int


def minimise(
    evaluator: Evaluator,
    positions: np.ndarray,
    fmax: float,
    precondition: Callable[[np.ndarray], np.ndarray],
    *,
    max_displacement: float = 0.2,
    max_steps: int = 3000,
    report: Callable[[float], None] = lambda force: None,
) -> Descent:
    """Go downhill until all forces are below `fmax`.

    Parameters
    ----------
    evaluator : Evaluator
    positions : (N, 3) array, Å
        The start; not changed.
    fmax : float, eV/Å
        Largest force left on an atom.
    precondition : function
        B_0: displacements (N, 3) in Å for forces (N, 3) in eV/Å; symmetric and positive.
    max_displacement : float, Å
        Longest move of an atom in one step.
    max_steps : int
    report : function
        Called with the largest force at every step.

    Raises
    ------
    ConvergenceError
        If the forces do not fall below `fmax`.
    """
    energy, forces = evaluator.energy_and_forces(positions)
    history, n_blind = _History(precondition), 0
    for n_steps in range(max_steps + 1):
        largest = max_norm(forces)
        if not np.isfinite(largest) or not np.isfinite(energy):
            raise ConvergenceError("energy or forces are not finite; the start may have atoms on top of each other")
        report(largest)
        if largest <= fmax:
            return Descent(positions, energy, forces, n_steps)
        if n_steps == max_steps:
            break
        step = history.direction(forces)
        step *= min(1.0, max_displacement / max_norm(step))
        n_blind += np.vdot(step, forces) < ENERGY_NOISE * abs(energy)
        if n_blind > MOST_BLIND_STEPS:
            raise _stalled(forces, fmax)
        positions, energy, new_forces, step = _downhill(evaluator, positions, energy, forces, step, fmax)
        history.add(step, forces - new_forces)
        forces = new_forces
    raise ConvergenceError(
        f"relaxation stopped after {max_steps} steps with a force of {largest:.2g} eV/Å left, "
        f"above {fmax:g} eV/Å; allow more steps or start closer to a minimum"
    )


class _History:
    """The last steps and the changes of the forces along them, as an approximate inverse Hessian."""

    def __init__(self, precondition):
        self._precondition = precondition
        self._pairs = deque(maxlen=MEMORY)

    def add(self, step, change):
        curvature = np.vdot(step, change)
        # negative along a direction that leads away from a saddle: nothing an inverse Hessian could use
        if curvature > 1e-8 * np.linalg.norm(step) * np.linalg.norm(change):
            self._pairs.append((step, change, 1.0 / curvature))

    def direction(self, forces):
        """B f; forces themselves decide if rounding has spoilt B."""
        step = self._apply(forces)
        if np.vdot(step, forces) <= 0.0:
            self._pairs.clear()
            step = self._apply(forces)
        return step

    def _apply(self, forces):
        left = forces.copy()
        lengths = []
        for step, change, weight in reversed(self._pairs):
            lengths.append(weight * np.vdot(step, left))
            left -= lengths[-1] * change
        answer = self._precondition(left)
        for (step, change, weight), length in zip(self._pairs, reversed(lengths), strict=True):
            answer += (length - weight * np.vdot(change, answer)) * step
        return answer


def _downhill(evaluator, positions, energy, forces, step, fmax):
    """Halve the step until the energy falls, or, where rounding hides that, is the same."""
    promised = float(np.vdot(forces, step))
    noise = ENERGY_NOISE * abs(energy)
    fraction = 1.0
    while fraction > SHORTEST_STEP:
        trial = positions + fraction * step
        trial_energy, trial_forces = evaluator.energy_and_forces(trial)
        if trial_energy <= energy - ARMIJO * fraction * promised + noise:
            return trial, trial_energy, trial_forces, fraction * step
        fraction *= 0.5
    raise _stalled(forces, fmax)


def _stalled(forces, fmax):
    return ConvergenceError(
        f"the forces cannot be brought below fmax = {fmax:g} eV/Å: the energy does not fall along a force of "
        f"{max_norm(forces):.2g} eV/Å, which is rounding, or the potential is rough there; allow a larger fmax"
    )


def max_norm(vectors: np.ndarray) -> float:
    """Largest norm of the rows of (N, 3) vectors."""
    return float(np.sqrt(np.max(np.sum(np.square(vectors), axis=1))))
