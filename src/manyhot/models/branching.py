"""Encoders that part: groups of labels share the first stages and have their own copy of the rest.

An encoder of timm is cut at a stage into a trunk and a rest. Both are the encoder itself with modules taken out: the trunk
without what comes later, the rest without what the trunk has done. A cut is tried on one picture before it is used, once for
all branches.
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from manyhot.errors import ModelError
from manyhot.models.tokens import encoder_tokens


def stages_of(encoder: nn.Module) -> tuple[str, ...]:
    """Return the names of the modules after which an encoder can be cut, in order; parting after the last parts heads.

    >>> from manyhot.models.encoders import create_encoder
    >>> stages_of(create_encoder("test_resnet", image_size=32))
    ('act1', 'layer1', 'layer2', 'layer3', 'layer4')
    """
    info: Any = getattr(encoder, "feature_info", None)
    if info is None or not hasattr(encoder, "prune_intermediate_layers"):
        raise ModelError("this encoder names no stages, so it cannot part; take another, or leave branching out")
    return tuple(str(stage["module"]) for stage in info)


class BranchedEncoder(nn.Module):
    """A trunk that is shared, and one branch for each group of labels.

    Args:
        encoders: Whole encoders of one kind, one for each group; the trunk is the first one's.
        at: After how many of `stages_of` the branches begin: 0 shares nothing, their number shares all.
        image_size: Height and width of the picture on which the cut is tried.

    Raises:
        ModelError: If there is no such stage, or this encoder does not come apart there.

    >>> from manyhot.models.encoders import create_encoder
    >>> encoders = [create_encoder("test_resnet", image_size=32) for _ in range(2)]
    >>> BranchedEncoder(encoders, at=3, image_size=32)(torch.zeros(4, 3, 32, 32)).shape
    torch.Size([4, 2, 96])
    """

    def __init__(self, encoders: Sequence[nn.Module], *, at: int, image_size: int) -> None:
        super().__init__()
        self.stages = stages_of(encoders[0])
        if not 0 <= at <= len(self.stages):
            raise ModelError(
                f"branches cannot begin at stage {at}; there are {len(self.stages)}: {', '.join(self.stages)}"
            )
        self.num_branches = len(encoders)
        self.shares_all = at == len(self.stages)
        if self.shares_all or at == 0:
            self.trunk = encoders[0] if self.shares_all else None
            self.branches = nn.ModuleList([] if self.shares_all else encoders)
            return
        self.trunk, rest = _cut(encoders[0], at - 1, image_size)
        # The encoders are of one kind: another's rest is the first one's with its own weights.
        others = [_with_weights(deepcopy(rest), encoder) for encoder in encoders[1:]]
        self.branches = nn.ModuleList([rest, *others])

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n g d"]:
        """Return the features of each picture, one vector from each branch."""
        if self.shares_all:
            assert self.trunk is not None
            return self.trunk(images)[:, None].expand(-1, self.num_branches, -1)
        shared = self._shared(images)
        return torch.stack([branch(shared) for branch in self.branches], dim=1)

    def tokens(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n g t d"]:
        """Return the features of each place of each picture, from each branch."""
        if self.shares_all:
            assert self.trunk is not None
            return encoder_tokens(self.trunk, images)[:, None].expand(-1, self.num_branches, -1, -1)
        shared = self._shared(images)
        return torch.stack([encoder_tokens(branch, shared) for branch in self.branches], dim=1)

    def take_weights(self, whole: nn.Module) -> None:
        """Copy the weights of a whole encoder into the trunk and into every branch."""
        for part in (self.trunk, *self.branches):
            if part is not None:
                _with_weights(part, whole)

    def _shared(self, images: Tensor) -> Tensor:
        if self.trunk is None:
            return images
        forward_features: Any = self.trunk.forward_features
        return forward_features(images)


def _with_weights(part: nn.Module, whole: nn.Module) -> nn.Module:
    """Return a part of an encoder with the weights that stand under its names in a whole one."""
    weights = whole.state_dict()
    part.load_state_dict({name: weights[name] for name in part.state_dict()})
    return part


def _cut(encoder: nn.Module, index: int, image_size: int) -> tuple[nn.Module, nn.Module]:
    """Return trunk and rest of an encoder, cut after the stage of that index of `feature_info`."""
    whole: Any = encoder
    trunk: Any = deepcopy(encoder)
    rest: Any = deepcopy(encoder)
    picture = torch.randn(1, 3, image_size, image_size, generator=torch.Generator().manual_seed(0))
    states = [part.training for part in (whole, trunk, rest)]
    for part in (whole, trunk, rest):
        part.eval()
    try:
        with torch.no_grad():
            expected = whole.forward_features(picture)
            # A list: a plain number means the last so many.
            trunk.prune_intermediate_layers([index], prune_norm=True, prune_head=True)
            _take_out(rest, trunk, whole, kept=_modules_of_head(whole, expected))
            _forget_positions(rest)
            found = rest.forward_features(trunk.forward_features(picture))
            is_whole = torch.equal(found, expected) and torch.equal(
                rest.forward_head(found), whole.forward_head(expected)
            )
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(_does_not_part(whole, index)) from error
    finally:
        for part, training in zip((whole, trunk, rest), states, strict=True):
            part.train(training)
    if not is_whole:
        raise ModelError(_does_not_part(whole, index))
    return trunk, rest


def _does_not_part(encoder: nn.Module, index: int) -> str:
    return (
        f"this encoder does not come apart after {stages_of(encoder)[index]!r}; try another --branch-at "
        "(0: nothing is shared, the last: all but the heads), or a resnet, convnext or vit"
    )


def _modules_of_head(whole: Any, features: Tensor) -> set[nn.Module]:  # noqa: ANN401 - timm's models have no type
    """Return the modules that run after the features: they stay with the rest."""
    ran: set[nn.Module] = set()

    def note(module: nn.Module, inputs: object, output: object) -> None:
        del inputs, output
        ran.add(module)

    hooks = [module.register_forward_hook(note) for module in whole.modules()]
    try:
        whole.forward_head(features)
    finally:
        for hook in hooks:
            hook.remove()
    return ran


def _take_out(rest: nn.Module, trunk: nn.Module, whole: nn.Module, *, kept: set[nn.Module]) -> None:
    """Make every module of the rest that the trunk still has whole an identity, but those of the head."""
    left_in_trunk = dict(trunk.named_children())
    for name, module in whole.named_children():
        left = left_in_trunk.get(name)
        if left is None or isinstance(left, nn.Identity) or any(part in kept for part in module.modules()):
            continue
        if type(left) is type(module) and _names(left) == _names(module):
            # By its name, as children of Sequential are registered too.
            rest.register_module(name, nn.Identity())
        else:
            _take_out(rest.get_submodule(name), left, module, kept=kept)


def _names(module: nn.Module) -> list[str]:
    return [name for name, _ in module.named_modules()]


def _forget_positions(rest: nn.Module) -> None:
    """Take out what a transformer adds to its tokens before the first block: the trunk has done so."""
    for name in ("pos_embed", "cls_token", "reg_token"):
        if isinstance(getattr(rest, name, None), nn.Parameter):
            setattr(rest, name, None)
