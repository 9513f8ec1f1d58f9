"""Test error against the number of training structures, on test sets that stay the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ldml.errors import InputError
from ldml.evaluation.metrics import mae, rmse
from ldml.progress import NULL_PROGRESS, Progress
from ldml.regression.ldml import LDML


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Errors of models fitted on growing training sets.

    Attributes
    ----------
    n_train : (n_sizes,) int array
    rmse_train, rmse_test, mae_test : (n_sizes, n_repeats) arrays, k_B
    n_test : (n_repeats,) int array
    """

    n_train: np.ndarray
    rmse_train: np.ndarray
    rmse_test: np.ndarray
    mae_test: np.ndarray
    n_test: np.ndarray


def learning_curve(
    X: np.ndarray,
    y: np.ndarray,
    *,
    n_train: Sequence[int],
    groups: np.ndarray | None = None,
    test_proportion: float = 0.2,
    n_repeats: int = 10,
    seed: int = 0,
    model: LDML | None = None,
    progress: Progress | None = None,
) -> LearningCurve:
    """Hold out a test set in each repeat, then fit on more and more of the rest.

    Parameters
    ----------
    X : (M, n_features) array
        Descriptor differences.
    y : (M,) array, k_B
    n_train : sequence of int
        Sizes of the training set.
    groups : (M,) array, optional
        Structures of one group are held out together.
    test_proportion : float
        Of the structures, or groups.
    n_repeats, seed : int
    model : LDML, optional
        Whose regressor is used.
    progress : Progress, optional

    Raises
    ------
    InputError
        If a training set would be larger than what is not held out.
    """
    model = LDML() if model is None else model
    X, y = LDML().training_rows(X, y)
    groups = np.arange(len(y)) if groups is None else np.asarray(groups)
    progress, n_train = progress or NULL_PROGRESS, np.array(sorted(n_train), dtype=int)
    errors, n_test = np.empty((3, len(n_train), n_repeats)), np.empty(n_repeats, dtype=int)
    for repeat in range(n_repeats):
        rng = np.random.default_rng([seed, repeat])
        names = rng.permutation(np.unique(groups))
        test = np.isin(groups, names[: max(1, round(test_proportion * len(names)))])
        rest = rng.permutation(np.flatnonzero(~test))
        if not len(n_train) or n_train[0] < 2 or n_train[-1] > len(rest):
            raise InputError(
                f"training sets of {n_train.tolist()} structures cannot be drawn from the {len(rest)} that are not held out; "
                f"give sizes from 2 to {len(rest)}"
            )
        for k, n in enumerate(n_train):
            progress.check()
            train = rest[:n]
            fitted = LDML(regressor=model.regressor, min_relative_rms=model.min_relative_rms).fit(X[train], y[train])
            predicted = fitted.predict(X[test])
            errors[:, k, repeat] = fitted.training_["rmse"], rmse(y[test], predicted), mae(y[test], predicted)
        n_test[repeat] = test.sum()
        progress.update(repeat + 1, n_repeats, "learning curve")
    return LearningCurve(n_train, *errors, n_test)
