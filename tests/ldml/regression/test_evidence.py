"""Evidence maximisation against scikit-learn, the Gaussian it is the logarithm of, and its stationarity."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.linear_model import BayesianRidge
from sklearn.utils.estimator_checks import parametrize_with_checks

from ldml.errors import InputError
from ldml.regression.evidence import EvidenceRidge, Moments, predictive_std

SHAPES = {"tall": (300, 40), "square": (40, 40), "wide": (25, 40)}


def problem(shape, *, condition=1e4, noise=0.3, seed=0):
    """Rows with singular values spread over `condition` and targets with white noise."""
    rng = np.random.default_rng(seed)
    n, p = shape
    k = min(n, p)
    U, V = (np.linalg.qr(rng.normal(size=(m, k)))[0] for m in (n, p))
    X = U * np.geomspace(1, 1 / condition, k) @ V.T
    X /= np.sqrt(np.mean(X**2, axis=0))
    return X, X @ rng.normal(size=p) + noise * rng.normal(size=n)


@pytest.fixture(params=SHAPES)
def data(request):
    return problem(SHAPES[request.param])


def test_equals_scikit_learn(data):
    X, y = data
    ours, theirs = EvidenceRidge().fit(X, y), BayesianRidge(fit_intercept=False).fit(X, y)
    assert ours.n_iter_ == theirs.n_iter_
    for name in ("coef_", "alpha_", "lambda_", "sigma_"):
        # 1e-8: rounding of two different factorisations, amplified by the spread of singular values
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-8, atol=1e-10)
    for mine, other in zip(ours.predict(X, return_std=True), theirs.predict(X, return_std=True), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-9)


def test_options_mean_what_they_mean_in_scikit_learn():
    X, y = problem(SHAPES["tall"])
    options = {"max_iter": 7, "tol": 1e-9, "alpha_1": 3.0, "alpha_2": 0.2, "lambda_1": 5.0, "lambda_2": 0.1}
    ours = EvidenceRidge(**options).fit(X, y)
    theirs = BayesianRidge(fit_intercept=False, **options).fit(X, y)
    assert ours.n_iter_ == theirs.n_iter_ == 7
    np.testing.assert_allclose([ours.alpha_, ours.lambda_], [theirs.alpha_, theirs.lambda_], rtol=1e-10)


def test_moments_give_the_fit_of_their_rows():
    X, y = problem(SHAPES["tall"])
    rows = EvidenceRidge().fit(X, y)
    moments = EvidenceRidge().fit_moments(Moments.of_rows(X[:120], y[:120]) + Moments.of_rows(X[120:], y[120:]))
    assert moments.n_iter_ == rows.n_iter_
    for name in ("coef_", "alpha_", "lambda_", "sigma_", "log_evidence_"):
        np.testing.assert_allclose(getattr(moments, name), getattr(rows, name), rtol=1e-8, atol=1e-10)
    assert moments.predict(X) == pytest.approx(rows.predict(X), rel=1e-10)


def test_moments_survive_collinear_and_empty_columns():
    X, y = problem(SHAPES["tall"])
    X[:, 3] = X[:, 5] - X[:, 7]
    X[:, 11] = 0.0
    rows, moments = EvidenceRidge().fit(X, y), EvidenceRidge().fit_moments(Moments.of_rows(X, y))
    np.testing.assert_allclose(moments.coef_, rows.coef_, rtol=1e-8, atol=1e-10)
    assert abs(moments.coef_[11]) < 1e-10


def test_moments_of_scaled_columns():
    X, y = problem(SHAPES["tall"])
    scale = np.geomspace(1e-3, 1e3, X.shape[1])
    direct, scaled = Moments.of_rows(X / scale, y), Moments.of_rows(X, y).scaled(scale)
    np.testing.assert_allclose(scaled.gram, direct.gram, rtol=1e-12, atol=1e-12 * direct.gram.max())
    np.testing.assert_allclose(scaled.mean_square, np.mean((X / scale) ** 2, axis=0), rtol=1e-12)


def test_too_few_rows_for_moments():
    X, y = problem(SHAPES["wide"])
    with pytest.raises(InputError, match="25 samples for 40 features"):
        EvidenceRidge().fit_moments(Moments.of_rows(X, y))


def test_mean_is_the_ridge_solution_and_covariance_the_inverse(data):
    X, y = data
    model = EvidenceRidge().fit(X, y)
    precision = model.alpha_ * X.T @ X + model.lambda_ * np.eye(X.shape[1])
    np.testing.assert_allclose(model.coef_, np.linalg.solve(precision, model.alpha_ * X.T @ y), rtol=1e-7)
    np.testing.assert_allclose(model.sigma_ @ precision, np.eye(X.shape[1]), atol=1e-6)
    std = np.sqrt(1 / model.alpha_ + np.diag(X @ np.linalg.inv(precision) @ X.T))
    np.testing.assert_allclose(predictive_std(X, model.sigma_, model.alpha_), std, rtol=1e-8)


def log_marginal(X, y, alpha, lambda_):
    covariance = np.eye(len(y)) / alpha + X @ X.T / lambda_
    return multivariate_normal.logpdf(y, cov=covariance)


def test_evidence_is_the_log_of_the_marginal_gaussian(data):
    X, y = data
    model = EvidenceRidge().fit(X, y)
    assert model.log_evidence_ == pytest.approx(log_marginal(X, y, model.alpha_, model.lambda_), rel=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_evidence_is_stationary_at_the_fixed_point(shape):
    """Central differences in ln alpha and ln lambda of the evidence times its Gamma priors."""
    X, y = problem(SHAPES[shape], condition=10)
    prior = 0.7

    def objective(log_alpha, log_lambda):
        alpha, lambda_ = np.exp(log_alpha), np.exp(log_lambda)
        return log_marginal(X, y, alpha, lambda_) + prior * (log_alpha - alpha + log_lambda - lambda_)

    model = EvidenceRidge(max_iter=5000, tol=1e-12, alpha_1=prior, alpha_2=prior, lambda_1=prior, lambda_2=prior).fit(
        X, y
    )
    at = np.log([model.alpha_, model.lambda_])
    h = 1e-4
    for direction in np.eye(2):
        up, down = objective(*(at + h * direction)), objective(*(at - h * direction))
        curvature = (up - 2 * objective(*at) + down) / h**2
        # slope / curvature is the distance to the maximum, to the h^2 error of the slope
        assert abs((up - down) / (2 * h) / curvature) < 1e-5
        assert curvature < 0


def test_finds_the_noise_and_weights_that_made_the_data():
    rng = np.random.default_rng(3)
    w = rng.normal(scale=2.0, size=50)
    X = rng.normal(size=(5000, 50))
    model = EvidenceRidge().fit(X, X @ w + 0.4 * rng.normal(size=5000))
    assert 1 / np.sqrt(model.alpha_) == pytest.approx(0.4, rel=0.03)  # 3 standard errors 1/sqrt(2n)
    assert 1 / np.sqrt(model.lambda_) == pytest.approx(2.0, rel=0.3)  # 3 standard errors 1/sqrt(2p)
    pulls = (model.coef_ - w) / np.sqrt(np.diag(model.sigma_))
    assert np.mean(pulls**2) == pytest.approx(1.0, abs=0.6)  # 3 standard errors sqrt(2/p)


@pytest.mark.parametrize(
    "option", [{"max_iter": 0}, {"tol": 0.0}, {"alpha_1": -1.0}, {"alpha_2": 0.0}, {"lambda_2": np.inf}]
)
def test_options_out_of_range(option):
    with pytest.raises(InputError, match=next(iter(option))):
        EvidenceRidge(**option).fit(*problem(SHAPES["tall"]))


def test_no_intercept():
    X, y = problem(SHAPES["tall"])
    model = EvidenceRidge().fit(X, y + 100.0)
    assert model.predict(np.zeros((1, X.shape[1])))[0] == 0.0
    assert model.intercept_ == 0.0


@parametrize_with_checks([EvidenceRidge()])
def test_scikit_learn_conventions(estimator, check):
    check(estimator)
