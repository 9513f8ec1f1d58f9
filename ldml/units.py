"""Physical constants and the one place where units meet.

Lengths in Å, energies in eV, masses in amu, entropies in k_B, frequencies in THz (2019 SI, CODATA 2018 amu).
"""

import math

ELEMENTARY_CHARGE = 1.602176634e-19
"""J per eV (exact)."""

BOLTZMANN = 1.380649e-23 / ELEMENTARY_CHARGE
"""k_B in eV/K (exact)."""

PLANCK = 6.62607015e-34 / ELEMENTARY_CHARGE
"""h in eV s (exact)."""

HBAR = PLANCK / (2.0 * math.pi)
"""ħ in eV s (exact)."""

ATOMIC_MASS = 1.66053906660e-27
"""kg per amu."""

ANGULAR_FREQUENCY = math.sqrt(ELEMENTARY_CHARGE / ATOMIC_MASS) * 1e10
"""ω in rad/s of an eigenvalue of 1 eV/(Å² amu) of the mass-weighted Hessian."""

THZ = ANGULAR_FREQUENCY / (2.0 * math.pi) * 1e-12
"""ν in THz of an eigenvalue of 1 eV/(Å² amu); ν = THZ sqrt(λ)."""

GPA = ELEMENTARY_CHARGE * 1e21
"""GPa per eV/Å³."""
