"""The label spaces of several data sets as one.

Labels of one name are one label. Links say which labels are others by another name, and which are the union of others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from manyhot.errors import LabelError
from manyhot.labels.aligning import union_of
from manyhot.labels.csr import Csr
from manyhot.labels.linking import transposed
from manyhot.labels.mapping import LabelMapping
from manyhot.labels.space import LabelSpace


@dataclass(frozen=True, kw_only=True, eq=False)
class JointSpace:
    """The label space of several data sets, and what the labels of each say there.

    Args:
        space: All labels, each once.
        mappings: For each data set the links from the joint labels, as coarse ones, to its own: `to_coarse` brings its
            label sets into the joint space.
    """

    space: LabelSpace
    mappings: tuple[LabelMapping, ...]


def join_spaces(spaces: Sequence[LabelSpace], links: Sequence[LabelMapping | None]) -> JointSpace:
    """Return the space of all labels of several data sets: first those of data sets without links, then what others add.

    Links that are one to one throughout are names: both labels are one, called as the data sets without links call it.
    Otherwise the labels of both sides stay, and a coarse label is known where a data set knows all of its fine ones. The
    other way nothing follows: a coarse positive is "at least one of these", so that of the fine labels only negatives would
    be known, from which a model learns that they never occur in such samples. What a data set does not say is unknown.

    Args:
        spaces: The labels of each data set.
        links: For each data set None, or the links between its labels and `main_space`; either side may be the coarse one.

    Raises:
        LabelError: If all data sets have links, links are between other spaces, two labels would get one name, or one
            name would be that of a label and of a wider one.

    >>> from manyhot.labels.sets import LabelSets
    >>> fine, shapes = LabelSpace(names=("tabby", "siamese", "van")), LabelSpace(names=("cat", "car"))
    >>> links = LabelMapping.from_names(shapes, fine, {"cat": ["tabby", "siamese"], "car": ["van"]})
    >>> joint = join_spaces([fine, shapes], [None, links])
    >>> joint.space.names
    ('tabby', 'siamese', 'van', 'cat', 'car')
    >>> joint.mappings[0].to_coarse(LabelSets.from_names([["siamese"]], fine)).to_multi_hot().tolist()
    [[0.0, 1.0, 0.0, 1.0, 0.0]]
    >>> joint.mappings[1].to_coarse(LabelSets.from_names([["cat"]], shapes)).to_multi_hot().tolist()
    [[nan, nan, nan, 1.0, 0.0]]
    """
    main = main_space(spaces, links)
    called = [_called(space, one, main) for space, one in zip(spaces, links, strict=True)]
    joint = union_of([*_where(called, links, has_links=False), *_where(called, links, has_links=True)])
    members = _members([one for one in links if one is not None and not is_renaming(one)])
    return JointSpace(
        space=joint,
        mappings=tuple(
            LabelMapping(coarse=joint, fine=space, links=_links_to(joint, names, members))
            for space, names in zip(spaces, called, strict=True)
        ),
    )


def main_space(spaces: Sequence[LabelSpace], links: Sequence[object | None]) -> LabelSpace:
    """Return the labels of all data sets without links, which those with links are linked to.

    Raises:
        LabelError: If there is none.

    >>> main_space([LabelSpace(names=("cat",)), LabelSpace(names=("cat", "dog"))], [None, None]).names
    ('cat', 'dog')
    """
    free = _where(spaces, links, has_links=False)
    if not free:
        raise LabelError(
            "every data set has links; one at least must have none: its labels are what others are linked to"
        )
    return union_of(free)


def is_renaming(links: LabelMapping) -> bool:
    """Return whether links are one to one throughout: the same labels under other names.

    >>> is_renaming(LabelMapping.by_name(LabelSpace(names=("cat", "dog")), LabelSpace(names=("dog",))))
    True
    """
    backwards = transposed(links.links, len(links.fine))
    return all(rows.lengths().max(initial=0) <= 1 for rows in (links.links, backwards))


def _where(spaces: Sequence[LabelSpace], links: Sequence[object | None], *, has_links: bool) -> list[LabelSpace]:
    return [space for space, one in zip(spaces, links, strict=True) if (one is not None) == has_links]


def _called(space: LabelSpace, links: LabelMapping | None, main: LabelSpace) -> LabelSpace:
    """Return a data set's labels under the names that they have in the joint space."""
    if links is None:
        return space
    if links.coarse == space and links.fine == main:
        pairs = zip(links.links.row_ids().tolist(), links.links.ids.tolist(), strict=True)
    elif links.coarse == main and links.fine == space:
        pairs = zip(links.links.ids.tolist(), links.links.row_ids().tolist(), strict=True)
    else:
        raise LabelError(
            f"links are between {len(links.coarse):,} and {len(links.fine):,} labels; they must be between the "
            f"{len(space):,} of the data set and the {len(main):,} of the data sets without links"
        )
    if not is_renaming(links):
        _refuse_two_widths(links)
        return space
    new_name = {own: main.names[other] for own, other in pairs}
    names = [new_name.get(label, name) for label, name in enumerate(space.names)]
    # Its group is that of the label it is.
    groups = (None if label in new_name else group for label, group in enumerate(space.groups or ()))
    return LabelSpace(names=tuple(names), groups=tuple(groups) or None, parents=space.parents)


def _refuse_two_widths(links: LabelMapping) -> None:
    """Refuse a name on both sides of links that make it wider on one: it would be one label, negative and positive at once."""
    ids = {name: label for label, name in enumerate(links.fine.names)}
    for row, name in enumerate(links.coarse.names):
        fine = links.links.row(row).tolist()
        if fine and name in ids and fine != [ids[name]]:
            raise LabelError(
                f"label {name!r} is the union of others and also one of the narrower labels; rename one of them"
            )


def _members(links: Sequence[LabelMapping]) -> dict[str, tuple[str, ...]]:
    """Return the fine labels of each coarse one, from all links."""
    found: dict[str, dict[str, None]] = {}
    for one in links:
        for coarse, fine in zip(one.links.row_ids().tolist(), one.links.ids.tolist(), strict=True):
            found.setdefault(one.coarse.names[coarse], {})[one.fine.names[fine]] = None
    return {name: tuple(fine) for name, fine in found.items()}


def _links_to(joint: LabelSpace, own: LabelSpace, members: Mapping[str, tuple[str, ...]]) -> Csr:
    """Return for each joint label the labels of a data set that decide it: itself, or all of its fine ones, or none."""
    ids = {name: label for label, name in enumerate(own.names)}
    rows: list[list[int]] = []
    for name in joint.names:
        decisive = (name,) if name in ids else members.get(name, ())
        rows.append([ids[one] for one in decisive] if all(one in ids for one in decisive) else [])
    return Csr.from_lists(rows)
