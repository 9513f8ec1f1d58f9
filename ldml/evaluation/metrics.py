"""Errors of predicted entropies.

    RMSE = sqrt(sum_l |S_l - S_l'|^2 / M)      (paper, Eq. 22)
    MAE  = sum_l |S_l - S_l'| / M              (paper, Eq. 23)

S and S' true and predicted entropies of M structures, k_B.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ldml.errors import InputError


def rmse(true: np.ndarray, predicted: np.ndarray) -> float:
    """Root mean square error (Eq. 22), in the units of the arguments.

    Parameters
    ----------
    true, predicted : (n_structures,) arrays

    Raises
    ------
    InputError
        If the arrays are empty, differ in shape or hold values that are not finite.
    """
    return float(np.sqrt(np.mean(_errors(true, predicted) ** 2)))


def mae(true: np.ndarray, predicted: np.ndarray) -> float:
    """Mean absolute error (Eq. 23), in the units of the arguments.

    Parameters
    ----------
    true, predicted : (n_structures,) arrays

    Raises
    ------
    InputError
        If the arrays are empty, differ in shape or hold values that are not finite.
    """
    return float(np.mean(np.abs(_errors(true, predicted))))


def r2_within(true: Sequence[tuple[np.ndarray, np.ndarray]], predicted: Sequence[np.ndarray]) -> tuple[float, float]:
    """R² and RMSE of the entropies of chosen atoms, all structures together.

    Parameters
    ----------
    true : sequence of ((N,) array, (N,) bool array)
        Exact local entropies (k_B) of each structure, and which atoms count.
    predicted : sequence of (N,) arrays, k_B

    Raises
    ------
    InputError
        As `rmse`.
    """
    exact = np.concatenate([values[counted] for values, counted in true])
    learned = np.concatenate([values[counted] for (_, counted), values in zip(true, predicted, strict=True)])
    errors = _errors(exact, learned)
    return float(1.0 - np.sum(errors**2) / np.sum((exact - exact.mean()) ** 2)), float(np.sqrt(np.mean(errors**2)))


def _errors(true, predicted):
    true, predicted = np.asarray(true, dtype=float), np.asarray(predicted, dtype=float)
    if true.ndim != 1 or true.shape != predicted.shape:
        raise InputError(
            f"true and predicted values must be two lists of one length, got shapes {true.shape} and {predicted.shape}"
        )
    if len(true) == 0:
        raise InputError("an error needs at least one structure, got none")
    errors = true - predicted
    n_bad = np.count_nonzero(~np.isfinite(errors))
    if n_bad:
        raise InputError(f"{n_bad} of {len(errors)} pairs are not finite; leave structures without a label out")
    return errors
