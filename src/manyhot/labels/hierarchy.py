"""Labels that imply others: a dog is an animal. Parents as a directed graph without cycles, and its closure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int64, Shaped

from manyhot.errors import LabelError, did_you_mean, quote
from manyhot.labels.csr import Csr
from manyhot.labels.linking import transposed
from manyhot.labels.space import LabelSpace


@dataclass(frozen=True, kw_only=True, eq=False)
class Hierarchy:
    """The parents of a label space, with all that follows from them.

    Args:
        space: The labels.
        order: All label ids, each after its parents.
        parents: For each label the ids of its parents.
        ancestors: For each label the ids of its parents, their parents, and so on; without itself.
        descendants: The same, the other way.

    >>> space = with_parents(LabelSpace(names=("cat", "animal", "pet")), {"cat": ["animal", "pet"]})
    >>> tree = Hierarchy.of(space)
    >>> tree.ancestors.row(0), tree.descendants.row(1)
    (array([1, 2], dtype=uint16), array([0], dtype=uint16))
    """

    space: LabelSpace
    order: Int64[np.ndarray, " l"]
    parents: Csr
    ancestors: Csr
    descendants: Csr

    @staticmethod
    def of(space: LabelSpace) -> "Hierarchy":
        """Return the hierarchy of a space; without parents, no label implies another.

        Raises:
            LabelError: If labels are their own ancestors; the message names a cycle.

        >>> Hierarchy.of(LabelSpace(names=("cat", "dog"), parents=((1,), (0,))))
        Traceback (most recent call last):
        ...
        manyhot.errors.LabelError: labels are their own ancestors: 'cat' → 'dog' → 'cat'; take one link out
        """
        parents = space.parents or ((),) * len(space)
        order = _parents_first(space, parents)
        ancestors: list[set[int]] = [set() for _ in parents]
        for label in order:
            for parent in parents[label]:
                ancestors[label] |= ancestors[parent] | {parent}
        closure = Csr.from_lists([tuple(found) for found in ancestors])
        return Hierarchy(
            space=space,
            order=np.array(order, dtype=np.int64),
            parents=Csr.from_lists(parents),
            ancestors=closure,
            descendants=transposed(closure, len(space)),
        )

    def with_self(self, links: Csr) -> Csr:
        """Return ancestors or descendants with each label itself among them.

        >>> tree = Hierarchy.of(LabelSpace(names=("cat", "animal"), parents=((1,), ())))
        >>> tree.with_self(tree.ancestors).ids
        array([0, 1, 1], dtype=uint16)
        """
        own = np.arange(len(self.space))
        return Csr.from_pairs(
            np.concatenate((links.row_ids(), own)), np.concatenate((links.ids.astype(np.int64), own)), len(own)
        )

    def check_space(self, space: LabelSpace) -> None:
        """Check that a space has this hierarchy's labels.

        Raises:
            LabelError: If it has others, or in another order.
        """
        if space.names != self.space.names:
            raise LabelError(
                f"the labels ({len(space):,}) are not those of the hierarchy ({len(self.space):,}), or in another order; "
                "build both from one label space"
            )


def _parents_first(space: LabelSpace, parents: Sequence[Sequence[int]]) -> list[int]:
    missing = [len(set(ids)) for ids in parents]
    children: list[list[int]] = [[] for _ in parents]
    for child, ids in enumerate(parents):
        for parent in set(ids):
            children[parent].append(child)
    order = [label for label, count in enumerate(missing) if not count]
    for label in order:  # grows while it is read: a label follows its last parent
        for child in children[label]:
            missing[child] -= 1
            if not missing[child]:
                order.append(child)
    if len(order) < len(parents):
        cycle = " → ".join(quote(space.names[label]) for label in _cycle(parents, missing))
        raise LabelError(f"labels are their own ancestors: {cycle}; take one link out")
    return order


def _cycle(parents: Sequence[Sequence[int]], missing: Sequence[int]) -> list[int]:
    """Return one cycle, from its lowest label to itself; of each label left over, a parent is left over too."""
    path: dict[int, None] = {}
    label = next(label for label, count in enumerate(missing) if count)
    while label not in path:
        path[label] = None
        label = next(parent for parent in parents[label] if missing[parent])
    walked = list(path)
    cycle = walked[walked.index(label) :]
    first = cycle.index(min(cycle))
    return [*cycle[first:], *cycle[: first + 1]]


def with_parents(space: LabelSpace, parents: Mapping[str, Iterable[str]]) -> LabelSpace:
    """Return the space with the given parents, by name; a label that is not named has none.

    Raises:
        LabelError: If a label or a parent is not in the space, or labels are their own ancestors; the message names them.

    >>> with_parents(LabelSpace(names=("cat", "animal")), {"cat": ["animal"]}).parents
    ((1,), ())
    """
    ids = {name: label for label, name in enumerate(space.names)}
    found: list[tuple[int, ...]] = [()] * len(space)
    for child, names in parents.items():
        if isinstance(names, str):
            raise LabelError(
                f"the parents of {quote(child)} are the string {quote(names)}; give a list, like [{quote(names)}]"
            )
        if child not in ids:
            raise LabelError(
                f"label {quote(child)} has parents but is not in the space{did_you_mean(child, space.names)}"
            )
        listed = list(dict.fromkeys(names))
        for name in listed:
            if name not in ids:
                raise LabelError(
                    f"label {quote(child)} names the parent {quote(name)}, which is no label{_near(name, space)}"
                )
            if name == child:
                raise LabelError(f"label {quote(child)} names itself as its parent; take that link out")
        found[ids[child]] = tuple(sorted(ids[name] for name in listed))
    joined = replace(space, parents=tuple(found))
    _parents_first(joined, found)
    return joined


def _near(name: str, space: LabelSpace) -> str:
    return did_you_mean(name, space.names) or "; add it to the names"


Scores = Float[np.ndarray, "n l"] | Bool[np.ndarray, "n l"]


def consistent_decisions(
    hierarchy: Hierarchy, decided: Scores, *, trust: Literal["children", "parents"] = "children"
) -> Scores:
    """Return predictions, or scores, in which no label is surer than its parents.

    Args:
        hierarchy: The labels.
        decided: Decisions (bool), or scores; NaN is not allowed.
        trust: Whom to believe where they disagree: `children` raises the parents of what was predicted, `parents`
            takes back what has a parent that was not.

    >>> tree = Hierarchy.of(LabelSpace(names=("cat", "animal"), parents=((1,), ())))
    >>> consistent_decisions(tree, np.array([[True, False]])).tolist()
    [[True, True]]
    >>> consistent_decisions(tree, np.array([[0.9, 0.2]]), trust="parents").tolist()
    [[0.2, 0.2]]
    """
    from manyhot.labels import link_kernels

    if decided.ndim != 2 or decided.shape[1] != len(hierarchy.space):
        raise LabelError(f"decisions have shape {decided.shape}; expected (samples, {len(hierarchy.space):,})")
    mended: Shaped[np.ndarray, "n l"] = np.ascontiguousarray(decided).copy()
    if trust == "children":
        links, order = hierarchy.parents, np.ascontiguousarray(hierarchy.order[::-1])
    elif trust == "parents":
        links, order = transposed(hierarchy.parents, len(hierarchy.space)), hierarchy.order
    else:
        raise LabelError(f"trust is {trust!r}; it must be 'children' or 'parents'")
    link_kernels.spread_values(mended, order, links.indptr, links.ids, trust == "parents")
    return mended
