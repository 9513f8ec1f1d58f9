"""A small dataset that a linear model fits exactly, and a session whose jobs run at once in this process."""

import html
from itertools import islice

import numpy as np
import pytest
from ase import Atoms

from dashboards.cache_files import FOLDER_VARIABLE
from dashboards.jobs import JobStatus
from dashboards.state import AppState, default_descriptor
from ldml.dataset import Dataset, Entry
from ldml.descriptors import AFS, DESCRIPTORS, Descriptor
from ldml.entropy import harmonic_entropy
from ldml.errors import Cancelled
from ldml.landscape import hop
from ldml.potentials import get_potential, perfect_crystal
from ldml.progress import NULL_PROGRESS
from ldml.structures import interstitial_cluster, rattled, strained, vacancy_cluster

N_PER_CLASS = 12


@pytest.fixture(scope="session", autouse=True)
def cache_of_fixtures(tmp_path_factory):
    """What several tests share is not what the user has computed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test finds what another has computed."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "descriptors"


@pytest.fixture(scope="session")
def linear_dataset():
    """24 rattled defects of 4a0 whose entropies are exactly linear in the default descriptor, its totals at hand."""
    rng = np.random.default_rng(7)
    bulk = perfect_crystal("Fe-AM04", 4)
    makers = {"V2": lambda: vacancy_cluster(bulk, 2), "I2": lambda: interstitial_cluster(bulk, 2)}
    entries = [
        Entry(rattled(make(), 0.05, rng), label, f"{label}-{k}", 0.0, 2.0 + 0.1 * k, 1e-6)
        for label, make in makers.items()
        for k in range(N_PER_CLASS)
    ]
    unlabelled = Dataset.from_entries("linear", [bulk], entries, {"potential": "Fe-AM04", "licence": "CC0-1.0"})
    descriptor = default_descriptor()
    differences = unlabelled.descriptor_differences(descriptor)
    entropy = differences / np.sqrt(np.mean(differences**2, axis=0)) @ np.full(differences.shape[1], 0.02)
    labelled = [
        Entry(
            e.atoms,
            e.label,
            e.name,
            s,
            e.formation_energy,
            e.max_force,
            np.full(len(e.atoms), s / len(e.atoms)) if k == 0 else None,
        )
        for k, (e, s) in enumerate(zip(entries, entropy, strict=True))
    ]
    data = Dataset.from_entries("linear", [bulk], labelled, unlabelled.metadata)
    data.descriptor_differences(descriptor)
    return data


@pytest.fixture(scope="session")
def clusters():
    """Six minima of LJ13 in reduced units, the icosahedron in the place of a crystal."""
    potential, rng = get_potential("LJ"), np.random.default_rng(3)
    start = Atoms("X13", rng.normal(scale=1.0, size=(13, 3)))
    minima = sorted(islice(hop(start, potential, rng), 6), key=lambda minimum: minimum.energy)
    entropies = [harmonic_entropy(minimum.atoms, potential).total for minimum in minima]
    entries = [
        Entry(m.atoms, "LJ13", f"LJ13-{k}", s - entropies[0], m.energy - minima[0].energy)
        for k, (m, s) in enumerate(zip(minima, entropies, strict=True))
    ]
    units = {"length": "sigma", "energy": "epsilon", "mass": "m", "entropy": "k_B"}
    return Dataset.from_entries("lj13", [minima[0].atoms], entries, {"potential": "LJ", "units": units})


@pytest.fixture(scope="session")
def saddles(linear_dataset):
    """Two crystals; a structure, its strained copy, and a saddle that was reached from it."""
    bulk, entry = linear_dataset.bulks[0], linear_dataset.entries[0]
    larger = strained(bulk, 0.02)
    copied = entry.atoms.copy()
    copied.set_cell(larger.cell, scale_atoms=True)
    entries = [
        entry,
        Entry(copied, entry.label, "copy", 1.0, 2.0, bulk=1, parent=entry.name),
        Entry(
            linear_dataset.entries[1].atoms,
            f"{entry.label} saddle",
            "e0-saddle",
            1.5,
            2.6,
            parent=entry.name,
            quantities={"barrier": 0.6, "lowest_eigenvalue": -1.25, "n_vacancies": 2.0},
        ),
    ]
    units = {"barrier": "eV", "lowest_eigenvalue": "eV/angstrom^2", "n_vacancies": "1"}
    return Dataset.from_entries("saddles", [bulk, larger], entries, {"potential": "Fe-AM04", "quantities": units})


class ImmediateJob:
    """A job done when it is asked for its result."""

    def __init__(self, function, args):
        self.function, self.args, self.cancelled = function, args, False
        self.status = JobStatus(0.0, "", 0)

    @property
    def done(self):
        return self.cancelled

    def cancel(self):
        self.cancelled = True

    async def result(self, on_status=None):
        if self.cancelled:
            raise Cancelled
        return self.function(NULL_PROGRESS, *self.args)


class ImmediateRunner:
    """Runs jobs in this process and remembers them."""

    def __init__(self):
        self.jobs = []

    def submit(self, function, *args, owner=None):
        self.jobs.append(ImmediateJob(function, args))
        return self.jobs[-1]


@pytest.fixture
def session():
    """A session without worker processes."""
    from dashboards.session import Session

    return Session(state=AppState(), runner=ImmediateRunner())


@pytest.fixture
def messages(session):
    """What the session tells the user now, newest first."""
    return lambda: [html.unescape(alert.object) for alert in session.messages.objects]


class Whole(Descriptor):
    """A quantity of the whole structure, divided among the atoms; it has no cutoff."""

    name, version, letter, is_local = "Whole", 1, "W", False
    declared_parameters = ()
    _inner = AFS(n_max=3, l_max=2, cutoff=4.0)
    feature_indices = _inner.feature_indices

    def _compute(self, atoms):
        return np.tile(self._total(atoms) / len(atoms), (len(atoms), 1))

    def _total(self, atoms):
        return self._inner.total(atoms)


@pytest.fixture
def whole(monkeypatch):
    """A registered descriptor that is not local."""
    monkeypatch.setitem(DESCRIPTORS._items, "Whole", Whole)
    return Whole()
