"""The settings of a run: frozen dataclasses, one a section of the recipe. Loads without torch.

A field that is None is worked out from the data or the machine when the run starts; the recipe that the run saves
holds what was chosen.
"""

import math
from dataclasses import dataclass, field, fields
from typing import Literal

from manyhot.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which data to read, and how."""

    path: str | None = None
    """Folder or label file to read."""
    labels: str | None = None
    """Label file, if it is not in the folder under its usual name."""
    images: str | None = None
    """Folder that image names start from, if it is not beside the label file."""
    separator: str | None = None
    """What parts the labels in a folder's name: "_" reads red_dress as red and dress."""
    reference_column: str | None = None
    """Column of a table that names the image."""
    label_column: str | None = None
    """Column of a table that holds the labels."""
    delimiter: str | None = None
    """What parts the labels in a column of text, as in "red|dress"."""
    unlisted: Literal["negative", "unknown"] = "negative"
    """What a label that a sample does not list means."""
    format: str | None = None
    """Name of the format, where the files do not show it: docs/data.md lists them."""
    names: str | None = None
    """File that names the labels, for formats that keep them apart, if it is not beside the data."""
    hierarchy: str | None = None
    """File that says which label is a kind of which, for formats that keep it apart."""
    label_columns: tuple[str, ...] | None = None
    """Columns of a 0/1 table that are labels; all without another role, if not given."""
    uncertain: Literal["unknown", "positive", "negative"] | None = None
    """What -1 means in a table of 1, 0 and -1; without it, -1 is an error."""
    pictures: bool = True
    """Look for the pictures; false reads labels alone, for check and convert."""
    max_unpacked_gb: float = 16.0
    """What one .gz file may unpack to, in units of 10^9 bytes; more is refused."""

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            _require(value != "", f"data.{setting.name}", value, "at least one character; leave it out for the default")
        names = self.label_columns
        _require(names is None or (len(names) > 0 and "" not in names), "data.label_columns", names, "names of columns")
        _require(
            0 < self.max_unpacked_gb < math.inf, "data.max_unpacked_gb", self.max_unpacked_gb, "above 0 and finite"
        )


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Shares of the samples, used where the data bring no split of their own."""

    train: float = 0.7
    """Share of samples to learn from."""
    val: float = 0.15
    """Share of samples to choose the checkpoint and the thresholds on."""
    test: float = 0.15
    """Share of samples to report on, touched once."""

    def __post_init__(self) -> None:
        shares = (self.train, self.val, self.test)
        if min(shares) <= 0 or not math.isclose(sum(shares), 1.0, abs_tol=1e-6):
            raise ConfigError(f"split: shares {shares} must each be above 0 and sum to 1")


@dataclass(frozen=True, kw_only=True)
class ImagesConfig:
    """How pictures reach the encoder."""

    size: int = 224
    """Height and width in pixels; the whole picture is resized to it, so that no label is cropped away."""
    min_scale: float = 0.6
    """Smallest share of a picture's area that a random training crop keeps; 1 turns cropping off."""
    flip: bool = True
    """Mirror half of the training pictures; turn it off where left and right differ, as in text."""

    def __post_init__(self) -> None:
        _require(8 <= self.size <= 8192, "images.size", self.size, "at least 8 pixels and at most 8,192")
        _require(0 < self.min_scale <= 1, "images.min_scale", self.min_scale, "above 0 and at most 1")


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """The network that turns a picture into features."""

    name: str = "resnet50"
    """Any encoder of timm, by name."""
    pretrained: str = "auto"
    """auto: timm's published weights (downloads once); none: random weights; or a file, .safetensors or .pt."""
    freeze: bool = False
    """Train the head alone; the encoder's weights and batch statistics stay as they are."""


@dataclass(frozen=True, kw_only=True)
class LinearHeadConfig:
    """One linear layer from features to logits."""

    kind: Literal["linear"] = "linear"
    """Name of the head."""


@dataclass(frozen=True, kw_only=True)
class BinaryCrossEntropyConfig:
    """One yes-or-no question a label."""

    kind: Literal["binary-cross-entropy"] = "binary-cross-entropy"
    """Name of the loss."""
    pos_weight: Literal["none", "counts"] | dict[str, float] = "none"
    """Weight of a positive: none (1), counts (negatives / positives of the label), or a weight for each label named."""

    def __post_init__(self) -> None:
        if isinstance(self.pos_weight, dict):
            for label, weight in self.pos_weight.items():
                _require(0 < weight < math.inf, f"loss.pos_weight.{label}", weight, "above 0 and finite")


@dataclass(frozen=True, kw_only=True)
class AdamWConfig:
    """AdamW with a cosine schedule; biases and norms do not decay."""

    kind: Literal["adamw"] = "adamw"
    """Name of the optimiser."""
    lr: float | None = None
    """Peak learning rate; by default 1e-3 for new weights or a frozen encoder, 2e-4 for fine-tuning."""
    weight_decay: float = 0.05
    """Decay of weights, decoupled from the gradient."""
    warmup_epochs: float = 1.0
    """Epochs over which the rate rises from 0 to its peak; at most half of the training is used."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient of one step."""
    ema_decay: float | None = None
    """Average the weights over steps with this decay (0.999, say) and evaluate the average."""

    def __post_init__(self) -> None:
        _require(self.lr is None or 0 < self.lr < math.inf, "optimiser.lr", self.lr, "above 0")
        _require(self.weight_decay >= 0, "optimiser.weight_decay", self.weight_decay, "0 or more")
        _require(self.warmup_epochs >= 0, "optimiser.warmup_epochs", self.warmup_epochs, "0 or more")
        _require(self.gradient_clip > 0, "optimiser.gradient_clip", self.gradient_clip, "above 0")
        decay = self.ema_decay
        _require(decay is None or 0 < decay < 1, "optimiser.ema_decay", decay, "between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How long and on what to train."""

    epochs: int = 20
    """Times that every training sample is seen."""
    batch_size: int = 64
    """Samples a step, over all devices together."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """auto: bf16 autocast where the device has it in hardware, else fp32."""
    devices: int | None = None
    """GPUs to use; by default one if there is one, else the CPU."""
    workers: int | None = None
    """Processes that read pictures; by default as many as the machine's cores suggest."""
    patience: int | None = None
    """Stop after this many epochs without a better validation map_macro; by default train to the end."""

    def __post_init__(self) -> None:
        _require_between(1, 1_000_000, "training.epochs", self.epochs)
        _require_between(1, 1_000_000, "training.batch_size", self.batch_size)
        _require_between(1, 1_024, "training.devices", self.devices)
        _require_between(0, 1_024, "training.workers", self.workers)
        _require_between(1, 1_000_000, "training.patience", self.patience)


# Which settings a rule of decision takes; the rest of them belong to other rules.
RULE_SETTINGS = {
    "plug-in": ("beta",),
    "best-f": ("beta",),
    "global": ("beta",),
    "half": (),
    "precision-at-least": ("precision",),
    "recall-at-least": ("recall",),
    "prevalence": (),
    "top-k": ("k",),
    "cost": ("false_positive_cost", "false_negative_cost"),
    "false-negative-rate": ("level", "confidence"),
    "false-discovery-rate": ("level", "confidence"),
}
HowMany = Literal["at-most-one", "exactly-one"]
SHARES = ("precision", "recall", "level", "confidence")


@dataclass(frozen=True, kw_only=True)
class DecisionConfig:
    """How logits become yes or no; fitted on the validation split."""

    rule: Literal[
        "plug-in",
        "best-f",
        "global",
        "half",
        "precision-at-least",
        "recall-at-least",
        "prevalence",
        "top-k",
        "cost",
        "false-negative-rate",
        "false-discovery-rate",
    ] = "plug-in"
    """What thresholds are chosen for: plug-in is F*/(1 + beta²) of each label; docs/deciding.md has them all."""
    beta: float | None = None
    """Weight of recall against precision in the F-beta of plug-in, best-f and global; 1 if it is not given."""
    precision: float | None = None
    """What precision-at-least shall reach."""
    recall: float | None = None
    """What recall-at-least shall reach."""
    k: int | None = None
    """How many labels top-k predicts."""
    false_positive_cost: float | dict[str, float] | None = None
    """Of the rule cost: one for all labels, or by name (others 1)."""
    false_negative_cost: float | dict[str, float] | None = None
    """Of the rule cost: one for all labels, or by name (others 1)."""
    level: float | None = None
    """What false-negative-rate and false-discovery-rate stay below on new samples; 0.1 if it is not given."""
    confidence: float | None = None
    """Share of validation splits for which the level holds, 0.95 say; without it, it holds in expectation."""
    calibration: Literal["shrunk", "temperature", "platt", "isotonic"] = "shrunk"
    """How logits become probabilities: shrunk has an offset a label, pulled towards 0 where positives are few."""
    exclusive: Literal["none"] | dict[str, HowMany] = "none"
    """Groups of labels of which at most one or exactly one holds."""
    at_most: int | None = None
    """Largest number of labels of a sample."""
    at_least_one: bool = False
    """Give samples without a label the one that is nearest to its threshold."""
    ancestors: bool = False
    """Predicted labels imply their parents."""

    def __post_init__(self) -> None:
        taken = RULE_SETTINGS[self.rule]
        for name in dict.fromkeys(name for names in RULE_SETTINGS.values() for name in names):
            value: float | dict[str, float] | None = getattr(self, name)
            if name in {"precision", "recall", "k"} & {*taken} and value is None:
                raise ConfigError(f"decision.rule is {self.rule!r}, which needs decision.{name}")
            if name not in taken and value is not None:
                rules = " and ".join(rule for rule, names in RULE_SETTINGS.items() if name in names)
                raise ConfigError(
                    f"decision.{name} belongs to {rules}; decision.rule is {self.rule!r}, set one of them"
                )
            for label, number in (value if isinstance(value, dict) else {"": value}).items():
                high = 1.0 if name in SHARES else math.inf
                holds = number is None or 0 < number < high or (number == 1 and name in {"precision", "recall"})
                where = f"decision.{name}.{label}".removesuffix(".")
                _require(holds, where, number, f"above 0 and {'at most 1' if name in SHARES else 'finite'}")
        _require_between(1, 1_000_000, "decision.at_most", self.at_most)


HeadConfig = LinearHeadConfig
LossConfig = BinaryCrossEntropyConfig
OptimiserConfig = AdamWConfig


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that a run depends on, besides the data themselves."""

    seed: int = 0
    """Seed of the split, of new weights, of the order and of augmentation."""
    data: DataConfig = field(default_factory=DataConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    images: ImagesConfig = field(default_factory=ImagesConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    head: HeadConfig = field(default_factory=LinearHeadConfig)
    loss: LossConfig = field(default_factory=BinaryCrossEntropyConfig)
    optimiser: OptimiserConfig = field(default_factory=AdamWConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    decision: DecisionConfig = field(default_factory=DecisionConfig)

    def __post_init__(self) -> None:
        _require(0 <= self.seed < 2**32, "seed", self.seed, "between 0 and 2^32 - 1")


def _require_between(low: int, high: int, name: str, value: int | None) -> None:
    _require(value is None or low <= value <= high, name, value, f"at least {low} and at most {high:,}")


def _require(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise ConfigError(f"{name} is {value!r}; it must be {expected}")
