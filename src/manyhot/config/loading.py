"""How pictures are read, chosen and changed while a model trains. Loads without torch."""

import math
from dataclasses import dataclass
from typing import Literal

from manyhot.config.checks import require, require_between
from manyhot.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class LoadingConfig:
    """How pictures are read while a model trains, and which come when."""

    loader: Literal["threads", "processes"] = "threads"
    """What training.workers counts: threads are faster; processes are for augmentation of your own in Python."""
    timeout_s: float = 300.0
    """Seconds after which a picture that does not come ends the run, by name."""
    bad_files: Literal["fail", "skip"] = "fail"
    """What a training picture that cannot be read does: it ends the run, or it is left out, named and counted."""
    max_skipped_share: float = 0.001
    """Share of the training samples that may be left out; one more ends the run."""
    cache: Literal["auto", "memory", "disk", "off"] = "auto"
    """Keep decoded training pictures; auto: in memory where they fit into a quarter of what is free; disk: in the run folder."""
    order: Literal["shuffled", "windowed"] = "shuffled"
    """windowed reads neighbours together, for network storage: shuffled blocks, shuffled again inside windows."""
    block: int = 1024
    """Neighbours that a windowed order keeps together."""
    window: int = 262_144
    """Samples among which a windowed order mixes, at least 262,144."""
    sampling: Literal["uniform", "square-root", "inverse", "label-sets", "repeat-factor"] = "uniform"
    """Show rare labels more often; repeat-factor leaves nothing out and makes epochs longer."""
    repeat_threshold: float = 0.001
    """Share of samples below which repeat-factor shows a label more often."""
    max_repeats: float = 20.0
    """A sample comes at most so many times an epoch, whatever the sampling."""

    def __post_init__(self) -> None:
        require(0 < self.timeout_s < math.inf, "loading.timeout_s", self.timeout_s, "above 0 and finite")
        share = self.max_skipped_share
        require(0 <= share <= 1, "loading.max_skipped_share", share, "from 0 to 1")
        require_between(262_144, 2**40, "loading.window", self.window)
        require_between(1, self.window, "loading.block", self.block)
        require(0 < self.repeat_threshold <= 1, "loading.repeat_threshold", self.repeat_threshold, "above 0, at most 1")
        require(1 <= self.max_repeats < math.inf, "loading.max_repeats", self.max_repeats, "1 or more and finite")
        if self.order == "windowed" and self.sampling != "uniform":
            raise ConfigError(
                f"loading.sampling is {self.sampling!r} and loading.order 'windowed'; a windowed order shows each sample "
                f"once: leave out one of them"
            )
        if self.cache in ("memory", "disk") and self.loader == "processes":
            raise ConfigError(
                f"loading.cache is {self.cache!r} and loading.loader 'processes', which share none; use threads"
            )


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """How training pictures are changed, beyond images.min_scale and images.flip. All is off by default."""

    brightness: float = 0.0
    """Change the brightness by a factor within 1 - this and 1 + this."""
    contrast: float = 0.0
    """Change the contrast likewise."""
    saturation: float = 0.0
    """Change the saturation likewise."""
    hue: float = 0.0
    """Turn the hue by at most this share of the circle, up to 0.5."""
    randaugment: int = 0
    """RandAugment: how many changes; 2 is usual."""
    magnitude: float = 9.0
    """RandAugment: how strong, from 0 to 30."""
    erasing: float = 0.0
    """Chance that a rectangle is replaced by noise; 0.25 is usual. Keep it low where objects are small."""
    mixup: float = 0.0
    """Blend pictures and labels in pairs, by shares from Beta(a, a) with this a; 0.2 is usual."""
    cutmix: float = 0.0
    """Exchange rectangles in pairs, by shares from Beta(a, a) with this a; 1 is usual."""

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation", "mixup", "cutmix"):
            value = getattr(self, name)
            require(0 <= value < math.inf, f"augmentation.{name}", value, "0 or more and finite")
        require(0 <= self.hue <= 0.5, "augmentation.hue", self.hue, "from 0 to 0.5")
        require_between(0, 14, "augmentation.randaugment", self.randaugment)
        require(0 <= self.magnitude <= 30, "augmentation.magnitude", self.magnitude, "from 0 to 30")
        require(0 <= self.erasing <= 1, "augmentation.erasing", self.erasing, "from 0 to 1")
