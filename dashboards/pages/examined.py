"""What the Structure page knows of one structure: its defects, its atoms' exact and learned shares, what part it had in the fit.

No Panel in here.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import ase.io
import numpy as np
from ase import Atoms
from ase.geometry import find_mic

from dashboards.pages.numbers import number
from dashboards.pages.quantities import Quantity, entropy_quantities
from dashboards.state import Fit
from dashboards.tasks import shares_and_errors
from dashboards.units import METAL, Units, crystal_name, plain_name, quantity_unit, units_of
from ldml.dataset import Dataset, Entry
from ldml.errors import InputError
from ldml.point_defects import PointDefects
from ldml.potentials import POTENTIALS, perfect_crystal

NOT_UNIQUE = (
    "Weights fitted on totals fix only the sum: many patterns w·Dᵢ add up to the same S<sub>f</sub>, and close to the "
    "defect even the sign of a share can be wrong."
)
NOT_LOCAL = (
    "{} describes the structure as a whole: the number of an atom is its share of that description, good for colouring, and no "
    "local entropy."
)
"""For a descriptor that is not local."""
BOTH_SHELLS = 1.394
"""Radius between the second and the third shell of bcc, in nearest-neighbour distances; it holds one shell of fcc."""
NO_MODEL = "No model yet; fit one on the Model page."
NO_ERRORS = "The model gives no uncertainties: its regressor has no posterior, or it was fitted on too few structures."
MOST_FRAMES = 200
_COUNTED = ("n_vacancies", "n_interstitials")
"""Quantities that the Wigner-Seitz analysis of the page tells anyway."""


@dataclass(frozen=True)
class Shares:
    """Learned shares of the N atoms of a structure.

    Attributes
    ----------
    values, errors : (N,) float or None, k_B
        Shares of S_f and their standard deviations.
    missing : str
        Why there are no values.
    """

    values: np.ndarray | None = None
    errors: np.ndarray | None = None
    missing: str = ""


@dataclass(frozen=True)
class Examined:
    """What the page shows of one structure of N atoms.

    Attributes
    ----------
    entry : Entry
    defects : PointDefects or None
        None of a free cluster, which has no sites.
    centres : (n, 3) float
        Interstitial atoms and vacancies.
    distances : (N,) float
        To the nearest of them; in a cluster, to its centre.
    exact : (N,) float or None, k_B
        Shares of S_f.
    shares : Shares
        The learned ones.
    shells : float
        Radius around an atom that takes in its first shells, in the unit of length.
    n_crystal : int
        Atoms in the first shells of a crystal.
    coordination : (N,) int
        Atoms in the first shells of each.
    predicted : float or None, k_B
        Learned S_f.
    role : str
        What part the structure had in the fit.
    is_local : bool
        Whether the learned shares are of local descriptors.
    units : Units
        Of lengths and energies.
    remarks : tuple of (name, value)
        What else is known of the structure.
    """

    entry: Entry
    defects: PointDefects | None
    centres: np.ndarray
    distances: np.ndarray
    exact: np.ndarray | None
    shares: Shares
    shells: float
    n_crystal: int
    coordination: np.ndarray
    predicted: float | None
    role: str
    is_local: bool = True
    units: Units = METAL
    remarks: tuple[tuple[str, str], ...] = ()

    @property
    def learned(self) -> np.ndarray | None:
        return self.shares.values

    @property
    def is_cluster(self) -> bool:
        return self.defects is None

    @property
    def is_saddle(self) -> bool:
        return self.entry.quantities.get("lowest_eigenvalue", 0.0) < 0.0

    @property
    def vacancies(self) -> np.ndarray:
        """Positions of the empty sites, (n, 3)."""
        return self.centres if self.is_cluster else self.defects.vacancies

    @property
    def to_defects(self) -> np.ndarray:
        """Distance of each atom to the nearest defect (N,); infinite where there are no defects."""
        return np.full(len(self.distances), np.inf) if self.is_cluster else self.distances

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What its atoms can be coloured by."""
        return entropy_quantities(
            self.exact,
            self.learned,
            self.distances,
            errors=self.shares.errors,
            coordination=self.coordination,
            no_learned=self.shares.missing,
            no_errors=NO_ERRORS,
            is_local=self.is_local,
            from_centre=self.is_cluster,
            unit=self.units.length,
        )

    def numbers(self) -> list[tuple[str, str]]:
        """Names and values of the totals."""
        exact, learned = self.entry.formation_entropy, self.predicted
        sites = []
        if not self.is_cluster:
            sites = [("vacancies / interstitials", f"{self.defects.n_vacancies} / {self.defects.n_interstitials}")]
        return [
            ("class", self.entry.label),
            ("atoms", f"{len(self.entry.atoms):,}"),
            *sites,
            ("S_f exact", number(exact, unit="k_B")),
            ("S_f learned", number(learned, unit="k_B")),
            ("learned − exact", number(None if learned is None else learned - exact, unit="k_B", sign=True)),
            ("in the fit", self.role),
            ("E_f", number(self.entry.formation_energy, unit=self.units.energy)),
            *self.remarks,
        ]

    def atom_numbers(self, atom: int) -> list[tuple[str, str]]:
        """Names and values of one atom, positions in the frame of the dataset."""
        atoms, length = self.entry.atoms, self.units.length
        position = ", ".join(number(x, 2) for x in atoms.positions[atom])
        learned, exact, error = (
            None if v is None else float(v[atom]) for v in (self.learned, self.exact, self.shares.errors)
        )
        difference = None if learned is None or exact is None else learned - exact
        crystal = "" if self.is_cluster else f" (crystal {self.n_crystal})"
        return [
            ("element", atoms.get_chemical_symbols()[atom]),
            ("position", f"{position} {length}"),
            ("S_i exact", number(exact, 4, unit="k_B", sign=True)),
            ("S_i learned", number(learned, 4, unit="k_B", sign=True)),
            ("its standard deviation", number(error, 4, unit="k_B")),
            ("learned − exact", number(difference, 4, unit="k_B", sign=True)),
            (
                "distance to centre" if self.is_cluster else "distance to defect",
                number(float(self.distances[atom]), 2, unit=length),
            ),
            (f"neighbours < {self.shells:.2f} {length}", f"{self.coordination[atom]}{crystal}"),
        ]

    def neighbours(self, atom: int) -> list[tuple[int, float]]:
        """The atoms in the first shells of one and their distances, the nearest first."""
        atoms = self.entry.atoms
        _, lengths = find_mic(atoms.positions - atoms.positions[atom], atoms.cell, pbc=atoms.pbc)
        near = np.flatnonzero((lengths < self.shells) & (np.arange(len(atoms)) != atom))
        near = near[np.argsort(lengths[near], kind="stable")]
        return [(int(j), float(lengths[j])) for j in near]


def learned_shares(fit: Fit | None, data: Dataset, i: int) -> Shares:
    """Learned share of each atom of structure i, or the reason why there is none."""
    if fit is None:
        return Shares(missing=NO_MODEL)
    entry = data.entries[i]
    try:
        return Shares(*shares_and_errors(fit.model, entry.atoms, crystal_for(data, entry)))
    except InputError as error:
        return Shares(missing=f"The model has no answer for this structure: {error}.")


def crystal_for(data: Dataset, entry: Entry) -> Atoms | None:
    """The crystal a prediction has to refer to; None where the model knows it already: there is only one."""
    return None if len(data.bulks) == 1 else data.bulks[entry.bulk]


def predicted_total(fit: Fit | None, entry: Entry, learned: np.ndarray | None) -> float | None:
    """Learned S_f of a structure, k_B: from the fit, which knows it before the shares are, else their sum."""
    place = None if fit is None else fit.place_of(entry)
    if place is not None:
        return float(fit.predicted[place])
    return None if learned is None else float(learned.sum())


def remark(fit: Fit | None) -> str:
    """What to keep in mind when looking at learned shares, in HTML."""
    if fit is None or fit.model.descriptor.is_local:
        return NOT_UNIQUE
    return f"{NOT_LOCAL.format(fit.model.descriptor.name)} {NOT_UNIQUE}"


def remarks(data: Dataset, entry: Entry) -> list[tuple[str, str]]:
    """What else a dataset knows of a structure: its crystal where there are several, its parent, its further numbers."""
    known = []
    if len(data.bulks) > 1:
        known.append(("crystal", crystal_name(data.bulks[entry.bulk], units_of(data).length)))
    if entry.parent:
        known.append(("made from", entry.parent))
    for name, value in entry.quantities.items():
        if name not in _COUNTED:
            known.append((plain_name(name), number(value, unit=quantity_unit(data, name))))
    return known


def role_in_fit(fit: Fit | None, entry: Entry) -> str:
    """ "held out (test)", "training", or that the fit did not know the structure."""
    if fit is None:
        return "no model yet"
    place = fit.place_of(entry)
    if place is None:
        return "not used"
    return "held out (test)" if fit.test[place] else "training"


def frames(data: Dataset, i: int) -> list[tuple[str, int]]:
    """The copies of one parent, and the parent itself where the dataset has it: what to call them, and their indices.

    Copies in several crystals come in the order of their strain, and are called by it; others in the order of the dataset,
    by name. None of a structure without copies.
    """
    members = np.flatnonzero(data.parents == data.parents[i])[:MOST_FRAMES]
    if len(members) < 2 or i not in members:
        return []
    crystals = [data.entries[j].bulk for j in members]
    if len(set(crystals)) < len(crystals) or not all(data.bulks[bulk].pbc.all() for bulk in crystals):
        return [(str(data.names[j]), int(j)) for j in members]
    strains = [round(crystal_strain(data, bulk), 4) + 0.0 for bulk in crystals]  # + 0.0: no strain has no sign
    return [(f"{strains[k]:+.1%}".replace("-", "−"), int(members[k])) for k in np.argsort(strains)]


def crystal_strain(data: Dataset, bulk: int) -> float:
    """Linear strain of a crystal of the dataset against that of its potential at rest; of unknown potentials, against the first."""
    name = data.metadata.get("potential")
    rest = perfect_crystal(name, 1) if name in POTENTIALS else data.bulks[0]
    volumes = [crystal.get_volume() / len(crystal) for crystal in (data.bulks[bulk], rest)]
    return float((volumes[0] / volumes[1]) ** (1.0 / 3.0) - 1.0)


def to_extxyz(examined: Examined) -> bytes:
    """The structure with what is known of each atom, as extended XYZ."""
    atoms = examined.entry.atoms.copy()
    atoms.info.update(name=examined.entry.name, label=examined.entry.label)
    columns = {
        "local_entropy": examined.exact,
        "learned_local_entropy": examined.learned,
        "learned_local_entropy_std": examined.shares.errors,
        "distance_to_defect": examined.to_defects,
        "coordination": examined.coordination,
    }
    for name, values in columns.items():
        if values is not None and np.isfinite(values).all():
            atoms.set_array(name, np.asarray(values))
    text = io.StringIO()
    ase.io.write(text, atoms, format="extxyz")
    return text.getvalue().encode()


def first_shells(bulk) -> tuple[float, int]:
    """Radius (Å) around an atom of a crystal that takes in its first shells, and how many atoms they hold."""
    _, distances = find_mic(bulk.positions[1:] - bulk.positions[0], bulk.cell, pbc=bulk.pbc)
    radius = BOTH_SHELLS * float(distances.min())
    return radius, int((distances < radius).sum())
