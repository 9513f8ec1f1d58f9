"""Arithmetic on whole vector registers inside compiled kernels, and a small matrix product made of it.

`Lanes` stands for `LANES` float64 numbers side by side, with ``+ - *`` and

    load(array, i, j)          array[i, j : j + LANES]
    store(array, i, j, v)      array[i, j : j + LANES] = v
    spread(x)                  x in every lane
    fused(a, b, c)             a b + c, rounded once

A recurrence written with them keeps its last terms in registers, where a loop over arrays writes and reads them back.
Nothing is checked: the elements must be there, side by side, and indices not negative. Every operation is rounded as written:
the bits depend neither on the width of the registers nor on how a kernel was compiled.

`add_product` sums out_mn += sum_k left_mk right_kn as one chain of `fused` over k = 0, 1, ... for each element. The lanes run
over n, so that no sum is split over lanes, and tiles of out stay in registers while k runs. Compilers do not find this form
by themselves (they reduce over k, in registers of half the width), which costs a factor of two.
"""

from __future__ import annotations

import operator

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import njit, types
from numba.core import cgutils
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

LANES = 8 if get_host_cpu_features().get("avx512f") else 4
"""Numbers in a vector."""
TILE_ROWS = 4
"""Rows of a tile: 4 x 3 vectors of sums, 3 of `right` and 1 of `left` fill 16 registers."""

VECTOR = ir.VectorType(ir.DoubleType(), LANES)
INDEX = ir.IntType(64)


class Lanes(types.Type):
    """Type of a vector in compiled code."""

    def __init__(self):
        super().__init__(name=f"Lanes({LANES})")


LANES_TYPE = Lanes()


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, lanes_type):
        super().__init__(manager, lanes_type, VECTOR)


def _define_operator(symbol, instruction):
    """Let `symbol` of two vectors be the LLVM `instruction`."""

    @infer_global(symbol)
    class _Elementwise(ConcreteTemplate):
        cases = [signature(LANES_TYPE, LANES_TYPE, LANES_TYPE)]  # noqa: RUF012 (numba reads a list)

    @lower_builtin(symbol, LANES_TYPE, LANES_TYPE)
    def _emit(context, builder, signature, arguments):
        return getattr(builder, instruction)(*arguments)


_define_operator(operator.add, "fadd")
_define_operator(operator.sub, "fsub")
_define_operator(operator.mul, "fmul")


def padded(n: int, unit: int) -> int:
    """The least multiple of `unit` from n on."""
    return -(-n // unit) * unit


@intrinsic
def spread(typing_context, scalar):
    """`scalar`, a float64, in every lane."""

    def emit(context, builder, signature, arguments):
        return _spread(builder, arguments[0])

    return LANES_TYPE(types.float64), emit


@intrinsic
def fused(typing_context, a, b, c):
    """a b + c, rounded once."""

    def emit(context, builder, signature, arguments):
        return _fused(builder, *arguments)

    return LANES_TYPE(a, b, c), emit


@intrinsic
def load(typing_context, array, i, j):
    """The vector from ``array[i, j]`` on, along the last axis."""

    def emit(context, builder, signature, arguments):
        at = _vector_at(builder, _array(context, builder, signature, arguments, 0), *arguments[1:3])
        return builder.load(at, align=8)

    return LANES_TYPE(array, types.int64, types.int64), emit


@intrinsic
def store(typing_context, array, i, j, vector):
    """Write `vector` from ``array[i, j]`` on, along the last axis."""

    def emit(context, builder, signature, arguments):
        at = _vector_at(builder, _array(context, builder, signature, arguments, 0), *arguments[1:3])
        builder.store(arguments[3], at, align=8)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64, vector), emit


@njit(cache=True, nogil=True)
def add_product(left, right, out, n_terms):
    """out += left[:, :n_terms] @ right[:n_terms].

    Float64 arrays; `left` in any order of axes, rows of `right` and `out` contiguous. ``out.shape`` must be multiples of
    (`TILE_ROWS`, `LANES`).
    """
    n_vectors = out.shape[1] // LANES
    in_threes = n_vectors // 3 * 3
    for v in range(0, in_threes, 3):
        for m in range(0, out.shape[0], TILE_ROWS):
            _add_tile(left, right, out, m, v * LANES, n_terms, 3)
    if n_vectors - in_threes == 2:
        for m in range(0, out.shape[0], TILE_ROWS):
            _add_tile(left, right, out, m, in_threes * LANES, n_terms, 2)
    if n_vectors - in_threes == 1:
        for m in range(0, out.shape[0], TILE_ROWS):
            _add_tile(left, right, out, m, in_threes * LANES, n_terms, 1)


@intrinsic(prefer_literal=True)
def _add_tile(typing_context, left, right, out, m, n, n_terms, n_vectors):
    """Add to `TILE_ROWS` rows from m and `n_vectors` vectors of columns from n; `n_vectors` is a literal."""
    rows, vectors = range(TILE_ROWS), range(n_vectors.literal_value)

    def emit(context, builder, signature, arguments):
        left, right, out = (_array(context, builder, signature, arguments, which) for which in range(3))
        m, n, n_terms = arguments[3:6]
        row_index = [builder.add(m, INDEX(row)) for row in rows]
        column_index = [builder.add(n, INDEX(LANES * v)) for v in vectors]
        targets = [[_vector_at(builder, out, i, j) for j in column_index] for i in row_index]
        sums = [[cgutils.alloca_once_value(builder, builder.load(at, align=8)) for at in row] for row in targets]
        with cgutils.for_range(builder, n_terms) as loop:
            factors = [builder.load(_vector_at(builder, right, loop.index, j), align=8) for j in column_index]
            for i, of_row in zip(row_index, sums, strict=True):
                scalar = builder.load(
                    builder.bitcast(_address(builder, left, i, loop.index), _pointer(ir.DoubleType()))
                )
                spread = _spread(builder, scalar)
                for factor, place in zip(factors, of_row, strict=True):
                    builder.store(_fused(builder, spread, factor, builder.load(place)), place)
        for of_row, at_row in zip(sums, targets, strict=True):
            for place, at in zip(of_row, at_row, strict=True):
                builder.store(builder.load(place), at, align=8)
        return context.get_dummy_value()

    index = types.int64
    return types.void(left, right, out, index, index, index, n_vectors), emit


def _array(context, builder, signature, arguments, which):
    return context.make_array(signature.args[which])(context, builder, arguments[which])


def _address(builder, array, i, j):
    strides = cgutils.unpack_tuple(builder, array.strides)
    return cgutils.pointer_add(builder, array.data, builder.add(builder.mul(i, strides[0]), builder.mul(j, strides[1])))


def _vector_at(builder, array, i, j):
    return builder.bitcast(_address(builder, array, i, j), _pointer(VECTOR))


def _pointer(kind):
    return kind.as_pointer()


def _spread(builder, scalar):
    undefined = ir.Constant(VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.IntType(32)(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LANES), None))


def _fused(builder, a, b, c):
    kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{LANES}f64"), [a, b, c])
