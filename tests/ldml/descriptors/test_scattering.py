"""Scattering coefficients against closed forms, quadrature in space, and kymatio."""

import numba
import numpy as np
import pytest
import scipy.special
from ase import Atoms
from ase.build import bulk
from scipy.special import sph_harm_y

from ldml.descriptors import scattering as module
from ldml.descriptors.density_grid import PointTransform, grid_length, padded_box
from ldml.descriptors.scattering import Scattering
from ldml.descriptors.solid_harmonics import profile, profile_integral, reach
from ldml.errors import InputError, StructureError

SCALES = (0.0, 0.5, 2.0)


@pytest.fixture(scope="module")
def small():
    return Scattering(scales=SCALES, l_max=5)


def triclinic(seed=8):
    rng = np.random.default_rng(seed)
    cell = np.array([[6.0, 0.3, 0.0], [2.0, 5.5, 0.0], [-1.5, 1.0, 6.2]])
    grid = np.array(list(np.ndindex(2, 2, 2))) / 2
    return Atoms("Fe8", scaled_positions=grid + rng.uniform(-0.05, 0.05, (8, 3)), cell=cell, pbc=True)


def one_atom(descriptor):
    """S[j, l] of one atom alone: (s/a)^(l+3) (a/unit)^3 I_l."""
    s = descriptor.unit * 2.0 ** np.array(descriptor.scales)[:, None]
    a = np.sqrt(s**2 + descriptor.sigma**2)
    l = np.arange(descriptor.l_max + 1)
    return (s / a) ** (l + 3) * (a / descriptor.unit) ** 3 * np.array([profile_integral(k) for k in l])


def in_orders(descriptor, features):
    return features.reshape(*features.shape[:-1], len(descriptor.scales), descriptor.l_max + 1)


@pytest.mark.parametrize("l", [0, 1, 4, 20])
def test_the_integral_of_a_profile_is_the_radial_quadrature(l):
    r, step = np.linspace(0.0, 16.0, 4001, retstep=True)
    assert np.sum(4 * np.pi * r**2 * profile(r, l)) * step == pytest.approx(profile_integral(l), rel=1e-11)


@pytest.mark.parametrize("l", [0, 1, 9, 20])
def test_profiles_are_cut_where_they_are_negligible(l):
    peak = profile(np.array([np.sqrt(l)]), l)[0]
    assert profile(np.array([reach(l)]), l)[0] / peak == pytest.approx(1e-8, rel=1e-6)


@pytest.mark.parametrize("position", [(0.0, 0.0, 0.0), (0.13, 7.21, -3.07)])
def test_one_atom_alone_has_a_closed_form(small, position):
    got = in_orders(small, small.total(Atoms("Fe", positions=[position])))
    expected = one_atom(small)
    # the cone of l = 1 on the grid costs 4e-5, the cusps of l = 3 and 5 less; the rest is the cut at 1e-8
    np.testing.assert_allclose(got[:, [0]], expected[:, [0]], rtol=1e-14)
    np.testing.assert_allclose(got[:, [1]], expected[:, [1]], rtol=5e-5)
    np.testing.assert_allclose(got[:, [2, 4, 5]], expected[:, [2, 4, 5]], rtol=2e-7)
    np.testing.assert_allclose(got[:, [3]], expected[:, [3]], rtol=2e-6)


def test_wavelets_as_printed_summed_in_space():
    """Eqs. 19-21 with complex harmonics, the convolution with the Gaussian taken from its closed form atom by atom."""
    descriptor = Scattering(scales=(0.5,), l_max=3)
    atoms = Atoms("Fe2", positions=[(0.0, 0.0, 0.0), (1.2, 0.9, 1.3)])
    s = descriptor.unit * 2**0.5
    a = np.hypot(s, descriptor.sigma)
    axis, step = np.linspace(-4.5, 5.8, 83, retstep=True)
    r = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    x = (r - atoms.positions[:, None]) / a
    distance = np.linalg.norm(x, axis=-1)
    polar, azimuth = (
        np.arccos(np.clip(x[..., 2] / np.maximum(distance, 1e-300), -1, 1)),
        np.arctan2(x[..., 1], x[..., 0]),
    )
    expected = []
    for l in range(4):
        radial = (s / a) ** (l + 3) * distance**l * np.exp(-0.5 * distance**2) / (2 * np.pi) ** 1.5
        fields = [(radial * sph_harm_y(l, m, polar, azimuth)).sum(axis=0) for m in range(-l, l + 1)]
        expected.append(np.sqrt(sum(abs(f) ** 2 for f in fields)).sum() * step**3 / descriptor.unit**3)
    # the cones of l = 1, on both grids
    np.testing.assert_allclose(descriptor.total(atoms), expected, rtol=3e-5)


def test_far_apart_atoms_add():
    descriptor = Scattering(scales=(0.5,), l_max=4)
    alone = descriptor.total(Atoms("Fe"))
    pair = Atoms("Fe2", positions=[(0.0, 0.0, 0.0), (11.0, 0.0, 0.0)])
    # cones on the grid
    np.testing.assert_allclose(descriptor.total(pair), 2 * alone, rtol=5e-5)
    np.testing.assert_allclose(descriptor.compute(pair), [alone, alone], rtol=5e-5)


def test_an_isolated_atom_in_a_large_cell_is_alone():
    descriptor = Scattering(scales=(0.5,), l_max=4)
    in_cell = Atoms("Fe", positions=[(1.0, 2.0, 3.0)], cell=[11.0, 12.0, 13.0], pbc=True)
    # the cone of l = 1 on the wider grid of crystals
    np.testing.assert_allclose(descriptor.total(in_cell), descriptor.total(Atoms("Fe")), rtol=1.5e-4)


@pytest.mark.parametrize("pbc", [(True, True, False), (True, False, False), (False, False, False)])
def test_padding_keeps_images_apart(pbc):
    """A slab, a wire and a cluster, padded by the rule, against the same in periodic cells with 16 Å of vacuum."""
    descriptor = Scattering(scales=(0.5, 1.0), l_max=3)
    padded = bulk("Fe", a=2.8553, cubic=True).repeat((2, 2, 2))
    padded.rattle(0.05, seed=2)
    padded.pbc = pbc
    roomy = padded.copy()
    roomy.set_cell(padded.cell.lengths() + np.where(pbc, 0.0, 16.0))
    roomy.pbc = True
    # zeros that nearly fill planes at a surface, on two grids
    np.testing.assert_allclose(descriptor.total(padded), descriptor.total(roomy), rtol=2e-4)


def test_padding_rule(small):
    widest = np.hypot(small.unit * 4.0, small.sigma)
    box = padded_box(Atoms("Fe2", positions=[(0, 0, 0), (0, 0, 3.0)]), 2 * reach(5) * widest)
    gap = 2 * reach(5) * widest
    np.testing.assert_allclose(np.diag(box.cell), [gap, gap, gap + 3.0], rtol=1e-14)
    # halfway between images nothing is left
    assert profile(np.array([0.5 * gap / widest]), 5)[0] <= 1.001e-8 * profile(np.sqrt([5.0]), 5)[0]


def test_a_triclinic_cell_of_the_same_crystal(small):
    conventional = bulk("Fe", a=2.8553, cubic=True)
    primitive = bulk("Fe", a=2.8553)
    skewed = primitive.copy()
    skewed.set_cell(np.array([[1, 2, 0], [0, 1, 0], [1, 3, 1]]) @ primitive.cell.array)
    expected = small.total(conventional)
    for cell in (primitive, skewed):
        # features that vanish by symmetry hold rounding only
        np.testing.assert_allclose(2 * small.total(cell), expected, rtol=1e-4, atol=1e-12 * one_atom(small).max())


def test_cell_vectors_are_reduced_first(small):
    """To rounding: both choices lead to the same grid."""
    atoms = triclinic()
    other = atoms.copy()
    other.set_cell(np.array([[1, 2, 0], [0, 1, 0], [1, 3, 1]]) @ atoms.cell.array)
    np.testing.assert_allclose(small.total(other), small.total(atoms), rtol=1e-11)


def test_error_falls_with_the_grid(monkeypatch):
    """As h^4, for cones whose places on the grid are the same on both: the lone atom on a grid point."""
    descriptor = Scattering(scales=(1.0,), l_max=1, sigma=0.5)
    atoms = Atoms("Fe", cell=[9.0, 9.0, 9.0], pbc=True)
    expected = one_atom(descriptor)[0, 1]
    errors = []
    monkeypatch.setattr(module, "NEGLIGIBLE_WAVE", 1e-8)  # no other error beside that of the grid
    for points in (25, 49):
        monkeypatch.setattr(module, "SPACING_OF_CONES", 100.0)
        monkeypatch.setattr(module, "FEWEST_POINTS", points)
        errors.append(descriptor.total(atoms)[1] / expected - 1)
    assert errors[0] / errors[1] == pytest.approx((49 / 25) ** 4, rel=0.05)


def test_no_spurious_jumps_through_faces_of_the_cell(small):
    atoms = triclinic()
    through = atoms.copy()
    through.positions[0] -= 1e-9
    np.testing.assert_allclose(small.total(through), small.total(atoms), rtol=1e-7)


def test_rows_are_shares_of_the_total(small):
    atoms = triclinic()
    rows = small.compute(atoms)
    assert rows.shape == (8, small.n_features)
    np.testing.assert_allclose(rows.sum(axis=0), small.total(atoms), rtol=1e-12)
    assert (rows > 0).all()


def test_shares_follow_the_atoms():
    """In a pair of different surroundings the share belongs to where the density is: w_i by hand in space."""
    descriptor = Scattering(scales=(0.0,), l_max=2)
    atoms = Atoms("Fe3", positions=[(0.0, 0.0, 0.0), (2.2, 0.0, 0.0), (0.0, 6.0, 0.0)])
    a = np.hypot(descriptor.unit, descriptor.sigma)
    axis, step = np.linspace(-5.5, 10.5, 100, retstep=True)
    r = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    x = r - atoms.positions[:, None]
    squared = (x**2).sum(axis=-1) / a**2
    gaussians = np.exp(-0.25 * squared)
    weights = (gaussians + 1e-6 / 3) / (gaussians.sum(axis=0) + 1e-6)
    # l = 1: the field is the gradient of the smoothed density, p_1(x) = |x| exp(-x^2/2) (2 pi)^(-3/2) sqrt(3 / 4 pi)
    gradient = (x / a * np.exp(-0.5 * squared)[..., None]).sum(axis=0)
    modulus = np.sqrt(3 / (4 * np.pi)) * np.linalg.norm(gradient, axis=1) / (2 * np.pi) ** 1.5
    scale = (descriptor.unit / a) ** 4 * step**3 / descriptor.unit**3
    np.testing.assert_allclose(descriptor.compute(atoms)[:, 1], scale * (weights * modulus).sum(axis=1), rtol=2e-4)


def test_trivial_features_count_atoms(small):
    assert small.trivial_features.sum() == len(SCALES)
    atoms = triclinic()
    s = 2.0 ** np.array(SCALES)
    np.testing.assert_allclose(small.total(atoms)[small.trivial_features], 8 * s**3 / np.sqrt(4 * np.pi), rtol=1e-14)
    np.testing.assert_allclose(
        small.compute(atoms).sum(axis=0)[small.trivial_features], 8 * s**3 / np.sqrt(4 * np.pi), rtol=1e-12
    )


def test_only_ratios_of_lengths_matter(small):
    atoms = triclinic()
    larger = atoms.copy()
    larger.set_cell(2 * atoms.cell.array, scale_atoms=True)
    double = Scattering(scales=SCALES, l_max=5, unit=2 * small.unit, sigma=2 * small.sigma)
    np.testing.assert_allclose(double.total(larger), small.total(atoms), rtol=1e-12)


def test_wavelets_wider_than_the_cell_see_nothing_but_the_number():
    descriptor = Scattering(scales=(5.0,), l_max=3)
    total = descriptor.total(bulk("Fe", a=2.8553))
    assert total[0] == pytest.approx(2.0**15 / np.sqrt(4 * np.pi))
    assert not total[1:].any()


def test_one_species_gives_the_same_bits_and_names(small):
    named = Scattering(scales=SCALES, l_max=5, species=("Fe",))
    atoms = triclinic()
    assert named.feature_names == small.feature_names
    assert named.total(atoms).tobytes() == small.total(atoms).tobytes()
    assert named.compute(atoms).tobytes() == small.compute(atoms).tobytes()


def test_channels_of_species():
    atoms = triclinic()
    atoms.symbols = "Fe3CuFe4"
    both = Scattering(scales=(0.0, 1.0), l_max=3, species=("Cu", "Fe"))
    blind = Scattering(scales=(0.0, 1.0), l_max=3)
    total, rows = both.total(atoms), both.compute(atoms)
    copper, iron, together = total.reshape(3, -1)
    assert both.feature_names[0] == "S[species=Cu,scale=0,l=0]"
    assert both.feature_names[-1] == "S[species=Cu+Fe,scale=1,l=3]"
    np.testing.assert_allclose(copper, blind.total(atoms[[3]]), rtol=1e-12)
    assert iron.tobytes() == blind.total(atoms[[0, 1, 2, 4, 5, 6, 7]]).tobytes()
    assert together.tobytes() == blind.total(atoms).tobytes()
    np.testing.assert_allclose(rows.sum(axis=0), total, rtol=1e-12)
    assert not rows[3, 8:16].any()
    assert not both.total(atoms[:3]).reshape(3, -1)[0].any()


def test_same_bits_for_any_number_of_threads(small):
    atoms, threads = triclinic(), numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        serial = small.total(atoms).tobytes(), small.compute(atoms).tobytes()
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
        assert (small.total(atoms).tobytes(), small.compute(atoms).tobytes()) == serial
    finally:
        numba.set_num_threads(threads)


def test_structure_factor_and_its_adjoint_against_direct_sums():
    rng = np.random.default_rng(4)
    x, highest = rng.uniform(-2, 2, (30, 3)), np.array([3, 0, 8])
    points = PointTransform(x, highest)
    waves = [np.exp(-2j * np.pi * np.outer(x[:, d], np.arange(-c, c + 1))) for d, c in enumerate(highest)]
    weights = rng.uniform(-1, 1, 30)
    direct = np.einsum("j,ja,jb,jc->abc", weights, *waves)
    # what the kernel's width leaves
    assert abs(points.coefficients(weights) - direct).max() < 1e-12 * 30
    field = points.coefficients(rng.uniform(-1, 1, 30))
    back = np.einsum("ja,jb,jc,abc->j", *(wave.conj() for wave in waves), field)
    assert abs(points.values(field) - back).max() < 1e-12 * abs(field).sum()


@pytest.mark.parametrize(
    ("at_least", "length"), [(1, 1), (2, 2), (4, 5), (12, 14), (80, 81), (82, 90), (99.0000001, 99)]
)
def test_grid_lengths(at_least, length):
    assert grid_length(at_least) == length


def test_a_grid_beyond_memory_is_refused():
    huge = Atoms("Fe2", positions=[(0, 0, 0), (1, 1, 1)], cell=[500.0, 500.0, 500.0], pbc=True)
    with pytest.raises(
        InputError, match=r"scale 0 in a box of 500\.0 x 500\.0 x 500\.0 Å needs about .* GB.*describe a smaller"
    ):
        Scattering().total(huge)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"l_max": 21}, "l_max = 21 is out of range"),
        ({"unit": 0.0}, "unit = 0.0 is out of range"),
        ({"sigma": -1.0}, "sigma = -1.0 is out of range"),
        ({"scales": ()}, "scales holds 0 numbers"),
        ({"scales": (0, 0)}, "repeats a number"),
        ({"scales": (0, np.nan)}, "not finite"),
        ({"scales": (0, 99)}, "out of range"),
    ],
)
def test_bad_parameters_are_refused(parameters, message):
    with pytest.raises(InputError, match=message):
        Scattering(**parameters)


def test_coincident_atoms_are_refused(small):
    with pytest.raises(StructureError, match="atoms 0 and 1 coincide"):
        small.total(Atoms("Fe2", positions=[(0, 0, 0), (0, 0, 1e-5)]))


def kymatio_normalisation(l):
    """Of kymatio's wavelets relative to Eq. 21 with widths as the unit of volume (its `sqrt(2 pi)`-free convention)."""
    factorial2 = scipy.special.factorial2
    if l == 0:
        return np.sqrt(4 * np.pi)
    if l % 2 == 0:
        return (2 * np.pi) ** 1.5 / (2 * np.pi * np.sqrt(l + 0.5) * factorial2(l + 1))
    return (2 * np.pi) ** 1.5 / (
        2 ** (0.5 * (l + 3)) * np.sqrt(np.pi * (2 * l + 1)) * scipy.special.factorial((l + 1) // 2)
    )


def test_equals_kymatio_at_integer_scales(monkeypatch):
    """The same density on the same 32^3 grid; kymatio takes even grids only and keeps its filters in single precision."""
    monkeypatch.setattr(module, "grid_length", lambda at_least: 32)
    if not hasattr(scipy.special, "sph_harm"):  # what kymatio 0.3 still imports
        monkeypatch.setattr(
            scipy.special, "sph_harm", lambda m, l, azimuth, polar: sph_harm_y(l, m, polar, azimuth), raising=False
        )
    transform = pytest.importorskip("kymatio.numpy").HarmonicScattering3D
    n, unit, sigma = 32, 2.0, 2.0
    descriptor = Scattering(scales=(0.0, 1.0, 2.0), l_max=9, unit=unit, sigma=sigma)
    rng = np.random.default_rng(0)
    atoms = Atoms("Fe12", positions=rng.uniform(0, n, (12, 3)), cell=[n, n, n], pbc=True)
    points = np.arange(n)
    offset = points - atoms.positions[:, :, None]
    along = np.exp(-0.5 * ((offset[..., None] + n * np.arange(-2, 3)) / sigma) ** 2).sum(axis=-1)
    density = np.einsum("ja,jb,jc->abc", *along.transpose(1, 0, 2)) / ((2 * np.pi) ** 1.5 * sigma**3)
    peer = transform(J=2, shape=(n, n, n), L=9, sigma_0=unit, max_order=1, integral_powers=[1.0])
    expected = np.asarray(peer(density[None])).reshape(3, 10)
    got = descriptor.total(atoms).reshape(3, 10) / 8.0 ** np.arange(3)[:, None]
    got *= [kymatio_normalisation(l) for l in range(10)]
    np.testing.assert_allclose(got, expected, rtol=1e-6)
