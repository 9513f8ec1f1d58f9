"""In a notebook: atoms in three dimensions, coloured by a scalar of each (`ldml.view`), and the dashboard's pages one by one
(`ldml.pages`).

The picture of `view` is nglview's where that is installed and a notebook is there to show it, else that of the dashboard; both
draw with NGL. Neither is imported before it is needed, and the library works without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np
from ase import Atoms

from ldml.dataset import Dataset, load_dataset
from ldml.errors import InputError

BACKENDS = ("auto", "nglview", "panel")


def view(
    structure: Atoms,
    color: str | Sequence[float] | None = None,
    *,
    bulk: Atoms | None = None,
    title: str = "S_i − S_bulk (k_B)",
    palette: str = "blue-white-red",
    limits: tuple[float, float] | None = None,
    height: int = 420,
    backend: str = "auto",
):
    """Show a structure in a notebook.

    Parameters
    ----------
    structure : Atoms
        N atoms, positions in Å.
    color : (N,) array, or name of one of ``structure.arrays``, optional
        Scalar of each atom; NaN is drawn grey. Colours of the elements by default.
    bulk : Atoms, optional
        The perfect crystal; with it vacancies are drawn as ghosts, and the atoms far from all defects smaller.
    title : str
        Of the colour bar, with the unit.
    palette : str
        "blue-white-red", whose white is 0; "cividis" or "viridis".
    limits : tuple of float, optional
        Values at the ends of the scale; by default all values are within, symmetric about 0 for the first palette.
    height : int
        Pixels.
    backend : {"auto", "nglview", "panel"}
        "auto" takes nglview in a notebook that has it, for up to 20,000 atoms, and the dashboard's viewer otherwise.

    Returns
    -------
    ipywidgets.VBox or panel.Column
        Displays itself as the last line of a cell.

    Raises
    ------
    InputError
        If values do not fit the atoms, a name is unknown, or what draws is not installed.

    Examples
    --------
    >>> f = ldml.formation_entropy(vacancy, bulk, "Fe-AM04", local=True)  # doctest: +SKIP
    >>> ldml.view(vacancy, color=f.local, bulk=bulk)  # doctest: +SKIP
    """
    if backend not in BACKENDS:
        raise InputError(f"backend {backend!r} is unknown; choose one of {', '.join(BACKENDS)}")
    _check_installed("ldml.view", *(["nglview"] if backend == "nglview" else []))
    from dashboards.viewer.notebook import show

    values = None if color is None else _values(structure, color)
    return show(
        structure, values, bulk=bulk, title=title, palette=palette, limits=limits, height=height, backend=backend
    )


def pages(data: Dataset | str):
    """The pages of the dashboard over one dataset, each to be shown by itself in a notebook.

    Parameters
    ----------
    data : Dataset or str
        Or the name of one of the sample data, or a path.

    Returns
    -------
    dashboards.apart.Pages
        Its attributes ``data``, ``model``, ``splits``, ``structure``, ``reference``, ``scaling`` and ``teach`` display
        themselves as the last line of a cell. They share one state: a point tapped in one is the structure in view in another.

    Raises
    ------
    InputError
        If the dataset cannot be opened, or what draws is not installed.

    Examples
    --------
    >>> pages = ldml.pages("fe-am04-8a0")  # doctest: +SKIP
    >>> pages.model  # doctest: +SKIP
    """
    _check_installed("ldml.pages")
    from dashboards.apart import Pages

    return Pages(data if isinstance(data, Dataset) else load_dataset(data))


def _check_installed(wanting, *more):
    missing = [name for name in ("dashboards", "panel", *more) if find_spec(name) is None]
    if missing:
        raise InputError(f"{wanting} needs {' and '.join(missing)}; install the extra 'app': pip install 'ldml[app]'")


def _values(structure, color):
    if isinstance(color, str):
        if color not in structure.arrays:
            raise InputError(f"the structure has no values {color!r}; it has {', '.join(structure.arrays)}")
        color = structure.arrays[color]
    try:
        values = np.asarray(color, dtype=float)
    except (TypeError, ValueError) as error:
        raise InputError(f"color is no array of numbers: {error}") from error
    if values.shape != (len(structure),):
        raise InputError(f"color has shape {values.shape}; the structure has {len(structure)} atoms")
    return values
