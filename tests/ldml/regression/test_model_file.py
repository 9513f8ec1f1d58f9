"""Model files: the same prediction bit by bit, and nothing but a model gets in."""

import json
import zipfile

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from ldml.descriptors import get_descriptor
from ldml.errors import InputError
from ldml.regression import model_file
from ldml.regression.evidence import EvidenceRidge
from ldml.regression.ldml import LDML
from ldml.regression.model_file import load_model


@pytest.fixture(autouse=True)
def known_descriptor(descriptor, monkeypatch):
    """The test's own descriptor stands in for the registry."""

    def from_dict(stated):
        if stated["name"] != "Shells":
            raise InputError(f"unknown descriptor {stated['name']!r}")
        return type(descriptor)(stated["centres"], stated["cutoff"])

    monkeypatch.setattr(model_file, "descriptor_from_dict", from_dict)


@pytest.fixture
def model(data, descriptor):
    return LDML(descriptor, EvidenceRidge(tol=1e-4)).fit(data)


@pytest.fixture
def saved(model, tmp_path):
    path = tmp_path / "m.ldml"
    model.save(path)
    return path


def contents(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path, members, *, compression=zipfile.ZIP_STORED, sign=True):
    """What someone who knows the format would write, digest included."""
    if sign:
        members = {**members, "sha256": model_file._digest(members).encode()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, raw in members.items():
            archive.writestr(name, raw)


def edit_header(path, **changes):
    members = contents(path)
    members["model.json"] = json.dumps({**json.loads(members["model.json"]), **changes}).encode()
    rewrite(path, members)


def test_same_prediction_bit_by_bit(model, saved, data):
    loaded = load_model(saved)
    for mine, theirs in zip(model.predict(data, return_std=True), loaded.predict(data, return_std=True), strict=True):
        assert np.array_equal(mine, theirs)
    assert np.array_equal(model.predict_local(data[0]), loaded.predict_local(data[0]))
    assert loaded.score(data) == model.score(data)
    assert loaded.regressor.tol == 1e-4
    assert np.array_equal(loaded.fit(data).coef_, model.coef_)


def test_registered_descriptor(data, tmp_path, monkeypatch):
    monkeypatch.undo()
    model = LDML(get_descriptor("AFS", n_max=3, l_max=2, cutoff=4.0)).fit(data)
    model.save(tmp_path / "m.ldml")
    loaded = load_model(tmp_path / "m.ldml")
    assert loaded.descriptor == model.descriptor
    assert np.array_equal(loaded.predict(data), model.predict(data))
    edit_header(tmp_path / "m.ldml", descriptor={**model.descriptor.to_dict(), "version": 0})
    with pytest.raises(InputError, match="version 0 of AFS"):
        load_model(tmp_path / "m.ldml")


def test_provenance_survives(model, saved, tmp_path):
    loaded = load_model(saved)
    assert loaded.training_.items() >= model.training_.items()
    assert loaded.training_["licence"] == "CC0-1.0"
    assert loaded.training_["created"].endswith("+00:00")
    loaded.save(tmp_path / "again.ldml", licence="MIT")
    again = load_model(tmp_path / "again.ldml")
    assert again.training_["licence"] == "MIT"
    assert np.array_equal(again.coef_, model.coef_)


def test_array_models_and_other_regressors(tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 4)), rng.normal(size=30)
    X[:, 2] = 0.0
    for regressor in (None, Ridge(fit_intercept=False)):
        model = LDML(regressor=regressor).fit(X, y)
        model.save(tmp_path / "m.ldml")
        loaded = load_model(tmp_path / "m.ldml")
        assert loaded.descriptor is None
        assert loaded.bulk_descriptor_ is None
        assert np.array_equal(loaded.predict(X), model.predict(X))
        assert loaded.training_["regressor"] == type(model.regressor_).__name__
    with pytest.raises(InputError, match="no posterior"):
        loaded.predict(X, return_std=True)


def test_readable_without_this_package(model, saved):
    header = json.loads(contents(saved)["model.json"])
    assert header["format"] == "ldml-model"
    assert header["descriptor"]["cutoff"] == 4.2
    assert header["training"]["potential"] == "none"
    with zipfile.ZipFile(saved) as archive, archive.open("coef.npy") as file:
        assert np.array_equal(np.load(file, allow_pickle=False), model.coef_)


def test_same_content_same_bytes(saved, tmp_path):
    rewritten = tmp_path / "other.ldml"
    loaded = load_model(saved)
    loaded.save(rewritten)
    mine, theirs = contents(saved), contents(rewritten)
    assert [n for n in mine if mine[n] != theirs[n]] in ([], ["model.json", "sha256"])  # only the time


def test_every_damaged_byte_is_noticed(saved, model, data):
    """Flip bits all over the file: it is refused, or the flip was in zip bookkeeping and nothing changed."""
    raw = saved.read_bytes()
    expected = model.predict(data)
    refused = 0
    for at in range(0, len(raw), 7):
        saved.write_bytes(raw[:at] + bytes([raw[at] ^ 0x41]) + raw[at + 1 :])
        try:
            assert np.array_equal(load_model(saved).predict(data), expected)
        except InputError:
            refused += 1
    assert refused > 0.8 * len(raw) / 7


@pytest.mark.parametrize("keep", [0, 10, 200, 0.5, 0.9, 0.999])
def test_truncated(saved, keep):
    raw = saved.read_bytes()
    saved.write_bytes(raw[: keep if isinstance(keep, int) else int(keep * len(raw))])
    with pytest.raises(InputError, match=r"m\.ldml"):
        load_model(saved)


def test_edited_without_a_new_checksum(saved):
    members = contents(saved)
    members["coef.npy"] = model_file._npy(np.ones(4))
    rewrite(saved, members, sign=False)
    with pytest.raises(InputError, match="does not match its checksum"):
        load_model(saved)


def test_newer_format(saved):
    edit_header(saved, format_version=3)
    with pytest.raises(InputError, match="model format 3; this ldml reads up to 2: upgrade"):
        load_model(saved)


def test_the_first_format_knows_no_calibration(tmp_path):
    X = np.random.default_rng(0).normal(size=(30, 4))
    model = LDML().fit(X, X.sum(axis=1))
    model.calibration_ = None
    model.save(tmp_path / "m.ldml")
    edit_header(tmp_path / "m.ldml", format_version=1)
    loaded = load_model(tmp_path / "m.ldml")
    assert np.array_equal(loaded.predict(X), model.predict(X))
    with pytest.raises(InputError, match=r"no calibrated errors.*fit it again"):
        loaded.predict_interval(X)


@pytest.mark.parametrize(
    "changes", [{"calibration": {"edge": -1.0, "classes": []}}, {"calibration": {"classes": []}}, {"calibration": 7}]
)
def test_calibrations_that_lie(tmp_path, changes):
    X = np.random.default_rng(0).normal(size=(30, 4))
    LDML().fit(X, X.sum(axis=1)).save(tmp_path / "m.ldml")
    edit_header(tmp_path / "m.ldml", **changes)
    with pytest.raises(InputError, match="not a valid model"):
        load_model(tmp_path / "m.ldml")


def test_foreign_files(tmp_path):
    path = tmp_path / "m.ldml"
    with pytest.raises(InputError, match="no model file"):
        load_model(path)
    with pytest.raises(InputError, match="no model file"):
        load_model(tmp_path)
    path.write_text("not a model")
    with pytest.raises(InputError, match="not an ldml model"):
        load_model(path)
    np.savez(tmp_path / "m.npz", a=np.ones(3))
    with pytest.raises(InputError, match=r"holds no model\.json"):
        load_model(tmp_path / "m.npz")


def test_unknown_and_changed_descriptors(saved):
    edit_header(saved, descriptor={"name": "Nothing"})
    with pytest.raises(InputError, match="unknown descriptor 'Nothing'"):
        load_model(saved)
    edit_header(saved, descriptor={"name": "Shells", "centres": [2.4, 2.8, 3.3, 4.1], "cutoff": 4.2})
    with pytest.raises(InputError, match="computes its descriptor differently"):
        load_model(saved)


@pytest.mark.parametrize(
    "changes",
    [
        {"n_features": 5},
        {"n_features": "4"},
        {"descriptor": "Shells"},
        {"descriptor": []},
        {"training": [1]},
        {"noise_precision": None},
        {"noise_precision": -1.0},
        {"noise_precision": float("nan")},
        {"regressor_parameters": {"unknown": 1}},
        {"min_relative_rms": "much"},
        {"format": "other"},
        {"format_version": "1"},
    ],
)
def test_headers_that_lie(saved, changes):
    edit_header(saved, **changes)
    with pytest.raises(InputError, match=r"m\.ldml"):
        load_model(saved)


def npy_of_objects():
    import io

    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], dtype=object), allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("coef.npy", model_file._npy(np.array([1.0, np.nan, 0.0, 0.0]))),
        ("coef.npy", model_file._npy(np.ones((4, 1)))),
        ("coef.npy", model_file._npy(np.ones(4)).replace(b"(4,)", b"(9,)")),
        ("coef.npy", model_file._npy(np.ones(4))[:-8]),
        ("coef.npy", b"not npy"),
        ("coef.npy", npy_of_objects()),
        ("scale.npy", model_file._npy(np.array([1.0, 0.0, 1.0, 1.0]))),
        ("posterior_covariance.npy", model_file._npy(np.ones((4, 3)))),
        ("extra.npy", model_file._npy(np.ones(4))),
        ("model.json", b"[" * 100_000),
        ("model.json", b"\xff{}"),
        ("model.json", b"{}"),
    ],
)
def test_contents_that_lie(saved, name, raw):
    rewrite(saved, {**contents(saved), name: raw})
    with pytest.raises(InputError, match=r"m\.ldml"):
        load_model(saved)


def test_a_huge_stated_shape_allocates_nothing(saved):
    raw = model_file._npy(np.ones(4)).replace(b"(4,), }     ", b"(9999999999,), }"[:16])
    rewrite(saved, {**contents(saved), "coef.npy": raw})
    with pytest.raises(InputError, match="not a valid model"):
        load_model(saved)


def test_bombs_are_refused_unread(saved, monkeypatch):
    members = contents(saved)
    rewrite(saved, {**members, "coef.npy": bytes(50_000_000)}, compression=zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("read before its size was checked"))
    with pytest.raises(InputError, match="is compressed"):
        load_model(saved)


def test_duplicates_and_oversized_files(saved, monkeypatch):
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(saved, "a") as archive:
        archive.writestr("coef.npy", b"")
    with pytest.raises(InputError, match="duplicates"):
        load_model(saved)
    monkeypatch.setattr(model_file, "MAX_BYTES", 100)
    with pytest.raises(InputError, match="a model file has at most"):
        load_model(saved)


def test_saving_needs_a_fit_and_a_folder(model, descriptor, tmp_path):
    with pytest.raises(InputError, match="no weights yet"):
        LDML(descriptor).save(tmp_path / "m.ldml")
    with pytest.raises(InputError, match="there is no folder"):
        model.save(tmp_path / "nowhere" / "m.ldml")
    model.save(tmp_path / "m.ldml")
    assert [p.name for p in tmp_path.iterdir()] == ["m.ldml"]
