"""The same labels under other ids: label sets over another space, matched by name."""

from collections.abc import Sequence

from manyhot.errors import LabelError
from manyhot.labels.mapping import LabelMapping
from manyhot.labels.sets import LabelSets
from manyhot.labels.space import LabelSpace


def align_sets(sets: LabelSets, space: LabelSpace) -> LabelSets:
    """Return label sets over another label space, matched by name.

    A label that the sets' own space lacks was not annotated there: its cells are unknown. Where labels may be lost, say
    so with a mapping of your own: `LabelMapping.by_name` leaves out what only one side has.

    Raises:
        LabelError: If the sets' space holds a label that the other lacks.

    >>> space = LabelSpace(names=("ant", "dog", "cat"))
    >>> align_sets(LabelSets.from_names([["cat"], []]), space).to_multi_hot().tolist()
    [[nan, nan, 1.0], [nan, nan, 0.0]]
    """
    if sets.space is space or sets.space == space:
        return sets
    known = set(space.names)
    strange = [name for name in sets.space.names if name not in known]
    if strange:
        raise LabelError(
            f"{len(strange):,} labels are not in the label space, the first is {strange[0]!r}; add them, or map them"
        )
    return LabelMapping.by_name(space, sets.space).to_coarse(sets)


def union_of(spaces: Sequence[LabelSpace]) -> LabelSpace:
    """Return the space of all labels of several spaces, each once, in the order in which they first stand.

    A label keeps its group, and its parents from all spaces.

    Raises:
        LabelError: If a label is in different groups.

    >>> union_of([LabelSpace(names=("cat", "dog")), LabelSpace(names=("ant", "dog"))]).names
    ('cat', 'dog', 'ant')
    """
    if all(space == spaces[0] for space in spaces):
        return spaces[0]
    groups: dict[str, str | None] = {}
    parents: dict[str, dict[str, None]] = {}
    for space in spaces:
        for label, name in enumerate(space.names):
            group = None if space.groups is None else space.groups[label]
            if groups.setdefault(name, group) != group and groups[name] is not None and group is not None:
                raise LabelError(
                    f"label {name!r} is in group {groups[name]!r} and in group {group!r}; rename one of them"
                )
            groups[name] = groups[name] or group
            for parent in () if space.parents is None else space.parents[label]:
                parents.setdefault(name, {})[space.names[parent]] = None
    ids = {name: label for label, name in enumerate(groups)}
    return LabelSpace(
        names=tuple(groups),
        groups=tuple(groups.values()) if any(space.groups is not None for space in spaces) else None,
        parents=tuple(tuple(ids[parent] for parent in parents.get(name, ())) for name in groups)
        if any(space.parents is not None for space in spaces)
        else None,
    )
