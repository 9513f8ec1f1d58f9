"""Vector arithmetic against numpy, and against fused multiply-adds in exact fractions."""

from fractions import Fraction

import numpy as np
import pytest
from llvmlite.binding import get_host_cpu_features
from numba import njit

from ldml.descriptors.lanes import LANES, TILE_ROWS, add_product, fused, load, padded, spread, store

RNG = np.random.default_rng(0)


@njit
def recurrence(x, out):
    """Every operation once: rows x0 + x1, x0 - x1, x0 x1, 2 x0 + x1."""
    for k in range(0, x.shape[1], LANES):
        a, b = load(x, 0, k), load(x, 1, k)
        store(out, 0, k, a + b)
        store(out, 1, k, a - b)
        store(out, 2, k, a * b)
        store(out, 3, k, fused(spread(2.0), a, b))


@pytest.mark.parametrize("n_vectors", [1, 3])
def test_operations(n_vectors):
    x = RNG.normal(size=(2, n_vectors * LANES))
    out = np.full((5, n_vectors * LANES), 7.0)
    recurrence(x, out)
    np.testing.assert_array_equal(out[:4], [x[0] + x[1], x[0] - x[1], x[0] * x[1], 2.0 * x[0] + x[1]])
    assert (out[4] == 7.0).all()


@pytest.mark.parametrize("n_vectors", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("transposed", [False, True])
def test_product(n_vectors, transposed):
    """Only the first terms, added to what is there; any width, either order of axes on the left."""
    shape = (3 * TILE_ROWS, 9)
    left = RNG.normal(size=shape[::-1]).T if transposed else RNG.normal(size=shape)
    right = RNG.normal(size=(9, n_vectors * LANES))
    start = RNG.normal(size=(3 * TILE_ROWS, n_vectors * LANES))
    out = start.copy()
    add_product(left, right, out, 7)
    np.testing.assert_allclose(out, start + left[:, :7] @ right[:7], rtol=0, atol=1e-14)


@pytest.mark.skipif(not get_host_cpu_features().get("fma"), reason="this processor rounds a product before it adds")
def test_product_is_one_chain_of_fused_operations():
    """Bit for bit: the sum is never split over lanes or reordered."""
    left, right = RNG.normal(size=(TILE_ROWS, 30)), RNG.normal(size=(30, LANES))
    out = np.zeros((TILE_ROWS, LANES))
    add_product(left, right, out, 30)
    for i, j in ((0, 0), (TILE_ROWS - 1, LANES - 1)):
        chain = 0.0
        for k in range(30):
            chain = float(Fraction(left[i, k]) * Fraction(right[k, j]) + Fraction(chain))
        assert out[i, j] == chain


def test_padded():
    assert [padded(n, 4) for n in (0, 1, 4, 5)] == [0, 4, 4, 8]
