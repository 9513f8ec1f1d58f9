"""Which minima count as distinct (paper, Sec. IV.A).

Two minima of one class differ if their energies differ by more than 0.01 eV *or* the inertia of their defects differs.
The paper joins the two conditions by "and"; taken literally that cannot be, since 1701 minima of V4 would then span at
least 17 eV. Both counts are kept.
"""

from __future__ import annotations

import numpy as np

ENERGY_TOLERANCE = 0.01
"""eV"""
INERTIA_TOLERANCE = 0.02
"""Relative difference of the inertia, and absolute (Å⁴) below one."""


class DistinctMinima:
    """The distinct minima of one class, in order of discovery.

    Parameters
    ----------
    energy_tolerance : float, eV
    inertia_tolerance : float
        Relative, and absolute below an inertia of one.
    """

    def __init__(self, *, energy_tolerance: float = ENERGY_TOLERANCE, inertia_tolerance: float = INERTIA_TOLERANCE):
        self._energy_tolerance, self._inertia_tolerance = energy_tolerance, inertia_tolerance
        self._energies: list[float] = []
        self._inertias: list[float] = []
        self._strict: list[int] = []

    def __len__(self):
        return len(self._energies)

    @property
    def n_strict(self) -> int:
        """How many remain when energy *and* inertia must differ (the paper's wording)."""
        return len(self._strict)

    def is_new(self, energy: float, inertia: float) -> bool:
        """Whether a minimum of this energy (eV) and inertia (Å⁴) differs from all held."""
        same_energy, same_inertia = self._compare(energy, inertia)
        return not np.any(same_energy & same_inertia)

    def add(self, energy: float, inertia: float) -> bool:
        """Hold the minimum if it is new; say whether it was."""
        same_energy, same_inertia = self._compare(energy, inertia)
        if np.any(same_energy & same_inertia):
            return False
        if not np.any((same_energy | same_inertia)[self._strict]):
            self._strict.append(len(self._energies))
        self._energies.append(energy)
        self._inertias.append(inertia)
        return True

    def _compare(self, energy, inertia):
        energies, inertias = np.array(self._energies), np.array(self._inertias)
        same_energy = np.abs(energies - energy) <= self._energy_tolerance
        same_inertia = np.abs(inertias - inertia) <= self._inertia_tolerance * np.maximum(1.0, np.abs(inertia))
        return same_energy, same_inertia
