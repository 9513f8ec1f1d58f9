"""Second-nearest-neighbour modified embedded-atom (2NN-MEAM) potentials of one element: energy, forces, exact Hessian.

    E     = sum_i [ F(rhobar_i) + 1/2 sum_j S_ij phi(r_ij) ],          F(x) = A E_c x ln x
    rhobar_i = rho_i G(Gamma_i) / rho_ref,                             Gamma_i = X_i / rho_i²
    rho_i = sum_j S_ij a_0(r_ij),   X_i = sum_l t_l sum_m Q_lm²,       Q_lm = sum_j S_ij a_l(r_ij) Y_lm(n_ij)

n_ij is the unit vector from i to j, A E_c the strength of the embedding function F, t_l the weights of the angular
densities. Each ingredient has its module:

    files            the settings, and the library and parameter files of LAMMPS
    functions        f_c, G and F
    constants        the settings as the kernels take them, with the reference density rho_ref
    pair_potential   phi, from the equation of state of the reference crystal
    screening        S_ij
    moments          a_l, Y_lm
    sites            the energy of a site as a function of rho and X, and of one of its bonds
    energy           energy, forces, energies of the atoms
    coupling         which atoms the Hessian couples
    hessian          the Hessian
    potential        `Meam`, `EtesamiAsadi2018`

Kernels call each other across these files, and numba's cache sees changes of a kernel's own file only: delete
__pycache__ after changing one.

Sources: M. I. Baskes, Phys. Rev. B 46, 2727 (1992); B.-J. Lee and M. I. Baskes, Phys. Rev. B 62, 8564 (2000); the
conventions are those of the file format of LAMMPS `pair_style meam`, whose forces are reproduced.
"""

from ldml.potentials.meam.potential import EtesamiAsadi2018, Meam

__all__ = ["EtesamiAsadi2018", "Meam"]
