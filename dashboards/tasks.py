"""What the dashboard's jobs do, in a worker process: the library only, no Panel."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from ase import Atoms

from dashboards.time_left import TimeLeft, duration
from dashboards.totals_cache import TotalsCache, cache_folder, structure_key
from ldml.dataset import Dataset, load_dataset
from ldml.descriptors import descriptor_from_dict
from ldml.entropy import FormationEntropy, formation_energy, formation_entropy
from ldml.errors import InputError, StructureError
from ldml.evaluation.splits import SplitCurve, split_curve_arrays
from ldml.point_defects import WignerSeitz
from ldml.potentials import Potential, get_potential
from ldml.regression.ldml import LDML
from ldml.relaxation import relax
from ldml.structure_files import defect_label, read_structures
from ldml.structures import check_structure, matching_crystal

MAX_UNPACKED_BYTES = 2_000_000_000


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
        With local entropies, k_B, and with the frequencies of defect and crystal, THz.
    formation_energy : float, eV
    max_force : float, eV/Å
    n_steps : int
        Steps of relaxation; 0 when it was at rest.
    n_vacancies, n_interstitials : int
        By Wigner-Seitz analysis.
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
    with TotalsCache(descriptor, cache_folder()) as cache:
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


def learned_shares(progress, model: LDML, atoms: Atoms, bulk: Atoms | None) -> np.ndarray:
    """Learned share of each atom, (N,) k_B, for descriptors that take too long for the page to wait."""
    progress.update(0, 1)
    return model.predict_local(atoms, bulk=bulk)


def splits(progress, differences: np.ndarray, entropies: np.ndarray, n_repeats: int, seed: int) -> SplitCurve:
    """Train and test errors against the proportion held out."""
    return split_curve_arrays(differences, entropies, n_repeats=n_repeats, seed=seed, progress=progress)


def parse_dataset(progress, content: bytes, name: str) -> Dataset:
    """Read an uploaded dataset, HDF5 or extended XYZ, outside the server process.

    Raises
    ------
    InputError
        If it is not a dataset, holds nothing or more than fits, or a structure in it makes no sense.
    """
    progress.update(0, 1, f"reading {name}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / (Path(name.replace("\\", "/")).name or "upload")
        path.write_bytes(content)
        if h5py.is_hdf5(path):
            _check_unpacked_size(path)
        try:
            data = load_dataset(path)
        except InputError:
            raise
        except Exception as error:  # whatever a reader may throw at a malformed file
            raise InputError(f"{name!r} is not a dataset: {error}") from error
    if len(data) == 0:
        raise InputError(f"{name!r} holds no structures beside its perfect crystal; add some")
    for i, entry in enumerate(data.entries):
        progress.check()
        progress.update(i, len(data), f"checking {entry.name}")
        check_structure(entry.atoms, name=entry.name)
    return data


def _check_unpacked_size(path):
    """A small compressed file can announce arrays that no memory holds."""
    sizes = []
    try:
        with h5py.File(path) as file:
            file.visititems(lambda _, node: sizes.append(node.nbytes) if isinstance(node, h5py.Dataset) else None)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path.name!r} is a damaged HDF5 file: {error}") from error
    if sum(sizes) > MAX_UNPACKED_BYTES:
        raise InputError(
            f"{path.name!r} unpacks to {sum(sizes) / 1e9:.1f} GB; the limit is {MAX_UNPACKED_BYTES / 1e9:.0f} GB: split it"
        )


def parse_upload(progress, content: bytes, name: str) -> list[Atoms]:
    """Read an uploaded extended XYZ file, outside the server process."""
    progress.update(0, 1, f"reading {name}")
    return read_structures(content, name=name)


def reference(progress, atoms: Atoms, potential: str, relax_first: bool, temperature: float) -> Reference:
    """Relax if asked, then the exact entropy of the structure and of each of its atoms."""
    potential = get_potential(potential)
    potential.check(atoms)
    bulk = crystal_of(atoms, potential)
    n_steps = 0
    if relax_first:
        relaxed = relax(atoms, potential, progress=progress)
        atoms, n_steps = relaxed.atoms, relaxed.n_steps
    formation = formation_entropy(
        atoms,
        bulk,
        potential,
        local=True,
        method="eigenvectors",  # the spectrum is shown, too
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
