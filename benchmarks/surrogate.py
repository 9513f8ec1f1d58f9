"""Time and accuracy of the linear model: ``python -m benchmarks.surrogate [--data NAME] [--local NAME] [--repeats N]``.

First seconds: the split curve (100 repeats of 9 proportions), one fit and one prediction, beside scikit-learn's `BayesianRidge` on
the same rows, and the largest difference of the weights. Then what exact entropies of few structures' atoms are worth beside few
totals, drawn at random or chosen by the model: test error of totals, and the spread of an atom's share over the posterior,
sqrt(D_i^T Sigma D_i), beside the size of the exact shares. A share is decided by the data where that spread is small.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from sklearn.linear_model import BayesianRidge
from threadpoolctl import threadpool_limits

import ldml
from benchmarks.fresh_process import machine_load
from benchmarks.timing import Row, best_of, print_table
from ldml.dataset import Dataset
from ldml.descriptors import get_descriptor
from ldml.evaluation.active import next_structures
from ldml.evaluation.metrics import rmse
from ldml.evaluation.splits import PROPORTIONS, split_curve_arrays
from ldml.point_defects import WignerSeitz, distance_to_defects
from ldml.regression.evidence import EvidenceRidge
from ldml.regression.ldml import LDML, column_scale
from ldml.regression.local_targets import LocalTargets, cross_validated_weight, fit_with_local

N_CORES = 2
N_REPEATS = 100
N_TOTALS, N_LOCAL = 60, 6
LOCAL_WEIGHTS = (1.0, 10.0, 100.0)
RADIUS = 6.0
TIGHT = {"tol": 1e-12, "max_iter": 3000}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="fe-meam-8a0", help="dataset of the timings")
    parser.add_argument("--local", default="fe-am04-8a0", help="dataset with exact local entropies")
    parser.add_argument("--repeats", type=int, default=10, help="random draws of few totals")
    arguments = parser.parse_args()
    data = ldml.load_dataset(arguments.data)
    X, y = LDML(get_descriptor("AFS")).training_rows(data)
    print_table(
        f"{data.name}: {len(y)} structures, {X.shape[1]} components; {machine_load()}",
        [*split_rows(X, y), *fit_rows(X, y), *prediction_rows(data)],
    )
    local = ldml.load_dataset(arguments.local)
    print_table(
        f"{local.name}: {N_TOTALS} totals, {N_LOCAL} structures with S_i, means of {arguments.repeats} draws",
        list(local_rows(local, arguments.repeats)),
    )


def split_rows(X, y):
    """The split curve, on the wall and on the processor, and one of its repeats by scikit-learn."""
    split_curve_arrays(X, y, n_repeats=1)
    wall, processor = clocked(lambda: split_curve_arrays(X, y, n_repeats=N_REPEATS, n_threads=N_CORES))
    yield Row(
        f"{N_REPEATS} repeats of {len(PROPORTIONS)} proportions",
        wall,
        "s",
        5.0,
        f"{processor:.2f} CPU s, {N_CORES} threads",
    )
    wall, processor = clocked(lambda: one_repeat_of_scikit_learn(X, y))
    yield Row(
        "  scikit-learn, as many", wall * N_REPEATS, "s", None, f"one repeat of {wall:.2f} s, {processor:.2f} CPU s"
    )


def one_repeat_of_scikit_learn(X, y):
    """The fits of one repeat, each from its rows."""
    order = np.random.default_rng(0).permutation(len(y))
    for proportion in PROPORTIONS:
        train = order[round(proportion * len(y)) :]
        scale = column_scale(np.mean(X[train] ** 2, axis=0))
        BayesianRidge(fit_intercept=False).fit(X[train] / scale, y[train])


def fit_rows(X, y):
    """One fit of all rows, with calibration; both libraries brought to the same fixed point and compared."""
    yield Row("one fit with calibrated errors", best_of(lambda: LDML().fit(X, y)), "s")
    scaled = X / column_scale(np.mean(X**2, axis=0))
    ours = EvidenceRidge(**TIGHT).fit(scaled, y).coef_
    theirs = BayesianRidge(fit_intercept=False, **TIGHT).fit(scaled, y).coef_
    difference = np.abs(ours - theirs).max() / np.abs(theirs).max()
    yield Row("weights against scikit-learn's, relative", difference, "", 1e-8)


def prediction_rows(data: Dataset):
    """One structure that is in no dataset, warm."""
    model, atoms = LDML(get_descriptor("AFS")).fit(data), data[0]
    model.predict_structures([atoms])
    with threadpool_limits(limits=N_CORES):
        total = best_of(lambda: model.predict_structures([atoms]), 20)
        shares = best_of(lambda: model.predict_local(atoms, return_std=True), 20)
    yield Row(f"S_f of {len(atoms)} atoms", 1e3 * total, "ms", 30.0 if len(atoms) >= 1000 else None)
    yield Row("  and the share of each atom, with deviation", 1e3 * shares, "ms")


def local_rows(data: Dataset, n_repeats: int):
    """Few totals alone, with few structures' atoms beside them, and as many totals instead."""
    descriptor = get_descriptor("AFS")
    X, y = LDML(descriptor).training_rows(data)
    rng = np.random.default_rng(0)
    draws = [drawn(rng, data.has_local) for _ in range(n_repeats)]
    needed = np.unique(np.concatenate([with_atoms for _, with_atoms, _ in draws]))
    moments = dict(zip(needed.tolist(), LocalTargets.of_dataset(data.subset(needed), descriptor).moments, strict=True))
    near = {label: near_rows(data, i, descriptor) for label, i in shown_structures(data, needed).items()}
    exact = rms_of([values for _, values in near.values()])
    errors, spreads = {}, {}
    for totals, with_atoms, test in draws:
        train = np.concatenate([totals, with_atoms])
        scale = column_scale(np.mean(X[train] ** 2, axis=0))
        local = LocalTargets(len(totals) + np.arange(N_LOCAL), tuple(moments[i] for i in with_atoms.tolist()))
        chosen = cross_validated_weight(EvidenceRidge(), X[train], y[train], scale, local, np.arange(len(train)))
        for name, weight in {
            "none": None,
            **{f"{w:g}": w for w in LOCAL_WEIGHTS},
            "by cross-validation": chosen,
        }.items():
            fitted = EvidenceRidge()
            if weight is None:
                fitted.fit(X[train] / scale, y[train])
            else:
                fit_with_local(fitted, X[train], y[train], scale, local, weight)
            errors.setdefault(name, []).append(rmse(y[test], X[test] / scale @ fitted.coef_))
            spreads.setdefault(name, []).append(
                rms_of([spread(rows / scale, fitted.sigma_) for rows, _ in near.values()])
            )
    for name, found in errors.items():
        yield Row(f"RMSE of totals, weight {name}", float(np.mean(found)), "k_B", None, f"± {np.std(found):.2f}")
    found = [error_of_chosen(X, y, moments, *draw) for draw in draws]
    # the mark is for the weight that nobody picked by hand
    yield Row(
        "RMSE of totals chosen by the model, weight by cross-validation",
        float(np.mean(found)),
        "k_B",
        0.5,
        f"± {np.std(found):.2f}",
    )
    for name, found in spreads.items():
        yield Row(f"spread of S_i within {RADIUS:g} Å, weight {name}", float(np.mean(found)), "k_B")
    yield Row("  size of the exact S_i there", exact, "k_B")


def error_of_chosen(X, y, moments, totals, with_atoms, test):
    """Test error where only a third of the totals is drawn, and the model asks for the others; errors of 1,000 structures."""
    test, pool = test[:1000], test[1000:]
    known = totals[: N_TOTALS // 3]
    while len(known) < N_TOTALS:
        model = LDML().fit(X[known], y[known])
        asked = pool[next_structures(model, X[pool], N_TOTALS // 3)]
        known, pool = np.concatenate([known, asked]), np.setdiff1d(pool, asked)
    train = np.concatenate([known, with_atoms])
    scale = column_scale(np.mean(X[train] ** 2, axis=0))
    local = LocalTargets(len(known) + np.arange(N_LOCAL), tuple(moments[i] for i in with_atoms.tolist()))
    weight = cross_validated_weight(EvidenceRidge(), X[train], y[train], scale, local, np.arange(len(train)))
    fitted = EvidenceRidge()
    fit_with_local(fitted, X[train], y[train], scale, local, weight)
    return rmse(y[test], X[test] / scale @ fitted.coef_)


def drawn(rng, has_local):
    """Structures fitted by their totals, structures fitted by their atoms too, and the others, to test."""
    with_atoms = rng.choice(np.flatnonzero(has_local), N_LOCAL, replace=False)
    rest = rng.permutation(np.flatnonzero(~has_local))
    return rest[:N_TOTALS], with_atoms, rest[N_TOTALS:]


def shown_structures(data: Dataset, fitted) -> dict[str, int]:
    """A structure of each class with exact S_i that no draw was fitted on."""
    free = np.setdiff1d(np.flatnonzero(data.has_local), fitted)
    return {str(label): int(free[data.labels[free] == label][0]) for label in np.unique(data.labels[free])}


def near_rows(data: Dataset, i: int, descriptor):
    """Descriptors less that of the crystal, and exact entropies, of the atoms near the defect."""
    atoms = data[i]
    distance = distance_to_defects(atoms, WignerSeitz(data.bulk_of(i))(atoms))
    near = distance <= RADIUS
    rows = descriptor.compute(atoms) - data.bulk_descriptor(descriptor, data.entries[i].bulk)
    return rows[near], data.local_entropy(i)[near]


def spread(rows, covariance):
    """Standard deviation of rows . w over the posterior."""
    return np.sqrt(np.einsum("ij,ij->i", rows @ covariance, rows))


def rms_of(arrays) -> float:
    """Root mean square of all values together."""
    values = np.concatenate(arrays)
    return float(np.sqrt(np.mean(values**2)))


def clocked(function):
    """Seconds on the wall and on the processor."""
    start = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - start[0], time.process_time() - start[1]


if __name__ == "__main__":
    main()
