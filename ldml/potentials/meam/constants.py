"""Settings of a MEAM potential as its kernels take them, with what follows from the reference crystal.

    rho_ref = rho_0 [Z_1 + Z_2 S exp(-beta_0 (a - 1))] G(Gamma_ref),   Gamma_ref = sum_l t_l s_l / Z_1²
    S       = f_c((C_2 - C_min)/(C_max - C_min))^n

Z_1, Z_2 numbers of first and second neighbours, a the ratio of their distances, S the screening of the second, n the
number of atoms that screen it and C_2 their C (see `screening`), s_l the sum of the squared moments of l over a_l². G is
left out where ibar is not positive; `mixed_reference` leaves out the second neighbours, `dynamo_background` G as well.

Source: B.-J. Lee and M. I. Baskes, Phys. Rev. B 62, 8564 (2000); the choices are those of LAMMPS `pair_style meam`.
"""

from __future__ import annotations

from math import ceil, exp
from typing import NamedTuple

from ldml.potentials.meam.files import REFERENCE_LATTICES, MeamParameters
from ldml.potentials.meam.functions import shape_function, smooth_step

TABLE_STEP = 0.0025
"""Å between the points of phi; the quintics then err by about 1e-9 eV/Å² in phi''."""
INNERMOST = 0.2
"""Å where the table of a phi without nuclear repulsion begins; nearer atoms are a mistake."""


class Constants(NamedTuple):
    """Lengths in Å, energies in eV.

    `decay` are beta_l/r_e in 1/Å, `embedding` is A E_c, `background` rho_ref, `screened_z2` Z_2 S and `shape` are the s_l. The
    energy of a site depends on atoms within the range, `reach` the square of its ratio to the cutoff.
    """

    cutoff: float
    squared_cutoff: float
    squared_range: float
    smoothing: float
    reach: float
    c_min: float
    c_max: float
    decay0: float
    decay1: float
    decay2: float
    decay3: float
    density_scale: float
    r_e: float
    t1: float
    t2: float
    t3: float
    ibar: int
    gsmooth_factor: float
    background: float
    embedding: float
    linear_below_zero: bool
    cohesive_energy: float
    alpha: float
    attrac: float
    repuls: float
    rose_form: int
    z1: float
    screened_z2: float
    ratio: float
    shape1: float
    shape2: float
    shape3: float
    n_series: int
    atomic_number: float
    nuclear_repulsion: bool
    nuclear_range: float
    table_start: float
    table_step: float
    table_size: int


def kernel_constants(p: MeamParameters) -> Constants:
    lattice = REFERENCE_LATTICES[p.lattice]
    # a third atom farther than this from either end, in units of the bond, is outside every ellipse (LAMMPS: ebound)
    reach = 1.0 if p.c_max <= 2.0 else p.c_max**2 / (4.0 * (p.c_max - 1.0))
    t1, t2, t3 = p.t
    if p.augmented_t1:
        t1 += 0.6 * t3
    shapes = lattice.shapes
    screened_z2 = 0.0
    if p.second_neighbours and lattice.n_second:
        screening = smooth_step((lattice.second_c - p.c_min) / (p.c_max - p.c_min))[0]
        screened_z2 = lattice.n_second * screening**lattice.n_screening
    gamma = (t1 * shapes[0] + t2 * shapes[1] + t3 * shapes[2]) / lattice.n_first**2
    shape = shape_function(gamma, p.ibar, p.gsmooth_factor)[0] if p.ibar > 0 else 1.0
    background = float(lattice.n_first)
    if p.mixed_reference:
        background *= shape
    elif not p.dynamo_background:
        background = (background + screened_z2 * exp(-p.beta[0] * (lattice.ratio - 1.0))) * shape
    r_e = p.neighbour_distance
    nuclear_range = max(r_e * (1.0 - 3.0 / p.alpha), 0.0) if p.nuclear_repulsion else 0.0
    start = max(nuclear_range, INNERMOST)
    intervals = ceil((p.cutoff - start) / TABLE_STEP)
    return Constants(
        cutoff=p.cutoff,
        squared_cutoff=p.cutoff**2,
        squared_range=p.cutoff**2 * reach,
        smoothing=p.smoothing,
        reach=reach,
        c_min=p.c_min,
        c_max=p.c_max,
        decay0=p.beta[0] / r_e,
        decay1=p.beta[1] / r_e,
        decay2=p.beta[2] / r_e,
        decay3=p.beta[3] / r_e,
        density_scale=p.density_scale,
        r_e=r_e,
        t1=t1,
        t2=t2,
        t3=t3,
        ibar=p.ibar,
        gsmooth_factor=p.gsmooth_factor,
        background=p.density_scale * background,
        embedding=p.embedding * p.cohesive_energy,
        linear_below_zero=p.linear_below_zero,
        cohesive_energy=p.cohesive_energy,
        alpha=p.alpha,
        attrac=p.attrac,
        repuls=p.repuls,
        rose_form=p.rose_form,
        z1=float(lattice.n_first),
        screened_z2=screened_z2,
        ratio=lattice.ratio,
        shape1=shapes[0],
        shape2=shapes[1],
        shape3=shapes[2],
        # LAMMPS adds ten terms, and for diamond ten to the first
        n_series=11 if p.lattice == "dia" else 10,
        atomic_number=float(p.atomic_number),
        nuclear_repulsion=p.nuclear_repulsion,
        nuclear_range=nuclear_range,
        table_start=start,
        table_step=(p.cutoff - start) / intervals,
        table_size=intervals + 1,
    )
