"""A fit as something to take away: lines of Python that repeat it, and its numbers as a table."""

from __future__ import annotations

import csv
import io

import numpy as np

from dashboards.state import Fit
from ldml.dataset import Dataset
from ldml.descriptors import Descriptor
from ldml.evaluation.protocols import COVERAGE
from ldml.sample_data import sample_manifest

COLUMNS = ("name", "class", "part", "exact_k_B", "learned_k_B", "low_k_B", "high_k_B", "extrapolation")


def python_code(fit: Fit) -> str:
    """A script on the public interface that repeats a fit and prints its test error.

    Parameters
    ----------
    fit : Fit
    """
    groups = ", groups=data.parents" if fit.by_parents else ""
    weight = "" if fit.local is None else f", local_weight={fit.local.weight:g}"
    intervals = f"low, high = model.predict_interval(held_out, {COVERAGE:g})  # k_B\n" if fit.has_intervals else ""
    return f"""\
import numpy as np

import ldml
from ldml.evaluation.metrics import rmse
from ldml.evaluation.splits import random_test_set

{_source(fit.data)}
data = data.subset(np.isfinite(data.formation_entropy))
test = random_test_set(len(data), {fit.test_proportion:g}, seed={fit.seed}{groups})

descriptor = {_call(fit.model.descriptor)}
model = ldml.LDML(descriptor).fit(data.subset(~test){weight})
held_out = data.subset(test)
predicted = model.predict(held_out)  # k_B
{intervals}print("test RMSE", rmse(held_out.formation_entropy, predicted), "k_B")  # {fit.rmse(fit.test):.3f}
"""


def csv_table(fit: Fit) -> str:
    """The structures of a fit as CSV: exact and learned entropy, interval (of those held out), distance from the training set.

    Parameters
    ----------
    fit : Fit
    """
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(COLUMNS)
    low, high = fit.predicted - fit.half_width, fit.predicted + fit.half_width
    numbers = zip(fit.true, fit.predicted, low, high, fit.extrapolation, strict=True)
    for name, label, held_out, values in zip(fit.data.names, fit.data.labels, fit.test, numbers, strict=True):
        told = [f"{value:.6f}" if np.isfinite(value) else "" for value in values]
        if not held_out:
            told[2:4] = "", ""
        writer.writerow([name, label, "test" if held_out else "train", *told])
    return lines.getvalue()


def _source(data: Dataset) -> str:
    known = sample_manifest().get(data.name)
    if known is not None and known["structures"] == len(data):
        return f"data = ldml.load_dataset({data.name!r})"
    return f"data = ldml.load_dataset({data.name + '.h5'!r})  # these {len(data):,} structures, saved as a file"


def _call(descriptor: Descriptor) -> str:
    parameters = descriptor.to_dict()["parameters"]
    return f"ldml.get_descriptor({', '.join([repr(descriptor.name), *(f'{k}={v!r}' for k, v in parameters.items())])})"
