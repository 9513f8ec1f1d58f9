"""How far off a prediction may be: errors of training structures left out, in closed form, scaled by the leverage.

With the ridge r, A = X^T X + r and leverages h(x) = x^T A^-1 x, leaving out the rows of a group g (one structure, or all copies of
one parent) changes residuals e and leverages to

    e_out = (1 - H_gg)^-1 e_g,        h_out = diag[(1 - H_gg)^-1 H_gg],        H_gg = X_g A^-1 X_g^T

The error of a linear model of entropies is misfit, not noise: it does not fall as 1 / sqrt(n), but it grows with the distance from
what the model was fitted on, which is what a leverage measures. So errors are compared in units of sqrt(h):

    P( |S - S'| <= q_c sqrt(h(x)) ) = c,        q_c the quantile c of |e_out| / sqrt(h_out)

which is conformal prediction with the leverage as measure of difficulty, and assumes no distribution of errors. For a structure
of a class that the model never saw the interval is no narrower than the quantile c of |e_out| itself: a new class may be hard
where its leverages are small.

Sources: D. M. Allen, Technometrics 16, 125 (1974) (errors left out); R. F. Barber, E. J. Candes, A. Ramdas, R. J. Tibshirani, Ann.
Stat. 49, 486 (2021); H. Papadopoulos, V. Vovk, A. Gammerman, J. Artif. Intell. Res. 40, 815 (2011) (normalised intervals).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ldml.errors import InputError

ONE_SIGMA = 0.6826894921370859
"""Probability of an error within one standard deviation, if errors were normal."""
EDGE = 0.99
"""Share of the training structures that lie within extrapolation 1."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """What the training structures, each left out once, say of errors.

    Attributes
    ----------
    scores : (n,) array, k_B
        |e_out| / sqrt(h_out), ascending.
    errors : (n,) array, k_B
        |e_out|, ascending.
    edge : float
        Leverage h_out below which a share `EDGE` of the training structures lies.
    classes : tuple of str
        Defect classes of the training set; empty if unknown.
    """

    scores: np.ndarray
    errors: np.ndarray
    edge: float
    classes: tuple[str, ...] = ()

    @classmethod
    def of_training(
        cls, rows: np.ndarray, residuals: np.ndarray, inverse: np.ndarray, *, groups=None, classes=()
    ) -> Calibration:
        """From the training set itself.

        Parameters
        ----------
        rows : (n, n_features) array
            Scaled descriptor differences.
        residuals : (n,) array, k_B
        inverse : (n_features, n_features) array
            A^-1.
        groups : (n,) array, optional
            Structures of one group are left out together.
        classes : sequence of str
        """
        errors, leverages = left_out(rows, residuals, inverse, groups)
        tiny = np.finfo(float).tiny
        return cls(
            scores=np.sort(np.abs(errors) / np.sqrt(np.maximum(leverages, tiny))),
            errors=np.sort(np.abs(errors)),
            edge=float(np.quantile(leverages, EDGE)),
            classes=tuple(str(c) for c in classes),
        )

    @property
    def largest_coverage(self) -> float:
        """Probability of the widest interval that so many training structures can tell."""
        return len(self.scores) / (len(self.scores) + 1)

    def half_width(self, leverages: np.ndarray, coverage: float, *, unseen=False) -> np.ndarray:
        """Half the width of intervals that hold the exact value with probability `coverage`, k_B.

        Parameters
        ----------
        leverages : (m,) array
        coverage : float
            Above 0, below 1.
        unseen : bool or (m,) bool array
            Whether a structure is of a class that the model never saw.

        Raises
        ------
        InputError
            If `coverage` is no such number, or too near 1 for the number of training structures.
        """
        rank = self._rank(coverage)
        width = self.scores[rank] * np.sqrt(leverages)
        return np.where(unseen, np.maximum(width, self.errors[rank]), width)

    def extrapolation(self, leverages: np.ndarray) -> np.ndarray:
        """Distance from the training set in units of that of its outermost structures; above 1 is outside."""
        return np.sqrt(leverages / self.edge)

    def is_unseen(self, labels) -> np.ndarray:
        """Whether each label is of a class that is not in the training set; False where that set has no classes."""
        labels = np.asarray(labels, dtype=str)
        return np.zeros(len(labels), dtype=bool) if not self.classes else ~np.isin(labels, self.classes)

    def _rank(self, coverage):
        """Place in the ascending errors of the smallest that covers a new one with this probability."""
        if not 0 < coverage < 1:
            raise InputError(
                f"a coverage of {coverage!r} is no probability; give a number between 0 and 1, such as 0.9"
            )
        rank = int(np.ceil((len(self.scores) + 1) * coverage)) - 1
        if rank >= len(self.scores):
            raise InputError(
                f"{len(self.scores)} training structures cannot tell an interval of coverage {coverage:g}; "
                f"ask for at most {self.largest_coverage:.3g} or fit on more"
            )
        return rank


def leverages(rows: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """h(x) = x^T A^-1 x of each scaled row (m, n_features)."""
    return np.maximum(np.einsum("ij,ij->i", rows @ inverse, rows), 0.0)


def left_out(rows, residuals, inverse, groups=None) -> tuple[np.ndarray, np.ndarray]:
    """Errors (n,) and leverages (n,) of the training rows, each as if its group had been left out of the fit.

    Parameters
    ----------
    rows, residuals, inverse, groups
        As in `Calibration.of_training`.
    """
    if groups is None or len(np.unique(groups)) == len(rows):
        inside = np.minimum(leverages(rows, inverse), 1.0 - 1e-9)
        return residuals / (1.0 - inside), inside / (1.0 - inside)
    errors, outside = np.empty(len(rows)), np.empty(len(rows))
    _, places = np.unique(groups, return_inverse=True)
    order = np.argsort(places, kind="stable")
    for members in np.split(order, np.cumsum(np.bincount(places))[:-1]):
        block = rows[members] @ inverse @ rows[members].T
        # the eigenvalues of H_gg lie between 0 and 1, at 1 where the group alone decides something
        values, vectors = np.linalg.eigh(block)
        values = np.clip(values, 0.0, 1.0 - 1e-9)
        errors[members] = vectors @ ((vectors.T @ residuals[members]) / (1.0 - values))
        outside[members] = (vectors**2) @ (values / (1.0 - values))
    return errors, outside
