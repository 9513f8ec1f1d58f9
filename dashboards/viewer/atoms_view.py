"""Atoms in three dimensions, coloured by a scalar: a Panel component around NGL.

Positions, values and masks travel as binary float32 and bytes; the browser draws up to 150,000 atoms as
ray-cast spheres and more as discs, and maps values to colours itself, so that new values or limits do not
rebuild the picture. A pick is always the atom's index in the structure that was shown, also under a filter.
"""

from pathlib import Path

import numpy as np
import param
from ase.data import covalent_radii
from ase.data.colors import jmol_colors
from panel.custom import JSComponent
from scipy.spatial import cKDTree

from dashboards.viewer.palettes import DIVERGING, PALETTES, default_limits, lookup_table
from ldml.errors import InputError

_BUNDLE = Path(__file__).with_name("ngl_atoms.bundle.js")
_RADIUS = 0.30  # of the distance between neighbours: atoms that touch have 0.5 and hide the crystal
_SAID_BY_BROWSER = ("picked", "selected", "status", "image")


class AtomsView(JSComponent):
    """A view of one structure at a time.

    Drag turns it, drag with Shift or the right button moves it, the wheel zooms, a tap picks; on the keyboard
    the arrows turn it, + and - zoom, Home resets it. The background is the page's own, light or dark.

    Examples
    --------
    >>> view = AtomsView(height=480)
    >>> view.show(atoms, local_entropy - bulk_entropy, ghosts=vacancies)
    >>> view.param.watch(lambda event: print(event.new), "picked")
    """

    picked = param.Integer(-1, doc="Atom the user tapped last, -1 when the tap met none.")
    selected = param.Integer(-1, doc="Atom with a ring around it, -1 for none; a tap sets it too.")
    theme = param.Selector(default="auto", objects=["auto", "light", "dark"], doc="`auto` follows the page.")
    palette = param.Selector(default=DIVERGING, objects=list(PALETTES), doc="Colour scale of the values.")
    limits = param.Tuple((-1.0, 1.0), length=2, doc="Values at the two ends of the colour scale.")
    status = param.Dict(
        {},
        doc="From the browser: state, mode, atoms drawn, revision, first_frame_ms, draw_ms, recolour_ms.",
    )
    image = param.String("", doc="PNG data URI, the answer to `request_image`.")
    frame = param.Dict({}, doc="What `show` sends: positions, radii, colours, cell, ghosts.")
    values = param.Parameter(None, doc="Scalar of each atom, float32, or None for element colours.")
    mask = param.Parameter(None, doc="Mask of the atoms drawn, uint8, or None for all.")
    lut = param.Parameter(None, doc="The palette between the limits as 256 colours, uint8.")
    link = param.String("", doc="Views of one page with the same link, unless it is empty, share their camera.")
    file_name = param.String("atoms.png", doc="Of the picture that `save_image` leaves with the browser.")
    fit = param.Event(doc="Moves the camera to the atoms drawn; see `fit_camera`.")
    sight = param.Event(doc="Scrolls the view into sight; see `reveal`.")
    snapshot = param.Event(doc="Asks the browser for `image`.")
    save = param.Event(doc="Asks the browser to save the picture as a file.")

    if _BUNDLE.is_file():
        _bundle = _BUNDLE.name
    else:  # the source alone shows what to do in place of the picture
        _esm = "ngl_atoms.js"

    def __init__(self, **params):
        if "height" not in params and "sizing_mode" not in params:
            params["height"] = 480
        if "width" not in params:
            params.setdefault("sizing_mode", "stretch_width")
        super().__init__(**params)
        self._set_lut()

    def show(
        self,
        atoms,
        values=None,
        *,
        visible=None,
        sizes=None,
        ghosts=None,
        palette=None,
        limits=None,
        radius=None,
    ):
        """Show a structure; the camera stays where it is when the cell is about the same.

        `picked` and `selected` go back to -1.

        Parameters
        ----------
        atoms : ase.Atoms
            Structure with N atoms, positions and cell in Å (or any one unit of length).
        values : array_like, shape (N,), optional
            Scalar of each atom; NaN is drawn grey. Without values atoms have the colours of their elements.
        visible : array_like, optional
            Boolean mask (N,) or integer indices of the atoms to draw; all by default.
        sizes : array_like, shape (N,), optional
            Factor on each atom's radius, e.g. 0.5 to let the bulk step back. Not used above 150,000 atoms.
        ghosts : array_like, shape (G, 3), optional
            Positions marked with a translucent sphere: vacancies.
        palette : str, optional
            A name in `dashboards.viewer.PALETTES`; the present one by default.
        limits : tuple of float, optional
            Values at the ends of the scale; by default those that show all values, symmetric about 0 for the
            diverging scale.
        radius : float, optional
            Radius of an atom, same unit as the positions; by default 0.30 of the distance between neighbours.

        Raises
        ------
        InputError
            When an array does not fit the atoms, a position is not finite, or limits do not increase.
        """
        frame = _frame(atoms, sizes=sizes, ghosts=ghosts, radius=radius)
        n_atoms = len(atoms)
        update = self._colouring(values, n_atoms, palette, limits)
        self.param.update(frame=frame, mask=_mask(visible, n_atoms), selected=-1, picked=-1, **update)

    def recolour(self, values, *, palette=None, limits=None):
        """Give the shown atoms new values; parameters and errors as in `show`."""
        self.param.update(**self._colouring(values, self.n_atoms, palette, limits))

    def filter(self, visible=None):
        """Draw only some of the shown atoms; a mask (N,), indices, or None for all."""
        self.mask = _mask(visible, self.n_atoms)

    def clear(self):
        """Show nothing."""
        self.param.update(frame={}, values=None, mask=None, selected=-1, picked=-1)

    def fit_camera(self):
        """Move the camera to the atoms drawn (the whole cell when none is filtered out); it does not turn."""
        self.param.trigger("fit")

    def reveal(self):
        """Scroll the page until the view is in sight, if it is not."""
        self.param.trigger("sight")

    def request_image(self):
        """Ask the browser for a PNG at twice the size on screen; it arrives in `image`."""
        self.param.trigger("snapshot")

    def save_image(self, file_name):
        """Have the browser save a PNG at twice the size on screen, as its downloads."""
        self.file_name = file_name
        self.param.trigger("save")

    @property
    def n_atoms(self):
        """Number of atoms in the structure shown, drawn or filtered out."""
        return len(self.frame["positions"]) // 3 if self.frame else 0

    @param.depends("palette", "limits", watch=True)
    def _set_lut(self):
        self.lut = lookup_table(self.palette, self.limits).ravel()

    def _process_property_change(self, msg):
        """What the browser has to say; a notebook sends back what it was told as well, arrays and tuples as lists."""
        return super()._process_property_change({name: new for name, new in msg.items() if name in _SAID_BY_BROWSER})

    def _colouring(self, values, n_atoms, palette, limits):
        palette = self.palette if palette is None else palette
        if palette not in PALETTES:
            raise InputError(f"unknown palette {palette!r}; choose one of {', '.join(PALETTES)}")
        update = {"palette": palette, "values": _per_atom(values, n_atoms, "values")}
        if limits is not None:
            low, high = (float(limit) for limit in limits)
            if not (np.isfinite([low, high]).all() and low < high):
                raise InputError(f"colour limits must be finite and increasing, not ({low:g}, {high:g})")
            update["limits"] = (low, high)
        elif values is not None:
            update["limits"] = default_limits(values, palette)
        return update


def _frame(atoms, *, sizes, ghosts, radius):
    positions = atoms.get_positions()
    if not np.isfinite(positions).all():
        bad = int(np.flatnonzero(~np.isfinite(positions).all(axis=1))[0])
        raise InputError(f"atom {bad} has position {positions[bad]}; only finite positions can be drawn")
    numbers = atoms.get_atomic_numbers()
    radius = _RADIUS * _neighbour_distance(positions) if radius is None else float(radius)
    frame = {
        "positions": _binary(positions),
        "radius": radius,
        "colours": np.round(255 * jmol_colors[numbers]).astype(np.uint8).ravel(),
    }
    factors = _per_atom(sizes, len(atoms), "sizes")
    if len(set(numbers.tolist())) > 1:
        covalent = covalent_radii[numbers]
        relative = (covalent / np.median(covalent)).astype(np.float32)
        factors = relative if factors is None else factors * relative
    if factors is not None:
        frame["radii"] = _binary(radius * factors)
    cell = np.asarray(atoms.cell)
    if abs(np.linalg.det(cell)) > 0:
        frame["cell"] = _binary(cell)
    if ghosts is not None and len(ghosts):
        ghosts = np.asarray(ghosts, float).reshape(-1, 3)
        frame["ghosts"] = _binary(ghosts)
    return frame


def _neighbour_distance(positions, *, most=2000):
    """Median distance to the nearest atom, over at most ``most`` atoms; 1 for a single atom."""
    if len(positions) < 2:
        return 1.0
    tree = cKDTree(positions, balanced_tree=False, compact_nodes=False)
    sample = positions[:: -(-len(positions) // most)]
    return float(np.median(tree.query(sample, k=2)[0][:, 1])) or 1.0


def _per_atom(array, n_atoms, name):
    if array is None:
        return None
    array = np.asarray(array, float)
    if array.shape != (n_atoms,):
        raise InputError(f"{name} has shape {array.shape}; the structure shown has {n_atoms} atoms")
    return _binary(array)


def _mask(visible, n_atoms):
    if visible is None:
        return None
    visible = np.asarray(visible)
    if visible.dtype != bool:
        if visible.size and not (visible.min() >= 0 and visible.max() < n_atoms):
            raise InputError(f"visible holds index {visible.max()}; the structure shown has {n_atoms} atoms")
        mask = np.zeros(n_atoms, bool)
        mask[visible.astype(int)] = True
        visible = mask
    if visible.shape != (n_atoms,):
        raise InputError(f"visible has shape {visible.shape}; the structure shown has {n_atoms} atoms")
    return visible.astype(np.uint8)


def _binary(array):
    return np.ascontiguousarray(array, np.float32).ravel()
