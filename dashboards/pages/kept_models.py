"""Several models side by side: a table of what they are, what they cost and how well they do, one of them in view."""

from __future__ import annotations

import itertools
import string
import weakref

import numpy as np
import panel as pn
import panel_material_ui as pmui

from dashboards import tasks
from dashboards.pages.descriptor_form import describe_descriptor
from dashboards.pages.layout import heading, table_html, table_pane
from dashboards.session import Session
from dashboards.state import Fit
from dashboards.units import units_of

HEADER = (
    "model",
    "exact S<sub>i</sub>",
    "held out",
    "test RMSE",
    "test MAE",
    "in interval",
    "outside",
    "features",
    "s a structure",
)
_SOURCE = "Timing the descriptors"


class KeptModels:
    """The models kept in this session; the current one is marked, another can take its place or go.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session):
        self._session = session
        self._state = session.state
        self._seconds: dict[str, float] = {}
        self._letters: weakref.WeakKeyDictionary[Fit, str] = weakref.WeakKeyDictionary()
        self._next_letter = itertools.cycle(string.ascii_uppercase)
        self._table = table_pane()
        self._choice = pmui.Select(label="Model in view", options=[], size="small", width=130, margin=(2, 8, 2, 0))
        self._remove = pmui.Button(label="Remove", variant="outlined", size="small", margin=(6, 8, 2, 0))
        self._view = pn.Column(
            pn.Row(
                heading("Models (k_B)"),
                pn.layout.HSpacer(),
                self._choice,
                self._remove,
                sizing_mode="stretch_width",
                margin=0,
            ),
            self._table,
            sizing_mode="stretch_width",
            margin=(4, 10),
        )
        self._choice.param.watch(self._chosen, "value")
        self._remove.on_click(lambda event: self.remove())
        self._state.param.watch(lambda *events: self._show(), ["models", "fit"])
        self._show()

    def view(self) -> pn.Column:
        """The table with its buttons."""
        return self._view

    def remove(self) -> None:
        """Keep the model in view no longer."""
        fit = self._state.fit
        self._state.remove_fit(fit, f"Model {self._letters[fit]}")

    async def time_descriptors(self) -> None:
        """Measure what the descriptors of the models cost, once there is something to compare."""
        with self._session.reporting(_SOURCE):
            for fit in self._state.models:
                descriptor = fit.model.descriptor
                if len(self._state.models) > 1 and descriptor.fingerprint not in self._seconds:
                    self._seconds[descriptor.fingerprint] = float("nan")  # asked for
                    atoms = fit.data.entries[0].atoms
                    seconds = await self._session.run_job(tasks.descriptor_seconds, atoms, descriptor.to_dict())
                    async with self._session.locked():
                        self._seconds[descriptor.fingerprint] = seconds
                        self._show()

    def _chosen(self, event):
        chosen = next((fit for fit in self._state.models if self._letters[fit] == event.new), None)
        if chosen is not None and chosen is not self._state.fit:
            self._state.show_fit(chosen)

    def _show(self):
        models, fit = self._state.models, self._state.fit
        self._view.visible = bool(models)
        for kept in models:
            if kept not in self._letters:
                self._letters[kept] = next(self._next_letter)
        names = {self._letters[kept]: kept for kept in models}
        self._choice.param.update(options=list(names), value=self._letters[fit] if fit in models else None)
        self._remove.disabled = fit is None
        rows = [
            model_row(name, kept, self._seconds.get(kept.model.descriptor.fingerprint)) for name, kept in names.items()
        ]
        self._table.object = table_html(HEADER, rows, chosen=models.index(fit) if fit in models else None)


def model_row(name: str, fit: Fit, seconds: float | None = None) -> tuple[str, ...]:
    """What the table says of one model: errors in k_B on what was held out, and what its descriptor takes.

    Parameters
    ----------
    name : str
    fit : Fit
    seconds : float, optional
        Of the descriptor of one structure, if it was timed.
    """
    descriptor, test = fit.model.descriptor, fit.test
    return (
        f"{name}: {describe_descriptor(descriptor, length=units_of(fit.data).length)}",
        "–" if fit.local is None else f"weight {fit.local.weight:g}",
        f"{100 * fit.test_proportion:.3g} %{', by parents' if fit.by_parents else ''}, seed {fit.seed}",
        f"{fit.rmse(test):.3f}",
        f"{fit.mae(test):.3f}",
        percent(fit.covered(test)),
        percent(fit.share_outside(test)),
        f"{fit.model.n_features_in_:,}",
        "–" if seconds is None or np.isnan(seconds) else f"{seconds:.2g}",
    )


def percent(share: float) -> str:
    """A share in per cent; a dash where it is not known."""
    return "–" if np.isnan(share) else f"{100 * share:.1f} %"
