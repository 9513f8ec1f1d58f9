"""What atoms can be coloured by: a scalar of each atom with its title, its unit and the scale it belongs on; no Panel in here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dashboards.viewer.palettes import DIVERGING, default_limits

EXACT, LEARNED, DIFFERENCE = "exact Sᵢ", "learned w·Dᵢ", "learned − exact"
UNCERTAINTY, COORDINATION = "uncertainty of w·Dᵢ", "coordination number"
DISTANCE, FROM_CENTRE = "distance to the nearest defect", "distance to the centre"
NO_EXACT = "No exact local entropies for this structure."
SATURATED = 1.0
"""Per cent of the atoms beyond the ends of a freshly chosen scale of signed quantities."""
ENTROPIES = "entropies"
"""Name of the scale that the signed quantities of a structure share."""
_SEQUENTIAL = "cividis"


@dataclass(frozen=True)
class Quantity:
    """A scalar of each atom to colour by.

    Attributes
    ----------
    label : str
        In the list of choices.
    title : str
        Of the colour bar, with the unit.
    values : (N,) float or None
        None where unknown; atoms of infinite or NaN value are drawn grey.
    signed : bool
        Whether 0, the value of the crystal, is the middle of the scale; signed quantities of one structure share their scale.
    missing : str
        What to say when `values` is None.
    unit : str
    """

    label: str
    title: str
    values: np.ndarray | None
    signed: bool = True
    missing: str = ""
    unit: str = "k_B"

    @property
    def scale(self) -> str:
        """Name of the scale; quantities with the same one have the same limits."""
        return ENTROPIES if self.signed else self.label

    @property
    def palette(self) -> str:
        return DIVERGING if self.signed else _SEQUENTIAL


def automatic_limits(quantities) -> tuple[float, float]:
    """Limits of quantities that share a scale: symmetric about 0 with 1 % of the atoms beyond them if signed, else all values."""
    known = [q.values[np.isfinite(q.values)] for q in quantities if q.values is not None]
    values = np.concatenate(known) if known else np.empty(0)
    if not values.size or not quantities[0].signed:
        return default_limits(values, quantities[0].palette)
    sizes = np.abs(values)
    end = float(f"{max(np.percentile(sizes, 100.0 - SATURATED), 1e-3 * sizes.max()):.2g}") or 1.0
    return -end, end


def values_of(quantity: Quantity) -> tuple[float, float]:
    """Its smallest and its largest value, with some width between them."""
    return default_limits(quantity.values, _SEQUENTIAL)


def extent(quantities) -> tuple[float, float]:
    """The widest limits worth offering for quantities that share a scale: all their values, and 0 if it is their middle."""
    values = [q.values[np.isfinite(q.values)] for q in quantities if q.values is not None]
    return default_limits(np.concatenate(values) if values else np.empty(0), quantities[0].palette)


def entropy_quantities(
    exact,
    learned,
    distances,
    *,
    errors=None,
    coordination=None,
    no_learned: str = "",
    no_errors: str = "",
    is_local: bool = True,
    from_centre: bool = False,
    unit: str = "Å",
) -> tuple[Quantity, ...]:
    """The quantities of a structure with exact and learned shares (N,) k_B, either of them None where unknown.

    The learned ones of a descriptor that is not local are shares of a quantity of the whole structure; `errors` are their
    standard deviations. Distances, in `unit`, are to the nearest defect, or `from_centre` to that of a cluster.
    `coordination` counts neighbours; without it there is no such choice, and with neither errors nor a reason no uncertainty.
    """
    distance = FROM_CENTRE if from_centre else DISTANCE
    title = "learned w·D_i − S_bulk (k_B)" if is_local else "learned, a share of the whole: w·D_i − S_bulk (k_B)"
    difference = None if exact is None or learned is None else learned - exact
    no_difference = NO_EXACT if exact is None else no_learned
    choices = [
        Quantity(EXACT, "exact S_i − S_bulk (k_B)", exact, missing=NO_EXACT),
        Quantity(LEARNED, title, learned, missing=no_learned),
        Quantity(DIFFERENCE, "learned − exact S_i (k_B)", difference, missing=no_difference),
    ]
    if errors is not None or no_errors:
        why = no_learned if learned is None else no_errors
        title = "standard deviation of w·D_i (k_B)"
        choices.append(Quantity(UNCERTAINTY, title, errors, signed=False, missing=why))
    choices.append(Quantity(distance, f"{distance} ({unit})", distances, signed=False, unit=unit))
    if coordination is not None:
        title = "neighbours in the first shells"
        choices.append(Quantity(COORDINATION, title, coordination.astype(float), signed=False, unit=""))
    return tuple(choices)
