"""From the mixture's settings to the order in which the samples of several data sets come."""

import logging
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int64

from manyhot.config import MixtureConfig
from manyhot.data.mixture import Mixed, members_of, mixture_shares
from manyhot.errors import ConfigError, SourceError, did_you_mean
from manyhot.labels import LabelSets

log = logging.getLogger("manyhot")


def mixed_order(config: MixtureConfig, labels: LabelSets, *, seed: int) -> Mixed:
    """Return the order of the training samples of several data sets, and log how many of each an epoch has.

    A data set is what a source of the labels is called; sources of one name are one.

    Args:
        config: How often each comes.
        labels: Of the training samples.
        seed: Decides the order.

    Raises:
        ConfigError: If there is one data set alone, or weights are not of the data sets that there are.
        SourceError: If a data set has a weight and no training sample.

    >>> pets, cars = LabelSets.from_names([["cat"]] * 3), LabelSets.from_names([["van"]])
    >>> mixed_order(MixtureConfig(temperature=2), pets, seed=0)
    Traceback (most recent call last):
    manyhot.errors.ConfigError: a mixture takes several data sets, and there is one; name several (manyhot train DATA DATA),
    or leave the settings of [mixture] out
    """
    names, members = _data_sets(labels)
    if len(names) == 1:
        raise ConfigError(
            "a mixture takes several data sets, and there is one; name several (manyhot train DATA DATA), or leave the "
            "settings of [mixture] out"
        )
    sizes = np.array([len(one) for one in members])
    weights = None if config.weight is None else _weights(config.weight, names, sizes)
    shares = mixture_shares(sizes, weights=weights, temperature=config.temperature or 1.0)
    order = Mixed(
        members, shares=shares.tolist(), seed=seed, epoch_length=config.epoch_length or int(sizes[shares > 0].sum())
    )
    _log(order, names, sizes)
    return order


def log_data_sets(labels: LabelSets) -> None:
    """Log how many training samples each data set has, if there are several.

    >>> log_data_sets(LabelSets.from_names([["cat"]]))
    """
    names, members = _data_sets(labels)
    if len(names) > 1:
        counts = ", ".join(f"{name} {len(own):,}" for name, own in zip(names, members, strict=True))
        log.info(
            "training samples: %s; each comes once an epoch (--mixture.temperature 2 draws shares together)", counts
        )


def _data_sets(labels: LabelSets) -> tuple[list[str], list[Int64[np.ndarray, " _"]]]:
    """Return the names of all data sets, and which samples each has."""
    names = list(dict.fromkeys(source.name for source in labels.sources))
    number_of = np.array([names.index(source.name) for source in labels.sources])
    sources = np.zeros(labels.num_samples, dtype=np.int64) if labels.source_ids is None else labels.source_ids
    return names, members_of(number_of[sources], len(names))


def _weights(given: Mapping[str, float], names: Sequence[str], sizes: Int64[np.ndarray, " sets"]) -> list[float]:
    for name in given:
        if name not in names:
            near = did_you_mean(name, names) or f"; there are: {', '.join(names)}"
            raise ConfigError(f"mixture.weight.{name}: there is no such data set{near}")
    missing = [name for name in names if name not in given]
    if missing:
        raise ConfigError(f"mixture.weight has none for {missing[0]!r}; give every data set one, 0 to leave it out")
    for name, size in zip(names, sizes.tolist(), strict=True):
        if given[name] and not size:
            raise SourceError(
                f"{name}: has no training sample, and mixture.weight.{name} is {given[name]:g}; give it 0, or a train split"
            )
    return [given[name] for name in names]


def _log(order: Mixed, names: Sequence[str], sizes: Int64[np.ndarray, " sets"]) -> None:
    log.info("a mixture of %s samples an epoch:", f"{order.epoch_length:,}")
    width = max(map(len, names))
    for name, size, count in zip(names, sizes.tolist(), order.counts.tolist(), strict=True):
        share = f"{count:>9,} ({count / order.epoch_length:.1%})"
        rounds = f"each of its {size:,} comes {count / size:.3g} times" if size else "it has no training sample"
        log.info("  %s  %s: %s", name.ljust(width), share, rounds if count or not size else "left out")
