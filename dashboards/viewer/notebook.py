"""The viewer by itself in a notebook; `ldml.view` is its public name and describes the parameters."""

from __future__ import annotations

import numpy as np
import panel as pn

from dashboards.style_sheets import keep_style_sheets_here
from dashboards.viewer.atoms_view import AtomsView
from dashboards.viewer.colour_bar import colour_bar, colour_bar_html
from dashboards.viewer.palettes import default_limits, hex_colours, scale_entries
from ldml.point_defects import WignerSeitz, distance_to_defects

MOST_FOR_NGLVIEW = 20_000
"""Atoms; it takes them as text."""
NEAR_DEFECT = 4.5
"""Å; atoms beyond are drawn smaller."""
NEAR, FAR = 1.1, 0.4
MISSING = "#a8a8a8"
_GHOST = (0.49, 0.23, 0.78)
_RADIUS = 0.75  # Å, of an atom near a defect in nglview


def show(atoms, values, *, bulk, title, palette, limits, height, backend):
    """The widget that `ldml.view` returns."""
    if values is not None and limits is None:
        limits = default_limits(values, palette)
    ghosts, near = _defects(atoms, bulk)
    if backend == "nglview" or (backend == "auto" and len(atoms) <= MOST_FOR_NGLVIEW and nglview_works()):
        return _by_nglview(atoms, values, ghosts, near, title, palette, limits, height)
    return _by_panel(atoms, values, ghosts, near, title, palette, limits, height)


def nglview_works() -> bool:
    """Whether there is a notebook and nglview can be imported in it."""
    try:
        from IPython import get_ipython

        shell = get_ipython()
        if shell is None or not hasattr(shell, "kernel"):
            return False
        import nglview  # noqa: F401
    except Exception:  # a version that does not fit that of its widgets fails in its own ways
        return False
    return True


def colour_selections(values: np.ndarray, palette: str, limits) -> list[list[str]]:
    """Colours with the atoms that have them, as nglview takes them: ``["#rrggbb", "@0,5,7"]``."""
    low, high = limits
    scale = hex_colours(palette)
    colours = np.array([scale[entry] for entry in scale_entries(palette, limits)] + [MISSING])
    known = np.isfinite(values)
    entries = np.full(len(values), len(colours) - 1)
    entries[known] = np.clip(np.rint(255.0 * (values[known] - low) / (high - low)), 0, 255)
    return [
        [str(colours[entry]), "@" + ",".join(map(str, np.flatnonzero(entries == entry)))]
        for entry in np.unique(entries)
    ]


def _defects(atoms, bulk):
    """Vacancies (n, 3) and mask (N,) of the atoms near a defect; None where all atoms are alike."""
    if bulk is None:
        return np.zeros((0, 3)), None
    defects = WignerSeitz(bulk)(atoms)
    near = distance_to_defects(atoms, defects) <= NEAR_DEFECT
    return defects.vacancies, near if near.any() else None


def _by_panel(atoms, values, ghosts, near, title, palette, limits, height):
    if not pn.extension._loaded:
        pn.extension(inline=True)  # nothing is fetched from elsewhere
    keep_style_sheets_here()
    view = AtomsView(height=height, sizing_mode="stretch_width", max_width=800)
    sizes = None if near is None else np.where(near, NEAR, FAR)
    view.show(atoms, values, ghosts=ghosts, sizes=sizes, palette=palette, limits=limits)
    bar = [] if values is None else [colour_bar(palette, limits, title, max_width=800)]
    return pn.Column(view, *bar)


def _by_nglview(atoms, values, ghosts, near, title, palette, limits, height):
    import ipywidgets
    import nglview

    view = nglview.show_ase(atoms, default=False, height=f"{height}px")
    for number, (chosen, size) in enumerate(_by_size(near, len(atoms))):
        colour = "element"
        if values is not None:
            colour = f"ldml-{id(view)}-{number}"
            scheme = colour_selections(values, palette, limits)
            nglview.color.ColormakerRegistry.add_selection_scheme(colour, scheme)
        view.add_representation("spacefill", selection=chosen, color=colour, radius_type="size", radius_size=size)
    view.add_unitcell()
    for ghost in ghosts:
        view.shape.add_sphere(ghost.tolist(), list(_GHOST), 1.2 * _RADIUS)
    view.center()
    bar = [] if values is None else [ipywidgets.HTML(colour_bar_html(palette, limits, title))]
    return ipywidgets.VBox([view, *bar])


def _by_size(near, n_atoms):
    """Selections of atoms with their radii, Å."""
    if near is None:
        return [("all", _RADIUS)]
    groups = [(np.flatnonzero(near), NEAR), (np.flatnonzero(~near), FAR)]
    return [("@" + ",".join(map(str, atoms)), factor * _RADIUS) for atoms, factor in groups if len(atoms)]
