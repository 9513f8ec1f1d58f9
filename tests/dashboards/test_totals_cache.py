"""Totals on disk: found again by content, kept when work is cancelled, harmless when damaged, bounded."""

import os

import numpy as np
import pytest

from dashboards import cache_files, tasks
from dashboards.cache_files import FOLDER_VARIABLE, cache_folder, structure_key
from dashboards.totals_cache import TotalsCache
from ldml.descriptors import AFS
from ldml.errors import Cancelled
from ldml.progress import NULL_PROGRESS

SMALL = AFS(n_max=3, l_max=2, cutoff=4.0)


@pytest.fixture
def structures(linear_dataset):
    return [entry.atoms for entry in linear_dataset.entries[:6]]


@pytest.fixture
def computed(monkeypatch):
    """The structures whose totals were computed, as they come."""
    seen, total = [], AFS.total
    monkeypatch.setattr(AFS, "total", lambda self, atoms: (seen.append(atoms), total(self, atoms))[1])
    return seen


class CancelAfter:
    """Cancels before step n."""

    def __init__(self, n):
        self.left = n

    def update(self, done, total, stage=""):
        self.left -= 1

    def check(self):
        if self.left <= 0:
            raise Cancelled


def totals(structures, progress=NULL_PROGRESS):
    return tasks.structure_totals(progress, structures, SMALL.to_dict())


def test_what_was_computed_once_is_found_by_the_next_job(structures, computed):
    first = totals(structures)
    assert len(computed) == len(structures)
    assert (totals(structures[::-1])[::-1] == first).all()
    assert len(computed) == len(structures)
    assert (first == np.stack([SMALL.total(atoms) for atoms in structures])).all()


def test_equal_structures_are_computed_once(structures, computed):
    rows = totals([structures[0], structures[1], structures[0].copy()])
    assert len(computed) == 2
    assert (rows[0] == rows[2]).all()


def test_cancelled_work_is_not_lost(structures, computed):
    with pytest.raises(Cancelled):
        totals(structures, CancelAfter(4))
    assert len(computed) == 4
    totals(structures)
    assert len(computed) == len(structures)


def test_another_descriptor_is_another_thing(structures, own_cache):
    totals(structures)
    other = TotalsCache(AFS(n_max=3, l_max=2, cutoff=4.1), own_cache)
    assert other.find(map(structure_key, structures)) == {}


@pytest.mark.parametrize("change", ["numbers", "positions", "cell", "pbc"])
def test_the_key_knows_all_a_descriptor_sees(structures, change):
    atoms, other = structures[0], structures[0].copy()
    assert structure_key(other) == structure_key(atoms)
    if change == "numbers":
        other.numbers[3] += 1
    elif change == "positions":
        other.positions[3, 1] = np.nextafter(other.positions[3, 1], 99)
    elif change == "cell":
        other.cell[0, 1] += 1e-12
    else:
        other.pbc[2] = False
    assert structure_key(other) != structure_key(atoms)


def _write_npz(path, **arrays):
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"noise" * 1000),
        lambda path: path.write_bytes(path.read_bytes()[:-200]),
        lambda path: path.write_bytes(path.read_bytes().replace(b"\x00\x00", b"\x01\x07")),
        lambda path: _write_npz(path, keys=np.zeros((2, 32), dtype=np.uint8)),
        lambda path: _write_npz(path, keys=np.zeros((2, 32), dtype=np.uint8), totals=np.zeros((2, 5))),
        lambda path: _write_npz(path, keys=np.zeros((1, 32), dtype=np.uint8), totals=np.full((1, 9), np.nan)),
        lambda path: _write_npz(path, keys=np.array([{"an": "object"}]), totals=np.zeros((1, 9))),
    ],
)
def test_damaged_files_are_as_if_not_there(structures, own_cache, damage):
    before = totals(structures)
    (path,) = own_cache.iterdir()
    damage(path)
    assert (totals(structures) == before).all()


def test_oldest_files_go_when_all_together_are_too_large(structures, own_cache, monkeypatch):
    for atoms in structures[:3]:
        totals([atoms])
        for age, path in enumerate(sorted(own_cache.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)):
            os.utime(path, (1e9 - age, 1e9 - age))
    size = next(own_cache.iterdir()).stat().st_size
    monkeypatch.setattr(cache_files, "MAX_BYTES", 3 * size)
    cache = TotalsCache(SMALL, own_cache)
    cache.find([structure_key(structures[0])])  # the oldest, but used now
    totals([structures[3]])
    assert len(list(own_cache.iterdir())) == 3
    assert set(cache.find(map(structure_key, structures))) == {structure_key(structures[k]) for k in (0, 2, 3)}


def test_half_a_file_is_never_seen(structures, own_cache, monkeypatch):
    def full(file, **arrays):
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez", full)
    totals(structures)  # a full disk is no reason to fail
    assert list(own_cache.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_no_reason_to_fail(structures, tmp_path, monkeypatch, computed):
    (tmp_path / "file").touch()
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "file"))
    totals(structures)
    assert len(computed) == len(structures)


def test_where_it_lies_can_be_chosen(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, "/somewhere")
    assert str(cache_folder("descriptors")) == "/somewhere/descriptors"
    monkeypatch.setenv(FOLDER_VARIABLE, "")
    assert cache_folder("descriptors") is None
    monkeypatch.delenv(FOLDER_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder("descriptors") == tmp_path / "ldml" / "descriptors"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder("descriptors") == tmp_path / ".cache" / "ldml" / "descriptors"


def test_without_a_folder_nothing_is_kept(structures, computed, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, "")
    totals(structures)
    totals(structures)
    assert len(computed) == 2 * len(structures)
