"""The batch of all ranks, put together on each: features with their gradient, and labels. Logits and weights never travel.

What is sent grows with samples, features and positives, and not with labels.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Float32, Int32, Int64
from torch import Tensor, distributed
from torch.autograd.function import once_differentiable

from manyhot.losses.interface import Reduction
from manyhot.targets import SparseTargets

# Offsets do not join end to end; the counts that they come from do.
OFFSETS = {"row_offsets": "row_counts", "exception_offsets": "exception_counts"}


@dataclass(frozen=True, kw_only=True, eq=False)
class GatheredBatch:
    """The batch of all ranks, the same on each.

    Args:
        features: Of each sample, rank after rank; the gradient of each comes back to the rank that has the sample.
        targets: Labels of the same samples.
    """

    features: Float[Tensor, "n d"]
    targets: SparseTargets


def gather_batch(features: Float[Tensor, "k d"], targets: SparseTargets) -> GatheredBatch:
    """Return the batch of all ranks from this rank's part of it; every rank must call this.

    The gradient that comes back is multiplied by the number of ranks: DistributedDataParallel divides by it what each
    rank's encoder makes of it, and the sum over all samples is what is wanted.

    Args:
        features: Of this rank's samples; there may be none.
        targets: Their labels, of the same sources on every rank.
    """
    sizes = _exchange_sizes(targets)
    gathered: Any = _GatherRows.apply(features, [size[0] for size in sizes])
    return GatheredBatch(features=gathered, targets=_gather_targets(targets, sizes))


def gather_rows(rows: Float[Tensor, "k d"]) -> tuple[Float[Tensor, "n d"], list[int]]:
    """Return the rows of all ranks, rank after rank, without a gradient, and how many each rank has.

    Every rank must call this.
    """
    counts = [int(count) for (count,) in _all_numbers([rows.shape[0]], rows.device)]
    return _all_rows(rows.detach(), counts), counts


def shard_scale(reduction: Reduction, everyone: SparseTargets, own: SparseTargets) -> Float32[Tensor, ""]:
    """Return what the sum of the losses of a rank's labels is multiplied by; every rank must call this.

    Args:
        reduction: `mean` divides by the known cells of all samples and labels, `sample_mean` by all samples.
        everyone: All samples, all labels.
        own: All samples, this rank's labels.
    """
    match reduction:
        case "mean":
            known = torch.as_tensor(own.num_known(), device=own.device).clone()
            distributed.all_reduce(known)
            return 1 / known.clamp(min=1).float()
        case "sample_mean":
            return torch.tensor(1 / max(everyone.num_samples, 1), device=own.device)
        case _:
            return torch.ones((), device=own.device)


def told_by_all(share: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """Return the sum of the shares of all ranks, on each, with the gradient of its own share; every rank must call this."""
    whole = share.detach().clone()
    distributed.all_reduce(whole)
    return share + (whole - share.detach())


def _exchange_sizes(targets: SparseTargets) -> list[list[int]]:
    exceptions = 0 if targets.exception_ids is None else targets.exception_ids.shape[0]
    return _all_numbers([targets.num_samples, targets.label_ids.shape[0], exceptions], targets.device)


def _all_numbers(numbers: list[int], device: torch.device) -> list[list[int]]:
    own = torch.tensor(numbers, device=device)
    everyone = own.new_empty(distributed.get_world_size(), len(numbers))
    distributed.all_gather_into_tensor(everyone.view(-1), own)
    # The one wait for a device in a step: shapes are needed here.
    return everyone.tolist()


def _all_rows(rows: Tensor, counts: list[int]) -> Tensor:
    """Return the rows of all ranks; ranks with fewer send as many as the others."""
    largest = max(counts)
    padded = rows.contiguous()
    if rows.shape[0] < largest:
        padded = torch.cat([rows, rows.new_zeros(largest - rows.shape[0], *rows.shape[1:])])
    everyone = padded.new_empty(len(counts) * largest, *rows.shape[1:])
    distributed.all_gather_into_tensor(everyone, padded)
    if min(counts) == largest:
        return everyone
    return torch.cat([part[:count] for part, count in zip(everyone.split(largest), counts, strict=True)])


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: list[int]) -> Tensor:  # noqa: ANN401 - torch's signature
        ctx.counts = counts
        return _all_rows(rows, counts)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] - the decorator above hides the signature
        ctx: Any,  # noqa: ANN401 - torch's signature
        *grad_outputs: Any,  # noqa: ANN401 - torch's signature
    ) -> tuple[Tensor, None]:
        counts: list[int] = ctx.counts
        (gradient,) = grad_outputs
        largest, rank = max(counts), distributed.get_rank()
        parts = [
            torch.cat([part, part.new_zeros(largest - count, *part.shape[1:])]) if count < largest else part
            for part, count in zip(gradient.split(counts), counts, strict=True)
        ]
        own = gradient.new_empty(largest, *gradient.shape[1:])
        distributed.reduce_scatter_tensor(own, torch.cat(parts))
        return own[: counts[rank]] * len(counts), None


def _gather_targets(targets: SparseTargets, sizes: list[list[int]]) -> SparseTargets:
    everyone = _all_rows(_packed(targets), [_packed_length(targets, *size) for size in sizes])
    parts, start = [], 0
    for size in sizes:
        length = _packed_length(targets, *size)
        parts.append(_unpacked(everyone[start : start + length], targets, *size))
        start += length
    joined = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    offsets = {name: _offsets(joined.pop(counts)) for name, counts in OFFSETS.items() if counts in joined}
    return replace(targets, **joined, **offsets)


def _packed(targets: SparseTargets) -> Int32[Tensor, " k"]:
    """Return all that is listed of a batch as one row of numbers, so that it travels at once."""
    parts = [_counts(targets.row_offsets), targets.label_ids]
    if targets.values is not None:
        parts.append(targets.values.float().view(torch.int32))
    if targets.exception_ids is not None and targets.exception_offsets is not None:
        parts += [_counts(targets.exception_offsets), targets.exception_ids]
    if targets.source_ids is not None:
        parts.append(targets.source_ids.int())
    return torch.cat(parts)


def _packed_length(like: SparseTargets, samples: int, positives: int, exceptions: int) -> int:
    length = samples + positives * (1 if like.values is None else 2)
    length += 0 if like.exception_ids is None else samples + exceptions
    return length + (0 if like.source_ids is None else samples)


def _unpacked(
    packed: Int32[Tensor, " k"], like: SparseTargets, samples: int, positives: int, exceptions: int
) -> dict[str, Tensor]:
    lengths = {"row_counts": samples, "label_ids": positives}
    if like.values is not None:
        lengths["values"] = positives
    if like.exception_ids is not None:
        lengths |= {"exception_counts": samples, "exception_ids": exceptions}
    if like.source_ids is not None:
        lengths["source_ids"] = samples
    found = dict(zip(lengths, packed.split(list(lengths.values())), strict=True))
    if like.values is not None:
        found["values"] = found["values"].view(torch.float32)
    if like.source_ids is not None:
        found["source_ids"] = found["source_ids"].long()
    return found


def _counts(offsets: Int64[Tensor, " offsets"]) -> Int32[Tensor, " n"]:
    return (offsets[1:] - offsets[:-1]).int()


def _offsets(counts: Int32[Tensor, " n"]) -> Int64[Tensor, " offsets"]:
    offsets = torch.zeros(len(counts) + 1, dtype=torch.int64, device=counts.device)
    offsets[1:] = counts.cumsum(0)
    return offsets
