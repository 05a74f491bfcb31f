"""The settings of a run: frozen dataclasses, one a section of the recipe. Loads without torch.

A field that is None is worked out from the data or the machine when the run starts; the recipe that the run saves
holds what was chosen.
"""

from manyhot.config.data import DataConfig, ImagesConfig, SplitConfig
from manyhot.config.decisions import DecisionConfig
from manyhot.config.loading import AugmentationConfig, LoadingConfig
from manyhot.config.losses import BinaryCrossEntropyConfig, LossConfig
from manyhot.config.mixture import MixtureConfig
from manyhot.config.models import (
    BranchingConfig,
    CSRAConfig,
    EncoderConfig,
    GroupedHeadConfig,
    HeadConfig,
    LabelAttentionConfig,
    LinearHeadConfig,
    LowRankHeadConfig,
    MLDecoderConfig,
    Query2LabelConfig,
)
from manyhot.config.recipe import Recipe
from manyhot.config.training import AdamWConfig, DistributedConfig, OptimiserConfig, TrainingConfig

__all__ = [
    "AdamWConfig",
    "AugmentationConfig",
    "BinaryCrossEntropyConfig",
    "BranchingConfig",
    "CSRAConfig",
    "DataConfig",
    "DecisionConfig",
    "DistributedConfig",
    "EncoderConfig",
    "GroupedHeadConfig",
    "HeadConfig",
    "ImagesConfig",
    "LabelAttentionConfig",
    "LinearHeadConfig",
    "LoadingConfig",
    "LossConfig",
    "LowRankHeadConfig",
    "MLDecoderConfig",
    "MixtureConfig",
    "OptimiserConfig",
    "Query2LabelConfig",
    "Recipe",
    "SplitConfig",
    "TrainingConfig",
]
