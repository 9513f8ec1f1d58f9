"""The store: whole results or none, whatever happens to its files."""

import errno
import os

import numpy as np
import pytest
import small_stages  # noqa: F401

from ldml.campaign import Store, StoreError, Task
from ldml.campaign import store as store_module
from ldml.campaign.tasks import failure, has_failed

TASK = Task("square", {"x": 3})
RESULT = {"y": np.arange(4.0), "note": np.array("text"), "numbers": np.array([26, 26])}


def file_of(store, task=TASK):
    (path,) = store.folder.glob(f"{task.stage}/??/{task.key}.npz")
    return path


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    store.put(TASK, RESULT)
    return store


def test_results_come_back(store):
    found = store.get(TASK)
    assert set(found) == set(RESULT)
    assert all(np.array_equal(found[name], RESULT[name]) for name in RESULT)
    assert store.get(Task("square", {"x": 4})) is None
    assert store.counts() == {"square": {"done": 1}}


def test_equal_results_are_equal_files(store, tmp_path):
    """No time of writing in them: a campaign done twice leaves the same bytes."""
    other = Store(tmp_path / "other")
    other.put(TASK, RESULT)
    assert file_of(other).read_bytes() == file_of(store).read_bytes()


@pytest.mark.parametrize("kept", [0, 1, 20, 200, -33, -32, -1])
def test_a_file_cut_short_is_set_aside(store, kept):
    path = file_of(store)
    path.write_bytes(path.read_bytes()[:kept])
    assert store.get(TASK) is None
    assert store.n_damaged == 1
    assert store.counts() == {"square": {"damaged": 1}}
    store.put(TASK, RESULT)
    assert np.array_equal(store.get(TASK)["y"], RESULT["y"])


def test_every_changed_byte_is_noticed(store):
    path = file_of(store)
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[at] ^= 1 << (at % 8)
        path.write_bytes(bytes(changed))
        assert store.get(TASK) is None, f"byte {at}"


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_a_disk_that_cannot_be_written_costs_nothing_finished(store, monkeypatch, reason, call):
    def refuse(*arguments, **options):
        raise OSError(reason, os.strerror(reason))

    other = Task("square", {"x": 5})
    with monkeypatch.context() as patch:
        if call == "fsync":
            patch.setattr(store_module.os, "fsync", refuse)
        else:
            patch.setattr(store_module.Path, call, refuse)
        with pytest.raises(StoreError, match="what was finished is safe"):
            store.put(other, RESULT)
    assert not list(store.folder.rglob("*.partial"))
    assert store.get(other) is None
    assert np.array_equal(store.get(TASK)["y"], RESULT["y"])


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="file"):
        Store(tmp_path / "file")


def test_leftovers_of_killed_writers_go_and_are_no_results(store):
    path = file_of(store)
    old, new = path.with_name("a.npz.1.partial"), path.with_name("b.npz.2.partial")
    for leftover in (old, new):
        leftover.write_bytes(b"half")
    os.utime(old, (0, 0))
    again = Store(store.folder)
    # a young one may belong to a process that is writing it now
    assert not old.exists()
    assert new.exists()
    assert again.counts() == {"square": {"done": 1}}


def test_failures_are_records_until_a_result_comes(store):
    task = Task("square", {"x": 6})
    store.put(task, failure("ConvergenceError", "not converged; allow more steps", is_final=True))
    assert has_failed(store.get(task))
    assert str(store.get(task)["failure"]) == "ConvergenceError"
    assert [record["task"]["parameters"] for record in store.failures()] == [{"x": 6}]
    store.put(task, RESULT)
    assert not has_failed(store.get(task))
    assert not list(store.failures())
