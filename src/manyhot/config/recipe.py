"""Everything that a run depends on, in one value. Loads without torch."""

from dataclasses import dataclass, field

from manyhot.config.checks import require
from manyhot.config.data import DataConfig, ImagesConfig, SplitConfig
from manyhot.config.decisions import DecisionConfig
from manyhot.config.loading import AugmentationConfig, LoadingConfig
from manyhot.config.losses import BinaryCrossEntropyConfig, CellLossConfig, LossConfig
from manyhot.config.mixture import MixtureConfig
from manyhot.config.models import BranchingConfig, EncoderConfig, HeadConfig, LinearHeadConfig
from manyhot.config.training import AdamWConfig, DistributedConfig, OptimiserConfig, TrainingConfig
from manyhot.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that a run depends on, besides the data themselves."""

    seed: int = 0
    """Seed of the split, of new weights, of the order and of augmentation."""
    data: DataConfig = field(default_factory=DataConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    images: ImagesConfig = field(default_factory=ImagesConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    loading: LoadingConfig = field(default_factory=LoadingConfig)
    mixture: MixtureConfig = field(default_factory=MixtureConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    head: HeadConfig = field(default_factory=LinearHeadConfig)
    branching: BranchingConfig = field(default_factory=BranchingConfig)
    loss: LossConfig = field(default_factory=BinaryCrossEntropyConfig)
    optimiser: OptimiserConfig = field(default_factory=AdamWConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    distributed: DistributedConfig = field(default_factory=DistributedConfig)
    decision: DecisionConfig = field(default_factory=DecisionConfig)

    def __post_init__(self) -> None:
        require(0 <= self.seed < 2**32, "seed", self.seed, "between 0 and 2^32 - 1")
        if self.mixture.is_set:
            _check_mixture(self.loading)
        is_mixed = self.augmentation.mixup or self.augmentation.cutmix
        if is_mixed and isinstance(self.loss, CellLossConfig) and self.loss.source_weight is not None:
            raise ConfigError(
                "loss.source_weight weighs samples by their data set, and augmentation.mixup and cutmix mix them; leave out "
                "one of them"
            )
        if self.distributed.head == "sharded":
            _check_sharded(self)
        if isinstance(self.head, LinearHeadConfig) and self.head.in_chunks and self.branching.at is not None:
            raise ConfigError("head.in_chunks is true, which an encoder with branches cannot; leave one of them out")


def _check_mixture(loading: LoadingConfig) -> None:
    for name, value, default in (("order", loading.order, "shuffled"), ("sampling", loading.sampling, "uniform")):
        if value != default:
            raise ConfigError(
                f"loading.{name} is {value!r} and [mixture] is set, which says too which samples come when; leave out one "
                "of them"
            )


def _check_sharded(recipe: Recipe) -> None:
    reason = None
    if not isinstance(recipe.head, LinearHeadConfig):
        reason = "a linear head"
    elif recipe.branching.at is not None:
        reason = "an encoder without branches (leave branching.at out)"
    elif recipe.optimiser.ema_decay is not None:
        reason = "no average of the weights (leave optimiser.ema_decay out)"
    if reason is not None:
        raise ConfigError(f"distributed.head is 'sharded', which takes {reason}")
