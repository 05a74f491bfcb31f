"""A model judged on coarser labels than its own, which a file of links joins with them."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from manyhot.errors import LabelError, SourceError
from manyhot.labels import LabelSets, LabelSpace
from manyhot.labels.link_files import read_mapping
from manyhot.labels.mapped_scores import MappedScore
from manyhot.labels.mapping import LabelMapping
from manyhot.metrics.mapped import Mapped, map_truth

log = logging.getLogger("manyhot")


@dataclass(frozen=True, kw_only=True)
class Links:
    """Which labels of the data stand for which of the model, and how their scores come from the model's.

    Args:
        path: `.json` or `.csv`: `read_mapping`; the keys of an object are labels of the data, or of the model where the file
            makes sense in that direction alone.
        how: Which score: `map_scores`.
    """

    path: Path
    how: MappedScore

    def read(self, coarse: LabelSpace, fine: LabelSpace) -> LabelMapping:
        """Return the links between the data's labels and the model's.

        Raises:
            SourceError: If the file cannot be read, names a label that neither has, or joins none of them.
        """
        try:
            mapping = read_mapping(self.path, coarse, fine)
        except LabelError as error:
            turned = self._turned(coarse, fine)
            if turned is None:
                raise SourceError(
                    f"{error} (keys are labels of the data, values those of the model; a label that no sample of the data "
                    "has is known if they are a 0/1 table with a column for it)"
                ) from None
            log.info("%s is read as labels of the model, each with its label of the data", self.path)
            mapping = turned
        if not mapping.links.size:
            raise SourceError(f"{self.path}: joins no label of the data with one of the model; write at least one link")
        return mapping

    def _turned(self, coarse: LabelSpace, fine: LabelSpace) -> LabelMapping | None:
        """Return the links with the model's labels as keys; None where they make no sense so either."""
        try:
            return read_mapping(self.path, coarse, fine, keys="fine")
        except LabelError:
            return None


def map_by_links(links: Links, logits: Float[np.ndarray, "n l"], truth: LabelSets, mapping: LabelMapping) -> Mapped:
    """Return the scores of the data's labels beside the truth, and log which labels cannot be judged.

    Args:
        links: How scores follow the links.
        logits: Of the model's labels.
        truth: The data's labels.
        mapping: What `links.read` gave.

    Raises:
        SourceError: If `restrict` meets a label of several links.
    """
    try:
        mapped = map_truth(logits, truth, mapping, how=links.how)
    except LabelError as error:
        raise SourceError(f"{links.path}: {error}") from None
    unlinked = int((mapping.links.lengths() == 0).sum())
    if unlinked:
        log.info("%s labels of the data have no link: all their cells are unknown", f"{unlinked:,}")
    log.info(
        "scores of %s labels are those of %s by %s", f"{len(mapping.coarse):,}", f"{len(mapping.fine):,}", links.how
    )
    return mapped
