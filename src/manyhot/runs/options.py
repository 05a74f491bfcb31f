"""From the recipe's data section to how a source is read; apart from `assembly`, so that checking loads no torch."""

from pathlib import Path

from manyhot.config import DataConfig
from manyhot.sources.options import SourceOptions


def source_options(config: DataConfig) -> SourceOptions:
    """Return how to read the data.

    >>> source_options(DataConfig(separator="_")).separator
    '_'
    """
    return SourceOptions(
        labels=_path(config.labels),
        images=_path(config.images),
        separator=config.separator,
        reference_column=config.reference_column,
        label_column=config.label_column,
        delimiter=config.delimiter,
        unlisted=config.unlisted,
        format=config.format,
        names=_path(config.names),
        hierarchy=_path(config.hierarchy),
        label_columns=config.label_columns,
        uncertain=config.uncertain,
        expand=config.expand,
        pictures=config.pictures,
        max_unpacked_gb=config.max_unpacked_gb,
    )


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
