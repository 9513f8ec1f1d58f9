"""One file for a fitted model: weights, descriptor, posterior and provenance, readable without this package.

An uncompressed zip archive of ``model.json`` (everything with a name), ``coef.npy``, ``scale.npy`` and, if
known, ``bulk_descriptor.npy``, ``posterior_covariance.npy``, ``calibration_scores.npy`` and ``calibration_errors.npy``
(float64), and ``sha256``, the digest of the others in alphabetical order. Format 1 knew no calibration. Nothing in it is
executed on reading: no pickle, no code, only numbers and names checked against what a model must hold. The digest finds
damage and careless edits; it is no signature, so trust a file as far as its source.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import zipfile
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import numpy as np

from ldml.descriptors import descriptor_from_dict
from ldml.errors import InputError
from ldml.regression.evidence import EvidenceRidge
from ldml.regression.ldml import LDML
from ldml.regression.uncertainty import Calibration

FORMAT = "ldml-model"
FORMAT_VERSION = 2
MAX_BYTES = 512 * 2**20
"""Largest file read: a posterior of 8,000 descriptor components."""

_HEADER, _DIGEST = "model.json", "sha256"
_REQUIRED = ("coef.npy", "scale.npy")
_OPTIONAL = ("bulk_descriptor.npy", "posterior_covariance.npy", "calibration_scores.npy", "calibration_errors.npy")
_MAX_HEADER_BYTES = 2**20


def write_model(model: LDML, path, *, licence: str | None = None) -> None:
    """Write a fitted model; the file appears under its name only once it is complete.

    Parameters
    ----------
    model : LDML
    path : path
    licence : str, optional
        Terms of use of the weights; by default those of the training set.

    Raises
    ------
    InputError
        If the folder does not exist.
    """
    calibration = model.calibration_
    arrays = {
        "coef.npy": model.coef_,
        "scale.npy": model.scale_,
        "bulk_descriptor.npy": model.bulk_descriptor_,
        "posterior_covariance.npy": model.posterior_covariance_,
        "calibration_scores.npy": None if calibration is None else calibration.scores,
        "calibration_errors.npy": None if calibration is None else calibration.errors,
    }
    members = {name: _npy(array) for name, array in arrays.items() if array is not None}
    members[_HEADER] = json.dumps(_header(model, licence), indent=1, sort_keys=True, allow_nan=False).encode()
    members[_DIGEST] = _digest(members).encode()
    path = Path(path)
    if not path.parent.is_dir():
        raise InputError(f"cannot write {path.name!r}: there is no folder {str(path.parent)!r}")
    partial = path.with_name(path.name + ".partial")
    with open(partial, "wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name in sorted(members):
                entry = zipfile.ZipInfo(name)  # with a fixed date: same content, same bytes
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, members[name])
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load_model(path) -> LDML:
    """Read a model written by `LDML.save`; it predicts the same numbers, bit by bit.

    Parameters
    ----------
    path : path

    Returns
    -------
    LDML
        Fitted; its ``training_`` holds the provenance, with ``created`` and ``ldml_version`` of the file.

    Raises
    ------
    InputError
        If the file is missing, damaged, altered, written by a newer version, or not a model.
    """
    path = Path(path)
    members = _read_members(path)
    header = _read_header(members, path)
    try:
        return _model_of(header, {name: _array(members[name]) for name in members if name.endswith(".npy")})
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(f"{path.name!r} is not a valid model: {type(error).__name__} {error} in its header") from error
    except ValueError as error:
        raise InputError(f"{path.name!r} is not a valid model: {error}") from error


def _header(model, licence):
    descriptor = model.descriptor
    regressor = EvidenceRidge() if model.regressor is None else model.regressor
    calibration = model.calibration_
    training = {k: v for k, v in model.training_.items() if k not in ("created", "ldml_version")}
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "ldml_version": _version(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "licence": training["licence"] if licence is None else licence,
        "descriptor": None if descriptor is None else descriptor.to_dict(),
        "descriptor_fingerprint": None if descriptor is None else descriptor.fingerprint,
        "regressor_parameters": regressor.get_params() if isinstance(regressor, EvidenceRidge) else None,
        "min_relative_rms": model.min_relative_rms,
        "noise_precision": model.noise_precision_,
        "calibration": None
        if calibration is None
        else {"edge": calibration.edge, "classes": list(calibration.classes)},
        "n_features": model.n_features_in_,
        "training": training,
        "units": {"entropy": "k_B"},
    }


def _version():
    try:
        return metadata.version("ldml")
    except metadata.PackageNotFoundError:
        return "not installed"


def _npy(array):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array, dtype="<f8"), allow_pickle=False)
    return buffer.getvalue()


def _digest(members):
    digest = hashlib.sha256()
    for name in sorted(set(members) - {_DIGEST}):
        digest.update(f"{name} {len(members[name])}\n".encode())
        digest.update(members[name])
    return digest.hexdigest()


def _read_members(path):
    """The archive's files, their sizes checked before anything is read and their digest after."""
    if not path.is_file():
        raise InputError(f"no model file at {str(path)!r}")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise InputError(f"{path.name!r} has {size / 2**20:.0f} MiB; a model file has at most {MAX_BYTES >> 20}")
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            names = [info.filename for info in infos]
            if _HEADER not in names:
                raise InputError(f"{path.name!r} is not an ldml model: it holds no {_HEADER}")
            unknown = set(names) - {_HEADER, _DIGEST, *_REQUIRED, *_OPTIONAL}
            missing = {_DIGEST, *_REQUIRED} - set(names)
            if unknown or len(set(names)) < len(names):
                raise InputError(
                    f"{path.name!r} holds parts that do not belong in a model: "
                    f"{', '.join(sorted(unknown)) or 'duplicates'}"
                )
            if missing:
                raise InputError(f"{path.name!r} is incomplete: {', '.join(sorted(missing))} missing; get a fresh copy")
            # stored, not deflated, and no larger than the file: nothing can blow up on reading
            if any(i.compress_type != zipfile.ZIP_STORED or i.file_size != i.compress_size for i in infos):
                raise InputError(f"{path.name!r} is compressed, which a model file never is; was it repacked?")
            if sum(info.file_size for info in infos) > size:
                raise InputError(f"{path.name!r} claims more content than its size; it is damaged")
            members = {name: archive.read(name) for name in names}
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path.name!r} is not an ldml model or is damaged ({error}); get a fresh copy") from error
    return members


def _read_header(members, path):
    """The header, once it says that this is a model this version can read and the contents are intact."""
    try:
        if len(members[_HEADER]) > _MAX_HEADER_BYTES:
            raise ValueError(f"{len(members[_HEADER])} bytes")
        header = json.loads(members[_HEADER])
        found, version = header["format"], header["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path.name!r} is not an ldml model: its header cannot be read ({error})") from error
    if found != FORMAT or not isinstance(version, int):
        raise InputError(f"{path.name!r} is not an ldml model: its format is {found!r}")
    if version > FORMAT_VERSION:
        raise InputError(
            f"{path.name!r} has model format {version}; this ldml reads up to {FORMAT_VERSION}: upgrade ldml"
        )
    if members[_DIGEST] != _digest(members).encode():
        raise InputError(f"{path.name!r} does not match its checksum: it was damaged or edited; get a fresh copy")
    return header


def _array(raw):
    """A float64 array from npy bytes; a view of them, so that a stated shape allocates nothing."""
    stream = io.BytesIO(raw)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("an array has an unknown npy version")
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype != np.dtype("<f8") or fortran_order:
        raise ValueError(f"an array holds {dtype}, not float64 in C order")
    return np.frombuffer(raw, dtype="<f8", offset=stream.tell()).reshape(shape).astype(float)


def _model_of(header, arrays):
    descriptor = None if header["descriptor"] is None else descriptor_from_dict(header["descriptor"])
    if descriptor is not None and descriptor.fingerprint != header["descriptor_fingerprint"]:
        raise ValueError("this version of ldml computes its descriptor differently; fit the model again")
    parameters = header["regressor_parameters"]
    model = LDML(
        descriptor,
        None if parameters is None else EvidenceRidge(**parameters),
        min_relative_rms=float(header["min_relative_rms"]),
    )
    n_features = header["n_features"]
    n_scores = (len(arrays["calibration_scores.npy"]),) if "calibration_scores.npy" in arrays else None
    shapes = {
        "posterior_covariance.npy": (n_features, n_features),
        "calibration_scores.npy": n_scores,
        "calibration_errors.npy": n_scores,
    }
    for name, array in arrays.items():
        if array.shape != shapes.get(name, (n_features,)):
            raise ValueError(f"{name} has shape {array.shape} for {n_features} descriptor components")
    if descriptor is not None and descriptor.n_features != n_features:
        raise ValueError(f"{n_features} weights for a descriptor of {descriptor.n_features} components")
    model.coef_, model.scale_ = arrays["coef.npy"], arrays["scale.npy"]
    if not all(np.isfinite(arrays[name]).all() for name in arrays if name != "scale.npy"):
        raise ValueError("its numbers are not finite")
    if not (model.scale_ > 0).all():
        raise ValueError("its scales are not positive")
    model.bulk_descriptor_ = arrays.get("bulk_descriptor.npy")
    model.posterior_covariance_ = arrays.get("posterior_covariance.npy")
    noise = header["noise_precision"]
    model.noise_precision_ = None if noise is None else float(noise)
    if (model.noise_precision_ is None) != (model.posterior_covariance_ is None):
        raise ValueError("it has a posterior without a noise level or the reverse")
    if model.noise_precision_ is not None and not 0 < model.noise_precision_ < math.inf:
        raise ValueError(f"its noise precision is {model.noise_precision_}")
    model.calibration_ = _calibration_of(header.get("calibration"), arrays)
    model.n_features_in_ = n_features
    model.training_ = {
        **header["training"],
        "licence": str(header["licence"]),
        "created": str(header["created"]),
        "ldml_version": str(header["ldml_version"]),
    }
    return model


def _calibration_of(record, arrays):
    if record is None:
        return None
    scores, errors = arrays["calibration_scores.npy"], arrays["calibration_errors.npy"]
    if not all((np.diff(values) >= 0).all() and (values >= 0).all() for values in (scores, errors)):
        raise ValueError("the errors of its calibration are not in ascending order")
    if not 0 < record["edge"] < math.inf:
        raise ValueError(f"the edge of its training set is {record['edge']}")
    return Calibration(scores, errors, float(record["edge"]), tuple(str(c) for c in record["classes"]))
