"""Figs 2, 3, 6 and 7: entropies of the linear model against exact ones, and how the error depends on the share held out.

Every point is a prediction of a structure that was left out (ten folds of whole parents, or a dataset that the model never saw);
the errors of a fit on everything, which is what the paper's Figs 2 and 3 show, are given beside. Insets: errors against the
proportion of the test set, means of a hundred random splits (paper, Secs. V.A-D).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from sklearn.model_selection import GroupKFold

from ldml.dataset import Dataset
from ldml.descriptors import Descriptor, get_descriptor
from ldml.errors import InputError
from ldml.evaluation.metrics import mae, rmse
from ldml.evaluation.protocols import strains
from ldml.evaluation.splits import SplitCurve, split_curve_arrays
from ldml.figures.base import FigureKind, read_only
from ldml.figures.palette import BLUE, NEUTRAL, VERMILLION, class_colour
from ldml.figures.style import journal_style, new_figure
from ldml.progress import NULL_PROGRESS, Progress
from ldml.regression.ldml import LDML

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPER_CLASSES = ("I2", "I3", "I4", "V4")
N_FOLDS = 10
N_REPEATS = 100
MOST_UNKNOWN = {"BSO4": 1200, "Scattering": 160}
"""Structures drawn where a descriptor has to be computed for them: seconds, not hours."""


@dataclass(frozen=True, eq=False)
class Parity:
    """Predictions of structures left out, and the errors of a fit on all.

    Attributes
    ----------
    datasets : tuple of str
    descriptor : str
    protocol : str
        What was left out.
    n_available : int
        Structures of the datasets; fewer may have been drawn.
    n_train : int
        Structures of each fit.
    groups : (M,) str array
        Class, or strain, of each structure.
    true, predicted : (M,) arrays, k_B
    rmse, mae : float, k_B
        Of the structures left out.
    fit_rmse, fit_mae : float, k_B
        Of a fit on everything; for transfer, on the training set.
    paper_rmse : float or None, k_B
        As the paper's text or figure gives it.
    splits : SplitCurve or None
    unit : str
        Of the axes.
    """

    datasets: tuple[str, ...]
    descriptor: str
    protocol: str
    n_available: int
    n_train: int
    groups: np.ndarray
    true: np.ndarray
    predicted: np.ndarray
    rmse: float
    mae: float
    fit_rmse: float
    fit_mae: float
    paper_rmse: float | None
    splits: SplitCurve | None = field(default=None, repr=False)

    @property
    def by_group(self) -> dict[str, tuple[int, float, float]]:
        """Structures, RMSE and MAE of each class or strain."""
        found = {}
        for name in sorted(np.unique(self.groups), key=_place):
            which = self.groups == name
            errors = self.true[which], self.predicted[which]
            found[str(name)] = (int(which.sum()), rmse(*errors), mae(*errors))
        return found


def cross_validated_parity(
    data: Dataset,
    descriptor: Descriptor,
    *,
    groups: np.ndarray | None = None,
    names: Sequence[str] = (),
    with_splits: bool = False,
    paper_rmse: float | None = None,
    n_available: int | None = None,
    progress: Progress | None = None,
) -> Parity:
    """Predictions of every structure by a model fitted on nine tenths of the parents, its own not among them.

    Parameters
    ----------
    data : Dataset
    descriptor : Descriptor
    groups : (M,) str array, optional
        What points are coloured by; by default classes.
    names : sequence of str
        Of the datasets, for the report.
    with_splits : bool
        Compute the inset too.
    paper_rmse : float, optional, k_B
    n_available : int, optional
        Structures that these were drawn from.
    progress : Progress, optional
    """
    progress = progress or NULL_PROGRESS
    X, y = LDML(descriptor).training_rows(data, progress=progress)
    predicted = np.empty(len(y))
    n_folds = min(N_FOLDS, len(np.unique(data.parents)))
    for fold, (train, test) in enumerate(GroupKFold(n_folds, shuffle=True, random_state=0).split(X, y, data.parents)):
        progress.check()
        predicted[test] = LDML().fit(X[train], y[train]).predict(X[test])
        progress.update(fold + 1, n_folds, "folds")
    fitted = LDML().fit(X, y).predict(X)
    splits = split_curve_arrays(X, y, n_repeats=N_REPEATS, progress=progress) if with_splits else None
    return Parity(
        datasets=tuple(names) or (data.name,),
        descriptor=repr(descriptor),
        protocol=f"{n_folds} folds of whole parents",
        n_available=n_available or len(data),
        n_train=len(y) - len(y) // n_folds,
        groups=read_only(data.labels.astype(str) if groups is None else groups),
        true=read_only(y),
        predicted=read_only(predicted),
        rmse=rmse(y, predicted),
        mae=mae(y, predicted),
        fit_rmse=rmse(y, fitted),
        fit_mae=mae(y, fitted),
        paper_rmse=paper_rmse,
        splits=splits,
    )


def transfer_parity(
    train: Dataset, test: Dataset, descriptor: Descriptor, *, paper_rmse: float | None = None, progress=None
) -> Parity:
    """Predictions of one dataset by a model fitted on another."""
    model = LDML(descriptor).fit(train, progress=progress)
    true, predicted = test.formation_entropy, model.predict(test, progress=progress)
    return Parity(
        datasets=(train.name, test.name),
        descriptor=repr(descriptor),
        protocol=f"fitted on {train.name}, predicting {test.name}",
        n_available=len(test),
        n_train=len(train),
        groups=read_only(test.labels.astype(str)),
        true=read_only(true),
        predicted=read_only(predicted),
        rmse=rmse(true, predicted),
        mae=mae(true, predicted),
        fit_rmse=model.training_["rmse"],
        fit_mae=model.training_["mae"],
        paper_rmse=paper_rmse,
    )


def draw_parity(parity: Parity) -> Figure:
    """Predicted against exact, the errors in words, and the inset where there is one."""
    with journal_style():
        figure, (axes,) = new_figure(height=80.0)
        low = float(min(parity.true.min(), parity.predicted.min()))
        high = float(max(parity.true.max(), parity.predicted.max()))
        room = 0.04 * (high - low)
        ends = (low - room, high + room)
        axes.plot(ends, ends, color=NEUTRAL, linewidth=0.6, zorder=0)
        for name, colour in _colours(parity.by_group).items():
            which = parity.groups == name
            axes.plot(
                parity.true[which], parity.predicted[which], ".", color=colour, markersize=2.2, alpha=0.6,
                markeredgewidth=0, label=f"{name} ({which.sum():,})", rasterized=True,
            )  # fmt: skip
        axes.set(
            xlim=ends, ylim=ends, aspect="equal",
            xlabel=r"exact $S_\mathrm{f}$ ($k_\mathrm{B}$)", ylabel=r"linear model $S_\mathrm{f}$ ($k_\mathrm{B}$)",
        )  # fmt: skip
        axes.legend(loc="upper left", markerscale=3.0, handletextpad=0.1, labelspacing=0.25)
        words = f"RMSE {parity.rmse:.2f}  MAE {parity.mae:.2f} $k_\\mathrm{{B}}$"
        if parity.splits is None:
            axes.text(0.97, 0.04, words, transform=axes.transAxes, ha="right", va="bottom", fontsize=7.5)
        else:
            axes.set_title(words, fontsize=7.5)
            _draw_splits(axes.inset_axes([0.59, 0.17, 0.38, 0.34]), parity.splits)
    return figure


def _draw_splits(axes, curve):
    for error, marker in (("rmse", "o"), ("mae", "s")):
        for part, colour in (("train", BLUE), ("test", VERMILLION)):
            mean = curve.mean(f"{error}_{part}")
            axes.plot(100 * curve.proportions, mean, f"{marker}-", color=colour, markersize=2.0, linewidth=0.7)
    axes.set_ylim(0, 1.15 * max(curve.mean("rmse_test")))
    axes.set_xlabel("tested (%)", fontsize=6.5, labelpad=1)
    axes.set_ylabel(r"error ($k_\mathrm{B}$)", fontsize=6.5, labelpad=1)
    axes.tick_params(labelsize=6)
    axes.text(0.05, 0.93, "train", color=BLUE, transform=axes.transAxes, fontsize=6, va="top")
    axes.text(0.05, 0.81, "test", color=VERMILLION, transform=axes.transAxes, fontsize=6, va="top")


def _colours(groups):
    """Of each group: its class, or for strains a step along a map from blue to orange."""
    if not any(name.endswith("%") for name in groups):
        return {name: class_colour(name) for name in groups}
    from matplotlib import colormaps

    ordered = sorted(groups, key=_place)
    return {name: colormaps["plasma"](0.85 * k / max(len(ordered) - 1, 1)) for k, name in enumerate(ordered)}


def _place(name):
    """Strains by their value, classes by their name."""
    return (float(name.split()[0]), "") if name.endswith("%") else (0.0, str(name))


def report(parity: Parity) -> list[str]:
    """The errors in words, beside the paper's."""
    drawn = "" if len(parity.true) == parity.n_available else f" of {parity.n_available:,}, drawn at random"
    paper = "" if parity.paper_rmse is None else f"   (paper: RMSE {parity.paper_rmse:g} k_B)"
    lines = [
        f"{' and '.join(parity.datasets)}: {len(parity.true):,} structures{drawn}, {parity.descriptor}",
        f"  left out ({parity.protocol})   RMSE {parity.rmse:.3f} k_B   MAE {parity.mae:.3f} k_B",
        f"  fit, {parity.n_train if len(parity.datasets) > 1 and 'fitted on' in parity.protocol else len(parity.true):,} structures"
        f"   RMSE {parity.fit_rmse:.3f} k_B   MAE {parity.fit_mae:.3f} k_B{paper}",
    ]
    lines += [
        f"    {name:8s} {n:6,d}   RMSE {r:.3f} k_B   MAE {m:.3f} k_B" for name, (n, r, m) in parity.by_group.items()
    ]
    if parity.splits is not None:
        train, test = parity.splits.mean("rmse_train"), parity.splits.mean("rmse_test")
        lines += [
            f"    tested {100 * p:.0f} %   RMSE train {a:.3f}, test {b:.3f} k_B"
            for p, a, b in zip(parity.splits.proportions, train, test, strict=True)
        ]
    return lines


def _of_one_dataset(datasets, *, descriptor, paper_rmse, with_splits=False, progress=None):
    (data,) = _wanted(datasets, 1)
    described, n_available = get_descriptor(descriptor), len(data)
    if not data.has_descriptor(described) and descriptor in MOST_UNKNOWN and len(data) > MOST_UNKNOWN[descriptor]:
        drawn = np.random.default_rng(0).choice(len(data), MOST_UNKNOWN[descriptor], replace=False)
        data = data.subset(np.sort(drawn))
    return cross_validated_parity(
        data, described, with_splits=with_splits, paper_rmse=paper_rmse, n_available=n_available, progress=progress
    )


def _of_strains(datasets, *, label=None, paper_rmse, progress=None):
    """At rest and strained together; of one class coloured by strain."""
    parts = _wanted(datasets, 2)
    data = Dataset.merged(parts, name="strained")
    if label is not None:
        data = data.subset(data.labels == label)
    return cross_validated_parity(
        data, get_descriptor("AFS"), groups=None if label is None else strains(data), names=[d.name for d in parts],
        paper_rmse=paper_rmse, progress=progress,
    )  # fmt: skip


def _joined(datasets, *, progress=None):
    parts = _wanted(datasets, 2)
    return cross_validated_parity(
        Dataset.merged(parts, name="joined"), get_descriptor("AFS"), names=[d.name for d in parts], with_splits=True,
        paper_rmse=1.0, progress=progress,
    )  # fmt: skip


def _to_disorder(datasets, *, progress=None):
    train, test = _wanted(datasets, 2)
    return transfer_parity(train, test, get_descriptor("AFS"), paper_rmse=1.0, progress=progress)


def _wanted(datasets, n):
    """Structures of the paper's classes, or of classes that it does not have, with known entropies."""
    if len(datasets) != n:
        raise InputError(
            f"this figure is made of {n} dataset{'s' if n > 1 else ''} and {len(datasets)} are there; make the others by "
            f"'ldml campaign run', or give {n} with --data"
        )
    chosen = []
    for data in datasets:
        small = [label for label in ("I1", "V1", "V2", "V3") if label in set(data.labels)]
        kept = np.isfinite(data.formation_entropy) & ~np.isin(data.labels, small)
        chosen.append(data.subset(kept if kept.any() else np.isfinite(data.formation_entropy)))
    return chosen


def _kind(name: str, title: str, datasets: tuple[str, ...], compute: Callable) -> FigureKind:
    return FigureKind(name=name, title=title, datasets=datasets, compute=compute, report=report, draw=draw_parity)


EAM, MEAM = "fe-am04-8a0", "fe-meam-8a0"
KINDS = (
    _kind("2a", "Linear model on AFS(20,10) against exact entropies, EAM", (EAM,),
          partial(_of_one_dataset, descriptor="AFS", paper_rmse=None)),
    _kind("2b", "The same, MEAM", (MEAM,), partial(_of_one_dataset, descriptor="AFS", paper_rmse=0.3)),
    _kind("2c", "Linear model on bSO(4), MEAM", (MEAM,), partial(_of_one_dataset, descriptor="BSO4", paper_rmse=0.8)),
    _kind("2d", "Linear model on scattering, MEAM", (MEAM,),
          partial(_of_one_dataset, descriptor="Scattering", paper_rmse=0.7)),
    _kind("3a", "Strained cells, by class, MEAM", (MEAM, "fe-meam-strained"), partial(_of_strains, paper_rmse=0.4)),
    _kind("3b", "Strained cells of V4, by strain, MEAM", (MEAM, "fe-meam-strained"),
          partial(_of_strains, label="V4", paper_rmse=None)),
    _kind("6a", "Compact defects and disorder together, MEAM", (MEAM, "fe-meam-random"), _joined),
    _kind("6b", "Disorder predicted from compact defects, MEAM", (MEAM, "fe-meam-random"), _to_disorder),
    _kind("7", "Lennard-Jones clusters of 38 atoms", ("lj38",),
          partial(_of_one_dataset, descriptor="AFS", paper_rmse=None, with_splits=True)),
)  # fmt: skip
