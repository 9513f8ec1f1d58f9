"""Linear-in-descriptor machine learning (LDML) of the formation entropy.

    S_i = w . D_i                                 local entropy of an atom                     (paper, Eq. 13)
    S   = w . sum_i D_i                           extensive, the same for any order of atoms   (Eq. 14)
    S_f = w . [sum_i D_i - (N_d / N_b) D_b]       formation entropy                            (Eq. 15)

D_i descriptor of atom i, D_b the sum over a perfect crystal of N_b atoms, N_d atoms in the defective cell; S
in k_B.

The weights w are found by ridge regression (`ldml.regression.evidence`) on descriptor differences whose
columns are divided by their root mean square over the training set. Columns are not centred and there is no
intercept: a perfect crystal has a descriptor difference of zero and must have S_f = 0 at any size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.metrics import r2_score

from ldml.descriptors import check_cutoff_fits
from ldml.errors import InputError
from ldml.evaluation.metrics import mae, rmse
from ldml.progress import NULL_PROGRESS, Progress
from ldml.regression.evidence import EvidenceRidge
from ldml.regression.local_targets import LocalTargets, cross_validated_weight, fit_with_local
from ldml.regression.uncertainty import ONE_SIGMA, Calibration, leverages

CROSS_VALIDATE = "cross-validate"
MIN_RELATIVE_RMS = 1e-6
"""Descriptor columns with an RMS below this fraction of the largest are left out: rounding of large sums."""


def column_scale(mean_square: np.ndarray, min_relative_rms: float = MIN_RELATIVE_RMS) -> np.ndarray:
    """Root mean square of each column; inf where negligible, so that dividing by it leaves the column out.

    Parameters
    ----------
    mean_square : (n_features,) array
        Mean square of each column over the training set.
    min_relative_rms : float
        Columns below this fraction of the largest are left out.

    Raises
    ------
    InputError
        When every column is zero: the structures are all perfect crystals to this descriptor.
    """
    rms = np.sqrt(mean_square)
    if not rms.max() > 0:
        raise InputError("every descriptor difference in the training set is zero; it needs structures with defects")
    return np.where((rms > 0) & (rms >= min_relative_rms * rms.max()), rms, np.inf)


class LDML(RegressorMixin, BaseEstimator):
    """Formation entropy as a linear function of descriptors, a scikit-learn estimator.

    Wherever it takes `data`, this is either a `Dataset` or an array of descriptor differences
    D_d - (N_d / N_b) D_b of shape (n_structures, n_features).

    Parameters
    ----------
    descriptor : Descriptor, optional
        Needed for datasets and atoms; arrays can do without.
    regressor : estimator, optional
        Linear regressor without intercept; by default `EvidenceRidge()`.
    min_relative_rms : float
        Descriptor columns whose RMS over the training set is below this fraction of the largest get weight
        zero.

    Attributes
    ----------
    coef_ : (n_features,) array
        Weights w, k_B per unit of each descriptor component.
    scale_ : (n_features,) array
        RMS of each column over the training set; inf for a column left out.
    noise_precision_ : float or None
        1/sigma^2 of the labels, k_B^-2; None if the regressor gives no posterior.
    posterior_covariance_ : (n_features, n_features) array or None
        Covariance of the weights of the scaled columns, k_B^2.
    calibration_ : Calibration or None
        Errors of the training structures, each left out; None if the regressor gives no posterior.
    bulk_descriptor_ : (n_features,) array or None
        Mean descriptor of an atom in the perfect crystal; None if unknown or not unique.
    regressor_ : estimator
        The fitted regressor, which sees scaled columns. Absent from a model read from a file.
    training_ : dict
        What the model was fitted on: name, fingerprint, potential, licence, n_structures, sha256 of
        descriptor differences and labels, regressor, rmse and mae on the training set in k_B.
    n_features_in_ : int
        Number of descriptor components.

    Examples
    --------
    >>> model = LDML(descriptor).fit(data.subset(train))  # doctest: +SKIP
    >>> model.predict(data.subset(test))  # doctest: +SKIP
    """

    def __init__(self, descriptor=None, regressor=None, *, min_relative_rms=MIN_RELATIVE_RMS):
        self.descriptor = descriptor
        self.regressor = regressor
        self.min_relative_rms = min_relative_rms

    def fit(
        self, data, y=None, *, groups=None, bulk_descriptor=None, local_weight=None, progress: Progress | None = None
    ):
        """Find the weights.

        Parameters
        ----------
        data : Dataset or (n_structures, n_features) array
            Structures with known formation entropies, or their descriptor differences.
        y : (n_structures,) array, k_B
            Formation entropies, if `data` is an array.
        groups : (n_structures,) array, optional
            Structures that belong together, such as the copies of one parent, if `data` is an array: they are left out together
            when errors are calibrated. A dataset knows its parents.
        bulk_descriptor : (n_features,) array, optional
            Mean descriptor of an atom in the perfect crystal, if `data` is an array: local entropies need it.
        local_weight : float or "cross-validate", optional
            Fit the exact local entropies of a dataset beside the totals, with this weight (see
            `ldml.regression.local_targets`).
        progress : Progress, optional
            Watches the descriptors being computed.

        Returns
        -------
        self

        Raises
        ------
        InputError
            If a label is missing or not finite, fewer than two structures are given, the descriptor's cutoff
            does not fit a cell, or shapes disagree.
        """
        X, y = self.training_rows(data, y, progress=progress)
        if _is_dataset(data):
            bulk_descriptor = data.bulk_descriptor(self.descriptor) if len(data.bulks) == 1 else None
        scale = column_scale(np.mean(X**2, axis=0), self.min_relative_rms)
        regressor = EvidenceRidge() if self.regressor is None else clone(self.regressor)
        groups = data.parents if _is_dataset(data) else groups
        local, weight = self._local_targets(data, regressor, X, y, scale, groups, local_weight, progress)
        fitted = regressor.fit(X / scale, y) if local is None else fit_with_local(regressor, X, y, scale, local, weight)
        self._take_weights(fitted, scale)
        # the atoms of these structures would still be there if their total were left out
        counted = np.ones(len(y), dtype=bool) if local is None else ~np.isin(np.arange(len(y)), local.index)
        self.calibration_ = self._calibrated(data, X, y, groups, counted)
        self.n_features_in_ = X.shape[1]
        self.bulk_descriptor_ = (
            None if bulk_descriptor is None else _rows(np.atleast_2d(bulk_descriptor), X.shape[1])[0]
        )
        self.training_ = {
            **_provenance(data, X, y),
            "regressor": type(self.regressor_).__name__,
            **({} if local is None else {"local_weight": weight, "n_local": len(local.index)}),
            "rmse": rmse(y, X @ self.coef_),
            "mae": mae(y, X @ self.coef_),
        }
        return self

    def training_rows(self, data, y=None, *, progress: Progress | None = None):
        """Descriptor differences and labels as `fit` sees them, checked.

        Parameters
        ----------
        data, y, progress
            As in `fit`.

        Returns
        -------
        X : (n_structures, n_features) array
        y : (n_structures,) array, k_B

        Raises
        ------
        InputError
            As `fit`.
        """
        if _is_dataset(data):
            y = _known_labels(data)
            X = self._differences(data, progress)
            _check_no_placeholder(X, y)
        else:
            X, y = _rows(data, getattr(self.descriptor, "n_features", None)), _labels(y)
        if len(X) != len(y):
            raise InputError(f"{len(X)} rows of descriptors but {len(y)} formation entropies; give one for each row")
        if len(y) < 2:
            raise InputError(f"a fit needs at least 2 structures, got {len(y)}")
        if self.descriptor is not None and self.descriptor.trivial_features.any():
            X = np.where(self.descriptor.trivial_features, 0.0, X)  # what is left of a count is the error of a grid
        return X, y

    def predict(self, data, return_std=False, *, progress: Progress | None = None):
        """Formation entropies.

        Parameters
        ----------
        data : Dataset or (n_structures, n_features) array
        return_std : bool
            Return the standard deviation of the prediction too: 68 % of the training structures, left out, were predicted
            within theirs. Errors have longer tails than normal ones: take intervals from `predict_interval`.
        progress : Progress, optional

        Returns
        -------
        S_f : (n_structures,) array, k_B
        std : (n_structures,) array, k_B
            Only with `return_std`.
        """
        self._check_fitted()
        X = self._differences_to_predict(data, progress)
        if not return_std:
            return X @ self.coef_
        return X @ self.coef_, self._half_width(data, X, ONE_SIGMA)

    def predict_interval(self, data, coverage: float = 0.9, *, progress: Progress | None = None):
        """Intervals that hold the exact formation entropies with a given probability (see `ldml.regression.uncertainty`).

        Parameters
        ----------
        data : Dataset or (n_structures, n_features) array
            The classes of a dataset are looked at: intervals of a class that the model never saw are never narrower than
            its typical error.
        coverage : float
        progress : Progress, optional

        Returns
        -------
        low, high : (n_structures,) arrays, k_B

        Raises
        ------
        InputError
            If the model has no calibration, or not enough training structures for this coverage.
        """
        self._check_fitted()
        X = self._differences_to_predict(data, progress)
        predicted, half = X @ self.coef_, self._half_width(data, X, coverage)
        return predicted - half, predicted + half

    def half_width(self, X: np.ndarray, coverage: float = 0.9, *, unseen=False) -> np.ndarray:
        """Half the width of `predict_interval`, (n_structures,), k_B, of descriptor differences (n_structures, n_features).

        Parameters
        ----------
        X, coverage
            As in `predict_interval`.
        unseen : bool or (n_structures,) bool array
            Whether a structure is of a class that the model never saw.
        """
        self._check_fitted()
        return self._calibration().half_width(
            self._leverages(self._differences_to_predict(X, None)), coverage, unseen=unseen
        )

    def extrapolation(self, data, *, progress: Progress | None = None) -> np.ndarray:
        """How far outside the training set structures lie, (n_structures,).

        The root of their leverage, relative to that of the outermost hundredth of the training set: below 1 the model
        interpolates, above 1 its prediction is a guess.

        Parameters
        ----------
        data : Dataset or (n_structures, n_features) array
        progress : Progress, optional
        """
        self._check_fitted()
        return self._calibration().extrapolation(self._leverages(self._differences_to_predict(data, progress)))

    def structure_differences(
        self, structures: Sequence[Atoms], *, bulk: Atoms | None = None, progress: Progress | None = None
    ) -> np.ndarray:
        """Descriptor differences of structures that are in no dataset, as `predict` and `predict_interval` take them.

        Parameters
        ----------
        structures : sequence of Atoms
        bulk : Atoms, optional
            Perfect crystal to refer to, a unit cell will do; by default that of the training set. A strained defect
            belongs with the strained crystal.
        progress : Progress, optional

        Returns
        -------
        (n_structures, n_features) array
        """
        reference = self._reference(bulk)
        progress = progress or NULL_PROGRESS
        self._check_elements(structures)
        check_cutoff(self.descriptor, structures)
        X = np.empty((len(structures), len(reference)))
        for i, atoms in enumerate(structures):
            progress.check()
            X[i] = self.descriptor.total(atoms) - len(atoms) * reference
            progress.update(i + 1, len(structures), "descriptors")
        return X

    def predict_structures(
        self,
        structures: Sequence[Atoms],
        return_std=False,
        *,
        bulk: Atoms | None = None,
        progress: Progress | None = None,
    ):
        """Formation entropies of structures that are in no dataset.

        Parameters
        ----------
        structures, bulk, progress
            As in `structure_differences`.
        return_std : bool
            As in `predict`.

        Returns
        -------
        S_f : (n_structures,) array, k_B
        std : (n_structures,) array, k_B
            Only with `return_std`.
        """
        return self.predict(self.structure_differences(structures, bulk=bulk, progress=progress), return_std)

    def predict_local(self, atoms: Atoms, return_std=False, *, bulk: Atoms | None = None):
        """Share of each atom in the formation entropy, w . (D_i - D_b / N_b); sums to S_f.

        Fitted on totals alone, the shares are one of many decompositions of the same sum: only the sum is determined,
        and close to the defect even the sign of a share can be wrong.

        Parameters
        ----------
        atoms : Atoms
        return_std : bool
            Return the standard deviation of each share too, by the same scale of errors as that of totals.
        bulk : Atoms, optional
            Perfect crystal to refer to; by default that of the training set.

        Returns
        -------
        S : (n_atoms,) array, k_B
        std : (n_atoms,) array, k_B
            Only with `return_std`.
        """
        D = self._local_differences(atoms, bulk)
        if not return_std:
            return D @ self.coef_
        return D @ self.coef_, self._calibration().half_width(self._leverages(D), ONE_SIGMA)

    def local_extrapolation(self, atoms: Atoms, *, bulk: Atoms | None = None) -> np.ndarray:
        """How far outside the training set the surroundings of each atom lie, (n_atoms,), as in `extrapolation`.

        Above 1 a single atom is more unusual than nearly every whole structure that the model was fitted on.
        """
        return self._calibration().extrapolation(self._leverages(self._local_differences(atoms, bulk)))

    def score(self, data, y=None, sample_weight=None) -> float:
        """Coefficient of determination R^2 of the prediction; 1 is perfect, 0 as good as the mean.

        Parameters
        ----------
        data : Dataset or (n_structures, n_features) array
        y : (n_structures,) array, k_B
            Formation entropies, if `data` is an array.
        sample_weight : (n_structures,) array, optional
        """
        y = _known_labels(data) if _is_dataset(data) else _labels(y)
        return float(r2_score(y, self.predict(data), sample_weight=sample_weight))

    def save(self, path, *, licence: str | None = None) -> None:
        """Write the model to one file that `load_model` reads; no pickle.

        Parameters
        ----------
        path : path
            Usually ``something.ldml``; replaced only once the new file is complete.
        licence : str, optional
            Terms of use of the weights; by default those of the training set.
        """
        from ldml.regression.model_file import write_model

        self._check_fitted()
        write_model(self, path, licence=licence)

    def _local_differences(self, atoms, bulk):
        reference = self._reference(bulk)
        self._check_elements([atoms])
        check_cutoff(self.descriptor, [atoms])
        return self.descriptor.compute(atoms) - reference

    def _check_elements(self, structures):
        known = set(self.training_.get("elements", ()))
        for number, atoms in enumerate(structures):
            unknown = sorted(set(atoms.get_chemical_symbols()) - known)
            if known and unknown:
                raise InputError(
                    f"structure {number} holds {', '.join(unknown)}, and the model was fitted on {', '.join(sorted(known))} only; "
                    f"fit one on structures with these elements"
                )

    def _local_targets(self, data, regressor, X, y, scale, groups, local_weight, progress):
        """Sums over atoms with exact entropies and their weight, or nothing if they are not asked for."""
        if local_weight is None:
            return None, None
        if not _is_dataset(data):
            raise InputError("local_weight needs a dataset with exact local entropies; an array holds none")
        local = LocalTargets.of_dataset(data, self.descriptor, progress=progress)
        if local_weight == CROSS_VALIDATE:
            local_weight = cross_validated_weight(regressor, X, y, scale, local, groups, progress=progress)
        return local, local_weight

    def _calibrated(self, data, X, y, groups, counted):
        if self.posterior_covariance_ is None or not counted.any():
            return None
        classes = sorted(set(data.labels.tolist())) if _is_dataset(data) else ()
        return Calibration.of_training(
            X[counted] / self.scale_,
            (y - X @ self.coef_)[counted],
            self._inverse(),
            groups=None if groups is None else np.asarray(groups)[counted],
            classes=classes,
        )

    def _calibration(self):
        if self.calibration_ is None:
            raise InputError(
                "this model has no calibrated errors: its regressor has no posterior, or it was read from a file of an earlier "
                "version; fit it again with the default regressor"
            )
        return self.calibration_

    def _half_width(self, data, X, coverage):
        calibration = self._calibration()
        unseen = calibration.is_unseen(data.labels) if _is_dataset(data) else False
        return calibration.half_width(self._leverages(X), coverage, unseen=unseen)

    def _leverages(self, X):
        return leverages(X / self.scale_, self._inverse())

    def _inverse(self):
        """(X^T X + ridge)^-1 of the scaled training rows."""
        return self.posterior_covariance_ * self.noise_precision_

    def _differences(self, data, progress):
        if not _is_dataset(data):
            return _rows(data, self.n_features_in_)
        self._check_descriptor()
        _check_one_physics(data, self.descriptor)
        check_cutoff(self.descriptor, data)
        X = data.descriptor_differences(self.descriptor, progress=progress or NULL_PROGRESS)
        return _rows(X, self.descriptor.n_features)

    def _differences_to_predict(self, data, progress):
        fitted = self.training_.get("potential", "")
        potential = data.metadata.get("potential", "") if _is_dataset(data) else ""
        if potential and fitted and fitted != potential:
            raise InputError(
                f"the model was fitted on {fitted} and {data.name!r} is of {potential}: entropies of one say nothing of the other; "
                f"fit a model on this potential"
            )
        return self._differences(data, progress)

    def _take_weights(self, regressor, scale):
        if np.any(np.asarray(getattr(regressor, "intercept_", 0.0)) != 0):
            raise InputError(
                f"{type(regressor).__name__} fitted an intercept, which gives a perfect crystal a formation "
                "entropy; pass it with fit_intercept=False"
            )
        self.regressor_, self.scale_ = regressor, scale
        self.coef_ = np.ravel(regressor.coef_) / scale
        covariance = getattr(regressor, "sigma_", None)
        has_posterior = np.shape(covariance) == (len(scale), len(scale)) and hasattr(regressor, "alpha_")
        self.posterior_covariance_ = np.asarray(covariance) if has_posterior else None
        self.noise_precision_ = float(regressor.alpha_) if has_posterior else None

    def _reference(self, bulk):
        self._check_fitted()
        self._check_descriptor()
        if bulk is not None:
            return self.descriptor.total(bulk) / len(bulk)
        if self.bulk_descriptor_ is None:
            raise InputError(
                "the model knows no single perfect crystal to refer to; pass bulk=, fit it on a dataset with "
                "one crystal, or pass bulk_descriptor= to fit"
            )
        return self.bulk_descriptor_

    def _check_fitted(self):
        if not hasattr(self, "coef_"):
            raise InputError("the model has no weights yet; call fit first or load one with load_model")

    def _check_descriptor(self):
        if self.descriptor is None:
            raise InputError("the model has no descriptor and takes arrays only; give one: LDML(descriptor)")


def _longest_cutoff(descriptor):
    """That of a descriptor or of those side by side in it; None if it has none."""
    parts = getattr(descriptor, "parts", ())
    if not parts:
        return getattr(descriptor, "parameters", {}).get("cutoff")
    return max(filter(None, map(_longest_cutoff, parts)), default=None)


def check_cutoff(descriptor, structures) -> None:
    """Refuse a cutoff beyond what the cell of a structure supports, one structure of each cell being looked at.

    Parameters
    ----------
    descriptor : Descriptor
    structures : Dataset or sequence of Atoms

    Raises
    ------
    InputError
        Naming the structure.
    """
    cutoff = _longest_cutoff(descriptor)
    if cutoff is None:
        return
    # the entries of a dataset, not its items: those are copies
    named = ((e.name, e.atoms) for e in structures.entries) if _is_dataset(structures) else enumerate(structures)
    seen = set()
    for name, atoms in named:
        cell = (atoms.cell.array.tobytes(), atoms.pbc.tobytes())
        if cell not in seen:
            seen.add(cell)
            check_cutoff_fits(cutoff, atoms, str(name))


def _is_dataset(data) -> bool:
    return hasattr(data, "descriptor_differences")


def _rows(X, n_features):
    X = np.asarray(X, dtype=float)
    if X.ndim != 2 or X.shape[1] == 0:
        raise InputError(f"descriptor differences must be (n_structures, n_features), got shape {X.shape}")
    if n_features is not None and X.shape[1] != n_features:
        raise InputError(
            f"{X.shape[1]} descriptor components where the model has {n_features}; "
            "use the descriptor the model was fitted with"
        )
    bad = np.flatnonzero(~np.isfinite(X).all(axis=1))
    if len(bad):
        raise InputError(f"descriptors of {len(bad)} structures are not finite (first: row {bad[0]}); leave them out")
    return X


def _labels(y):
    if y is None:
        raise InputError("an array of descriptor differences needs its formation entropies: fit(X, y)")
    y = np.asarray(y, dtype=float)
    if y.ndim != 1:
        raise InputError(f"formation entropies must be a list of numbers, got shape {y.shape}")
    missing = np.flatnonzero(~np.isfinite(y))
    if len(missing):
        raise InputError(
            f"{len(missing)} of {len(y)} formation entropies are missing or not finite (first: row "
            f"{missing[0]}); leave those structures out"
        )
    return y


def _check_one_physics(data, descriptor):
    """Refuse entropies of several potentials or units as one, and a descriptor of another potential."""
    parts = [data.metadata, *data.metadata.get("parts", ())]
    for key in ("potential", "units"):
        found = {str(part[key]) for part in parts if part.get(key)}
        if len(found) > 1:
            raise InputError(
                f"{data.name!r} mixes structures of different {key}: {' and '.join(sorted(found))}; fit them one by one"
            )
    potential = data.metadata.get("potential", "")
    described = getattr(descriptor, "parameters", {}).get("potential", potential)
    if potential and described != potential:
        raise InputError(
            f"{data.name!r} holds minima of {potential}, the descriptor is for those of {described}; give it "
            f"potential={potential!r}"
        )


def _known_labels(data):
    y = np.asarray(data.formation_entropy, dtype=float)
    missing = np.flatnonzero(~np.isfinite(y))
    if len(missing):
        raise InputError(
            f"{len(missing)} of {len(y)} structures have no formation entropy (first: "
            f"{str(data.names[missing[0]])!r}); leave them out: data.subset(np.isfinite(data.formation_entropy))"
        )
    return y


def _check_no_placeholder(X, y):
    """An exact 0 for a defect is how some tables write a missing label; for a perfect crystal it is right."""
    suspects = np.flatnonzero((y == 0) & (np.abs(X).max(axis=1) > 1e-3 * np.abs(X).max()))
    if len(suspects):
        raise InputError(
            f"{len(suspects)} defects have a formation entropy of exactly 0 (first: number {suspects[0]}); "
            "this usually marks a missing value; set those labels to NaN and leave them out"
        )


def _provenance(data, X, y):
    metadata = getattr(data, "metadata", {})
    return {
        "name": str(getattr(data, "name", "")),
        "fingerprint": str(getattr(data, "fingerprint", "")),
        "potential": str(metadata.get("potential", "")),
        "licence": str(metadata.get("licence", "")),
        "elements": _elements(data),
        "n_structures": len(y),
        "sha256": hashlib.sha256(np.ascontiguousarray(X).tobytes() + y.tobytes()).hexdigest(),
    }


def _elements(data):
    """Symbols of the elements of a dataset, sorted; none for an array."""
    if not _is_dataset(data):
        return []
    counts = np.bincount(np.concatenate([entry.atoms.numbers for entry in data.entries]))
    return sorted(chemical_symbols[number] for number in np.flatnonzero(counts))
