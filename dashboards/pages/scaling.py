"""The Scaling page: what an exact entropy costs as the cell grows, and what the linear model costs, measured here and now."""

from __future__ import annotations

from functools import partial

import panel as pn
import panel_material_ui as pmui

from dashboards.figures.scaling import LOOKS, scaling_figure
from dashboards.pages.job_bar import JobBar
from dashboards.pages.layout import CONTROLS_WIDTH, caption, columns, heading, table_html, table_pane
from dashboards.pages.numbers import MISSING, number
from dashboards.scaling import (
    CHOLESKY,
    DEFECTS,
    EIGENVALUES,
    EXACT,
    FITTED_SIZES,
    GREEN,
    MODEL,
    PAPER_ATOMS,
    ScalingPoint,
    fitted_power,
    measure,
    n_atoms_of,
    series,
)
from dashboards.session import Session
from dashboards.time_left import duration
from ldml.errors import InputError

SIZES = (4, 5, 6, 7, 8, 10, 12, 16, 20)
DEFAULT_SIZES = (4, 5, 6, 7, 8)
DENSE_UP_TO = 12
"""Unit cells along an edge; beyond, dense methods are left out: 16 would take about an hour and a half and 5 GB."""
SECONDS_AT_1024 = {EIGENVALUES: 3.0, CHOLESKY: 0.5}
"""On an idle core."""
OTHER_SECONDS = 3e-3
"""Relaxation and what else is linear, for each atom."""
POTENTIALS = ("Fe-AM04", "Fe-EtesamiAsadi2018")
_WAITING = f"Points appear as they are done; from {FITTED_SIZES} sizes on, each method has its power law."


class ScalingPage:
    """O(N) against O(N^3), live."""

    def __init__(self, session: Session):
        self._session = session
        self._job_bar = JobBar(session)
        self._points: list[ScalingPoint] = []
        self._measured_with = None
        self._make_widgets()
        self._plot = pn.pane.Bokeh(sizing_mode="stretch_width", margin=0)
        self._reading = caption("")
        self._table = table_pane(max_width=900)
        self._connect()
        self._show_estimate()
        self._show()

    def view(self) -> pn.viewable.Viewable:
        """The page."""
        controls = pn.Column(
            self._potential,
            self._defect,
            self._sizes,
            self._methods,
            self._estimate,
            pn.Row(self._run_button, self._clear_button, margin=(8, 0)),
            caption(
                "One defect in growing cells. Timed is the entropy alone, in CPU seconds on one core; the minimum is "
                f"needed by all. Diagonalisation and factorisation stop at {DENSE_UP_TO}a₀."
            ),
            margin=0,
        )
        results = pn.Column(self._job_bar.view(), self._reading, self._plot, heading("Measured"), self._table, margin=0)
        return columns((controls, 0, CONTROLS_WIDTH), (results, 1, 520))

    def _make_widgets(self):
        wide = {"sizing_mode": "stretch_width", "margin": (6, 0)}
        look = {"size": "small", **wide}
        self._potential = pmui.Select(label="Potential", options=list(POTENTIALS), value=POTENTIALS[0], **look)
        self._defect = pmui.Select(label="Defect", options=list(DEFECTS), value="vacancy", **look)
        self._sizes = pmui.MultiChoice(
            label="Cells, unit cells along an edge", options=list(SIZES), value=list(DEFAULT_SIZES), **wide
        )
        self._methods = pmui.MultiChoice(
            label="Exact by",
            options={LOOKS[m][0].removeprefix("exact, "): m for m in EXACT},
            value=[EIGENVALUES],
            **wide,
        )
        self._estimate = caption("")
        self._run_button = pmui.Button(label="Measure", variant="contained", margin=0, width=110)
        self._clear_button = pmui.Button(label="Clear", variant="text", margin=(0, 8), width=80)

    def _connect(self):
        self._run_button.on_click(self.run)
        self._clear_button.on_click(lambda event: self._clear())
        for widget in (self._potential, self._defect, self._sizes, self._methods):
            widget.param.watch(lambda event: self._show_estimate(), "value")
        self._session.state.param.watch(lambda event: self._job_bar.abandon(), "dataset")

    async def run(self, event=None) -> None:
        """Measure the chosen sizes, smallest first; each point appears as it is done, and those done stay when cancelled."""
        with self._session.reporting("Scaling"):
            if not self._sizes.value:
                raise InputError("no size is chosen; choose two or more cells")
            model = self._model()
            if model is None and not self._methods.value:
                raise InputError(
                    "there is nothing to time; choose an exact method, or fit a model on the Model page first"
                )
            setting = (
                self._potential.value,
                self._defect.value,
                None if model is None else model.descriptor.fingerprint,
            )
            if setting != self._measured_with:
                self._points, self._measured_with = [], setting
            sizes = [n for n in sorted(self._sizes.value) if model is not None or _able(self._methods.value, n)]
            for repeats in sizes:
                point = await self._job_bar.run(
                    measure, repeats, *setting[:2], _able(self._methods.value, repeats), model,
                    title=f"{repeats}a₀, {n_atoms_of(repeats, setting[1]):,} atoms",
                )  # fmt: skip
                async with self._session.locked():
                    self._add(point)

    def _model(self):
        """The current model where it was fitted for the chosen potential: its numbers would mean nothing for another."""
        fit = self._session.state.fit
        if fit is None:
            return None
        fitted_for = fit.data.metadata.get("potential", "an unknown potential")
        if fitted_for == self._potential.value:
            return fit.model
        self._session.report_info(
            f"The model was fitted for {fitted_for} and is left out; open a dataset of {self._potential.value} to time it.",
            "Scaling",
        )
        return None

    def _add(self, point):
        self._points = [old for old in self._points if old.n_atoms != point.n_atoms] + [point]
        self._show()

    def _clear(self):
        self._job_bar.abandon()
        if self._points:
            self._session.state.offer_undo(
                "Points cleared", partial(self._bring_back, self._points, self._measured_with)
            )
        self._points = []
        self._show()

    def _bring_back(self, points, measured_with):
        self._job_bar.abandon()
        self._points, self._measured_with = points, measured_with
        self._show()

    def _show_estimate(self):
        seconds = sum(estimated_seconds(n, self._methods.value) for n in self._sizes.value)
        self._estimate.object = f"Estimated {duration(seconds)} on an idle core, {len(self._sizes.value)} sizes."

    def _show(self):
        self._plot.object = scaling_figure(self._points)
        self._table.object = scaling_table(self._points)
        self._table.visible = bool(self._points)
        self._reading.object = reading(self._points) or _WAITING


def estimated_seconds(repeats: int, methods) -> float:
    """Rough seconds of one size on an idle core."""
    n = 2 * repeats**3
    dense = sum(SECONDS_AT_1024.get(method, 0.0) for method in _able(methods, repeats))
    return OTHER_SECONDS * n + dense * (n / 1024) ** 3


def reading(points: list[ScalingPoint]) -> str:
    """What the points say, in words; empty while there are too few for a power law."""
    parts = []
    for method, (name, *_) in LOOKS.items():
        n, t = series(points, method)
        if len(n) >= FITTED_SIZES:
            c, p = fitted_power(n, t)
            parts.append(f"{name}: N^{p:.2f}, at {PAPER_ATOMS:,} atoms {_long(c * PAPER_ATOMS**p)}")
    return "; ".join(parts) + "." if parts else ""


def scaling_table(points: list[ScalingPoint]) -> str:
    """HTML: CPU seconds and S_f of each method by size."""
    methods = [method for method in LOOKS if any(method in point.seconds for point in points)]
    names = [LOOKS[method][0] for method in methods]
    header = [
        "atoms",
        *(f"{name} (CPU s)" for name in names),
        *(f"S<sub>f</sub> {name} (k<sub>B</sub>)" for name in names),
    ]
    rows = [
        [
            f"{point.n_atoms:,}",
            *(number(point.seconds.get(m), 3) for m in methods),
            *(number(point.entropies.get(m), 3) for m in methods),
        ]
        for point in sorted(points, key=lambda point: point.n_atoms)
    ]
    return table_html(header, rows) if rows else MISSING


def _able(methods, repeats):
    """The methods that a size is measured with: dense matrices end where memory and patience do."""
    return [method for method in methods if method in (MODEL, GREEN) or repeats <= DENSE_UP_TO]


def _long(seconds):
    """A time in words, however long."""
    if seconds < 48 * 3600:
        return duration(seconds)
    days = seconds / 86_400
    return f"about {days:.0f} days" if days < 730 else f"about {days / 365.25:,.0f} years"
