"""What a head that updates itself does with the gradient of a chunk, and what it remembers between steps."""

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn

from manyhot.losses.linear.updates import SGD, RowwiseAdagrad, Update
from manyhot.losses.linear.weights import Float32Weights, HeadWeights


class Learner(nn.Module):
    """The update of a head, chunk by chunk, with its state.

    Args:
        update: How it learns.
        num_labels: Number of labels.
        num_features: Number of features; a direction that momentum keeps is as large as the head.

    >>> from manyhot.losses.linear.weights import make_weights
    >>> weights, bias, learner = make_weights("float32", 2, 1), torch.zeros(2), Learner(SGD(), 2, 1)
    >>> of_logits, features = torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0]])
    >>> learner.learn(weights, bias, slice(0, 2), of_logits, features, lr=0.5, step=torch.tensor(1))
    >>> weights.exact(slice(0, 2)).flatten(), bias
    (tensor([-1.,  0.]), tensor([-0.5000,  0.0000]))
    """

    direction: Float32[Tensor, "l d"]
    bias_direction: Float32[Tensor, " l"]
    squares: Float32[Tensor, " l"]
    bias_squares: Float32[Tensor, " l"]

    def __init__(self, update: Update, num_labels: int, num_features: int) -> None:
        super().__init__()
        self.update = update
        if isinstance(update, RowwiseAdagrad):
            self.register_buffer("squares", torch.zeros(num_labels))
            self.register_buffer("bias_squares", torch.zeros(num_labels))
        elif update.momentum:
            self.register_buffer("direction", torch.zeros(num_labels, num_features))
            self.register_buffer("bias_direction", torch.zeros(num_labels))
        self._scratch: Tensor | None = None

    def learn(
        self,
        weights: HeadWeights,
        bias: Float32[Tensor, " l"],
        labels: slice,
        of_logits: Float[Tensor, "n c"],
        features: Float[Tensor, "n d"],
        *,
        lr: float,
        step: Int64[Tensor, ""],
    ) -> None:
        """Move weights and biases of some labels along the gradient that the logits' gradient and the features make."""
        of_bias = of_logits.sum(dim=0, dtype=torch.float32)
        match self.update:
            case SGD(momentum=0.0) if isinstance(weights, Float32Weights):
                # Product and update are one operation: not even the chunk's gradient exists.
                weights.value[labels].addmm_(of_logits.T, features, alpha=-lr)
                bias[labels] -= lr * of_bias
            case SGD(momentum=0.0):
                weights.descend(labels, self._gradient(of_logits, features), torch.full_like(of_bias, lr), step)
                bias[labels] -= lr * of_bias
            case SGD(momentum=momentum):
                kept = self.direction[labels].mul_(momentum).add_(self._gradient(of_logits, features))
                weights.descend(labels, kept, torch.full_like(of_bias, lr), step)
                bias[labels] -= lr * self.bias_direction[labels].mul_(momentum).add_(of_bias)
            case RowwiseAdagrad(eps=eps):
                gradient = self._gradient(of_logits, features)
                norms = torch.linalg.vector_norm(gradient, dim=1, dtype=torch.float32)
                squares = self.squares[labels].add_(norms.square() / gradient.shape[1])
                weights.descend(labels, gradient, lr / (squares.sqrt() + eps), step)
                bias[labels] -= lr * of_bias / (self.bias_squares[labels].add_(of_bias.square()).sqrt() + eps)

    def _gradient(self, of_logits: Float[Tensor, "n c"], features: Float[Tensor, "n d"]) -> Float[Tensor, "c d"]:
        """Return the gradient of a chunk's weights, in memory that the next chunk will use again."""
        shape = (of_logits.shape[1], features.shape[1])
        scratch = self._scratch
        kind = (features.dtype, features.device)
        if scratch is None or scratch.shape[0] < shape[0] or (scratch.dtype, scratch.device) != kind:
            scratch = self._scratch = torch.empty(shape, dtype=features.dtype, device=features.device)
        return torch.mm(of_logits.T, features, out=scratch[: shape[0]])
