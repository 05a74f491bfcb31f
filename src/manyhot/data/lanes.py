"""Eight float32 numbers at once, for compiled loops in which the compiler finds no vectors by itself.

It finds them in loops over neighbours. A loop that jumps from pixel to pixel is left with one number at a time, though the
three colours of two pixels stand side by side: with lanes it takes a half to two thirds of the time. They are vectors of LLVM, which
every processor has in some form; each product and each sum is rounded as that of single numbers is. Import this from kernels only.
"""

# numba and llvmlite have no types:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUntypedFunctionDecorator=false, reportUntypedClassDecorator=false
# pyright: reportUntypedBaseClass=false, reportUnknownParameterType=false

from collections.abc import Callable
from typing import no_type_check

from llvmlite import ir
from numba import types
from numba.core.base import BaseContext
from numba.core.typing.context import BaseContext as TypingContext
from numba.core.typing.templates import Signature
from numba.extending import intrinsic, models, register_model

NUM_LANES = 8
"""Numbers that are read at a time: arrays need as many more behind the last one that counts."""

_INT = ir.IntType(32)
_EIGHT = ir.VectorType(ir.FloatType(), NUM_LANES)


class Lanes(types.Type):
    """What numba calls eight numbers; they exist within compiled functions only."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


_LANES = Lanes()


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: object, lanes: Lanes) -> None:
        super().__init__(manager, lanes, _EIGHT)


Writer = Callable[[BaseContext, ir.IRBuilder, Signature, tuple[ir.Value, ...]], object]
"""What numba calls to have the instructions written."""


@intrinsic
@no_type_check
def multiply(
    context: TypingContext,  # noqa: ARG001 - what numba hands over; the others are types in the place of values
    numbers: types.Array,
    start: types.Integer,
    weights: types.Array,
    place: types.Integer,
) -> tuple[Signature, Writer]:
    """Return the products of eight numbers from `start` on and eight weights from `place` on, both flat float32 arrays."""

    def write(target: BaseContext, builder: ir.IRBuilder, signature: Signature, values: tuple[ir.Value, ...]) -> object:
        def load(which: int) -> ir.Value:
            array = target.make_array(signature.args[which])(target, builder, values[which])
            pointer = builder.bitcast(builder.gep(array.data, [values[which + 1]]), _EIGHT.as_pointer())
            # Of single numbers: eight of them start anywhere.
            return builder.load(pointer, align=4)

        return builder.fmul(load(0), load(2))

    return _LANES(numbers, start, weights, place), write


@intrinsic
@no_type_check
def add(context: TypingContext, lanes: Lanes, others: Lanes) -> tuple[Signature, Writer]:  # noqa: ARG001 - as above
    """Return the sums, lane by lane."""

    def write(
        target: BaseContext,  # noqa: ARG001 - as above
        builder: ir.IRBuilder,
        signature: Signature,  # noqa: ARG001 - as above
        values: tuple[ir.Value, ...],
    ) -> object:
        return builder.fadd(values[0], values[1])

    return _LANES(lanes, others), write


@intrinsic
@no_type_check
def to_colours(context: TypingContext, lanes: Lanes) -> tuple[Signature, Writer]:  # noqa: ARG001 - as above
    """Return lanes 0, 1 and 2, each with the lane three further on added and rounded, as the low bytes of a uint32."""

    def write(
        target: BaseContext,  # noqa: ARG001 - as above
        builder: ir.IRBuilder,
        signature: Signature,  # noqa: ARG001 - as above
        values: tuple[ir.Value, ...],
    ) -> object:
        colours = builder.fadd(_pick(builder, values[0], 0), _pick(builder, values[0], 3))
        half = ir.Constant(ir.VectorType(ir.FloatType(), 4), [0.5] * 4)
        whole = builder.fptosi(builder.fadd(colours, half), ir.VectorType(_INT, 4))
        # The first lane is the low byte on processors that put low bytes first: all that numba has wheels for.
        return builder.bitcast(builder.trunc(whole, ir.VectorType(ir.IntType(8), 4)), _INT)

    return types.uint32(lanes), write


def _pick(builder: ir.IRBuilder, lanes: ir.Value, start: int) -> ir.Value:
    places = ir.Constant(ir.VectorType(_INT, 4), [start, start + 1, start + 2, start + 3])
    return builder.shuffle_vector(lanes, ir.Constant(_EIGHT, ir.Undefined), places)
