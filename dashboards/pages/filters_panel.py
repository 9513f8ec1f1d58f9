"""The filters of the Data page: each can be set by keyboard, and shows what a box in a plot has set."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import panel as pn
import panel_material_ui as pmui

from dashboards.defects import INTERSTITIALS, VACANCIES
from dashboards.figures.style import class_colour
from dashboards.pages.dataset_text import ALL_CRYSTALS, crystal_options
from dashboards.pages.layout import UNSEEN_LABEL
from dashboards.selection import DISTANCE, ENERGY, ENTROPY, Columns, Filters, Selection
from dashboards.units import plain_name, quantity_unit, units_of

SLIDER_STEPS = 200
"""About so many positions of a slider, at round numbers."""
_COUNTS = {VACANCIES: "vacancies n_V", INTERSTITIALS: "interstitials n_I"}
CLEARED = "Filters cleared"


class FiltersPanel:
    """Widgets over a `Selection`.

    Parameters
    ----------
    selection : Selection
    offer_undo : callable
        Told what was done and how to take it back, as `AppState.offer_undo`.
    """

    def __init__(self, selection: Selection, offer_undo: Callable[[str, Callable[[], None]], None]):
        self._selection = selection
        self._offer_undo = offer_undo
        self._moved = ""
        self._is_settling = False
        self._columns: Columns | None = None
        self._make_widgets()
        self._connect()
        self._follow()

    def view(self) -> pn.Column:
        """The widgets, one below the other."""
        return pn.Column(
            pn.Row(self._count, self._clear, sizing_mode="stretch_width", margin=0),
            self._others,
            self._classes,
            *self._sliders.values(),
            self._words,
            self._crystal,
            self._exact,
            margin=0,
            sizing_mode="stretch_width",
        )

    def _make_widgets(self):
        wide = {"size": "small", "sizing_mode": "stretch_width"}
        self._count = pmui.Typography("", variant="body2", margin=(8, 0, 4, 0), sizing_mode="stretch_width")
        self._clear = pmui.Button(label="Clear", variant="outlined", size="small", disabled=True, margin=(4, 0))
        self._others = pmui.Typography(
            "", variant="body2", margin=(0, 0, 4, 0), sizing_mode="stretch_width", visible=False, sx={"opacity": 0.8}
        )
        self._classes = pmui.CheckButtonGroup(
            label="Classes",
            options=[],
            value=[],
            size="small",
            margin=(2, 0),
            sizing_mode="stretch_width",
            stylesheets=[UNSEEN_LABEL],
        )
        slider = {**wide, "visible": False, "start": 0.0, "end": 1.0, "value": (0.0, 1.0), "margin": (4, 12, 0, 10)}
        self._sliders = {
            key: pmui.RangeSlider(label=key, **slider) for key in (ENTROPY, ENERGY, VACANCIES, INTERSTITIALS)
        }
        self._words = pmui.TextInput(
            label="Name, class or parent contains", value="", placeholder="such as 00123", margin=(8, 0, 4, 0), **wide
        )
        self._crystal = pmui.Select(
            label="Crystal", options={"all": ALL_CRYSTALS}, value=ALL_CRYSTALS, margin=(4, 0), **wide
        )
        self._exact = pmui.Checkbox(
            label="Only with exact S_i", value=False, size="small", margin=(0, 0), visible=False
        )

    def _connect(self):
        self._selection.param.watch(lambda *events: self._follow(), ["columns", "filters"])
        for widget in (self._classes, self._words, self._crystal, self._exact):
            widget.param.watch(lambda event: self._ask(), "value")
        for key, slider in self._sliders.items():
            slider.param.watch(lambda event, key=key: self._ask_range(key, event.new), "value_throttled")
        self._clear.on_click(lambda event: self._clear_filters())

    # --- from the widgets

    def _clear_filters(self):
        before = self._selection.filters
        self._selection.filters = Filters()
        self._offer_undo(CLEARED, lambda: setattr(self._selection, "filters", before))

    def _ask(self):
        if self._is_settling:
            return
        self._selection.filters = replace(
            self._selection.filters,
            hidden=frozenset(self._classes.options) - frozenset(self._classes.value),
            crystal=None if self._crystal.value == ALL_CRYSTALS else self._crystal.value,
            words=self._words.value or "",
            exact_only=self._exact.value,
        )

    def _ask_range(self, key, value):
        slider = self._sliders[key]
        everything = value[0] <= slider.start and value[1] >= slider.end
        self._moved = key  # by the time it has had its effect, it may be elsewhere
        try:
            self._selection.ask({key: None if everything else tuple(map(float, value))})
        finally:
            self._moved = ""

    # --- to the widgets

    @contextmanager
    def _settling(self) -> Iterator[None]:
        """The widgets follow; they do not ask."""
        before, self._is_settling = self._is_settling, True
        try:
            yield
        finally:
            self._is_settling = before

    def _follow(self):
        if self._selection.columns is not self._columns or self._columns is None:
            self._columns = self._selection.columns
            with self._settling():
                self._show_dataset()
        self._show_filters()

    def _show_dataset(self):
        data, columns = self._selection.data, self._columns
        labels = [] if columns is None else np.unique(columns.labels).tolist()
        self._classes.param.update(options=labels, value=labels, sx=_swatches(labels))
        self._crystal.param.update(options=crystal_options(data), value=ALL_CRYSTALS)
        self._crystal.visible = data is not None and len(data.bulks) > 1
        self._exact.visible = columns is not None and bool(columns.exact.any() and not columns.exact.all())
        self._show_sliders()

    def _show_sliders(self):
        columns, units = self._columns, units_of(self._selection.data)
        names = {ENTROPY: f"S_f ({units.entropy})", ENERGY: f"E_f ({units.energy})", **_COUNTS}
        for key, slider in self._sliders.items():
            known = np.array([]) if columns is None or key not in columns else columns.number(key)
            known = known[np.isfinite(known)]
            slider.visible = len(known) > 0 and bool(np.ptp(known) > 0)
            if slider.visible:
                low, high, step = slider_scale(float(known.min()), float(known.max()), whole=key in _COUNTS)
                slider.param.update(label=names[key], start=low, end=high, step=step, value=(low, high))

    def _show_filters(self):
        filters, chosen = self._selection.filters, self._selection.chosen
        n = len(chosen)
        self._count.object = f"<b>{chosen.sum():,}</b> of {n:,} structures chosen" if n else ""
        self._clear.disabled = filters.are_empty
        others = [self._in_words(key, *limits) for key, limits in filters.ranges.items() if key not in self._sliders]
        self._others.param.update(object="; ".join(others), visible=bool(others))
        with self._settling():
            self._classes.value = [label for label in self._classes.options if label not in filters.hidden]
            self._crystal.value = ALL_CRYSTALS if filters.crystal is None else filters.crystal
            self._words.value = filters.words
            self._exact.value = filters.exact_only
            for key, slider in self._sliders.items():
                if key == self._moved:
                    continue
                low, high = filters.ranges.get(key, (slider.start, slider.end))
                slider.value = (min(max(low, slider.start), slider.end), max(min(high, slider.end), slider.start))

    def _in_words(self, key, low, high):
        if key == DISTANCE:
            return f"two defects {low:.1f} to {high:.1f} Å apart"
        return f"{plain_name(key)} {low:.4g} to {high:.4g} {quantity_unit(self._selection.data, key)}".rstrip()


def slider_scale(low: float, high: float, *, whole: bool = False) -> tuple[float, float, float]:
    """Start, end and step of a slider whose round positions take in everything from `low` to `high`.

    Examples
    --------
    >>> slider_scale(1.03, 15.44)
    (1.0, 15.5, 0.1)
    """
    step = 1.0 if whole else 10.0 ** math.ceil(math.log10((high - low) / SLIDER_STEPS))
    wide = step if whole else 5 * step
    return round(wide * math.floor(low / wide), 12), round(wide * math.ceil(high / wide), 12), round(step, 12)


def _swatches(labels):
    """Each class has its colour at the edge of its button: the legend of all plots."""
    wrapped = {"flexWrap": "wrap", "& .MuiToggleButton-root": {"width": "auto", "flex": "1 1 auto"}}
    return wrapped | {
        f"& .MuiToggleButton-root:nth-of-type({k})": {"borderLeft": f"6px solid {class_colour(label)} !important"}
        for k, label in enumerate(labels, start=1)
    }
