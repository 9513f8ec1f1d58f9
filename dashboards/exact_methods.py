"""The ways to an exact entropy that the Reference page offers: what each yields, and what it costs. No Panel in here.

    t ~ t_0 (N / N_0)^p,     memory ~ m (3 N)^2 x 8 bytes + m_0

for N atoms and N_0 = 1024; t_0 was measured on one idle core, except that of the Green's function, which is on the
safe side: it grows with the defect. The diagonalisation is given three matrices: the dynamical matrix is overwritten by its
eigenvectors, and the divide-and-conquer algorithm works in two more of its size. The memory of the other methods is on the
safe side, too.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from dashboards.limits import limit
from dashboards.time_left import duration

MEASURED_ATOMS = 1024
MEMORY_SHARE = 0.8
"""Of the machine's memory, at most this much for one computation."""


@dataclass(frozen=True)
class ExactMethod:
    """One way, with its cost.

    Attributes
    ----------
    name : str
        Of `ldml.formation_entropy`.
    yields : str
        What it gives, for the user.
    local, spectrum : bool
        Whether that includes the entropy of each atom, and frequencies.
    seconds : float
        For `MEASURED_ATOMS`, t_0.
    exponent : float
        p.
    matrices : float
        m.
    megabytes : float
        m_0.
    largest : int
        Unit cells along an edge on offer.
    """

    name: str
    yields: str
    local: bool
    spectrum: bool
    seconds: float
    exponent: float
    matrices: float
    megabytes: float
    largest: int

    def cost(self, n_atoms: int) -> tuple[float, float]:
        """Estimated seconds and bytes."""
        matrix = (3 * n_atoms) ** 2 * 8.0
        return self.seconds * (n_atoms / MEASURED_ATOMS) ** self.exponent, self.matrices * matrix + 1e6 * self.megabytes

    def cost_sentence(self, n_atoms: int) -> str:
        """The estimate in words."""
        seconds, size = self.cost(n_atoms)
        memory = f"{size / 1e6:.0f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"
        return (
            f"{n_atoms:,} atoms: estimated {duration(seconds)} on an idle core and {memory} of memory; relaxation adds a "
            "few seconds."
        )

    def refusal(self, n_atoms: int) -> str:
        """Why a structure is too large for this machine or its server; empty when it is not."""
        allowed = limit("LDML_APP_MAX_ATOMS")
        if allowed and n_atoms > allowed:
            return f"{n_atoms:,} atoms are more than the {allowed:,} this server computes; choose a smaller cell."
        try:
            memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, ValueError, OSError):  # a system that does not tell
            return ""
        _, size = self.cost(n_atoms)
        if size <= MEMORY_SHARE * memory:
            return ""
        return (
            f"{n_atoms:,} atoms need {size / 1e9:.1f} GB and this machine has {memory / 1e9:.1f} GB; choose a smaller cell or "
            "another method."
        )


DIAGONALISATION, RATIONAL, FACTORISATION, GREEN = (
    "Diagonalisation",
    "Rational fit of ln D",
    "Cholesky factorisation",
    "Lattice Green's function",
)
EXACT_METHODS = {
    DIAGONALISATION: ExactMethod(
        "eigenvectors", "S_f, every S_i and the spectrum", True, True, 5.0, 3.0, 3.0, 0.0, largest=10
    ),
    RATIONAL: ExactMethod("shifts", "S_f and every S_i, to 1e-6 k_B", True, False, 3.0, 3.0, 2.0, 0.0, largest=12),
    FACTORISATION: ExactMethod("cholesky", "S_f alone", False, False, 0.3, 3.0, 1.0, 0.0, largest=14),
    GREEN: ExactMethod(
        "green", "S_f alone, of one small cluster in any cell", False, False, 6.0, 0.0, 0.0, 800.0, largest=20
    ),
}
"""By what they are called on the page."""
