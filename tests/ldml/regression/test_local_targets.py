"""Local targets are further rows of the regression; their weight is chosen without the test set."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from ldml.dataset import Dataset
from ldml.errors import InputError
from ldml.regression import LDML, EvidenceRidge
from ldml.regression.local_targets import LocalTargets, cross_validated_weight


@pytest.fixture(scope="module")
def shares(data, descriptor):
    """The structures of `data`; eight of them with shares that are linear in the descriptor but for 0.005 k_B."""
    rng = np.random.default_rng(1)
    weights = LDML(descriptor).fit(data).coef_
    entries = []
    for i, entry in enumerate(data.entries):
        local = None
        if i % 4 == 0:
            local = (descriptor.compute(entry.atoms) - data.bulk_descriptor(descriptor)) @ weights
            local = local + 0.005 * rng.normal(size=len(local))
            entry = replace(entry, formation_entropy=float(local.sum()))
        entries.append(replace(entry, local_entropy=local))
    return Dataset.from_entries("shares", data.bulks, entries, data.metadata)


def stacked(data, descriptor, weight):
    """All rows one under the other, those of atoms times the root of the weight."""
    X, y = data.descriptor_differences(descriptor), data.formation_entropy
    rows, targets = [X], [y]
    for i in np.flatnonzero(data.has_local):
        D = descriptor.compute(data[i]) - data.bulk_descriptor(descriptor)
        rows.append(np.sqrt(weight) * D)
        targets.append(np.sqrt(weight) * data.local_entropy(i))
    return np.concatenate(rows) / np.sqrt(np.mean(X**2, axis=0)), np.concatenate(targets)


@pytest.mark.parametrize("weight", [0.1, 10.0])
def test_atoms_are_weighted_rows(shares, descriptor, weight):
    model = LDML(descriptor).fit(shares, local_weight=weight)
    reference = EvidenceRidge().fit(*stacked(shares, descriptor, weight))
    np.testing.assert_allclose(model.coef_ * model.scale_, reference.coef_, rtol=1e-6)
    assert model.training_["local_weight"] == weight
    assert model.training_["n_local"] == 8


def test_errors_of_atoms_left_out_are_those_of_their_rows(shares, descriptor):
    local, coef = LocalTargets.of_dataset(shares, descriptor), np.array([1.0, -2.0, 0.5, 3.0])
    errors = [
        shares.local_entropy(i) - (descriptor.compute(shares[i]) - shares.bulk_descriptor(descriptor)) @ coef
        for i in local.index[:2]
    ]
    expected = np.mean(np.concatenate(errors) ** 2)
    chosen = np.arange(len(local.index)) < 2
    assert local.mean_square_error(coef, chosen) == pytest.approx(expected, rel=1e-9)


def test_few_structures_with_atoms_make_up_for_few_totals(shares, descriptor):
    """Three totals for four weights; the atoms of one of them decide."""
    few = shares.subset([0, 1, 2])
    rest = shares.subset(np.arange(3, 30))
    blind, seeing = LDML(descriptor).fit(few), LDML(descriptor).fit(few, local_weight=10.0)
    assert seeing.score(rest) > 0.99
    assert (
        np.abs(seeing.predict(rest) - rest.formation_entropy).mean()
        < np.abs(blind.predict(rest) - rest.formation_entropy).mean()
    )


def test_wrong_atoms_get_little_weight(shares, descriptor):
    """Shares moved about at random: only a small weight leaves the totals as they were."""
    rng = np.random.default_rng(0)
    entries = [
        e if e.local_entropy is None else replace(e, local_entropy=rng.permutation(e.local_entropy))
        for e in shares.entries
    ]
    shuffled = Dataset.from_entries("shuffled", shares.bulks, entries, shares.metadata)
    chosen = []
    for data in (shares, shuffled):
        X, y = LDML(descriptor).training_rows(data)
        local, scale = LocalTargets.of_dataset(data, descriptor), np.sqrt(np.mean(X**2, axis=0))
        chosen.append(cross_validated_weight(EvidenceRidge(), X, y, scale, local, data.parents, weights=(0.01, 1e4)))
    assert chosen[1] == 0.01
    assert LDML(descriptor).fit(shares, local_weight="cross-validate").training_["local_weight"] >= 1.0


def test_what_cannot_be_fitted_is_refused(shares, data, descriptor):
    with pytest.raises(InputError, match="no structure of 'vacancies' has exact local entropies"):
        LDML(descriptor).fit(data, local_weight=1.0)
    with pytest.raises(InputError, match="an array holds none"):
        LDML().fit(np.ones((3, 2)), [1.0, 2.0, 3.0], local_weight=1.0)
    with pytest.raises(InputError, match="default regressor, not Ridge"):
        LDML(descriptor, Ridge(fit_intercept=False)).fit(shares, local_weight=1.0)
    with pytest.raises(InputError, match="must be a positive number"):
        LDML(descriptor).fit(shares, local_weight=-1.0)
    with pytest.raises(InputError, match="cannot be both fitted and left out"):
        LDML(descriptor).fit(shares.subset([0, 1, 2, 3]), local_weight="cross-validate")
