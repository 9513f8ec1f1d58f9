"""What a model that was fitted on some defect classes says of others (paper, Sec. V.D, class by class).

A fifth of the structures is held out once, whole groups together. Models are fitted on the rest of one class, of all classes but
one, and of all; each is judged on the structures of each class that were held out, so that the numbers of a column are errors on
the same structures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ldml.errors import InputError
from ldml.evaluation.metrics import mae, rmse
from ldml.evaluation.splits import random_test_set
from ldml.progress import NULL_PROGRESS, Progress
from ldml.regression.ldml import LDML

OTHERS, ALL = "all others", "all"


@dataclass(frozen=True, eq=False)
class ClassMatrix:
    """Errors of models of classes (rows) on classes (columns).

    Attributes
    ----------
    trained : tuple of str, length n + 2
        Each class alone, then `OTHERS` (all but that of the column) and `ALL`.
    tested : tuple of str, length n
    n_train : (n + 2, n) int array
    n_test : (n,) int array
    rmse, mae : (n + 2, n) arrays, k_B
        NaN where fewer than two structures are left to train or none to test.
    outside : (n + 2, n) array
        Share of the tested structures that the model flags as extrapolation; NaN as above.
    """

    trained: tuple[str, ...]
    tested: tuple[str, ...]
    n_train: np.ndarray
    n_test: np.ndarray
    rmse: np.ndarray
    mae: np.ndarray
    outside: np.ndarray


def class_matrix(
    X: np.ndarray,
    y: np.ndarray,
    labels: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    test_proportion: float = 0.2,
    seed: int = 0,
    model: LDML | None = None,
    progress: Progress | None = None,
) -> ClassMatrix:
    """Fit on classes, judge on classes.

    Parameters
    ----------
    X : (M, n_features) array
        Descriptor differences.
    y : (M,) array, k_B
    labels : (M,) str array
        Defect classes.
    groups : (M,) array, optional
        Structures of one group are held out together.
    test_proportion : float
    seed : int
        Of the test set.
    model : LDML, optional
        Whose regressor is used.
    progress : Progress, optional

    Raises
    ------
    InputError
        If there are fewer than two classes.
    """
    X, y = LDML().training_rows(X, y)
    labels, groups = np.asarray(labels, dtype=str), None if groups is None else np.asarray(groups)
    classes = np.unique(labels)
    if len(classes) < 2:
        raise InputError(
            f"leaving out classes needs at least two; all structures are of class {classes[0]}: add some of another"
        )
    model, progress = LDML() if model is None else model, progress or NULL_PROGRESS
    test = random_test_set(len(y), test_proportion, seed, groups=groups)
    trainings = [(name, labels == name, classes) for name in classes]
    trainings += [(OTHERS, labels != name, [name]) for name in classes]
    trainings += [(ALL, np.ones(len(y), dtype=bool), classes)]
    rows = (*classes.tolist(), OTHERS, ALL)
    found = np.full((3, len(rows), len(classes)), np.nan)
    n_train = np.zeros((len(rows), len(classes)), dtype=int)
    for done, (row, chosen, columns) in enumerate(trainings):
        progress.check()
        train, places = chosen & ~test, np.searchsorted(classes, columns)
        n_train[rows.index(row), places] = train.sum()
        if train.sum() >= 2:
            judged = [test & (labels == name) for name in columns]
            found[:, rows.index(row), places] = _errors(model, X, y, groups, train, judged)
        progress.update(done + 1, len(trainings), "classes")
    n_test = np.array([(test & (labels == name)).sum() for name in classes])
    return ClassMatrix(rows, tuple(classes.tolist()), n_train, n_test, *found)


def _errors(model, X, y, groups, train, judged):
    """RMSE, MAE and share outside, (3, n_judged), of a model fitted on some structures, over masks of others."""
    fitted = LDML(regressor=model.regressor, min_relative_rms=model.min_relative_rms)
    fitted.fit(X[train], y[train], groups=None if groups is None else groups[train])
    errors = np.full((3, len(judged)), np.nan)
    for k, which in enumerate(judged):
        if which.any():
            predicted = fitted.predict(X[which])
            errors[:2, k] = rmse(y[which], predicted), mae(y[which], predicted)
            if fitted.calibration_ is not None:
                errors[2, k] = (fitted.extrapolation(X[which]) > 1).mean()
    return errors
