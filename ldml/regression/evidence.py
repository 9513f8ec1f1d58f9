"""Bayesian ridge regression by evidence maximisation.

    y = X w + e,   e ~ N(0, 1/alpha),   w ~ N(0, 1/lambda)                       (paper, Eq. 24 and below)

With the singular values X = U diag(s) V^T, components z = U^T y and the ridge r = lambda / alpha,

    w      = V [s z / (s^2 + r)]                                mean and mode of the posterior   (Eqs 25, 26)
    gamma  = sum_k s_k^2 / (s_k^2 + r)                          well-determined parameters
    lambda = (gamma + 2 lambda_1) / (|w|^2 + 2 lambda_2)        precision of the weights
    alpha  = (n - gamma + 2 alpha_1) / (|y - X w|^2 + 2 alpha_2)     precision of the noise

iterated to a fixed point, where the evidence p(y | alpha, lambda) times Gamma priors of shapes alpha_1,
lambda_1 and rates alpha_2, lambda_2 is stationary (D. J. C. MacKay, Neural Comput. 4, 415 (1992); M. E.
Tipping, J. Mach. Learn. Res. 1, 211 (2001)). In the paper's letters alpha = 1/sigma^2 and lambda =
1/sigma_w^2.

One factorisation serves every iteration, each of which is then O(p) for p columns. `Spectrum` takes it from
the rows, as accurate as they are; `Tridiagonal` from X^T X, X^T y and y^T y, which is many times cheaper once
these sums are known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from scipy.linalg import lapack
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from ldml.errors import InputError

_EPS = float(np.finfo(float).eps)
_BLOCK = 64  # columns of workspace that let LAPACK apply reflections in blocks


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over rows that a ridge regression needs; the moments of two sets of rows add.

    Attributes
    ----------
    gram : (n_features, n_features) array
        X^T X.
    projection : (n_features,) array
        X^T y.
    y_square, y_sum : float
        y^T y and the sum of y.
    n_samples : int
        Number of rows.
    """

    gram: np.ndarray
    projection: np.ndarray
    y_square: float
    y_sum: float
    n_samples: int

    @classmethod
    def of_rows(cls, X: np.ndarray, y: np.ndarray) -> Moments:
        """Moments of the rows of `X` (n_samples, n_features) with targets `y` (n_samples,)."""
        return cls(X.T @ X, X.T @ y, float(y @ y), float(y.sum()), len(y))

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.gram + other.gram,
            self.projection + other.projection,
            self.y_square + other.y_square,
            self.y_sum + other.y_sum,
            self.n_samples + other.n_samples,
        )

    def scaled(self, scale: np.ndarray) -> Moments:
        """Moments of the same rows with every column divided by its `scale` (n_features,)."""
        return Moments(
            self.gram / np.outer(scale, scale),
            self.projection / scale,
            self.y_square,
            self.y_sum,
            self.n_samples,
        )

    @property
    def mean_square(self) -> np.ndarray:
        """Mean square of every column, (n_features,)."""
        return np.diag(self.gram) / self.n_samples


@dataclass(frozen=True, eq=False)
class Spectrum:
    """A regression problem in the axes that decouple it; k = min(n_samples, n_features).

    Attributes
    ----------
    eigenvalues : (k,) array
        s^2, the eigenvalues of X^T X.
    axes : (n_features, k) array
        Columns of V.
    components : (k,) array
        z = U^T y.
    remainder : float
        |y|^2 - |z|^2, the part of y out of reach of any w.
    n_samples : int
        Number of rows.
    y_variance : float
        Variance of y about its mean.
    """

    eigenvalues: np.ndarray
    axes: np.ndarray
    components: np.ndarray
    remainder: float
    n_samples: int
    y_variance: float

    @classmethod
    def of_rows(cls, X: np.ndarray, y: np.ndarray) -> Spectrum:
        """Spectrum of the rows of `X` (n_samples, n_features) with targets `y` (n_samples,).

        R of [X y] = Q R carries s, V, U^T y and the remainder without squaring anything.
        """
        n_samples, n_features = X.shape
        k = min(n_samples, n_features)
        R = np.linalg.qr(np.column_stack([X, y]), mode="r")
        U, s, Vt = np.linalg.svd(R[:k, :n_features], full_matrices=False)
        remainder = float(R[k, n_features]) ** 2 if n_samples > n_features else 0.0
        return cls(s**2, Vt.T, U.T @ R[:k, n_features], remainder, n_samples, float(y.var()))

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return len(self.axes)

    def solve(self, ridge: float) -> RidgeSolution:
        """The weights in these axes, and what the next (alpha, lambda) needs of them."""
        shrink = 1.0 / (self.eigenvalues + ridge)
        residual = ridge * shrink * self.components
        return RidgeSolution(
            weights=np.sqrt(self.eigenvalues) * self.components * shrink,
            residual_square=self.remainder + float(residual @ residual),
            gamma=float(self.eigenvalues @ shrink),
            log_det=float(-np.log(shrink).sum()) + (self.n_features - len(shrink)) * np.log(ridge),
        )

    def rotated_back(self, weights: np.ndarray) -> np.ndarray:
        """Weights of the columns of X, (n_features,), from weights in these axes."""
        return self.axes @ weights


@dataclass(frozen=True, eq=False)
class Tridiagonal:
    """A regression problem in axes Q where X^T X is tridiagonal and X^T y points along the first.

    Householder reflections of the bordered matrix [[y^T y, (X^T y)^T], [X^T y, X^T X]] give both at a quarter
    of the cost of its eigenvectors, and a tridiagonal system is solved for any ridge in O(n_features).

    Attributes
    ----------
    diagonal : (n_features,) array
        Diagonal of T = Q^T X^T X Q.
    off_diagonal : (n_features - 1,) array
        Its neighbour.
    first : float
        Q^T X^T y = first * (1, 0, 0, ...).
    reflectors, factors : (n_features, n_features) and (n_features,) arrays
        Q as LAPACK stores it.
    y_square : float
        y^T y.
    n_samples : int
        Number of rows.
    y_variance : float
        Variance of y about its mean.
    """

    diagonal: np.ndarray
    off_diagonal: np.ndarray
    first: float
    reflectors: np.ndarray
    factors: np.ndarray
    y_square: float
    n_samples: int
    y_variance: float

    @classmethod
    def of_moments(cls, moments: Moments) -> Tridiagonal:
        """Tridiagonal form of the problem with these moments."""
        n = len(moments.projection)
        bordered = np.empty((n + 1, n + 1), order="F")
        bordered[0, 0] = moments.y_square
        bordered[1:, 0] = bordered[0, 1:] = moments.projection
        bordered[1:, 1:] = moments.gram
        lwork = int(lapack.dsytrd_lwork(n + 1, lower=1)[0])
        packed, diagonal, off_diagonal, factors, _ = lapack.dsytrd(bordered, lower=1, lwork=lwork, overwrite_a=1)
        mean = moments.y_sum / moments.n_samples
        return cls(
            diagonal[1:],
            off_diagonal[1:],
            float(off_diagonal[0]),
            packed[1:, :n],
            factors,
            moments.y_square,
            moments.n_samples,
            max(moments.y_square / moments.n_samples - mean**2, 0.0),
        )

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return len(self.diagonal)

    def solve(self, ridge: float) -> RidgeSolution:
        """The weights in these axes, and what the next (alpha, lambda) needs of them."""
        weights, trace_inverse, log_det = _solve_tridiagonal(self.diagonal, self.off_diagonal, self.first, ridge)
        # |y - X w|^2 from (X^T X + ridge) w = X^T y; a difference, which eps |y|^2 is the most one can trust
        residual_square = self.y_square - self.first * weights[0] - ridge * (weights @ weights)
        return RidgeSolution(
            weights=weights,
            residual_square=max(float(residual_square), _EPS * self.y_square),
            gamma=self.n_features - ridge * trace_inverse,
            log_det=log_det,
        )

    def rotated_back(self, weights: np.ndarray) -> np.ndarray:
        """Weights of the columns of X, (n_features,), from weights in these axes."""
        column = weights[:, None]
        return lapack.dormqr("L", "N", self.reflectors, self.factors, column, _BLOCK * len(weights))[0][:, 0]


@njit(cache=True, nogil=True)
def _solve_tridiagonal(a, e, first, ridge):
    """Solve (T + ridge) u = (first, 0, ...): u, tr (T + ridge)^-1 and ln det(T + ridge).

    Pivots are eliminated from the last row up, so that u follows from its first element.
    """
    n = len(a)
    pivots = np.empty(n)
    floor = _EPS * np.abs(a).max()  # where T is singular to rounding, as far as it can be known
    pivots[n - 1] = max(a[n - 1] + ridge, floor)
    for k in range(n - 2, -1, -1):
        pivots[k] = max(a[k] + ridge - e[k] ** 2 / pivots[k + 1], floor)
    u = np.empty(n)
    u[0] = first / pivots[0]
    inverse = 1.0 / pivots[0]  # diagonal element of (T + ridge)^-1
    trace = inverse
    for k in range(n - 1):
        ratio = e[k] / pivots[k + 1]
        u[k + 1] = -ratio * u[k]
        inverse = 1.0 / pivots[k + 1] + ratio**2 * inverse
        trace += inverse
    return u, trace, np.log(pivots).sum()


class RidgeSolution(NamedTuple):
    """Ridge regression at one ridge r.

    Attributes
    ----------
    weights : (k,) array
        w in the axes of the problem; lengths are those of w itself.
    residual_square : float
        |y - X w|^2.
    gamma : float
        tr [X^T X (X^T X + r)^-1], the number of well-determined parameters.
    log_det : float
        ln det(X^T X + r).
    """

    weights: np.ndarray
    residual_square: float
    gamma: float
    log_det: float


@dataclass(frozen=True, eq=False)
class Posterior:
    """The fixed point of evidence maximisation.

    Attributes
    ----------
    coef : (n_features,) array
        Posterior mean of w.
    alpha, lambda_ : float
        Precision of the noise and of the weights.
    log_evidence : float
        ln p(y | alpha, lambda), without the Gamma priors of alpha and lambda.
    n_iter : int
        Iterations made; as many as allowed when w did not settle.
    """

    coef: np.ndarray
    alpha: float
    lambda_: float
    log_evidence: float
    n_iter: int


def maximise_evidence(
    problem: Spectrum | Tridiagonal,
    *,
    max_iter: int = 300,
    tol: float = 1e-3,
    alpha_1: float = 1e-6,
    alpha_2: float = 1e-6,
    lambda_1: float = 1e-6,
    lambda_2: float = 1e-6,
) -> Posterior:
    """Iterate (alpha, lambda) to the fixed point, by the start and steps of scikit-learn's `BayesianRidge`.

    Parameters
    ----------
    problem : Spectrum or Tridiagonal
    max_iter, tol, alpha_1, alpha_2, lambda_1, lambda_2
        As in `EvidenceRidge`.
    """
    n, p = problem.n_samples, problem.n_features
    alpha, lambda_ = 1.0 / (problem.y_variance + _EPS), 1.0
    previous = None
    for n_iter in range(1, max_iter + 1):  # noqa: B007 (reported below)
        weights, residual_square, gamma, _ = problem.solve(lambda_ / alpha)
        lambda_ = (gamma + 2 * lambda_1) / (weights @ weights + 2 * lambda_2)
        alpha = (n - gamma + 2 * alpha_1) / (residual_square + 2 * alpha_2)
        if previous is not None:
            step = weights - previous
            # sum |w - w_previous| is at least the length of the step: rotate only when that is short enough
            if step @ step < tol**2 and np.abs(problem.rotated_back(step)).sum() < tol:
                break
        previous = weights

    weights, residual_square, _, log_det = problem.solve(lambda_ / alpha)
    # ln N(y; 0, 1/alpha + X X^T / lambda)
    log_evidence = 0.5 * (
        p * np.log(lambda_ / alpha)
        + n * np.log(alpha / (2 * np.pi))
        - alpha * residual_square
        - lambda_ * (weights @ weights)
        - log_det
    )
    return Posterior(problem.rotated_back(weights), float(alpha), float(lambda_), float(log_evidence), n_iter)


class EvidenceRidge(RegressorMixin, BaseEstimator):
    """Bayesian ridge regression without intercept, its two precisions found by evidence maximisation.

    The same estimate as scikit-learn's ``BayesianRidge(fit_intercept=False)`` with the same options. It
    exists because it can be fitted from moments (`fit_moments`), which makes the hundreds of refits of a
    split curve cheap.

    Parameters
    ----------
    max_iter : int
        Most iterations of (alpha, lambda).
    tol : float
        Stop when sum |w - w_previous| falls below this, in the units of w.
    alpha_1, alpha_2 : float
        Shape and rate of the Gamma prior of the noise precision alpha.
    lambda_1, lambda_2 : float
        Shape and rate of the Gamma prior of the weight precision lambda.

    Attributes
    ----------
    coef_ : (n_features,) array
        Posterior mean of w.
    intercept_ : float
        Always 0.
    alpha_, lambda_ : float
        Precision of the noise (1/sigma^2) and of the weights (1/sigma_w^2).
    sigma_ : (n_features, n_features) array
        Posterior covariance of w.
    log_evidence_ : float
        ln p(y | alpha, lambda) at the solution, without the Gamma priors.
    n_iter_ : int
        Iterations made; `max_iter` when `tol` was not reached.
    n_features_in_ : int
        Number of columns seen in `fit`.

    Notes
    -----
    The standard deviation of `predict` is that of a linear model which is right but for white noise. A linear
    model of entropies is not: its error is misfit, the same for every refit, so with many structures the
    posterior narrows while the error stays, and the stated deviation is too small, the more so the less noise
    the labels have. Read it as a ranking (where the model extrapolates), not as an error bar, until it has
    been calibrated on structures left out.
    """

    def __init__(self, *, max_iter=300, tol=1e-3, alpha_1=1e-6, alpha_2=1e-6, lambda_1=1e-6, lambda_2=1e-6):
        self.max_iter = max_iter
        self.tol = tol
        self.alpha_1 = alpha_1
        self.alpha_2 = alpha_2
        self.lambda_1 = lambda_1
        self.lambda_2 = lambda_2

    def fit(self, X, y):
        """Fit from rows.

        Parameters
        ----------
        X : (n_samples, n_features) array
        y : (n_samples,) array

        Returns
        -------
        self

        Raises
        ------
        InputError
            When an option is out of range.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        problem = Spectrum.of_rows(X, np.asarray(y, dtype=float))
        self._keep(maximise_evidence(problem, **self._options()))
        V, s2 = problem.axes, problem.eigenvalues
        self.sigma_ = (V / (self.alpha_ * s2 + self.lambda_)) @ V.T
        if V.shape[0] > V.shape[1]:  # directions no row sees keep the variance of the prior
            self.sigma_ += (np.eye(len(V)) - V @ V.T) / self.lambda_
        return self

    def fit_moments(self, moments: Moments):
        """Fit from moments: the weights of `fit` to rounding.

        The residual |y - X w|^2 is a difference of squares here, so noise below 1e-6 of the size of y is not
        resolved and alpha then comes out up to 1e-3 off.

        Parameters
        ----------
        moments : Moments
            Of more rows than columns.

        Returns
        -------
        self

        Raises
        ------
        InputError
            When there are no more rows than columns or an option is out of range.
        """
        n_features = len(moments.projection)
        if moments.n_samples <= n_features:
            raise InputError(
                f"moments of {moments.n_samples} samples for {n_features} features are singular; fit the rows instead"
            )
        self.n_features_in_ = n_features
        self._keep(maximise_evidence(Tridiagonal.of_moments(moments), **self._options()))
        s2, V = np.linalg.eigh(moments.gram)
        self.sigma_ = (V / (self.alpha_ * np.maximum(s2, 0.0) + self.lambda_)) @ V.T
        return self

    def _options(self):
        options = self.get_params()
        if options["max_iter"] < 1:
            raise InputError(f"max_iter must be at least 1, got {self.max_iter}")
        for name in ("tol", "alpha_2", "lambda_2"):
            if not 0 < options[name] < np.inf:
                raise InputError(f"{name} must be positive, got {options[name]}")
        for name in ("alpha_1", "lambda_1"):
            if not 0 <= options[name] < np.inf:
                raise InputError(f"{name} must not be negative, got {options[name]}")
        return options

    def _keep(self, posterior):
        self.coef_, self.intercept_ = posterior.coef, 0.0
        self.alpha_, self.lambda_ = posterior.alpha, posterior.lambda_
        self.log_evidence_, self.n_iter_ = posterior.log_evidence, posterior.n_iter

    def predict(self, X, return_std=False):
        """Predictive mean X w, and on request its standard deviation sqrt(1/alpha + x^T sigma x).

        Parameters
        ----------
        X : (n_samples, n_features) array
        return_std : bool
            Return the standard deviation too; see the Notes on what it leaves out.

        Returns
        -------
        mean : (n_samples,) array
        std : (n_samples,) array
            Only with `return_std`.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        mean = X @ self.coef_
        if not return_std:
            return mean
        return mean, predictive_std(X, self.sigma_, self.alpha_)


def predictive_std(X: np.ndarray, covariance: np.ndarray, alpha: float) -> np.ndarray:
    """Standard deviation sqrt(1/alpha + x^T covariance x) of every row x, (n_samples,)."""
    return np.sqrt(1.0 / alpha + np.einsum("ij,ij->i", X @ covariance, X))
