"""A view to give away: one HTML file with the parity plot, the split curve and structures that turn, which needs no server.

Everything lies in the file, Bokeh and the viewer of atoms included; nothing is fetched. A tap on a ringed point of the
parity plot shows that structure.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from pathlib import Path
from string import Template

import holoviews as hv
import numpy as np
from ase import Atoms
from bokeh.embed import components
from bokeh.models import ColumnDataSource, CustomJS, TapTool
from bokeh.resources import Resources

from dashboards.figures.parity import fit_parity
from dashboards.figures.split_curve import split_plot
from dashboards.figures.style import NEUTRAL
from dashboards.pages.atoms_panel import centred
from dashboards.pages.numbers import number, number_table
from dashboards.state import Fit
from dashboards.units import units_of
from dashboards.viewer import AtomsView, colour_bar_html
from dashboards.viewer.palettes import DIVERGING, default_limits, lookup_table
from ldml import __version__
from ldml.dataset import Dataset
from ldml.errors import InputError
from ldml.evaluation.protocols import COVERAGE
from ldml.evaluation.splits import SplitCurve
from ldml.point_defects import WignerSeitz, defect_positions, distance_to_defects

MAX_STRUCTURES = 60
MAX_ATOMS = 200_000
NEAR = 7.0
"""Distance from the nearest defect, in the unit of the dataset, within which atoms are shown at first."""
EXACT, LEARNED, DIFFERENCE = "exact S_i", "learned S_i", "learned − exact"
"""What structures are coloured by, each less the value of the crystal."""
_VIEWER = Path(__file__).with_name("viewer")


def structures_to_show(fit: Fit, n: int = MAX_STRUCTURES, *, first: int = -1) -> np.ndarray:
    """Which structures of a fit to put in the file, ascending in residual size.

    A third each: those held out that the model misses most, those with exact local entropies, and others spread over the
    range of entropies.

    Parameters
    ----------
    fit : Fit
    n : int
        At most so many, and at most `MAX_ATOMS` atoms.
    first : int
        Index of a structure to have in any case; -1 for none.
    """
    n = int(min(n, len(fit.true), max(1, MAX_ATOMS // fit.data.n_atoms.max())))
    by_error = np.argsort(-np.abs(fit.predicted - fit.true), kind="stable")
    worst = by_error[fit.test[by_error]][: n // 3]
    local = np.flatnonzero(fit.data.has_local)
    local = local[np.linspace(0, len(local) - 1, min(n // 3, len(local))).astype(int)] if len(local) else local
    spread = np.argsort(fit.true, kind="stable")[np.linspace(0, len(fit.true) - 1, n).astype(int)]
    wanted = np.concatenate([[first] if first >= 0 else [], worst, local, spread]).astype(int)
    return np.array(list(dict.fromkeys(wanted.tolist()))[:n])


def standalone_page(
    fit: Fit,
    shown: Sequence[int],
    learned: Sequence[np.ndarray | None],
    *,
    curve: SplitCurve | None = None,
    grouped: SplitCurve | None = None,
    description: str = "",
) -> str:
    """The HTML of the file.

    Parameters
    ----------
    fit : Fit
    shown : sequence of int
        Structures of ``fit.data`` to show in three dimensions.
    learned : sequence of (N,) array or None, k_B
        Learned share of each of their atoms, where the model gives one.
    curve, grouped : SplitCurve, optional
        At random, and with whole parents held out.
    description : str
        What the model is, in words.

    Raises
    ------
    InputError
        If the viewer has not been built.
    """
    bundle = _VIEWER / "ngl_atoms.bundle.js"
    if not bundle.is_file():
        raise InputError(
            "the 3D viewer has not been built; run 'python hatch_build.py' in the source tree, or install again"
        )
    plots = {"parity": _parity(fit, np.asarray(shown))}
    if curve is not None:
        plots["splits"] = hv.render(split_plot(curve, grouped=grouped, height=300))
    script, divisions = components(plots)
    data = {
        "lut": _base64(lookup_table(DIVERGING).astype(np.uint8)),
        "structures": [_structure(fit, i, shares) for i, shares in zip(shown, learned, strict=True)],
    }
    options = "".join(
        f'<option value="{k}">{html.escape(str(fit.data.names[i]))}</option>' for k, i in enumerate(shown)
    )
    colours = "".join(f"<option>{name}</option>" for name in (EXACT, LEARNED, DIFFERENCE))
    code = bundle.read_text(encoding="utf-8") + (_VIEWER / "standalone.js").read_text(encoding="utf-8")
    return Template((_VIEWER / "standalone.html").read_text(encoding="utf-8")).substitute(
        title=html.escape(fit.data.name),
        description=html.escape(description),
        numbers=number_table(_numbers(fit)),
        provenance=html.escape(_provenance(fit.data)),
        bokeh="".join(f"<script>{code}</script>" for code in Resources(mode="inline", components=["bokeh"]).js_raw),
        reach=f"{NEAR:g} {units_of(fit.data).length}",
        script=script,
        parity=divisions["parity"],
        splits=divisions.get("splits", ""),
        options=options,
        colours=colours,
        data=_in_script(json.dumps(data)),
        code=_in_script(code),
        version=__version__,
    )


def _parity(fit, shown):
    """The plot of the Model page, in which structures that are in the file have a ring that can be tapped."""
    plot = fit_parity(fit, height=520)
    source = ColumnDataSource({"true": fit.true[shown], "predicted": fit.predicted[shown]})
    rings = plot.scatter(
        "true",
        "predicted",
        source=source,
        size=13,
        fill_alpha=0.0,
        line_color=NEUTRAL,
        line_width=2,
        legend_label="in 3D",
    )
    rings.nonselection_glyph = None
    tell = "const [k] = source.selected.indices; "
    tell += 'if (k != null) document.dispatchEvent(new CustomEvent("ldml-show", {detail: k}))'
    plot.add_tools(TapTool(renderers=[rings], callback=CustomJS(args={"source": source}, code=tell)))
    return plot


def _structure(fit, i, learned):
    """What the viewer needs of one structure."""
    entry, bulk = fit.data.entries[i], fit.data.bulk_of(i)
    atoms, ghosts, near = _centred(entry.atoms, bulk)
    view = AtomsView()
    view.show(atoms, ghosts=ghosts)
    values = {}
    for name, shares in ((EXACT, entry.local_entropy), (LEARNED, learned)):
        if shares is not None:
            values[name] = _coloured(shares, f"{name} − S_bulk (k_B)")
    if entry.local_entropy is not None and learned is not None:
        values[DIFFERENCE] = _coloured(learned - entry.local_entropy, f"{DIFFERENCE} S_i (k_B)")
    frame = {key: _base64(value) if isinstance(value, np.ndarray) else value for key, value in view.frame.items()}
    return {"frame": frame, "values": values, "near": _base64(near), "numbers": number_table(_told(fit, i))}


def _centred(atoms: Atoms, bulk: Atoms):
    """A structure with its defect in the middle of the cell, its vacancies, and which atoms are near a defect."""
    if not bulk.pbc.all():
        return atoms, None, np.ones(len(atoms), dtype=np.uint8)
    defects = WignerSeitz(bulk)(atoms)
    near = distance_to_defects(atoms, defects) < NEAR
    return *centred(atoms, defect_positions(atoms, defects), defects.vacancies), near.astype(np.uint8)


def _coloured(values, title):
    limits = default_limits(values, DIVERGING)
    return {
        "data": _base64(np.asarray(values, dtype=np.float32)),
        "limits": limits,
        "bar": colour_bar_html(DIVERGING, limits, title),
    }


def _told(fit, i):
    rows = [
        ("structure", f"{fit.data.names[i]} ({fit.data.labels[i]})"),
        ("set", "held out" if fit.test[i] else "fitted"),
        ("S_f exact", number(fit.true[i], unit="k_B")),
        ("S_f learned", number(fit.predicted[i], unit="k_B")),
        ("learned − exact", number(fit.predicted[i] - fit.true[i], unit="k_B", sign=True)),
    ]
    if fit.test[i] and fit.has_intervals:
        rows.append((f"{100 * COVERAGE:g} % interval", f"± {number(fit.half_width[i], unit='k_B')}"))
    return rows


def _numbers(fit):
    rows = []
    for name, which in (("fitted", fit.train), ("held out", fit.test)):
        rows.append((f"{name}: structures", f"{which.sum():,}"))
        rows.append((f"{name}: RMSE, MAE", f"{number(fit.rmse(which))}, {number(fit.mae(which), unit='k_B')}"))
    return rows


def _provenance(data: Dataset) -> str:
    told = (("Dataset", data.name), *((key, str(data.metadata.get(key, ""))) for key in ("potential", "licence")))
    return "; ".join(f"{key.capitalize()}: {value}" for key, value in told if value)


def _base64(array) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def _in_script(text: str) -> str:
    """Text that cannot end the script it stands in."""
    return text.replace("</", "<\\/").replace("<!--", "<\\!--")
