"""What the stories tell, computed by the engine or read from the sample data; in a worker process, so no Panel in here.

Each function returns plain numbers and arrays by name, in k_B, eV, Å, THz and K.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from ase.geometry import find_mic
from scipy.optimize import minimize
from sklearn.model_selection import GroupKFold

from dashboards.tasks import structure_totals
from ldml.dataset import Dataset, load_dataset
from ldml.descriptors import get_descriptor
from ldml.entropy import formation_entropy, vibrational_spectrum, vineyard_prefactor
from ldml.entropy.lattice_green import LatticeGreen
from ldml.entropy.relative_modes import relative_modes
from ldml.evaluation.metrics import rmse
from ldml.evaluation.protocols import evaluate, strains
from ldml.evaluation.splits import split_curve_arrays
from ldml.landscape.saddle import refine_saddle
from ldml.point_defects import WignerSeitz, distance_to_defects
from ldml.potentials import get_potential, perfect_crystal
from ldml.regression import LDML
from ldml.relaxation import relax
from ldml.structures import interstitial_cluster, unit_cell_of, vacancy_cluster

POTENTIAL = "Fe-AM04"
REPEATS = 5
EXPLORED, SOFT, STRAINED = "fe-am04-8a0", "fe-meam-8a0", "fe-meam-strained"
WINDOW = (0.9, 1.1)
"""Modes whose stiffness relative to the crystal lies outside are shown."""
CUTOFFS = (2.6, 3.0, 3.6, 4.2, 5.0, 6.0)
N_FITTED = 240
"""Structures the cutoffs are compared on."""
TEMPERATURES = np.linspace(250.0, 1200.0, 80)
PROPORTIONS = (0.1, 0.3, 0.5, 0.7, 0.9)
Measured = dict[str, Any]


def soft_dumbbell(progress) -> Measured:
    """The <110> dumbbell beside the vacancy: entropies, spectra, modes relative to the crystal, and errors of two models."""
    potential, crystal = get_potential(POTENTIAL), perfect_crystal(POTENTIAL, REPEATS)
    found: Measured = {"atoms": len(crystal) + 1}
    relaxed = {}
    for step, (name, start) in enumerate(
        {"vacancy": vacancy_cluster(crystal, 1), "dumbbell": interstitial_cluster(crystal, 1, axis="110")}.items()
    ):
        progress.check()
        progress.update(step, 5, f"relaxing the {name}")
        relaxed[name] = relax(start, potential).atoms
        found[f"entropy_{name}"] = formation_entropy(relaxed[name], crystal, potential).value
    progress.check()
    progress.update(2, 5, "spectra")
    found["frequencies"] = vibrational_spectrum(relaxed["dumbbell"], potential).frequencies
    found["crystal_frequencies"] = vibrational_spectrum(crystal, potential).frequencies
    progress.update(3, 5, "modes relative to the crystal")
    lattice = LatticeGreen(*unit_cell_of(crystal, potential.lattice_constant), potential)
    below, above = WINDOW
    modes = relative_modes(relaxed["dumbbell"], lattice, below=below, above=above)
    defects = WignerSeitz(crystal)(relaxed["dumbbell"])
    found |= {
        "stiffness": modes.values,
        "shares": modes.shares[:, 0],
        "distances": distance_to_defects(relaxed["dumbbell"], defects),
    }
    progress.check()
    progress.update(4, 5, "two models")
    return found | _two_models()


def _two_models() -> Measured:
    """Errors of AFS with and without soft modes, whole parents left out, where the totals come with the data."""
    data = load_dataset(SOFT)
    both = get_descriptor("AFS+SoftModes", potential=data.metadata["potential"])
    if not data.has_descriptor(both):
        return {"errors": {}}
    return {
        "errors": {d.name: left_out_error(*LDML(d).training_rows(data), data.parents) for d in (both.parts[0], both)}
    }


def left_out_error(X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> float:
    """RMSE over ten folds of whole groups, k_B."""
    predicted = np.empty(len(y))
    for train, test in GroupKFold(10, shuffle=True, random_state=0).split(X, y, groups):
        predicted[test] = LDML().fit(X[train], y[train]).predict(X[test])
    return rmse(y, predicted)


def cutoffs(progress) -> Measured:
    """Where the entropy of a defect lies, and what the model makes of neighbourhoods of several sizes."""
    data = load_dataset(EXPLORED)
    distances, shares, profiles = [], [], []
    reach = np.linspace(0.0, 10.0, 41)
    for i in np.flatnonzero(data.has_local)[::4]:
        progress.check()
        atoms, exact = data[i], data.local_entropy(i)
        away = distance_to_defects(atoms, WignerSeitz(data.bulk_of(i))(atoms))
        distances.append(away)
        shares.append(exact)
        profiles.append([exact[away <= r].sum() for r in reach])
    away, exact = np.concatenate(distances), np.concatenate(shares)
    edges = np.arange(0.0, 11.0, 0.5)
    middles = 0.5 * (edges[1:] + edges[:-1])
    sizes = [np.abs(exact[(away >= a) & (away < b)]) for a, b in pairwise(edges)]
    some = data.subset(np.sort(np.random.default_rng(0).permutation(len(data))[:N_FITTED]))
    errors = {}
    for k, cutoff in enumerate(CUTOFFS):
        errors[cutoff] = left_out_error(*_rows(progress, some, cutoff, (k, len(CUTOFFS))), some.parents)
    both = np.hstack([_rows(progress, some, cutoff, (k, 2))[0] for k, cutoff in enumerate((3.6, 5.0))])
    return {
        "name": data.name,
        "distance": middles,
        "size": np.array([values.mean() if len(values) else np.nan for values in sizes]),
        "reach": reach,
        "within": np.mean(profiles, axis=0),
        "structures": len(profiles),
        "errors": errors,
        "error_of_both": left_out_error(both, some.formation_entropy, some.parents),
        "spread": float(some.formation_entropy.std()),
        "half_cell": float(data.bulk.cell.lengths().min() / 2),
        "fitted": len(some),
        "neighbours": {c: int((_distances_from_first(data.bulk) <= c).sum()) for c in CUTOFFS},
    }


def _rows(progress, data: Dataset, cutoff: float, which):
    """Differences of AFS totals with a cutoff; those computed once are found again on disk."""
    descriptor = get_descriptor("AFS", cutoff=cutoff)
    if not data.has_descriptor(descriptor):
        structures = [*data.bulks, *(entry.atoms for entry in data.entries)]
        totals = structure_totals(_Part(progress, *which), structures, descriptor.to_dict())
        data.with_features(descriptor, totals[len(data.bulks) :], totals[: len(data.bulks)])
    return data.descriptor_differences(descriptor), data.formation_entropy


class _Part:
    """Progress of one of several equal parts."""

    def __init__(self, progress, k, n):
        self._progress, self._k, self._n = progress, k, n

    def update(self, done, total, stage=""):
        self._progress.update(self._k * total + done, self._n * total, stage)

    def check(self):
        self._progress.check()


def _distances_from_first(crystal):
    return find_mic(crystal.positions[1:] - crystal.positions[0], crystal.cell, pbc=True)[1]


def random_splits(progress) -> Measured:
    """Strained copies of the same parents: how alike they are, and what a split at random makes of that."""
    data = load_dataset(STRAINED)
    descriptor = get_descriptor("AFS")
    X, y = LDML(descriptor).training_rows(data, progress=progress)
    strain, parents = strains(data), data.parents
    curves = {}
    for k, (name, groups) in enumerate({"at random": None, "whole parents": parents}.items()):
        progress.check()
        progress.update(k, 3, f"splits {name}")
        curve = split_curve_arrays(X, y, proportions=PROPORTIONS, n_repeats=30, groups=groups)
        curves[name] = {key: curve.mean(key) for key in ("rmse_train", "rmse_test")}
    progress.check()
    progress.update(2, 3, "leaving strains out")
    found = evaluate(data, LDML(descriptor), "strains")
    one, other = "+1.0 %", "+2.0 %"
    return {
        "name": data.name,
        "structures": len(data),
        "parents": len(np.unique(parents)),
        "proportions": np.array(PROPORTIONS),
        "curves": curves,
        "strains": {fold.name: fold.rmse for fold in found.folds},
        "pair": _pair(y, parents, strain, one, other),
        "pair_names": (one, other),
        "spread": float(y.std()),
    }


def _pair(y, parents, strain, one, other):
    """Entropies of the copies of each parent under two strains, (n, 2)."""
    first = dict(zip(parents[strain == one], y[strain == one], strict=True))
    second = dict(zip(parents[strain == other], y[strain == other], strict=True))
    return np.array([(first[parent], second[parent]) for parent in sorted(first.keys() & second.keys())])


def saddle(progress) -> Measured:
    """The jump of a vacancy: the path, the two ends of the spectrum, and Vineyard's rate."""
    potential, crystal = get_potential(POTENTIAL), perfect_crystal(POTENTIAL, REPEATS)
    progress.update(0, 4, "relaxing the vacancy")
    minimum = relax(vacancy_cluster(crystal, 1, centre=0), potential).atoms
    to_vacancy, lengths = find_mic(crystal.positions[0] - minimum.positions, minimum.cell, pbc=True)
    jumper = int(lengths.argmin())
    middle = minimum.copy()
    middle.positions[jumper] += 0.5 * to_vacancy[jumper]
    progress.check()
    progress.update(1, 4, "refining the saddle")
    top = refine_saddle(middle, potential).atoms
    progress.update(2, 4, "modes and rate")
    jump = vineyard_prefactor(minimum, top, potential)
    fractions = np.linspace(0.0, 1.0, 9)
    energies = _energies_dragged(potential, minimum, top, jumper, fractions)
    progress.check()
    progress.update(3, 4, "eigenvalues")
    spectra = {
        name: vibrational_spectrum(atoms, potential).frequencies
        for name, atoms in (("minimum", minimum), ("saddle", top))
    }
    return {
        "atoms": len(minimum),
        # the crystal's symmetry takes one half of the way to the other
        "fraction": np.concatenate([0.5 * fractions, 1.0 - 0.5 * fractions[-2::-1]]),
        "energy": np.concatenate([energies, energies[-2::-1]]),
        "barrier": jump.barrier,
        "frequencies": spectra,
        "attempt_frequency": jump.attempt_frequency,
        "reaction_frequency": jump.reaction_frequency,
        "unstable_frequency": jump.unstable_frequency,
        "migration_entropy": jump.migration_entropy,
        "temperature": TEMPERATURES,
        "rate": np.array([jump.rate(temperature) for temperature in TEMPERATURES]),
        "jump_length": float(lengths[jumper]),
    }


def _energies_dragged(potential, start, end, atom, fractions):
    """Energy above the start, eV, with one atom held at parts of its way to the end and the others relaxed."""
    way, _ = find_mic(end.positions - start.positions, start.cell, pbc=True)
    _, distances = find_mic(start.positions - start.positions[atom], start.cell, pbc=True)
    # the farthest atom is held as well, or the crystal would drift to where nothing has jumped
    others = ~np.isin(np.arange(len(start)), [atom, distances.argmax()])
    rest = potential.energy(start)
    energies = []
    for fraction in fractions:
        moved = start.copy()
        moved.positions += fraction * way
        energies.append(_relaxed_energy(potential, moved, others) - rest)
    return np.array(energies)


def _relaxed_energy(potential, atoms, free):
    def energy_and_gradient(x):
        atoms.positions[free] = x.reshape(-1, 3)
        energy, forces = potential.energy_and_forces(atoms)
        return energy, -forces[free].ravel()

    found = minimize(
        energy_and_gradient, atoms.positions[free].ravel(), jac=True, method="L-BFGS-B", options={"gtol": 1e-4}
    )
    return found.fun
