"""The kernels of GPUs, run by Triton's interpreter on the CPU, give what differentiating the curves gives.

The interpreter is chosen when a kernel is defined, by the environment: hence a process of its own for all of them.
"""

from importlib.util import find_spec
from itertools import product

import pytest
import torch

from manyhot.losses.linear.curves import Asymmetric, Binary, CellRule, Curve, Focal
from manyhot.targets import SparseTargets

NUM_SAMPLES, NUM_LABELS, CHUNK = 11, 600, 290
CURVES: dict[str, Curve] = {
    "binary": Binary(),
    "pos_weight": Binary(torch.linspace(0.5, 3.0, NUM_LABELS)),
    "focal": Focal(),
    "focal without alpha": Focal(gamma=1.5, alpha=None),
    "asymmetric": Asymmetric(),
    "asymmetric without clip": Asymmetric(clip=0.0, gamma_pos=0.0),
}
KINDS = ("complete", "unknown", "confident", "no positives")
WEIGHTED = (False, True)


def targets_of(kind: str) -> SparseTargets:
    generator = torch.Generator().manual_seed(3)
    dense = (torch.rand(NUM_SAMPLES, NUM_LABELS, generator=generator) < 0.02).float()
    dense[2] = 0
    match kind:
        case "unknown":
            dense[torch.rand(dense.shape, generator=generator) < 0.3] = float("nan")
        case "confident":
            dense[dense == 1] = torch.rand(int((dense == 1).sum()), generator=generator)
        case "no positives":
            dense.zero_()
    return SparseTargets.from_dense(dense)


def compare(name: str, kind: str, weighted: bool) -> None:
    """Compare loss and gradients of all chunks with those of the curves in float64."""
    from manyhot.losses.linear.chunks import BatchCells
    from manyhot.losses.linear.gpu_pointwise import GpuPass
    from manyhot.losses.linear.pointwise import differentiate

    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(NUM_SAMPLES, NUM_LABELS, generator=generator) * 8
    logits[0, :4] = torch.tensor([1e4, -1e4, 0.0, -60.0])
    bias = torch.randn(NUM_LABELS, generator=generator) if weighted else None
    label_weight = torch.linspace(0.1, 2.0, NUM_LABELS) if weighted else None
    cells = BatchCells(targets_of(kind), chunk_size=CHUNK)
    rule = CellRule(curve=CURVES[name], label_weight=label_weight, scale=torch.tensor(0.25))
    exact = CellRule(curve=CURVES[name], label_weight=label_weight, scale=torch.tensor(0.25, dtype=torch.float64))
    one, total = GpuPass(cells, rule, bias), torch.zeros((), dtype=torch.float64)
    for index, labels in enumerate(cells.chunks):
        # A part of wider rows, as a buffer for the widest chunk has.
        found = torch.zeros(NUM_SAMPLES, CHUNK + 3)[:, : labels.stop - labels.start]
        found.copy_(logits[:, labels])
        one.run(index, found)
        expected = logits[:, labels].double().contiguous()
        own_bias = None if bias is None else bias[labels].double()
        total += differentiate(expected, cells.of_chunk(index), exact, own_bias)
        # Ten units in the last place of gradients of about 1.
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(one.total(), total, rtol=1e-6, atol=1e-6)


@pytest.mark.skipif(find_spec("triton") is None, reason="torch brings Triton on Linux only")
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_kernels_of_gpus_give_what_the_curves_give(run_triton) -> None:
    assert run_triton(__file__, is_interpreted=True).count("equal") == len(CURVES) * len(KINDS) * len(WEIGHTED)


COMPILING = """
from itertools import product
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from manyhot.losses.linear import triton_kernels

FLOATS = ("logits", "gradient", "taken", "bias", "weights", "positive_weights", "confidence", "scale")
TYPES = {name: "*fp32" for name in FLOATS} | {"rows": "*i64", "labels": "*i64", "bounds": "*i64", "losses": "*fp64"}
TYPES |= {"unknown": "*u8", "gamma": "fp32", "gamma_pos": "fp32", "gamma_neg": "fp32", "clip": "fp32"}
FLAGS = ("HAS_BIAS", "HAS_UNKNOWN", "HAS_CONFIDENCE", "FOCAL", "FOCAL_POS", "SHIFTED")

for name, on in product(("take_out", "negatives", "put_back"), (False, True)):
    kernel = getattr(triton_kernels, name)
    constants = {"BLOCK": 256, "ROWS": 8} | {flag: on for flag in FLAGS}
    constants = {key: value for key, value in constants.items() if key in kernel.arg_names}
    kinds = {key: "constexpr" if key in constants else TYPES.get(key, "i32") for key in kernel.arg_names}
    made = compile(ASTSource(fn=kernel, signature=kinds, constexprs=constants), target=GPUTarget("cuda", 90, 32))
    print(name, on, "compiled", len(made.asm["cubin"]))
"""


@pytest.mark.slow
@pytest.mark.skipif(find_spec("triton") is None, reason="torch brings Triton on Linux only")
@pytest.mark.timeout(300)
def test_kernels_compile_for_a_gpu_that_is_not_there(run_triton) -> None:
    assert run_triton("-c", COMPILING, is_interpreted=False).count("compiled") == 6


if __name__ == "__main__":
    for case in product(CURVES, KINDS, WEIGHTED):
        compare(*case)
        print(*case, "equal")
