"""What the user has chosen and what is known: the one thing all pages share. No Panel in here.

Pages write choices and results into an `AppState` and watch it for those of others; they never call each other.
"""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass

import numpy as np
import param

from dashboards.tasks import Reference
from ldml.dataset import Dataset
from ldml.descriptors import get_descriptor
from ldml.evaluation.metrics import mae, rmse
from ldml.evaluation.splits import SplitCurve, random_test_set
from ldml.regression.ldml import LDML

DEFAULT_TEST_PROPORTION, DEFAULT_SEED = 0.1, 0
MAX_FITS = 4
"""Remembered for each dataset that somebody has open."""


@dataclass(frozen=True)
class Fit:
    """A model fitted on part of a dataset, and how it does on all of it.

    Attributes
    ----------
    model : LDML
    data : Dataset
        All M structures; those of unknown entropy are left out beforehand.
    test : (M,) bool
        Which were held out.
    true, predicted : (M,) float, k_B
    seed : int
        Of the random split.
    """

    model: LDML
    data: Dataset
    test: np.ndarray
    true: np.ndarray
    predicted: np.ndarray
    seed: int

    @property
    def train(self) -> np.ndarray:
        return ~self.test

    def rmse(self, which: np.ndarray) -> float:
        """RMSE (Eq. 22) over a boolean mask of structures, k_B."""
        return rmse(self.true[which], self.predicted[which])

    def mae(self, which: np.ndarray) -> float:
        """MAE (Eq. 23) over a boolean mask of structures, k_B."""
        return mae(self.true[which], self.predicted[which])


class AppState(param.Parameterized):
    """Choices and results of one session."""

    dataset = param.ClassSelector(class_=Dataset, allow_None=True, doc="Dataset the pages show.")
    opening = param.String("", doc="Name of the dataset that is being read, if one is.")
    selected = param.Integer(-1, bounds=(-1, None), doc="Index of the structure in view; -1 for none.")
    fit = param.ClassSelector(class_=Fit, allow_None=True, doc="Current model with its train and test sets.")
    split_curve = param.ClassSelector(class_=SplitCurve, allow_None=True, doc="Errors against proportion held out.")
    reference = param.ClassSelector(class_=Reference, allow_None=True, doc="Latest exact answer.")
    page = param.Selector(
        default="Data", objects=["Data", "Model", "Splits", "Structure", "Reference"], doc="Page in view."
    )

    def open_dataset(self, data: Dataset) -> None:
        """Show another dataset; what was computed from the old one goes with it."""
        self.param.update(dataset=data, selected=-1, fit=None, split_curve=None)

    def select(self, index: int, *, show: bool = False) -> None:
        """Bring structure `index` into view; with `show`, turn to its page as well."""
        self.selected = int(index)
        if show:
            self.page = "Structure"


def fit_model(data: Dataset, descriptor, *, test_proportion: float, seed: int) -> Fit:
    """Fit on a random part of the structures with known entropy, predict all; the descriptors must be at hand.

    Parameters
    ----------
    data : Dataset
    descriptor : Descriptor
    test_proportion : float
        Between 0 and 1 (exclusive).
    seed : int
    """
    known = data.subset(np.isfinite(data.formation_entropy))
    test = random_test_set(len(known), test_proportion, seed)
    model = LDML(descriptor).fit(known.subset(~test))
    return Fit(model, known, test, known.formation_entropy, model.predict(known), seed)


def remembered_fit(data: Dataset, descriptor, *, test_proportion: float, seed: int) -> Fit:
    """What `fit_model` gives, computed once for all visitors of a server who ask the same of the same dataset.

    A second thread that asks while it is computed waits for it.
    """
    choices = (descriptor.fingerprint, test_proportion, seed)
    with _fitting:
        if id(data) not in _fits:
            weakref.finalize(data, _fits.pop, id(data), None)
        fits = _fits.setdefault(id(data), {})
        if choices not in fits:
            fit = fit_model(data, descriptor, test_proportion=test_proportion, seed=seed)
            if len(fits) == MAX_FITS:
                del fits[next(iter(fits))]
            fits[choices] = fit
        return fits[choices]


_fits: dict[int, dict[tuple, Fit]] = {}
_fitting = threading.Lock()


def default_descriptor():
    """The paper's: AFS with n_max = 20, l_max = 10 and a cutoff of 5 Å."""
    return get_descriptor("AFS", n_max=20, l_max=10, cutoff=5.0)
