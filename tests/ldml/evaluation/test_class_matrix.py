"""Errors on classes are those of explicit fits, on structures that no model has seen."""

import numpy as np
import pytest

from ldml.errors import InputError
from ldml.evaluation.class_matrix import ALL, OTHERS, class_matrix
from ldml.evaluation.metrics import mae, rmse
from ldml.evaluation.splits import random_test_set
from ldml.regression import LDML


@pytest.fixture
def rows():
    """Two classes on different planes of three features, one between them, in pairs of copies."""
    rng = np.random.default_rng(4)
    labels = np.repeat(["A", "B", "C"], 40)
    X = rng.normal(size=(120, 3)) * np.where(labels[:, None] == "A", [1.0, 1.0, 0.01], [0.01, 1.0, 1.0])
    return X, X @ [1.0, 2.0, 3.0] + 0.1 * rng.normal(size=120), labels, np.arange(120) // 2


def test_every_cell_is_an_explicit_fit(rows):
    X, y, labels, groups = rows
    found = class_matrix(X, y, labels, groups=groups, seed=3)
    test = random_test_set(120, 0.2, 3, groups=groups)
    assert (found.trained, found.tested) == (("A", "B", "C", OTHERS, ALL), ("A", "B", "C"))
    for i, row in enumerate(found.trained):
        for j, column in enumerate(found.tested):
            chosen = {OTHERS: labels != column, ALL: labels == labels}.get(row, labels == row)
            train, judged = chosen & ~test, test & (labels == column)
            model = LDML().fit(X[train], y[train], groups=groups[train])
            predicted = model.predict(X[judged])
            assert found.rmse[i, j] == pytest.approx(rmse(y[judged], predicted), rel=1e-9)
            assert found.mae[i, j] == pytest.approx(mae(y[judged], predicted), rel=1e-9)
            assert found.outside[i, j] == (model.extrapolation(X[judged]) > 1).mean()
            assert (found.n_train[i, j], found.n_test[j]) == (train.sum(), judged.sum())


def test_what_a_class_never_varied_is_not_learned_from_it_and_flagged(rows):
    X, y, labels, groups = rows
    found = class_matrix(X, y, labels, groups=groups)
    a, b = 0, 1
    assert found.rmse[a, b] > 3 * found.rmse[a, a]
    assert found.outside[a, b] > 0.9
    assert found.rmse[1, 2] < 2 * found.rmse[2, 2]


def test_a_class_too_small_to_fit_has_no_errors(rows):
    X, y, labels, _ = rows
    labels = np.where(np.arange(120) == 7, "rare", labels)
    found = class_matrix(X, y, labels, seed=next(s for s in range(99) if not random_test_set(120, 0.2, s)[7]))
    rare = found.trained.index("rare")
    assert np.isnan(found.rmse[rare]).all()
    assert np.isnan(found.rmse[:, found.tested.index("rare")]).all()
    assert np.isfinite(found.rmse[0, 0])


def test_one_class_is_refused(rows):
    X, y, labels, _ = rows
    with pytest.raises(InputError, match="all structures are of class A"):
        class_matrix(X[labels == "A"], y[labels == "A"], labels[labels == "A"])
