"""The labels of samples as the JSON that stands beside each picture in a shard: all three states of every cell."""

import json
from collections.abc import Iterator

import numpy as np

from manyhot.sources.manifest import Manifest


def label_texts(manifest: Manifest, rows: range) -> Iterator[bytes]:
    """Yield the JSON of some samples that follow each other.

    `labels` are the positives. Whichever list is shorter follows: `unknown`, where all other labels are negative, or
    `negative`, where all others are unknown. `reference`, `split` and `group` are there where the data have them.

    >>> from pathlib import Path
    >>> from manyhot.labels import LabelSets
    >>> sets = LabelSets.from_names([["cat"], []])
    >>> [text.decode() for text in label_texts(Manifest.from_lists(Path(), ["a.jpg", "b.jpg"], sets), range(2))]
    ['{"reference": "a.jpg", "labels": ["cat"]}', '{"reference": "b.jpg", "labels": []}']
    """
    names = manifest.labels.space.names
    # A slice, where taking rows would put all chunks of millions of names together first.
    samples = manifest.samples.slice(rows.start, len(rows))
    columns = [samples[name].to_pylist() for name in ("reference", "split", "group")]
    sets = manifest.labels.take(np.arange(rows.start, rows.stop))
    known = None if sets.is_complete else sets.known_mask()
    for place, (reference, split, group) in enumerate(zip(*columns, strict=True)):
        positives = sets.positives.row(place)
        about: dict[str, object] = {"reference": reference, "labels": [names[label] for label in positives]}
        if known is not None:
            unknown = np.flatnonzero(~known[place])
            negative = np.setdiff1d(np.flatnonzero(known[place]), positives)
            kind, ids = ("unknown", unknown) if len(unknown) <= len(negative) else ("negative", negative)
            if kind == "negative" or len(ids):
                about[kind] = [names[label] for label in ids]
        about |= {name: value for name, value in (("split", split), ("group", group)) if value is not None}
        yield json.dumps(about, ensure_ascii=False).encode()
