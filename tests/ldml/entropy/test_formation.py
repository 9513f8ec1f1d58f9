"""Formation entropies: routes that must agree, what is chosen when, and what is refused."""

import numpy as np
import pytest

import ldml
from ldml.entropy import formation
from ldml.errors import InputError
from ldml.potentials import perfect_crystal
from ldml.structures import rattled, strained


@pytest.fixture(scope="module")
def exact(vacancy4, crystal4, am04):
    return ldml.formation_entropy(vacancy4, crystal4, am04, local=True, method="eigenvectors")


@pytest.mark.parametrize("convention", ["equal", "paper"])
def test_green_is_the_dense_value_where_the_core_fills_the_cell(vacancy4, crystal4, am04, convention):
    options = {"convention": convention, "temperature": 450.0}
    dense = ldml.formation_entropy(vacancy4, crystal4, am04, method="cholesky", **options)
    green = ldml.formation_entropy(vacancy4, crystal4, am04, method="green", **options)
    assert green.value == pytest.approx(dense.value, abs=1e-8)
    assert green.defect.total == pytest.approx(dense.defect.total, abs=1e-7)
    assert green.zero_mode_term == pytest.approx(dense.zero_mode_term, abs=1e-12)
    assert (green.method, dense.method) == ("green", "cholesky")
    assert green.error == pytest.approx(0.0, abs=1e-9)


def test_green_shares_agree_with_eigenvectors(vacancy4, crystal4, am04, exact):
    green = ldml.formation_entropy(vacancy4, crystal4, am04, method="green", local=True)
    # shares over imaginary shifts by the trapezoid rule: 4e-6 k_B against dense in a whole cell
    np.testing.assert_allclose(green.local, exact.local[green.local_atoms], atol=2e-5)


def test_shares_of_chosen_atoms(vacancy4, crystal4, am04, exact):
    atoms = [0, 7, 101]
    some = ldml.formation_entropy(vacancy4, crystal4, am04, local_atoms=atoms, method="cholesky+lanczos")
    np.testing.assert_array_equal(some.local_atoms, atoms)
    np.testing.assert_allclose(some.local, exact.local[atoms], atol=1e-6)
    assert some.value == pytest.approx(exact.value, abs=1e-8)
    alone = ldml.formation_entropy(vacancy4, crystal4, am04, local_atoms=atoms, method="lanczos")
    assert alone.value is None
    np.testing.assert_allclose(alone.local, exact.local[atoms], atol=1e-6)


def test_auto_goes_to_green_where_it_applies(monkeypatch, vacancy4, crystal4, am04):
    monkeypatch.setattr(formation, "GREEN_FROM", 100)
    assert ldml.formation_entropy(vacancy4, crystal4, am04).method == "green"
    assert ldml.formation_entropy(vacancy4, crystal4, am04, statistics="quantum").method == "eigenvalues"
    assert ldml.formation_entropy(vacancy4, crystal4, am04, hessian="differences").method == "cholesky"
    monkeypatch.setattr(formation, "GREEN_FROM", 1000)
    assert ldml.formation_entropy(vacancy4, crystal4, am04).method == "cholesky"


def test_crystal_from_k_space_is_the_crystal(crystal4, am04):
    for statistics in ("classical", "quantum"):
        found = formation.perfect_crystal_entropy(crystal4, am04, statistics=statistics)
        direct = ldml.harmonic_entropy(crystal4, am04, statistics=statistics)
        assert found.method == "k-space"
        assert found.total == pytest.approx(direct.total, abs=1e-8)


def test_bad_requests_are_refused(vacancy4, crystal4, am04, exact):
    shaken = rattled(crystal4, 1e-3, np.random.default_rng(0))
    with pytest.raises(InputError, match="does not repeat the bcc lattice"):
        ldml.formation_entropy(vacancy4, shaken, am04, method="green", bulk_entropy=exact.bulk)
    with pytest.raises(InputError, match=r"in the perfect crystal: .* not relaxed"):
        ldml.formation_entropy(vacancy4, shaken, am04)
    with pytest.raises(InputError, match="classical"):
        ldml.formation_entropy(vacancy4, crystal4, am04, method="green", statistics="quantum")
    with pytest.raises(InputError, match="needs an analytic Hessian"):
        ldml.formation_entropy(vacancy4, crystal4, am04, method="green", hessian="differences")
    with pytest.raises(InputError, match="ask for local=True"):
        ldml.formation_entropy(vacancy4, crystal4, am04, method="green", local_atoms=[0])
    with pytest.raises(InputError, match="cells of the defect"):
        ldml.formation_entropy(vacancy4, strained(crystal4, 0.01), am04)
    with pytest.raises(InputError, match="'Paper' is unknown"):
        ldml.formation_entropy(vacancy4, crystal4, am04, convention="Paper")


@pytest.mark.parametrize("name", ["Fe-AM04", "Fe-EtesamiAsadi2018"])
def test_perfect_crystal_has_no_formation_entropy(name):
    crystal = perfect_crystal(name, 3)
    found = ldml.formation_entropy(crystal, crystal, name, method="cholesky")
    assert found.value == pytest.approx(0.0, abs=1e-8)
