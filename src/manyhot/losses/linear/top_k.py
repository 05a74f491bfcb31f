"""The best labels of each sample from a stream of label chunks: never `n × l` logits."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from manyhot.errors import ScoreError, UsageError
from manyhot.losses.linear.chunks import cut_labels
from manyhot.losses.linear.options import LinearOptions
from manyhot.losses.linear.products import choose_products


@dataclass(frozen=True, kw_only=True, eq=False)
class TopK:
    """The best labels of each sample, best first.

    Args:
        scores: Their logits.
        label_ids: Their ids; of equal scores the lower id comes first.
    """

    scores: Float[Tensor, "n k"]
    label_ids: Int64[Tensor, "n k"]


def top_k(
    features: Float[Tensor, "n d"],
    weight: Float[Tensor, "l d"],
    k: int,
    *,
    bias: Float[Tensor, " l"] | None = None,
    options: LinearOptions | None = None,
) -> TopK:
    """Return the k best labels of each sample under a linear head, all labels if there are fewer.

    Takes the logits of one chunk at a time. Ties go to the lower id, as everywhere in `docs/figures.md`.

    Args:
        features: Of each sample.
        weight: Of the head.
        k: How many.
        bias: Of the head.
        options: How it is computed.

    Raises:
        ScoreError: If a logit is NaN, naming the sample.
        UsageError: If k is not positive.

    >>> best = top_k(torch.eye(2), torch.tensor([[0.0, 3.0], [1.0, 3.0], [2.0, 0.0]]), 2)
    >>> best.label_ids
    tensor([[2, 1],
            [0, 1]])
    """
    return stream_top_k(features, lambda labels: weight[labels], len(weight), k, bias=bias, options=options)


@torch.no_grad()
def stream_top_k(
    features: Float[Tensor, "n d"],
    read: Callable[[slice], Float[Tensor, "c d"]],
    num_labels: int,
    k: int,
    *,
    bias: Float[Tensor, " l"] | None = None,
    options: LinearOptions | None = None,
) -> TopK:
    """Return what `top_k` does for a head whose weights are read by slices of labels.

    >>> stream_top_k(torch.ones(1, 2), lambda labels: torch.eye(2)[labels], 2, 1).label_ids
    tensor([[0]])
    """
    if k < 1:
        raise UsageError(f"k is {k}; a number of labels from 1 is expected")
    width = read(slice(0, 1)).shape[1]
    if features.ndim != 2 or features.shape[1] != width:
        raise UsageError(
            f"features have shape {tuple(features.shape)}; (samples, features) with {width:,} features are expected"
        )
    if bias is not None and bias.shape != (num_labels,):
        raise UsageError(f"bias has shape {tuple(bias.shape)} for {num_labels:,} labels; give one number a label")
    options = options or LinearOptions()
    chunks, kept = cut_labels(num_labels, options.chunk_size), min(k, num_labels)
    dtype = torch.promote_types(features.dtype, torch.float32)
    inputs = features.detach().to(dtype)
    products = choose_products(options.matmul, inputs, chunks[0].stop)
    scores = torch.full((len(inputs), kept), -torch.inf, dtype=dtype, device=inputs.device)
    best = TopK(scores=scores, label_ids=torch.full_like(scores, -1, dtype=torch.int64))
    # Scores in half precision would tie.
    with torch.autocast(inputs.device.type, enabled=False):
        for labels in chunks if kept else ():
            logits = products.project(inputs, read(labels).to(dtype))
            own_bias = logits.new_zeros(logits.shape[1]) if bias is None else bias[labels].detach().to(dtype)
            best = _merge(best, logits, own_bias, labels.start)
    return best


def _merge(best: TopK, logits: Tensor, bias: Tensor, first_label: int) -> TopK:
    if logits.device.type == "cpu" and logits.dtype == torch.float32:
        from manyhot.losses.linear.top_k_kernels import keep_best

        bad = keep_best(logits.numpy(), bias.numpy(), first_label, best.scores.numpy(), best.label_ids.numpy())
        if bad >= 0:
            raise ScoreError(f"sample {bad} has a logit that is NaN; did training diverge?")
        return best
    logits = logits + bias
    if bool(logits.isnan().any()):
        bad = int(logits.isnan().any(dim=1).nonzero()[0])
        raise ScoreError(f"sample {bad} has a logit that is NaN; did training diverge?")
    ids = torch.arange(first_label, first_label + logits.shape[1], device=logits.device).expand(logits.shape)
    every, ids = torch.cat([best.scores, logits], dim=1), torch.cat([best.label_ids, ids], dim=1)
    # Places that nothing was found for stay last, even behind minus infinity; topk() makes no promise about ties.
    every, order = every.sort(dim=1, descending=True, stable=True)
    ids = ids.gather(1, order)
    order = (ids < 0).int().argsort(dim=1, stable=True)[:, : best.scores.shape[1]]
    return TopK(scores=every.gather(1, order), label_ids=ids.gather(1, order))
