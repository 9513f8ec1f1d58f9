"""Files in the formats of the Cambridge Cluster Database, written from our own minima and read back."""

from contextlib import suppress

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st

from ldml.cambridge_clusters import (
    Cluster,
    check_energies,
    read_energy_table,
    read_pathsample,
    read_points,
    read_xyz,
)
from ldml.errors import InputError, StructureError
from ldml.landscape import Hopping, hop
from ldml.potentials import get_potential

LJ13_LOWEST = -44.326801
"""D. J. Wales and J. P. K. Doye, J. Phys. Chem. A 101, 5111 (1997), Table 1; the table of the database lists the same."""


@pytest.fixture(scope="module")
def minima():
    """Some minima of thirteen Lennard-Jones atoms."""
    grid = 1.2 * np.array(list(np.ndindex(3, 3, 3))[:13])
    found = hop(Atoms("X13", positions=grid), "LJ", np.random.default_rng(1), hopping=Hopping(n_steps=100))
    return sorted(found, key=lambda minimum: minimum.energy)[:6]


def lines_of(atoms):
    return "".join("{:20.10f}{:20.10f}{:20.10f}\n".format(*point) for point in atoms.positions)


@pytest.fixture(scope="module")
def xyz(minima):
    """As GMIN writes its lowest minima."""
    frames = []
    for k, minimum in enumerate(minima, start=1):
        rows = "".join("LA {:20.10f}{:20.10f}{:20.10f}\n".format(*point) for point in minimum.atoms.positions)
        frames.append(
            f" 13\nEnergy of minimum {k:6d}={minimum.energy:20.10f} first found at step {k:8d} after 123\n{rows}"
        )
    return "".join(frames).encode()


@pytest.fixture(scope="module")
def pathsample(minima):
    """min.data and points.min as PATHSAMPLE writes them."""
    rows = [
        f"{minimum.energy:20.10f}{195.2 + k:20.10f}{120 if k == 0 else 1:6d}{30.1:20.10f}{30.2:20.10f}{3.0e1:20.10f}\n"
        for k, minimum in enumerate(minima)
    ]
    return "".join(rows).encode(), np.array([minimum.atoms.positions for minimum in minima])


def test_a_points_file(minima, tmp_path):
    path = tmp_path / "13"
    path.write_text(lines_of(minima[0].atoms) + "\n")
    (cluster,) = read_points(path)
    np.testing.assert_allclose(cluster.atoms.positions, minima[0].atoms.positions, atol=1e-10)
    assert not cluster.atoms.pbc.any()
    assert get_potential("LJ").energy(cluster.atoms) == pytest.approx(LJ13_LOWEST, abs=1e-6)
    assert cluster.energy is None


def test_several_clusters_in_one_points_file(minima):
    content = "".join(lines_of(minimum.atoms) for minimum in minima).encode()
    clusters = read_points(content, n_atoms=13, element="Ar")
    assert len(clusters) == len(minima)
    np.testing.assert_allclose(clusters[2].atoms.positions, minima[2].atoms.positions, atol=1e-10)
    assert set(clusters[0].atoms.symbols) == {"Ar"}


def test_exponents_of_fortran_are_read():
    (cluster,) = read_points(b"0.0D+00 0.0 0.0\n1.1224620D+00 0.0 0.0\n")
    assert get_potential("LJ").energy(cluster.atoms) == pytest.approx(-1.0, abs=1e-6)


def test_xyz_with_the_energies_of_gmin(minima, xyz):
    clusters = read_xyz(xyz)
    assert [cluster.energy for cluster in clusters] == pytest.approx([m.energy for m in minima], abs=1e-9)
    check_energies(clusters, "LJ")
    assert set(clusters[0].atoms.symbols) == {"X"}
    (plain,) = read_xyz(b"2\n\nAr 0 0 0\nAr 0 0 3.8\n")
    assert plain.energy is None
    assert set(plain.atoms.symbols) == {"Ar"}


def test_a_stationary_point_database(minima, pathsample):
    data, points = pathsample
    for order, kind in (("little", "<f8"), ("big", ">f8")):
        clusters = read_pathsample(data, points.astype(kind).tobytes(), byte_order=order, n_atoms=13)
        assert len(clusters) == len(minima)
        np.testing.assert_array_equal(clusters[3].atoms.positions, points[3])
        check_energies(clusters, "LJ", tolerance=1e-8)
    assert [cluster.point_group_order for cluster in clusters[:2]] == [120, 1]
    assert clusters[1].log_product == pytest.approx(196.2)


def test_the_energy_table(minima):
    table = b"""N  Point group  Energy        Reference
    2   Dooh   -1.000000   a
    3   D3h    -3.000000   a,b
   13   Ih    -44.326801   2
   Energies for 38 atoms 1.5 are in another table
    """
    energies = read_energy_table(table)
    assert energies == {2: -1.0, 3: -3.0, 13: -44.326801}
    check_energies([Cluster(minima[0].atoms, energy=energies[13])], "LJ")


def test_energies_that_do_not_match_are_refused(xyz):
    clusters = read_xyz(xyz.replace(b"=      -44.32", b"=      -44.42"))
    with pytest.raises(InputError, match=r"cluster 0 is listed at -44\.42.* gives -44\.3268"):
        check_energies(clusters, "LJ")


@pytest.mark.parametrize(
    ("read", "content", "message"),
    [
        (read_points, b"", "0 atoms"),
        (read_points, b"0 0 0\n1 1\n", "line 2: 2 columns"),
        (read_points, b"0 0 zero\n", "'zero' is not a number"),
        (read_points, b"0 0 nan\n", "not finite"),
        (read_points, b"0 0 1e300\n", "a cluster is smaller"),
        (read_points, b"\xff\xfe", "not text"),
        (read_xyz, b"", "no cluster"),
        (read_xyz, b"999999999\n\nX 0 0 0\n", "999999999 atoms announced, but 1 lines follow"),
        (read_xyz, b"1" * 5000 + b"\n\nX 0 0 0\n", "no number of atoms"),
        (read_xyz, b"-3\n\nX 0 0 0\n", "no number of atoms"),
        (read_xyz, b"1\n\nX 0 0\n", "line 3"),
        (read_xyz, b"1\nenergy = 1.2.3\nX 0 0 0\n", "line 2"),
        (read_energy_table, b"nothing here\n", "lists no energies"),
        (read_energy_table, b"3 -3.0\n3 -3.1\n", "line 2: a second energy"),
    ],
)
def test_bad_files_are_refused_with_the_place(read, content, message):
    with pytest.raises(InputError, match=message):
        read(content)


def test_atoms_on_top_of_each_other_are_refused():
    with pytest.raises(StructureError, match="closer than"):
        read_points(b"0 0 0\n0 0 0.1\n")


def test_files_of_two_databases_are_refused(pathsample, tmp_path):
    data, points = pathsample
    content = points.tobytes()
    with pytest.raises(InputError, match="not the coordinates of 6 minima"):
        read_pathsample(data, content[:-8])
    with pytest.raises(InputError, match="of 38 atoms"):
        read_pathsample(data, content, n_atoms=38)
    with pytest.raises(InputError, match="byte_order='little'"):
        read_pathsample(data, content, byte_order="big")
    with pytest.raises(InputError, match="byte order 'middle'"):
        read_pathsample(data, content, byte_order="middle")
    with pytest.raises(InputError, match="5 columns"):
        read_pathsample(b"1 2 3 4 5\n", content)
    with pytest.raises(InputError, match="no order of a point group"):
        read_pathsample(b"-1.0 2.0 0 4 5 6\n", content)
    with pytest.raises(InputError, match="there is no file"):
        read_pathsample(tmp_path / "min.data", tmp_path / "points.min")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_whatever_bytes_come_the_answer_is_clusters_or_a_reason(content):
    for read in (read_points, read_xyz, read_energy_table, lambda data: read_pathsample(data, data)):
        with suppress(InputError):
            assert read(content)
