"""What jobs do, called here as a worker would."""

import pickle

import h5py
import numpy as np
import pytest

from dashboards import tasks
from dashboards.state import default_descriptor, fit_model
from ldml.descriptors import get_descriptor
from ldml.errors import InputError
from ldml.progress import NULL_PROGRESS
from ldml.structure_files import write_extxyz


@pytest.fixture
def hdf5(linear_dataset, tmp_path):
    """The dataset as a file in memory."""
    linear_dataset.save(tmp_path / "data.h5")
    return (tmp_path / "data.h5").read_bytes()


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
    shares = tasks.learned_shares(NULL_PROGRESS, *sent, None)
    assert (shares == fit.model.predict_local(atoms)).all()


def test_an_uploaded_hdf5_dataset_comes_back_with_its_descriptors(linear_dataset, hdf5):
    data = tasks.parse_dataset(NULL_PROGRESS, hdf5, "../../etc/my data.h5")
    assert (data.names == linear_dataset.names).all()
    assert data.formation_entropy == pytest.approx(linear_dataset.formation_entropy, abs=0)
    assert data.has_descriptor(default_descriptor())


def test_an_uploaded_extxyz_dataset_comes_back(linear_dataset, tmp_path):
    write_extxyz(linear_dataset, tmp_path / "some.extxyz")
    data = tasks.parse_dataset(NULL_PROGRESS, (tmp_path / "some.extxyz").read_bytes(), "some.extxyz")
    assert data.name == "some"
    assert (data.labels == linear_dataset.labels).all()
    assert data.formation_entropy == pytest.approx(linear_dataset.formation_entropy, abs=1e-7)


@pytest.mark.parametrize("content", [b"", b"not a dataset", b"\x89HDF\r\n\x1a\n" + b"\0" * 200, bytes(range(256)) * 8])
@pytest.mark.parametrize("name", ["x.h5", "x.extxyz", ""])
def test_what_is_not_a_dataset_is_refused_in_words(content, name):
    with pytest.raises(InputError):
        tasks.parse_dataset(NULL_PROGRESS, content, name)


def test_a_dataset_cut_short_is_refused(hdf5):
    with pytest.raises(InputError):
        tasks.parse_dataset(NULL_PROGRESS, hdf5[: len(hdf5) // 2], "half.h5")


def test_a_small_file_that_announces_huge_arrays_is_refused(hdf5, tmp_path):
    path = tmp_path / "bomb.h5"
    path.write_bytes(hdf5)
    with h5py.File(path, "a") as file:
        del file["structures/positions"]
        file["structures"].create_dataset(
            "positions", shape=(10**11, 3), dtype="f8", chunks=(1024, 3), compression="gzip"
        )
    assert path.stat().st_size < 10_000_000
    with pytest.raises(InputError, match="unpacks to"):
        tasks.parse_dataset(NULL_PROGRESS, path.read_bytes(), "bomb.h5")


def test_a_structure_that_makes_no_sense_is_named(hdf5, tmp_path):
    path = tmp_path / "nan.h5"
    path.write_bytes(hdf5)
    with h5py.File(path, "a") as file:
        file["structures/positions"][3] = np.nan
    with pytest.raises(InputError, match="V2-0"):
        tasks.parse_dataset(NULL_PROGRESS, path.read_bytes(), "nan.h5")


def test_a_dataset_without_structures_is_refused(linear_dataset, tmp_path):
    write_extxyz(linear_dataset.subset(np.zeros(len(linear_dataset), dtype=bool)), tmp_path / "none.extxyz")
    with pytest.raises(InputError, match="no structures"):
        tasks.parse_dataset(NULL_PROGRESS, (tmp_path / "none.extxyz").read_bytes(), "none.extxyz")


def test_splits_are_those_of_the_library(linear_dataset):
    X, y = linear_dataset.descriptor_differences(default_descriptor()), linear_dataset.formation_entropy
    curve = tasks.splits(NULL_PROGRESS, X, y, 4, 1)
    assert curve.n_repeats == 4
    assert curve.seed == 1
    assert curve.n_structures == len(linear_dataset)
