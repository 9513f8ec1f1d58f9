"""What the dashboard's jobs do, in a worker process: the library only, no Panel."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase import Atoms
from sklearn.model_selection import GroupShuffleSplit, LeaveOneGroupOut, ShuffleSplit

from dashboards import reference_cache
from dashboards.cache_files import cache_folder, structure_key
from dashboards.time_left import TimeLeft, duration
from dashboards.totals_cache import TotalsCache
from dashboards.uploads import read_upload, safe_name, with_elements
from ldml.dataset import Dataset
from ldml.descriptors import descriptor_from_dict
from ldml.entropy import FormationEntropy, formation_energy, formation_entropy
from ldml.entropy.spectrum import BROADENING, local_density_of_states, vibrational_spectrum
from ldml.errors import InputError, StructureError
from ldml.evaluation.calibration import COVERAGES, CoverageCurve, coverage_curve
from ldml.evaluation.class_matrix import ClassMatrix, class_matrix
from ldml.evaluation.learning import LearningCurve, learning_curve
from ldml.evaluation.metrics import r2_within
from ldml.evaluation.splits import SplitCurve, split_curve_arrays
from ldml.neighbours import coordination_numbers
from ldml.point_defects import PointDefects, WignerSeitz, defect_positions, distance_to_defects
from ldml.potentials import Potential, get_potential
from ldml.regression.ldml import LDML
from ldml.regression.uncertainty import ONE_SIGMA
from ldml.relaxation import relax
from ldml.structure_files import defect_label
from ldml.structures import matching_crystal

SMALLEST_TRAINED, LARGEST_TRAINED = 20, 0.75
"""Structures, and share of all structures, between which learning curves run."""
LOCAL_REACH = 6.0
"""Å from the defect within which local entropies are judged: farther atoms share what the cell as a whole does."""
MAX_LOCAL_JUDGED = 40
"""Structures whose local entropies are judged."""
DENSITY_POINTS = 300


@dataclass(frozen=True)
class Reference:
    """Exact answer for one structure.

    Attributes
    ----------
    atoms, bulk : Atoms
        The minimum, and the perfect crystal in its cell.
    label : str
        Defect class by net count.
    potential : str
    formation : FormationEntropy
        With local entropies, k_B, and the frequencies of defect and crystal, THz, unless only the total was asked for.
    formation_energy : float, eV
    max_force : float, eV/Å
    n_steps : int
        Steps of relaxation; 0 when it was at rest.
    n_vacancies, n_interstitials : int
        By Wigner-Seitz analysis.
    known : bool
        Whether it was computed before, by whomever.
    """

    atoms: Atoms
    bulk: Atoms
    label: str
    potential: str
    formation: FormationEntropy
    formation_energy: float
    max_force: float
    n_steps: int
    n_vacancies: int
    n_interstitials: int
    known: bool = False


@dataclass(frozen=True)
class Places:
    """Where the point defects of a structure of N atoms are.

    Attributes
    ----------
    defects : PointDefects or None
        None of a free cluster, which has no sites.
    centres : (n, 3) float
        Interstitial atoms and vacancies.
    distances : (N,) float
        To the nearest of them; in a cluster, to its centre.
    coordination : (N,) int
        Neighbours of each atom in its first shells.
    """

    defects: PointDefects | None
    centres: np.ndarray
    distances: np.ndarray
    coordination: np.ndarray


@dataclass(frozen=True)
class LocalDensities:
    """Local densities of vibrational states of a structure of N atoms.

    Attributes
    ----------
    frequencies : (K,) float, THz
    densities : (N, K) float, modes per THz
        Each integrates to 3 less the atom's part in the rigid motions.
    """

    frequencies: np.ndarray
    densities: np.ndarray


def descriptor_totals(progress, data: Dataset, descriptor: dict) -> tuple[np.ndarray, np.ndarray]:
    """Totals of a descriptor over the structures and over the crystals of a dataset."""
    totals = structure_totals(progress, [*data.bulks, *(entry.atoms for entry in data.entries)], descriptor)
    return totals[len(data.bulks) :], totals[: len(data.bulks)]


def structure_totals(progress, structures: Sequence[Atoms], descriptor: dict) -> np.ndarray:
    """Totals of a descriptor, (n_structures, n_features); those computed before, by whomever, are not computed again.

    Cancelled, it keeps what it has computed for the next time.
    """
    descriptor = descriptor_from_dict(descriptor)
    keys = [structure_key(atoms) for atoms in structures]
    with TotalsCache(descriptor, cache_folder("descriptors")) as cache:
        totals = cache.find(keys)
        missing = {key: atoms for key, atoms in zip(keys, structures, strict=True) if key not in totals}
        left, n_known = TimeLeft(sum(map(len, missing.values()))), len(totals)
        for k, (key, atoms) in enumerate(missing.items()):
            progress.check()
            progress.update(n_known + k, n_known + len(missing), _time_stage(left.seconds(), len(missing)))
            started = time.perf_counter()
            totals[key] = descriptor.total(atoms)
            left.done(len(atoms), time.perf_counter() - started)
            cache.add(key, totals[key])
    return np.stack([totals[key] for key in keys])


def _time_stage(seconds, n_missing):
    return f"timing the first of {n_missing:,} to compute" if seconds is None else f"{duration(seconds)} left"


@dataclass(frozen=True)
class LocalScore:
    """Exact local entropies as targets: their weight, and how well those of structures held out are learned.

    Attributes
    ----------
    weight : float
    n_fitted : int
        Structures whose local entropies were fitted.
    n_judged : int
        Structures held out whose atoms within `LOCAL_REACH` of the defect are judged.
    r2, r2_alone : float
        R² of those atoms, with local targets and of the model fitted on totals alone; NaN if no structure was held out.
    """

    weight: float
    n_fitted: int
    n_judged: int
    r2: float
    r2_alone: float


def fit_with_local(
    progress, known: Dataset, descriptor: dict, test: np.ndarray, weight: float | str
) -> tuple[LDML, LocalScore]:
    """Fit totals and exact local entropies of the training structures, and judge those of structures held out.

    Parameters
    ----------
    known : Dataset
        With the totals of the descriptor.
    descriptor : dict
    test : (M,) bool array
    weight : float or "cross-validate"
    """
    descriptor, train = descriptor_from_dict(descriptor), known.subset(~test)
    model = LDML(descriptor).fit(train, local_weight=weight, progress=progress)
    judged = np.flatnonzero(test & known.has_local)[:MAX_LOCAL_JUDGED]
    r2, r2_alone = float("nan"), float("nan")
    if len(judged):
        r2, r2_alone = _judged(progress, known, judged, (model, LDML(descriptor).fit(train)))
    return model, LocalScore(model.training_["local_weight"], model.training_["n_local"], len(judged), r2, r2_alone)


def _judged(progress, known, judged, models):
    """R² of each model over the atoms near the defects."""
    truth, predicted = [], [[] for _ in models]
    for done, i in enumerate(judged):
        progress.check()
        progress.update(done, len(judged), "judging local entropies")
        entry, bulk = known.entries[i], known.bulks[known.entries[i].bulk]
        near = distance_to_defects(entry.atoms, WignerSeitz(bulk)(entry.atoms)) < LOCAL_REACH
        truth.append((entry.local_entropy, near))
        for model, shares in zip(models, predicted, strict=True):
            shares.append(model.predict_local(entry.atoms, bulk=bulk))
    return [r2_within(truth, shares)[0] for shares in predicted]


def descriptor_seconds(progress, atoms: Atoms, descriptor: dict) -> float:
    """Seconds that the descriptor of a structure takes, once its kernels are loaded."""
    descriptor = descriptor_from_dict(descriptor)
    for done in range(2):
        progress.check()
        progress.update(done, 2, "timing the descriptor")
        started = time.perf_counter()
        descriptor.total(atoms)
    return time.perf_counter() - started


def places_of(atoms: Atoms, shells: float, analysis: WignerSeitz | None) -> Places:
    """The places of a structure; its first shells are within `shells`, and a cluster has no analysis of sites."""
    coordination = coordination_numbers(atoms.positions, atoms.cell.array, atoms.pbc, shells)
    if analysis is None:
        from_centre = np.linalg.norm(atoms.positions - atoms.positions.mean(axis=0), axis=1)
        return Places(None, np.zeros((0, 3)), from_centre, coordination)
    defects = analysis(atoms)
    return Places(defects, defect_positions(atoms, defects), distance_to_defects(atoms, defects), coordination)


def locate(progress, atoms: Atoms, bulk: Atoms, shells: float) -> Places:
    """What `places_of` gives, for structures of so many atoms that the page should not wait."""
    progress.update(0, 1)
    return places_of(atoms, shells, WignerSeitz(bulk) if bulk.pbc.all() else None)


def shares_and_errors(model: LDML, atoms: Atoms, bulk: Atoms | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Learned share of each atom, (N,) k_B, and its standard deviation where the model has been calibrated."""
    if model.calibration_ is None or model.calibration_.largest_coverage < ONE_SIGMA:
        return model.predict_local(atoms, bulk=bulk), None
    return model.predict_local(atoms, return_std=True, bulk=bulk)


def learned_shares(progress, model: LDML, atoms: Atoms, bulk: Atoms | None) -> tuple[np.ndarray, np.ndarray | None]:
    """What `shares_and_errors` gives, for descriptors that take too long for the page to wait."""
    progress.update(0, 1)
    return shares_and_errors(model, atoms, bulk)


def local_densities(progress, atoms: Atoms, potential: str) -> LocalDensities:
    """Densities of vibrational states of all atoms, from the eigenvectors of the structure as it is."""
    spectrum = vibrational_spectrum(atoms, potential, vectors=True, progress=progress)
    spectrum.require_minimum()
    grid = np.linspace(0.0, spectrum.frequencies.max() + 4.0 * BROADENING, DENSITY_POINTS)
    return LocalDensities(grid, local_density_of_states(spectrum, range(len(atoms)), grid).astype(np.float32))


def shares_of_structures(progress, model: LDML, structures: Sequence[tuple[Atoms, Atoms]]) -> list[np.ndarray | None]:
    """Learned shares of each structure with its crystal; None where the model has no answer."""
    shares = []
    for k, (atoms, bulk) in enumerate(structures):
        progress.check()
        progress.update(k, len(structures), "learned shares of the atoms")
        try:
            shares.append(model.predict_local(atoms, bulk=bulk))
        except InputError:
            shares.append(None)
    return shares


@dataclass(frozen=True, eq=False)
class Curves:
    """Errors against the proportion held out.

    Attributes
    ----------
    at_random : SplitCurve
    by_parents : SplitCurve or None
        With structures of one parent held out together, where structures share parents.
    """

    at_random: SplitCurve
    by_parents: SplitCurve | None


@dataclass(frozen=True, eq=False)
class Coverage:
    """Whether intervals hold what they promise.

    Attributes
    ----------
    in_class : CoverageCurve
        A tenth held out at random, whole parents together, again and again.
    new_class : CoverageCurve or None
        Each class left out once; None if there is one class only.
    """

    in_class: CoverageCurve
    new_class: CoverageCurve | None


@dataclass(frozen=True, eq=False)
class Rows:
    """What models are fitted on.

    Attributes
    ----------
    X : (M, n_features) array
        Descriptor differences.
    y : (M,) array, k_B
    labels, parents : (M,) str arrays
    """

    X: np.ndarray
    y: np.ndarray
    labels: np.ndarray
    parents: np.ndarray

    @property
    def groups(self) -> np.ndarray | None:
        """The parents, if any of them has more than one structure."""
        return self.parents if len(np.unique(self.parents)) < len(self.parents) else None


def split_curves(progress, rows: Rows, n_repeats: int, seed: int) -> Curves:
    """Train and test errors against the proportion held out, at random and, where parents are shared, by parents."""
    options = {"n_repeats": n_repeats, "seed": seed, "progress": progress}
    at_random = split_curve_arrays(rows.X, rows.y, **options)
    groups = rows.groups
    return Curves(at_random, None if groups is None else split_curve_arrays(rows.X, rows.y, groups=groups, **options))


def class_errors(progress, rows: Rows, n_repeats: int, seed: int) -> ClassMatrix:
    """Errors of models of classes on classes; of one test set, so that there is nothing to repeat."""
    return class_matrix(rows.X, rows.y, rows.labels, groups=rows.groups, seed=seed, progress=progress)


def learning(progress, rows: Rows, n_repeats: int, seed: int) -> LearningCurve:
    """Test error against the number of structures fitted, whole parents held out."""
    return learning_curve(
        rows.X,
        rows.y,
        n_train=learning_sizes(len(rows.y)),
        groups=rows.groups,
        n_repeats=n_repeats,
        seed=seed,
        progress=progress,
    )


def learning_sizes(n_structures: int) -> list[int]:
    """Sizes of training sets, doubling up to what is left when a fifth is held out (with a margin for large parents)."""
    largest = int(LARGEST_TRAINED * n_structures)
    sizes = [largest]
    while sizes[-1] >= 2 * SMALLEST_TRAINED:
        sizes.append(sizes[-1] // 2)
    return sizes[::-1]


def coverage(progress, rows: Rows, n_repeats: int, seed: int) -> Coverage:
    """Coverage of the intervals against what they promise, in class and of classes left out."""
    kind = ShuffleSplit if rows.groups is None else GroupShuffleSplit
    in_class = list(kind(n_repeats, test_size=0.1, random_state=seed).split(rows.X, groups=rows.groups))
    n_classes = len(np.unique(rows.labels))
    new_class = [] if n_classes < 2 else list(LeaveOneGroupOut().split(rows.X, groups=rows.labels))
    smallest = min(len(train) for train, _ in (*in_class, *new_class))
    coverages = [promise for promise in COVERAGES if promise <= smallest / (smallest + 1)]
    curves = [
        coverage_curve(
            rows.X,
            rows.y,
            splits,
            labels=rows.labels,
            groups=rows.parents,
            coverages=coverages,
            progress=progress,
        )
        for splits in (in_class, new_class)
        if splits
    ]
    return Coverage(curves[0], curves[1] if new_class else None)


def parse_upload(progress, content: bytes, name: str, potential: str) -> list[Atoms]:
    """Structures of an uploaded file in any known format, outside the server process.

    A file of LAMMPS that numbers its types without naming elements has those of the potential, if it has one type for each.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / safe_name(name)
        path.write_bytes(content)
        upload = read_upload(progress, path, name)
    if upload.dataset is not None:
        raise InputError(f"{name!r} is a dataset of ldml; open it on the Data page and take the structure from there")
    elements = tuple(sorted(get_potential(potential).elements))
    return [with_elements(frame, elements, upload) for frame in upload.structures]


def reference(
    progress,
    atoms: Atoms,
    potential: str,
    relax_first: bool,
    temperature: float,
    method: str = "eigenvectors",
    local: bool = True,
    anew: bool = False,
) -> Reference:
    """Relax if asked, then the exact entropy of the structure, and if asked of each of its atoms, by a method of
    `ldml.formation_entropy`.

    An answer computed before, by whomever, is not computed again, except `anew`.
    """
    potential = get_potential(potential)
    potential.check(atoms)
    options = {"relax_first": relax_first, "temperature": temperature, "method": method, "local": local}
    key, folder = reference_cache.reference_key(atoms, potential, **options), cache_folder("references")
    found = None if anew else reference_cache.find(Reference, key, folder)
    if found is not None:
        return replace(found, known=True)
    answer = _reference(progress, atoms, potential, **options)
    reference_cache.keep(answer, key, folder)
    return answer


def _reference(progress, atoms, potential, relax_first, temperature, method, local):
    bulk = crystal_of(atoms, potential)
    n_steps = 0
    if relax_first:
        relaxed = relax(atoms, potential, progress=progress)
        atoms, n_steps = relaxed.atoms, relaxed.n_steps
    formation = formation_entropy(
        atoms,
        bulk,
        potential,
        local=local,
        method=method,
        temperature=temperature,
        progress=progress,
    )
    defects = WignerSeitz(bulk)(atoms)
    return Reference(
        atoms=atoms,
        bulk=bulk,
        label=defect_label(len(atoms), len(bulk)),
        potential=potential.name,
        formation=formation,
        formation_energy=formation_energy(potential.energy(atoms), len(atoms), potential.energy(bulk), len(bulk)),
        max_force=formation.defect.max_force,
        n_steps=n_steps,
        n_vacancies=defects.n_vacancies,
        n_interstitials=defects.n_interstitials,
    )


def crystal_of(atoms: Atoms, potential: Potential) -> Atoms:
    """The perfect crystal in the cell of a structure.

    Raises
    ------
    StructureError
        If the cell holds no whole number of unit cells.
    """
    bulk = matching_crystal(atoms, potential.lattice_constant, lattice=potential.lattice)
    if bulk is None:
        raise StructureError(
            f"the cell {np.round(atoms.cell.lengths(), 3).tolist()} Å holds no whole number of {potential.lattice} cells "
            f"of {potential.lattice_constant:.4f} Å (within 6 %), so there is no perfect crystal to compare with"
        )
    return bulk
