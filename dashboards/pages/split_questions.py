"""The questions of the Splits page: what each asks a job for, and how its answer is drawn and read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import holoviews as hv
import numpy as np

from dashboards import tasks
from dashboards.figures.class_matrix import matrix_plot
from dashboards.figures.coverage import coverage_plot
from dashboards.figures.learning_curve import learning_plot
from dashboards.figures.split_curve import split_plot
from dashboards.pages.layout import table_html
from dashboards.state import AppState
from ldml.evaluation.class_matrix import ALL, OTHERS, ClassMatrix
from ldml.evaluation.learning import LearningCurve
from ldml.evaluation.splits import SplitCurve

IN_CLASS, NEW_CLASS = "structures held out of classes that were fitted", "each class left out"


@dataclass(frozen=True)
class Question:
    """One question about what a model says of structures it has not seen.

    Attributes
    ----------
    name, explanation : str
        As the user reads them.
    task : callable
        ``task(progress, rows, n_repeats, seed)``, run in a worker.
    n_repeats : int or None
        To begin with; None where nothing is repeated.
    has_error : bool
        Whether RMSE and MAE make a difference.
    shown : callable
        ``shown(answer)`` gives the parameters of `AppState` that hold it.
    answer : callable
        ``answer(state)`` gives it back, or None.
    draw, table, read : callable
        ``draw(answer, error)`` a figure, ``table(answer)`` HTML, ``read(answer, error)`` sentences.
    """

    name: str
    explanation: str
    task: Callable
    n_repeats: int | None
    has_error: bool
    shown: Callable[[Any], Mapping[str, Any]]
    answer: Callable[[AppState], Any]
    draw: Callable[[Any, str], hv.Overlay]
    table: Callable[[Any], str]
    read: Callable[[Any, str], str]


# --- split curve


def _curves(state):
    return None if state.split_curve is None else tasks.Curves(state.split_curve, state.grouped_curve)


def split_table(curve: SplitCurve, grouped: SplitCurve | None = None) -> str:
    """HTML: errors at each proportion, mean ± standard deviation over repeats, k_B.

    Parameters
    ----------
    curve, grouped : SplitCurve
        At random and, where there is one, with whole parents held out.
    """
    keys = [("rmse_train", curve), ("rmse_test", curve), ("mae_train", curve), ("mae_test", curve)]
    header = ["held out", "n train", "n test", "RMSE train", "RMSE test", "MAE train", "MAE test"]
    if grouped is not None:
        keys += [("rmse_test", grouped), ("mae_test", grouped)]
        header += ["RMSE by parents", "MAE by parents"]
    cells = [
        [f"{mean:.3f} ± {std:.3f}" for mean, std in zip(one.mean(key), one.std(key), strict=True)] for key, one in keys
    ]
    rows = [
        (f"{100 * p:.0f} %", f"{n_train:,}", f"{n_test:,}", *errors)
        for p, n_train, n_test, *errors in zip(curve.proportions, curve.n_train, curve.n_test, *cells, strict=True)
    ]
    return table_html(header, rows)


def reading(curve: SplitCurve, error: str, grouped: SplitCurve | None = None) -> str:
    """What the curve says, with its numbers.

    Parameters
    ----------
    curve : SplitCurve
    error : {"rmse", "mae"}
    grouped : SplitCurve, optional
        With whole parents held out.
    """
    test, train = curve.mean(f"{error}_test"), curve.mean(f"{error}_train")
    text = (
        f"Fitted on {curve.n_train[0]:,} structures the model is off by {test[0]:.2f} k_B on those it has not seen and by "
        f"{train[0]:.2f} k_B on its own; fitted on {curve.n_train[-1]:,} only, by {test[-1]:.2f} k_B: the gap between the "
        f"curves is overfitting, and a test curve that still falls towards the left says that more structures would help."
    )
    if grouped is not None:
        honest = grouped.mean(f"{error}_test")
        text += (
            f" Drawn at random, test structures have copies of their parents in the training set, which flatters: with whole "
            f"parents held out the model is off by {honest[0]:.2f} k_B and {honest[-1]:.2f} k_B."
        )
    return text


# --- classes


def matrix_table(matrix: ClassMatrix) -> str:
    """HTML: RMSE and MAE, k_B, and the share outside the training set, of each pair."""
    rows = [
        (
            f"{trained} → {tested}",
            f"{matrix.n_train[i, j]:,}",
            f"{matrix.n_test[j]:,}",
            *(_number(values[i, j]) for values in (matrix.rmse, matrix.mae)),
            _share(matrix.outside[i, j]),
        )
        for i, trained in enumerate(matrix.trained)
        for j, tested in enumerate(matrix.tested)
    ]
    return table_html(("fitted on → judged on", "n train", "n test", "RMSE", "MAE", "outside training"), rows)


def read_matrix(matrix: ClassMatrix, error: str) -> str:
    """Which class suffers most from being left out, and whether the model says so."""
    errors = getattr(matrix, error)
    others, everything = matrix.trained.index(OTHERS), matrix.trained.index(ALL)
    growth = np.where(np.isfinite(errors[others] / errors[everything]), errors[others] / errors[everything], -np.inf)
    worst = int(np.argmax(growth))
    if growth[worst] == -np.inf:
        return "Too few structures to leave a class out."
    return (
        f"{matrix.tested[worst]} suffers most from being left out: {errors[others, worst]:.2f} k_B when the model has never "
        f"seen its class, {errors[everything, worst]:.2f} k_B when it has; it flags {_share(matrix.outside[others, worst])} of "
        f"these structures as outside its training set. Numbers of a column are errors on the same structures."
    )


# --- learning curve


def learning_table(curve: LearningCurve) -> str:
    """HTML: errors for each number fitted, mean ± standard deviation over repeats, k_B."""
    errors = [curve.rmse_train, curve.rmse_test, curve.mae_test]
    rows = [
        (f"{n:,}", *(f"{values[k].mean():.3f} ± {values[k].std():.3f}" for values in errors))
        for k, n in enumerate(curve.n_train)
    ]
    return table_html(("n train", "RMSE train", "RMSE test", "MAE test"), rows)


def read_learning(curve: LearningCurve, error: str) -> str:
    """How much the last doubling of the training set has brought."""
    test = getattr(curve, f"{error}_test").mean(axis=1)
    if len(test) < 2:
        return f"Fitted on {curve.n_train[0]:,} structures the model is off by {test[0]:.3f} k_B on those held out."
    gain = 100 * (1 - test[-1] / test[-2])
    verdict = "more structures would help" if gain > 5 else "more structures of the same kind would help little"
    return (
        f"From {curve.n_train[-2]:,} to {curve.n_train[-1]:,} structures the error on those held out goes from {test[-2]:.3f} to "
        f"{test[-1]:.3f} k_B ({gain:+.0f} % gained): {verdict}. A fifth is held out in each repeat, whole parents together, and "
        f"stays the same while the training set grows."
    )


# --- coverage


def _named(coverage):
    named = {IN_CLASS: coverage.in_class, NEW_CLASS: coverage.new_class}
    return {name: curve for name, curve in named.items() if curve is not None}


def coverage_table(coverage: tasks.Coverage) -> str:
    """HTML: share inside the intervals, and half their width in k_B, against the share promised."""
    curves = list(_named(coverage).values())
    header = ["promised", "in class", "± k_B", *(("new class", "± k_B") if len(curves) > 1 else ())]
    rows = [
        (
            f"{100 * promise:.0f} %",
            *(text for curve in curves for text in (_share(curve.covered[k]), f"{curve.half_width[k]:.3f}")),
        )
        for k, promise in enumerate(coverage.in_class.coverages)
    ]
    return table_html(header, rows)


def read_coverage(coverage: tasks.Coverage, error: str) -> str:
    """What intervals of 90 % hold, of known classes and of new ones."""
    known, new = coverage.in_class, coverage.new_class
    text = (
        f"Intervals that promise 90 % hold {_share(known.at(0.9))} of {known.n_test:,} structures held out of classes that were "
        f"fitted"
    )
    if new is None:
        return f"{text}. There is one class only, so that none can be left out."
    return (
        f"{text}, and {_share(new.at(0.9))} of {new.n_test:,} structures of classes left out, {_share(new.outside)} of which "
        f"the model flags as outside its training set. Below the dashed line intervals promise too much."
    )


def _share(value):
    return "–" if np.isnan(value) else f"{100 * value:.1f} %"


def _number(value):
    return "–" if np.isnan(value) else f"{value:.3f}"


QUESTIONS = {
    question.name: question
    for question in (
        Question(
            name="Split curve",
            explanation=(
                "Each repeat draws one random order of the structures and cuts it at 10 %, 20 % … 90 %: one part is held out "
                "to test, the model is fitted on the rest. Where structures are copies of one parent, whole parents are held "
                "out, too."
            ),
            task=tasks.split_curves,
            n_repeats=100,
            has_error=True,
            shown=lambda curves: {"split_curve": curves.at_random, "grouped_curve": curves.by_parents},
            answer=_curves,
            draw=lambda curves, error: split_plot(curves.at_random, error, grouped=curves.by_parents),
            table=lambda curves: split_table(curves.at_random, curves.by_parents),
            read=lambda curves, error: reading(curves.at_random, error, curves.by_parents),
        ),
        Question(
            name="Classes",
            explanation=(
                "A fifth of the structures is held out. Models are fitted on the rest of one class, of all other classes, and "
                "of all, and judged on each class."
            ),
            task=tasks.class_errors,
            n_repeats=None,
            has_error=True,
            shown=lambda matrix: {"class_matrix": matrix},
            answer=lambda state: state.class_matrix,
            draw=matrix_plot,
            table=matrix_table,
            read=read_matrix,
        ),
        Question(
            name="Learning curve",
            explanation="In each repeat a fifth is held out, and the model is fitted on more and more of the rest.",
            task=tasks.learning,
            n_repeats=5,
            has_error=True,
            shown=lambda curve: {"learning": curve},
            answer=lambda state: state.learning,
            draw=learning_plot,
            table=learning_table,
            read=read_learning,
        ),
        Question(
            name="Coverage",
            explanation=(
                "Intervals of several promised probabilities are compared with how many structures they hold: of a tenth held "
                "out in each repeat, whole parents together, and of each class left out."
            ),
            task=tasks.coverage,
            n_repeats=5,
            has_error=False,
            shown=lambda coverage: {"coverage": coverage},
            answer=lambda state: state.coverage,
            draw=lambda coverage, error: coverage_plot(_named(coverage)),
            table=coverage_table,
            read=read_coverage,
        ),
    )
}
