"""Two vector instructions that no loop compiles to: turning a tile of cells, and keeping those that reach a mark.

Written as LLVM's own operations, so every processor runs them; those with AVX-512 keep 16 cells in a few cycles, where a
loop takes 2 cycles a cell. Import this from kernels only; the caller sees to it that 16 cells are there and fit.
"""

# ruff: noqa: ANN401, ARG001 - what the compiler gives has no types, and it takes arguments by their place

from collections.abc import Callable
from typing import Any, no_type_check

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16
Emit = tuple[Any, Callable[..., Any]] | None

_INDEX = ir.IntType(64)
_LANE = ir.IntType(32)


@no_type_check
@intrinsic
def keep_reached(_context: Any, source: Any, start: Any, target: Any, end: Any, mark: Any) -> Emit:
    """Write those of the next 64 bytes of `source` that are at least `mark` to `target[end:]`, of which 64 bytes change.

    Returns how many they are and how many are above the mark: the latter times 2³², added. NaN reaches no mark.
    """
    if not (source.layout == target.layout == "C" and source.dtype == target.dtype == mark):
        return None
    # Half as many of float64: what does not fit into one register is no longer one instruction.
    lanes = 512 // source.dtype.bitwidth
    signature = types.uint64(source, types.uint64, target, types.uint64, mark)

    def emit(context: Any, builder: Any, typed: Any, given: Any) -> Any:
        vector = ir.VectorType(context.get_value_type(source.dtype), lanes)
        cells = _load(builder, _pointer(context, builder, typed.args[0], given[0], given[1]), vector)
        marks = _spread(builder, given[4], vector)
        reached = builder.fcmp_ordered(">=", cells, marks)
        above = builder.fcmp_ordered(">", cells, marks)
        name = f"llvm.experimental.vector.compress.v{lanes}f{source.dtype.bitwidth}"
        kind = ir.FunctionType(vector, [vector, reached.type, vector])
        press = cgutils.get_or_insert_function(builder.module, kind, name)
        kept = builder.call(press, [cells, reached, ir.Constant(vector, ir.Undefined)])
        _store(builder, kept, _pointer(context, builder, typed.args[2], given[2], given[3]))
        return builder.or_(_count(builder, reached), builder.shl(_count(builder, above), _INDEX(32)))

    return signature, emit


@no_type_check
@intrinsic
def turn_tile(_context: Any, source: Any, row: Any, column: Any, target: Any, first: Any) -> Emit:
    """Write `source[row : row + 16, column : column + 16]`, columns as rows, to `target[first:, row:]`."""
    if not (source.layout == target.layout == "C" and source.dtype == target.dtype):
        return None
    signature = types.void(source, types.uint64, types.uint64, target, types.uint64)

    def emit(context: Any, builder: Any, typed: Any, given: Any) -> Any:
        vector = ir.VectorType(context.get_value_type(source.dtype), LANES)
        begin = _pointer(context, builder, typed.args[0], given[0], given[1], given[2])
        width = _width(context, builder, typed.args[0], given[0])
        lines = [_load(builder, _stepped(builder, begin, width, lane), vector) for lane in range(LANES)]
        for step in (8, 4, 2, 1):
            lines = _swapped(builder, lines, step)
        end = _pointer(context, builder, typed.args[3], given[3], given[4], given[1])
        width = _width(context, builder, typed.args[3], given[3])
        for lane, line in enumerate(lines):
            _store(builder, line, _stepped(builder, end, width, lane))
        return context.get_dummy_value()

    return signature, emit


@no_type_check
def _swapped(builder: Any, lines: list[Any], step: int) -> list[Any]:
    """Return the lines with the off-diagonal blocks of `step` × `step` cells swapped."""
    swapped = list(lines)
    for upper in range(LANES):
        if upper & step:
            continue
        pair = lines[upper], lines[upper | step]
        kept = [lane if not lane & step else LANES + (lane ^ step) for lane in range(LANES)]
        moved = [lane | step if not lane & step else LANES + lane for lane in range(LANES)]
        swapped[upper] = builder.shuffle_vector(*pair, _lanes(kept))
        swapped[upper | step] = builder.shuffle_vector(*pair, _lanes(moved))
    return swapped


@no_type_check
def _pointer(context: Any, builder: Any, kind: Any, array: Any, *indices: Any) -> Any:
    struct = context.make_array(kind)(context, builder, array)
    offset = indices[0]
    if len(indices) > 1:
        offset = builder.add(builder.mul(offset, _width(context, builder, kind, array)), indices[1])
    return builder.gep(struct.data, [offset])


@no_type_check
def _width(context: Any, builder: Any, kind: Any, array: Any) -> Any:
    return builder.extract_value(context.make_array(kind)(context, builder, array).shape, 1)


@no_type_check
def _stepped(builder: Any, pointer: Any, width: Any, count: int) -> Any:
    return builder.gep(pointer, [builder.mul(width, _INDEX(count))])


@no_type_check
def _load(builder: Any, pointer: Any, vector: Any) -> Any:
    loaded = builder.load(builder.bitcast(pointer, vector.as_pointer()))
    # Cells stand anywhere: the alignment is theirs, not that of a whole vector.
    loaded.align = 4
    return loaded


@no_type_check
def _store(builder: Any, value: Any, pointer: Any) -> None:
    builder.store(value, builder.bitcast(pointer, value.type.as_pointer())).align = 4


@no_type_check
def _spread(builder: Any, value: Any, vector: Any) -> Any:
    nothing = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(nothing, value, _LANE(0))
    return builder.shuffle_vector(first, nothing, _lanes([0] * vector.count))


@no_type_check
def _lanes(order: list[int]) -> Any:
    return ir.Constant(ir.VectorType(_LANE, len(order)), order)


@no_type_check
def _count(builder: Any, mask: Any) -> Any:
    whole = ir.IntType(mask.type.count)
    name = f"llvm.ctpop.i{mask.type.count}"
    count = cgutils.get_or_insert_function(builder.module, ir.FunctionType(whole, [whole]), name)
    return builder.zext(builder.call(count, [builder.bitcast(mask, whole)]), _INDEX)
