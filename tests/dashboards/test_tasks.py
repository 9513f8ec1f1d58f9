"""What jobs do, called here as a worker would."""

import pickle
import time

import numpy as np
import pytest

from dashboards import tasks
from dashboards.state import default_descriptor, fit_model
from ldml.descriptors import get_descriptor
from ldml.evaluation.splits import split_curve_arrays
from ldml.progress import NULL_PROGRESS


def test_totals_are_those_of_the_dataset(linear_dataset):
    descriptor = get_descriptor("AFS", n_max=3, l_max=2, cutoff=4.0)
    totals, bulk_totals = tasks.descriptor_totals(NULL_PROGRESS, linear_dataset, descriptor.to_dict())
    copy = linear_dataset.subset(range(len(linear_dataset)))
    copy.with_features(descriptor, totals, bulk_totals)
    assert copy.descriptor_differences(descriptor) == pytest.approx(
        linear_dataset.descriptor_differences(descriptor), rel=1e-12, abs=1e-12
    )


class Stages:
    """Remembers what it is told."""

    def __init__(self):
        self.told = []

    def update(self, done, total, stage=""):
        self.told.append((done, total, stage))

    def check(self):
        pass


def test_the_first_structure_is_timed_and_the_rest_estimated(linear_dataset, monkeypatch):
    clock = iter(np.arange(0.0, 1e4, 30.0))  # each total takes half a minute
    monkeypatch.setattr(tasks.time, "perf_counter", lambda: next(clock))
    descriptor, progress = get_descriptor("AFS", n_max=2, l_max=1, cutoff=4.0), Stages()
    structures = [entry.atoms for entry in linear_dataset.entries if entry.label == "V2"]
    tasks.structure_totals(progress, structures, descriptor.to_dict())
    n = len(structures)
    assert progress.told[:2] == [(0, n, f"timing the first of {n} to compute"), (1, n, "about 6 min left")]
    assert progress.told[-1] == (n - 1, n, "about 30 s left")


def test_what_is_known_counts_as_done(linear_dataset):
    descriptor = get_descriptor("AFS", n_max=2, l_max=1, cutoff=4.0).to_dict()
    structures = [entry.atoms for entry in linear_dataset.entries[:4]]
    tasks.structure_totals(NULL_PROGRESS, structures[:3], descriptor)
    progress = Stages()
    tasks.structure_totals(progress, structures, descriptor)
    assert progress.told == [(3, 4, "timing the first of 1 to compute")]


def test_a_model_goes_to_a_worker_and_back(linear_dataset):
    fit = fit_model(linear_dataset, default_descriptor(), test_proportion=0.25, seed=0)
    atoms = linear_dataset.entries[5].atoms
    sent = pickle.loads(pickle.dumps((fit.model, atoms)))
    shares, errors = tasks.learned_shares(NULL_PROGRESS, *sent, None)
    assert (shares == fit.model.predict_local(atoms)).all()
    assert (errors == fit.model.predict_local(atoms, return_std=True)[1]).all()


def test_splits_are_those_of_the_library(linear_dataset):
    rows = fit_model(linear_dataset, default_descriptor(), test_proportion=0.25, seed=0).rows
    curves = tasks.split_curves(NULL_PROGRESS, rows, 4, 1)
    assert curves.at_random.rmse_test == pytest.approx(
        split_curve_arrays(rows.X, rows.y, n_repeats=4, seed=1).rmse_test
    )
    assert curves.at_random.n_structures == len(linear_dataset)
    assert curves.by_parents is None


def test_rows_and_answers_travel_to_workers_and_back(linear_dataset):
    rows = fit_model(linear_dataset, default_descriptor(), test_proportion=0.25, seed=0).rows
    there = pickle.loads(pickle.dumps(rows))
    answer = pickle.loads(pickle.dumps(tasks.coverage(NULL_PROGRESS, there, 2, 0)))
    assert answer.in_class.n_test == 2 * 3
    assert pickle.loads(pickle.dumps(tasks.class_errors(NULL_PROGRESS, there, 0, 0))).tested == ("I2", "V2")


def test_a_descriptor_is_timed_once_its_kernels_are_loaded(linear_dataset):
    asked = []

    class Slow(type(default_descriptor())):
        def total(self, atoms):
            asked.append(len(atoms))
            time.sleep(0.3 if len(asked) == 1 else 0.02)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "descriptor_from_dict", lambda record: Slow())
        seconds = tasks.descriptor_seconds(NULL_PROGRESS, linear_dataset[0], {})
    assert 0.02 <= seconds < 0.3
    assert len(asked) == 2
