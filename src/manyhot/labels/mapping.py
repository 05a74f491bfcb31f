"""Links between two label spaces: coarse labels, each the union of fine ones."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Bool

from manyhot.errors import LabelError
from manyhot.labels.csr import Csr
from manyhot.labels.hierarchy import Hierarchy
from manyhot.labels.linking import common_entries, follow_links, masked_links, select_entries, transposed, union
from manyhot.labels.relabelling import coarsen_exceptions, follow_positives, is_verified, refine_negatives
from manyhot.labels.sets import LabelSets
from manyhot.labels.space import LabelSpace


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelMapping:
    """Links between a coarse and a fine label space, many to many: a sample is of a coarse label if it is of a fine one.

    Args:
        coarse: The wider labels.
        fine: The narrower labels.
        links: For each coarse label the ids of its fine ones. A label without a link is unknown on the other side.
        open_labels: Coarse labels that hold more than their links say, because the fine space lacks the rest: that
            all of their fine labels are negative does not make them negative.

    Raises:
        LabelError: If the links are not one row a coarse label, or an id is out of range.

    >>> wide, narrow = LabelSpace(names=("cat", "car")), LabelSpace(names=("tabby", "siamese", "van", "tree"))
    >>> mapping = LabelMapping.from_names(wide, narrow, {"cat": ["tabby", "siamese"], "car": ["van"]})
    >>> mapping.to_coarse(LabelSets.from_names([["tabby"], ["van"]], narrow)).to_multi_hot().tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    >>> mapping.to_fine(LabelSets.from_names([["cat"], ["car"]], wide)).to_multi_hot().tolist()
    [[nan, nan, 0.0, nan], [0.0, 0.0, 1.0, nan]]
    """

    coarse: LabelSpace
    fine: LabelSpace
    links: Csr
    open_labels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.links.num_rows != len(self.coarse):
            raise LabelError(
                f"links have {self.links.num_rows:,} rows for {len(self.coarse):,} coarse labels; give one a label"
            )
        self.links.check(len(self.fine), "links")
        outside = [label for label in self.open_labels if not 0 <= label < len(self.coarse)]
        if outside:
            raise LabelError(f"open label id {outside[0]} is outside the {len(self.coarse):,} coarse labels")

    @staticmethod
    def from_names(
        coarse: LabelSpace,
        fine: LabelSpace,
        links: Mapping[str, Iterable[str] | str],
        *,
        open_labels: Iterable[str] = (),
    ) -> "LabelMapping":
        """Return the mapping with the given fine labels (one or several) for each coarse label; a repeated one counts once.

        Raises:
            LabelError: If a name is in neither space; the message names the nearest.

        >>> spaces = LabelSpace(names=("cat",)), LabelSpace(names=("tabby", "tree"))
        >>> LabelMapping.from_names(*spaces, {"cat": "tabby"}).links.ids
        array([0], dtype=uint16)
        """
        rows: list[list[int]] = [[] for _ in range(len(coarse))]
        for name, members in links.items():
            rows[coarse.id_of(name)] = fine.ids_of([members] if isinstance(members, str) else members)
        return LabelMapping(
            coarse=coarse, fine=fine, links=Csr.from_lists(rows), open_labels=tuple(sorted(coarse.ids_of(open_labels)))
        )

    @staticmethod
    def by_name(coarse: LabelSpace, fine: LabelSpace) -> "LabelMapping":
        """Return the mapping that links labels of the same name.

        >>> LabelMapping.by_name(LabelSpace(names=("a", "b")), LabelSpace(names=("b", "c"))).links.indptr
        array([0, 0, 1])
        """
        shared = set(fine.names).intersection(coarse.names)
        return LabelMapping.from_names(coarse, fine, {name: name for name in coarse.names if name in shared})

    @staticmethod
    def of_hierarchy(hierarchy: Hierarchy) -> "LabelMapping":
        """Return the mapping of a space to itself that links each label to itself and its descendants.

        >>> space = LabelSpace(names=("cat", "animal"), parents=((1,), ()))
        >>> LabelMapping.of_hierarchy(Hierarchy.of(space)).links.ids
        array([0, 0, 1], dtype=uint16)
        """
        space = hierarchy.space
        return LabelMapping(coarse=space, fine=space, links=hierarchy.with_self(hierarchy.descendants))

    @cached_property
    def is_closed(self) -> Bool[np.ndarray, " c"]:
        """Whether each coarse label has fine labels, and no more than its links say."""
        closed = self.links.lengths() > 0
        closed[list(self.open_labels)] = False
        return closed

    def invert(self) -> "LabelMapping":
        """Return the same links with the sides exchanged: what was fine is now the union of what was coarse.

        Raises:
            LabelError: If there are open labels: what they hold beside their links has no place on the fine side.

        >>> spaces = LabelSpace(names=("cat", "pet")), LabelSpace(names=("tabby",))
        >>> LabelMapping.from_names(*spaces, {"cat": ["tabby"], "pet": ["tabby"]}).invert().links.ids
        array([0, 1], dtype=uint16)
        """
        if self.open_labels:
            name = self.coarse.names[self.open_labels[0]]
            raise LabelError(f"coarse label {name!r} holds more than its links say; such a mapping has no inverse")
        return LabelMapping(coarse=self.fine, fine=self.coarse, links=transposed(self.links, len(self.fine)))

    def compose(self, finer: "LabelMapping") -> "LabelMapping":
        """Return the mapping from this one's coarse labels to the fine labels of a finer one.

        A coarse label of which some part has no links further down, or is open there, is open.

        Raises:
            LabelError: If the finer mapping's coarse labels are not this one's fine labels, in the same order.

        >>> a, b, c = (LabelSpace(names=names) for names in (("animal",), ("cat", "dog"), ("tabby",)))
        >>> first = LabelMapping.from_names(a, b, {"animal": ["cat", "dog"]})
        >>> both = first.compose(LabelMapping.from_names(b, c, {"cat": ["tabby"]}))
        >>> both.links.ids, both.open_labels
        (array([0], dtype=uint16), (0,))
        """
        _check_same(finer.coarse, self.fine, "the finer mapping's coarse labels", "this mapping's fine labels")
        links = follow_links(self.links, finer.links, len(finer.fine))
        is_open = np.zeros(len(self.coarse), dtype=bool)
        is_open[self.links.row_ids()[~finer.is_closed[self.links.ids]]] = True
        is_open[list(self.open_labels)] = True
        return LabelMapping(
            coarse=self.coarse, fine=finer.fine, links=links, open_labels=tuple(np.flatnonzero(is_open).tolist())
        )

    def to_coarse(self, sets: LabelSets) -> LabelSets:
        """Return the coarse labels of fine ones: positive if any is, negative if all are, else unknown.

        A label without a link is unknown. A coarse label's confidence is the largest of its positives'.

        Raises:
            LabelError: If the sets are not of the fine space.
        """
        _check_same(sets.space, self.fine, "the sets' labels", "the mapping's fine labels")
        positives, confidence = follow_positives(sets, transposed(self.links, len(self.fine)), len(self.coarse))
        exceptions, sources = coarsen_exceptions(sets, self.links, self.is_closed, positives, len(self.fine))
        return LabelSets(
            space=self.coarse,
            positives=positives,
            exceptions=exceptions,
            sources=sources,
            source_ids=sets.source_ids,
            confidence=confidence,
        )

    def to_fine(self, sets: LabelSets, *, conflicts: Literal["error", "unknown"] = "error") -> LabelSets:
        """Return the fine labels of coarse ones: negative if any coarse one is, positive if alone under a positive one.

        Other fine labels of a positive are unknown, for "at least one of them" is no state of a cell: keep the coarse
        sets, and compare mapped scores with them. A label without a link is unknown.

        Args:
            sets: Label sets of the coarse space.
            conflicts: What becomes of a cell that would be both: `error` refuses, `unknown` leaves it unknown.

        Raises:
            LabelError: If the sets are not of the coarse space, or a cell would be both and that is refused.
        """
        _check_same(sets.space, self.coarse, "the sets' labels", "the mapping's coarse labels")
        alone = self.is_closed & (self.links.lengths() == 1)
        positives, confidence = follow_positives(sets, masked_links(self.links, alone), len(self.fine))
        refined = refine_negatives(sets, self.links, positives, len(self.fine))
        clash, exceptions = refined.contradicted, refined.exceptions
        if clash.size and conflicts == "error":
            row, name = int(clash.row_ids()[0]), self.fine.names[int(clash.ids[0])]
            raise LabelError(
                f"{clash.size:,} fine cells are under a positive and under a negative; the first is {name!r} of row {row}; "
                "mend the data or the links, or map with conflicts='unknown'"
            )
        if clash.size:
            kept = ~common_entries(positives, clash)
            positives, confidence = select_entries(positives, kept), None if confidence is None else confidence[kept]
            exceptions = union(
                exceptions or Csr.empty(sets.num_samples), select_entries(clash, ~is_verified(sets, clash))
            )
        return LabelSets(
            space=self.fine,
            positives=positives,
            exceptions=exceptions,
            sources=refined.sources,
            source_ids=sets.source_ids,
            confidence=confidence,
        )


def _check_same(given: LabelSpace, expected: LabelSpace, what: str, which: str) -> None:
    if given.names == expected.names:
        return
    differing = [pair for pair in zip(given.names, expected.names, strict=False) if pair[0] != pair[1]]
    where = f"the first that differs is {differing[0][0]!r} for {differing[0][1]!r}" if differing else "one is longer"
    raise LabelError(
        f"{what} ({len(given):,}) are not {which} ({len(expected):,}): {where}; LabelMapping.by_name brings them in order"
    )
