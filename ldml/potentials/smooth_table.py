"""A smooth function recovered from a table of rounded values.

    minimise  sum_k [ (s(x_k) - y_k) / sigma_k ]^2,      x_k = k h,      s a quintic spline with as few knots as suffice

Differentiating a table twice multiplies the rounding noise sigma of its values by sqrt(6)/h^2. A spline whose knots are
H >> h apart averages over H/h values and leaves about sigma h^(1/2) / H^(5/2). How far apart they may be is read from
the data: intervals are halved until the residuals of each look like the noise, in size and in having no memory.
sigma_k is read from the data as well, as the larger of half a unit in the last digit (over sqrt(3)) and what high-order
differences leave when everything smooth has cancelled.

Published functions are joined from pieces, and at a join a derivative jumps. Where no polynomial passes a window of
values within their noise, the join is located by fitting

    y = polynomial(x) + sum_{n=m}^{5} b_n (x - x_0)+^n

to the values around it, with the smoothest m = 3, 2, 1, 0 that the noise allows; a knot of multiplicity 6 - m at x_0,
which need not lie on the grid, then keeps the jump of the m-th derivative as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from math import comb, factorial, pi

import numpy as np
import scipy.linalg
from numba import njit
from numpy.lib.stride_tricks import sliding_window_view
from scipy.interpolate import BSpline, PPoly
from scipy.ndimage import maximum_filter1d, median_filter
from scipy.optimize import minimize_scalar

from ldml.errors import InputError

DEGREE = 5
FIRST_WIDTH = 512
"""Grid cells between knots at the start."""
LEAST_WIDTH = 2
"""Grid cells below which an interval is not halved: two values for each coefficient."""
EDGE_WIDTH = 6
"""Least width next to an end or a join, where several coefficients rest on one interval."""
WINDOWS = (96, 48, 24)
"""Values in the windows in which joins are looked for."""
LARGEST_MISFIT = 4.0
"""Mean square residual, in units of the noise, up to which a join explains the values around it; the noise of single
values is known to about a factor of two."""
LEAST_IMPROVEMENT = 2.0
"""Factor by which a join has to lower the mean square residual of a smooth fit."""
NEGLIGIBLE_JOIN = 1e-5
"""Joins that change second differences by less than this fraction of their typical size are smoothed away."""
MOST_STRETCHES = 60
"""Rough stretches beyond which the values, not their joins, are at fault."""
NEGLIGIBLE = 1e-7
"""Second differences are not asked for more exactly than this fraction of their typical size."""
MINIMUM_POINTS = 40
FIT_SETTINGS = {
    "degree": DEGREE,
    "widths": [FIRST_WIDTH, LEAST_WIDTH, EDGE_WIDTH],
    "windows": list(WINDOWS),
    "joins": [LARGEST_MISFIT, LEAST_IMPROVEMENT, NEGLIGIBLE_JOIN, MOST_STRETCHES],
    "negligible": NEGLIGIBLE,
}
"""What decides, with the values, which function comes out."""
N_REALISATIONS = 16
"""Realisations of the noise from which the noise left in the second derivative is estimated."""


@dataclass(frozen=True)
class Join:
    """A point where a derivative of the tabulated function jumps.

    Attributes
    ----------
    position : float
        In units of the argument.
    order : int
        Lowest derivative that jumps.
    jump : float
        Its value above less its value below.
    """

    position: float
    order: int
    jump: float


@dataclass(frozen=True)
class TableNoise:
    """How noisy a table is, and how noisy what was fitted to it; Y is the unit of the values, X that of the argument.

    Attributes
    ----------
    spacing : float, X
    value : float, Y
        Root mean square rounding noise of the values.
    table_curvature : float, Y/X²
        Noise of second differences of neighbouring values: sqrt(6) value / spacing².
    fitted_curvature : float, Y/X²
        Root mean square noise left in the second derivative of the spline.
    residual : float
        Root mean square of (spline - table) / noise; 1 if the spline leaves out nothing but noise.
    unresolved : float
        Fraction of the range where residuals do not look like noise although knots are as dense as the values allow:
        there the table is too coarse.
    missed_curvature : float, Y/X²
        Root mean square second derivative of these residuals, taken as a wave over four values.
    n_intervals : int
        Intervals of the spline.
    joins : tuple of Join
    """

    spacing: float
    value: float
    table_curvature: float
    fitted_curvature: float
    residual: float
    unresolved: float
    missed_curvature: float
    n_intervals: int
    joins: tuple[Join, ...]


@dataclass(frozen=True)
class SmoothFunction:
    """Quintic pieces on nearly uniform knots, with the index that finds the piece of an argument at once.

    Below the first knot the function is continued by its tangent; above the last by its tangent, or by zero if
    ``vanishes``.

    Attributes
    ----------
    breakpoints : (n + 1,) float
        Ends of the pieces, ascending.
    coefficients : (n, 6) float
        Taylor coefficients of each piece about its lower end, the constant first.
    first_piece : (n_cells,) int64
        First piece that reaches into each cell of the table.
    spacing : float
    vanishes : bool
    end_order : int
        Derivatives, the zeroth included, that are zero at the last knot.
    noise : TableNoise
    """

    breakpoints: np.ndarray
    coefficients: np.ndarray
    first_piece: np.ndarray
    spacing: float
    vanishes: bool
    end_order: int
    noise: TableNoise = field(repr=False)

    def arrays(self):
        """Everything a compiled kernel needs to evaluate the function."""
        return self.breakpoints, self.coefficients, self.first_piece, self.spacing, self.vanishes

    def __call__(self, x) -> np.ndarray:
        """Value, first and second derivative at arguments x (M,); shape (M, 3)."""
        x = np.ascontiguousarray(x, dtype=np.float64)
        table = np.empty((len(x), 3))
        tabulate(x, *self.arrays(), table, 0)
        return table


def smooth_table(
    values: np.ndarray,
    spacing: float,
    *,
    start: int = 0,
    end: float | None = None,
    noise: np.ndarray | None = None,
    report_range: tuple[float, float] = (0.0, np.inf),
) -> SmoothFunction:
    """Fit a smooth function to a table of rounded values.

    Parameters
    ----------
    values : (n,) array
        At arguments k `spacing`, k = 0, 1, ...
    spacing : float
    start : int
        First value used.
    end : float, optional
        Cutoff, up to one spacing beyond the last value. The function is zero from there on, and as many of its
        derivatives (up to the second) vanish there as the table allows; zeros at the end of the table bring the cutoff
        back to where the values before them point. Without it the function goes on as its tangent.
    noise : (n,) array, optional
        Standard deviation of the rounding noise; `rounding_noise` of the values used unless given.
    report_range : pair of floats
        Arguments that the noise report is about; all if they are not in the table.

    Returns
    -------
    SmoothFunction

    Raises
    ------
    InputError
        If fewer than 40 values are left to fit, or the cutoff lies too far beyond the last.
    """
    values = np.asarray(values, dtype=np.float64)
    fit = _Fit(values, noise, start, None if end is None else end / spacing)
    spline = fit.solve_with_end(fit.find_joins())
    return _assemble(fit, spline, spacing, report_range)


@njit(cache=True)
def tabulate(x, breakpoints, coefficients, first_piece, spacing, vanishes, table, column):
    """Write value, first and second derivative of a `SmoothFunction` (its ``arrays()``) into three columns of a table.

    The loop is in here because compiled code counts references to every array handed over, which would cost ten times the
    arithmetic at each argument.
    """
    last = coefficients.shape[0] - 1
    lower, upper = breakpoints[0], breakpoints[last + 1]
    for k in range(x.shape[0]):
        if vanishes and x[k] >= upper:
            table[k, column] = table[k, column + 1] = table[k, column + 2] = 0.0
            continue
        inside = min(max(x[k], lower), upper)
        i = first_piece[min(int(inside / spacing), first_piece.shape[0] - 1)]
        while i < last and inside >= breakpoints[i + 1]:
            i += 1
        t = inside - breakpoints[i]
        c0, c1, c2 = coefficients[i, 0], coefficients[i, 1], coefficients[i, 2]
        c3, c4, c5 = coefficients[i, 3], coefficients[i, 4], coefficients[i, 5]
        value = c0 + t * (c1 + t * (c2 + t * (c3 + t * (c4 + t * c5))))
        slope = c1 + t * (2.0 * c2 + t * (3.0 * c3 + t * (4.0 * c4 + t * 5.0 * c5)))
        outside = x[k] - inside
        table[k, column] = value + slope * outside
        table[k, column + 1] = slope
        if outside == 0.0:
            table[k, column + 2] = 2.0 * c2 + t * (6.0 * c3 + t * (12.0 * c4 + t * 20.0 * c5))
        else:
            table[k, column + 2] = 0.0


def rounding_noise(values: np.ndarray, arguments: np.ndarray | None = None) -> np.ndarray:
    """Standard deviation of the noise of each value of a table, shape (n,).

    Parameters
    ----------
    values : (n,) array
    arguments : (n,) array, optional
        Given where the values are products of their arguments and something that may itself have been rounded.
    """
    unit = _last_digit(values, 1e-15)
    if arguments is not None:
        # digits are lost to the products in double precision, and by printing them
        unit = np.maximum(unit, arguments * _last_digit(values / arguments, 2e-14))
    # both are local: far ends of a table are often out of all proportion
    machine = 16.0 * np.finfo(float).eps * maximum_filter1d(np.abs(values), 61, mode="nearest")
    bend = median_filter(np.abs(np.diff(values, 2)), size=min(301, len(values) - 2), mode="nearest")
    negligible = NEGLIGIBLE * np.pad(bend, 1, mode="edge")
    return np.maximum.reduce([unit / np.sqrt(12.0), _high_differences(values), machine, negligible])


def _high_differences(values):
    """Noise that is left when everything smooth has cancelled, smallest over the orders of difference."""
    smallest = np.full(len(values), np.inf)
    for order in range(4, 11):
        differences = np.abs(np.diff(values, order)) / np.sqrt(comb(2 * order, order))
        # the median is blind to joins
        typical = median_filter(differences, size=min(61, len(differences)), mode="nearest") / 0.6745
        smallest = np.minimum(smallest, np.pad(typical, (order // 2, order - order // 2), mode="edge"))
    return smallest


def _last_digit(values, tolerance):
    """One unit in the last printed digit of each value; 0 where all digits of double precision seem to be in use."""
    exponents = np.full(len(values), np.nan)
    for decimals in range(16, -1, -1):
        # from fine to coarse, so that the coarsest power of ten that divides a value stays
        scaled = values * 10.0**decimals
        divides = (np.abs(scaled - np.rint(scaled)) <= tolerance * np.abs(scaled)) & (values != 0.0)
        exponents[divides & (tolerance * np.abs(scaled) < 0.03)] = decimals
    known = np.flatnonzero(np.isfinite(exponents))
    if len(known) < 0.9 * np.count_nonzero(values):
        return np.zeros(len(values))
    filled = np.interp(np.arange(len(values)), known, exponents[known])
    # one value in ten ends in a zero; a median leaves the step where the number of decimals changes in its place
    return 10.0 ** -np.rint(median_filter(filled, size=min(15, len(values)), mode="nearest"))


@dataclass(frozen=True)
class _Spline:
    """A fitted spline; each interval is (lower end, upper end, whether its residuals look like noise)."""

    joins: list[tuple[float, int]]
    end_order: int
    knots: np.ndarray
    coefficients: np.ndarray
    intervals: list[tuple[float, float, bool]]


class _Fit:
    """Weighted least squares on the grid; arguments are counted in grid cells from here on."""

    def __init__(self, values, noise, start, end):
        n = len(values)
        if end is not None and end - (n - 1) > 1.0 + 1e-6:
            raise InputError(
                f"the table ends {end - n + 1:.1f} spacings short of its cutoff; its header does not fit its values"
            )
        stop = n if end is None else min(n, int(np.ceil(end - 1e-9)))
        ends_in_zeros = end is not None and stop > start and values[stop - 1] == 0.0
        if ends_in_zeros:
            stop = start + len(np.trim_zeros(values[start:stop], "b"))
        if stop - start < MINIMUM_POINTS:
            raise InputError(
                f"the table has {max(stop - start, 0)} values other than zero in the range that matters; "
                f"at least {MINIMUM_POINTS} are needed"
            )
        self.x = np.arange(start, stop, dtype=np.float64)
        self.y = values[start:stop]
        self.noise = rounding_noise(self.y) if noise is None else noise[start:stop]
        self.start, self.has_cutoff = float(start), end is not None
        self.end = float(stop - 1) if end is None else self._locate_end() if ends_in_zeros else float(end)

    def _locate_end(self):
        """Where a function that is printed as zero after its last value becomes zero, with two derivatives if it can."""
        x, y, noise = self.x[-64:], self.y[-64:], self.noise[-64:]

        def misfit(end):
            basis = ((end - x[:, None]) / 64.0) ** np.arange(3, 9) / noise[:, None]
            _, residual = _least_squares(basis, y / noise)
            return float(residual @ residual) / (len(x) - 7)

        bounds = (x[-1] + 0.01, x[-1] + 4.0)
        found = minimize_scalar(misfit, bounds=bounds, method="bounded", options={"xatol": 1e-4})
        return float(found.x) if found.fun < LARGEST_MISFIT else x[-1] + 1.0

    def find_joins(self):
        """Places no smooth function explains, widest windows first: (position, order) of each join."""
        joins: list[tuple[float, int]] = []
        for width in WINDOWS:
            stretches = self._rough_stretches(width, joins)
            if len(stretches) > MOST_STRETCHES:
                continue
            for stretch in stretches:
                join = self._locate(stretch, width, joins)
                if join is not None:
                    joins = sorted([*joins, join])
        return joins

    def _rough_stretches(self, width, joins):
        """Stretches shared by neighbouring windows in which a polynomial leaves more than noise: (lo, hi)."""
        if len(self.x) < width:
            return []
        firsts = np.arange(0, len(self.x) - width + 1, width // 8)
        values, noise = (sliding_window_view(a, width)[firsts] for a in (self.y, self.noise))
        basis = np.linalg.qr(np.vander(np.linspace(-1.0, 1.0, width), DEGREE + 1))[0]
        for _ in range(2):
            # once corrected, for values may be 10^13 times their noise
            values = values - (values @ basis) @ basis.T
        stretches: list[list[int]] = []
        for first, z in zip(firsts.tolist(), values / noise, strict=True):
            lower, upper = self.x[first] - 1, self.x[first + width - 1] + 1
            if any(lower < position < upper for position, _ in joins) or _looks_like_noise(z):
                continue
            if stretches and first - stretches[-1][1] <= width // 8:
                stretches[-1][1] = first
            else:
                stretches.append([first, first])
        # a single join lies in every window of its stretch
        return [
            (self.x[last] - width // 8, self.x[first + width - 1] + width // 8)
            for first, last in stretches
            if last - first <= width + width // 8
        ]

    def _locate(self, stretch, width, joins):
        """The smoothest join that explains a stretch: (position, order), or None."""
        lo, hi = min(stretch), max(stretch)
        below = max([self.x[0] - 1, *(p for p, _ in joins if p <= lo)])
        above = min([self.x[-1] + 1, *(p for p, _ in joins if p >= hi)])
        centre = 0.5 * (lo + hi)
        window = (self.x > max(below, centre - width)) & (self.x < min(above, centre + width))
        fits = [self._best_position(window, lo, hi, order) for order in (3, 2, 1, 0)]
        least = min(misfit for _, misfit, _ in fits)
        if least > LARGEST_MISFIT or least * LEAST_IMPROVEMENT > self._smooth_misfit(window):
            return None
        order, position, jump = next((3 - k, f[0], f[2]) for k, f in enumerate(fits) if f[1] <= 1.25 * least)
        crowded = any(
            abs(position - other) < 2 * EDGE_WIDTH for other in (self.start, self.end, *(p for p, _ in joins))
        )
        # the second derivative that a spline would get wrong over a window by smoothing the join away
        smoothed_away = abs(jump) * (0.5 * WINDOWS[0]) ** (order - 2)
        if crowded or smoothed_away < NEGLIGIBLE_JOIN * np.median(np.abs(np.diff(self.y, 2))):
            return None
        return (position, order)

    def _smooth_misfit(self, window):
        """Mean square residual of a polynomial."""
        x, noise = self.x[window], self.noise[window]
        basis = np.vander(np.linspace(-1.0, 1.0, len(x)), DEGREE + 1) / noise[:, None]
        _, residual = _least_squares(basis, self.y[window] / noise)
        return float(residual @ residual) / max(len(x) - DEGREE - 1, 1)

    def solve_with_end(self, joins):
        """Fit with as many derivatives zero at the cutoff as the last interval bears."""
        for order in (3, 2, 1) if self.has_cutoff else ():
            spline = self.refine(joins, order)
            if self._end_fits(spline):
                return spline
        return self.refine(joins, 0)

    def _end_fits(self, spline):
        # the last few values decide: a wrong derivative at the cutoff cannot hide there
        near = self.x > self.end - 4 * EDGE_WIDTH
        deviation = (_design(self.x[near], spline.knots) @ spline.coefficients - self.y[near]) / self.noise[near]
        return np.mean(deviation**2) < 6.0

    def refine(self, joins, end_order):
        """Halve intervals until the residuals of each look like noise or it may not become narrower."""
        fixed = [self.start, *(position for position, _ in joins), self.end]
        points = _subdivided(fixed, FIRST_WIDTH)
        while True:
            knots = _knot_vector(points, joins)
            coefficients = self.solve(knots, self.y, end_order)
            z = (_design(self.x, knots) @ coefficients - self.y) / self.noise
            inside = np.searchsorted(self.x, points)
            intervals = [
                (lo, hi, _looks_like_noise(z[first : last + 1]))
                for (lo, hi), (first, last) in zip(pairwise(points), pairwise(inside), strict=True)
            ]
            halves = [m for lo, hi, ok in intervals if not ok and (m := _middle(lo, hi, fixed)) is not None]
            if not halves:
                return _Spline(joins, end_order, knots, coefficients, intervals)
            points = sorted(points + halves)

    def solve(self, knots, values, end_order):
        """Weighted least squares for one or several sets of values (n,) or (n, m); the last coefficients are held at zero."""
        design = _design(self.x, knots)
        kept = design.shape[1] - end_order
        weighted = design.multiply(1.0 / self.noise[:, None]).tocsc()[:, :kept]
        # columns of unit length, so that weights over many decades do not spoil the factorisation
        norms = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=0)).ravel())
        weighted = weighted.multiply(1.0 / norms[None, :]).tocsc()
        normal = (weighted.T @ weighted).todia()
        bands = np.zeros((DEGREE + 1, kept))
        for offset, diagonal in zip(normal.offsets, normal.data, strict=True):
            if 0 >= offset >= -DEGREE:
                bands[-offset, : diagonal.shape[0]] = diagonal[:kept]
        factor = scipy.linalg.cholesky_banded(bands, lower=True)
        target = (values.T / self.noise).T
        solution = np.zeros((kept, *target.shape[1:]))
        for _ in range(3):
            # squaring the problem squares its condition; two corrections win the digits back
            solution += scipy.linalg.cho_solve_banded((factor, True), weighted.T @ (target - weighted @ solution))
        coefficients = np.zeros((design.shape[1], *target.shape[1:]))
        coefficients[:kept] = (solution.T / norms).T
        return coefficients

    def _best_position(self, window, lo, hi, order):
        """Where between lo and hi a join of this order explains the window best: position, mean square residual, jump."""
        x, y, noise = self.x[window], self.y[window], self.noise[window]
        lo, hi = max(lo, x[0] + 3), min(hi, x[-1] - 3)
        if hi - lo < 0.5:
            return lo, np.inf, 0.0
        half = 0.5 * (x[-1] - x[0])
        smooth = np.vander(np.linspace(-1.0, 1.0, len(x)), DEGREE + 1) / noise[:, None]
        # what a smooth function leaves; the fits below start from it and keep its digits
        rest = _least_squares(smooth, y / noise)[1]

        def fit(position):
            ramp = np.maximum(x - position, 0.0) / half
            steps = [(ramp**n if n else (x >= position)) / noise for n in range(order, DEGREE + 1)]
            basis = np.column_stack([smooth, *steps])
            solution = np.linalg.lstsq(basis, rest, rcond=None)[0]
            residual = rest - basis @ solution
            return float(residual @ residual) / max(len(x) - basis.shape[1] - 1, 1), solution[DEGREE + 1]

        trials = np.arange(lo, hi + 0.5, 1.0)
        best = trials[int(np.argmin([fit(t)[0] for t in trials]))]
        # counted from the best trial: the search is exact to a fraction of its argument, and a kink asks for 1e-7 cells
        bounds = (max(-1.2, lo - best), min(1.2, hi - best))
        found = minimize_scalar(lambda t: fit(best + t)[0], bounds=bounds, method="bounded", options={"xatol": 1e-9})
        position = float(best + found.x)
        return position, float(found.fun), fit(position)[1] * factorial(order) / half**order


def _least_squares(basis, target):
    """Solution and residual; once corrected, for values may be 10^13 times their noise."""
    solution = np.linalg.lstsq(basis, target, rcond=None)[0]
    correction = np.linalg.lstsq(basis, target - basis @ solution, rcond=None)[0]
    return solution + correction, target - basis @ solution - basis @ correction


def _looks_like_noise(z):
    """Whether residuals in units of their noise have its size and no memory from one to the next."""
    n = len(z)
    squares = float(z @ z)
    if squares > 2.0 * (n + 5.0 * np.sqrt(2.0 * n)):
        return False
    memory = float(z[1:] @ z[:-1]) if n > 1 else 0.0
    return not (squares > 0.5 * n and memory > 4.5 / np.sqrt(n) * squares)


def _middle(lo, hi, fixed):
    """Grid point that halves an interval, or None where it would become too narrow."""
    least = [EDGE_WIDTH if end in fixed else LEAST_WIDTH for end in (lo, hi)]
    middle = float(np.rint(0.5 * (lo + hi)))
    return middle if middle - lo >= least[0] and hi - middle >= least[1] else None


def _subdivided(fixed, width):
    points = []
    for lo, hi in pairwise(fixed):
        n = max(int(np.ceil((hi - lo) / width)), 1)
        inner = np.unique(np.rint(np.linspace(lo, hi, n + 1)[1:-1]))
        points += [lo, *inner[(inner - lo >= EDGE_WIDTH) & (hi - inner >= EDGE_WIDTH)].tolist()]
    return [*points, fixed[-1]]


def _knot_vector(points, joins):
    multiplicity = {position: DEGREE + 1 - order for position, order in joins}
    inner = [np.full(multiplicity.get(p, 1), p) for p in points[1:-1]]
    return np.concatenate([np.full(DEGREE + 1, points[0]), *inner, np.full(DEGREE + 1, points[-1])])


def _design(x, knots):
    return BSpline.design_matrix(x, knots, DEGREE)


def _assemble(fit, spline, spacing, report_range):
    pieces = PPoly.from_spline(BSpline(spline.knots, spline.coefficients, DEGREE))
    real = np.diff(pieces.x) > 0
    lower = pieces.x[:-1][real]
    breakpoints = np.append(lower, pieces.x[-1]) * spacing
    taylor = pieces.c[::-1, real].T / spacing ** np.arange(DEGREE + 1)
    n_cells = int(np.floor(fit.end)) + 1
    first_piece = np.searchsorted(lower, np.arange(n_cells), side="right") - 1
    return SmoothFunction(
        breakpoints=breakpoints,
        coefficients=np.ascontiguousarray(taylor),
        first_piece=np.maximum(first_piece, 0).astype(np.int64),
        spacing=float(spacing),
        vanishes=fit.has_cutoff,
        end_order=spline.end_order,
        noise=_noise_report(fit, spline, spacing, np.divide(report_range, spacing)),
    )


def _noise_report(fit, spline, spacing, report_range):
    first, last = max(report_range[0], fit.start), min(report_range[1], fit.end)
    counted = (fit.x >= first) & (fit.x <= last)
    if counted.sum() < MINIMUM_POINTS:
        counted, first, last = np.ones(len(fit.x), dtype=bool), fit.start, fit.end
    z = (_design(fit.x, spline.knots) @ spline.coefficients - fit.y)[counted] / fit.noise[counted]
    realisations = np.random.default_rng(0).normal(size=(len(fit.y), N_REALISATIONS)) * fit.noise[:, None]
    noise_spline = BSpline(spline.knots, fit.solve(spline.knots, realisations, spline.end_order), DEGREE)
    typical = float(np.sqrt(np.mean(fit.noise[counted] ** 2)))
    rough = np.zeros(len(fit.x), dtype=bool)
    for lo, hi, ok in spline.intervals:
        rough |= (fit.x >= lo) & (fit.x <= hi) & (not ok)
    missed = np.where(rough[counted], z * fit.noise[counted], 0.0)
    failed = sum(max(min(hi, last) - max(lo, first), 0.0) for lo, hi, ok in spline.intervals if not ok)
    function = BSpline(spline.knots, spline.coefficients, DEGREE)
    return TableNoise(
        spacing=float(spacing),
        value=typical,
        table_curvature=float(np.sqrt(6.0) * typical / spacing**2),
        fitted_curvature=float(np.sqrt(np.mean(noise_spline(fit.x[counted], 2) ** 2)) / spacing**2),
        residual=float(np.sqrt(np.mean(z**2))),
        unresolved=float(failed / (last - first)),
        missed_curvature=float((0.5 * pi / spacing) ** 2 * np.sqrt(np.mean(missed**2))),
        n_intervals=len(spline.intervals),
        joins=tuple(Join(p * spacing, m, _jump(function, p, m) / spacing**m) for p, m in spline.joins),
    )


def _jump(function, position, order):
    above, below = function(np.array([position, position - 1e-9]), order)
    return float(above - below)
