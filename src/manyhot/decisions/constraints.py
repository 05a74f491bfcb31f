"""What a whole prediction must look like, put right after the thresholds: groups, numbers of labels, ancestors.

The order is fixed: exclusive groups, then at most k, then at least one, then implied ancestors. What comes later wins: an
ancestor is added even past k, since a cat that is no animal is a mistake in any case. Where labels compete, the one whose
probability is largest in relation to its threshold stays; of equals, the first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float64

from manyhot.errors import BundleError, LabelError, UsageError, did_you_mean
from manyhot.labels import Hierarchy, LabelSpace, consistent_decisions

Many = Literal["at-most-one", "exactly-one"]
# In relation to a threshold of 0 (top-k) probabilities compete by themselves.
_SMALLEST_THRESHOLD = 1e-12


@dataclass(frozen=True, kw_only=True)
class Group:
    """Labels of which no more than one holds.

    Args:
        name: Of the group.
        label_ids: Its labels.
        many: Whether one of them always holds, also where none reaches its threshold.
    """

    name: str
    label_ids: tuple[int, ...]
    many: Many


@dataclass(frozen=True, kw_only=True)
class Constraints:
    """What is put right after the thresholds. A label that is never predicted is added by nothing but its descendants.

    Args:
        groups: Labels that exclude each other.
        at_most: The largest number of labels of a sample; None for any. Labels of `exactly-one` groups stay first.
        at_least_one: A sample without labels gets the one nearest to its threshold.
        parents: For each label the ids of its parents, which it implies; None where it implies none.

    Raises:
        UsageError: If more groups need one label than `at_most` allows.

    >>> colours = Constraints(groups=(Group(name="colour", label_ids=(0, 1), many="at-most-one"),))
    >>> probs, thresholds = np.array([[0.6, 0.3, 0.9]]), np.array([0.5, 0.2, 0.5])
    >>> colours.apply(probs >= thresholds, probs, thresholds)
    array([[False,  True,  True]])
    """

    groups: tuple[Group, ...] = ()
    at_most: int | None = None
    at_least_one: bool = False
    parents: tuple[tuple[int, ...], ...] | None = None

    def __post_init__(self) -> None:
        needed = sum(group.many == "exactly-one" for group in self.groups)
        if self.at_most is not None and self.at_most < max(1, needed):
            raise UsageError(
                f"at most {self.at_most} labels are allowed, and {needed} groups need one each; allow more labels"
            )

    @property
    def adds(self) -> bool:
        """Whether labels below their threshold may be predicted."""
        return self.at_least_one or self.parents is not None or any(g.many == "exactly-one" for g in self.groups)

    @property
    def removes(self) -> bool:
        """Whether labels above their threshold may be taken back."""
        return bool(self.groups) or self.at_most is not None

    def apply(
        self, preds: Bool[np.ndarray, "n l"], probs: Float64[np.ndarray, "n l"], thresholds: Float64[np.ndarray, " l"]
    ) -> Bool[np.ndarray, "n l"]:
        """Return the predictions put right: 8 bytes a cell beside them."""
        if not (self.adds or self.removes):
            return preds
        preds = preds.copy()
        ratios = probs / np.maximum(thresholds, _SMALLEST_THRESHOLD)
        rows = np.arange(len(preds))
        forced = np.zeros_like(preds)
        for group in self.groups:
            ids = np.array(group.label_ids)
            best = ids[ratios[:, ids].argmax(axis=1)]
            chosen = np.isfinite(thresholds[best]) if group.many == "exactly-one" else preds[rows, best]
            preds[:, ids] = False
            preds[rows, best] = chosen
            forced[rows, best] = chosen & (group.many == "exactly-one")
        if self.at_most is not None and self.at_most < preds.shape[1]:
            preds &= _best(np.where(preds, ratios, -1.0) + np.where(forced, np.inf, 0.0), self.at_most)
        if self.at_least_one and preds.shape[1]:
            best = ratios.argmax(axis=1)
            preds[rows, best] |= ~preds.any(axis=1) & np.isfinite(thresholds[best])
        return preds if self._tree is None else consistent_decisions(self._tree, preds)

    @cached_property
    def _tree(self) -> Hierarchy | None:
        if self.parents is None:
            return None
        names = tuple(str(label) for label in range(len(self.parents)))
        return Hierarchy.of(LabelSpace(names=names, parents=self.parents))

    def check_width(self, num_labels: int) -> None:
        """Check that all ids are those of a number of labels.

        Raises:
            BundleError: If they are not.
        """
        ids = [label for group in self.groups for label in group.label_ids]
        fits = self.parents is None or len(self.parents) == num_labels
        if not fits or any(not 0 <= label < num_labels for label in ids) or any(not g.label_ids for g in self.groups):
            raise BundleError(f"decision: groups and parents name labels that are not among its {num_labels:,} labels")

    def to_lines(self) -> list[str]:
        """Return what holds for every prediction, a line each, in the order in which it is put right.

        >>> Constraints(at_most=3, at_least_one=True).to_lines()
        ['at most 3 labels', 'at least one label']
        """
        lines = [f"{group.many.replace('-', ' ')} of group {group.name!r}" for group in self.groups]
        lines += [] if self.at_most is None else [f"at most {self.at_most} label{'' if self.at_most == 1 else 's'}"]
        lines += ["at least one label"] if self.at_least_one else []
        return lines + (["ancestors of predicted labels are predicted"] if self.parents is not None else [])

    def to_dict(self) -> dict[str, Any]:
        """Return the constraints as plain data for JSON; what is not asked for is left out."""
        data: dict[str, Any] = {}
        if self.groups:
            data["groups"] = [{"name": g.name, "label_ids": list(g.label_ids), "many": g.many} for g in self.groups]
        if self.at_most is not None:
            data["at_most"] = self.at_most
        if self.at_least_one:
            data["at_least_one"] = True
        if self.parents is not None:
            data["parents"] = [list(ids) for ids in self.parents]
        return data

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> "Constraints":
        """Return the constraints that `to_dict` wrote.

        Raises:
            BundleError: If there is a field that this version does not know, or one makes no sense.
        """
        known = ("groups", "at_most", "at_least_one", "parents")
        for name in data:
            if name not in known:
                raise BundleError(
                    f"decision: this version does not know the constraint {name!r}{did_you_mean(name, known)}"
                )
        parents, at_most = data.get("parents"), data.get("at_most")
        try:
            return Constraints(
                groups=tuple(_group(entry) for entry in data.get("groups", ())),
                at_most=None if at_most is None else int(at_most),
                at_least_one=bool(data.get("at_least_one", False)),
                parents=None if parents is None else tuple(tuple(int(label) for label in ids) for ids in parents),
            )
        except (KeyError, TypeError, ValueError, UsageError) as error:
            raise BundleError(f"decision: a constraint makes no sense ({error})") from None


def constraints_of(
    space: LabelSpace,
    *,
    exclusive: Mapping[str, Many] | None = None,
    at_most: int | None = None,
    at_least_one: bool = False,
    ancestors: bool = False,
) -> Constraints:
    """Return constraints on a label space, with groups by name.

    Args:
        space: Its groups and parents are meant.
        exclusive: Group names, and whether at most one or exactly one of its labels holds.
        at_most: The largest number of labels of a sample.
        at_least_one: No sample stays without a label.
        ancestors: Predicted labels imply their parents, and those theirs.

    Raises:
        LabelError: If a group is not in the space, or there are no parents.

    >>> space = LabelSpace(names=("red", "blue", "dress"), groups=("colour", "colour", "type"))
    >>> constraints_of(space, exclusive={"colour": "exactly-one"}).to_lines()
    ["exactly one of group 'colour'"]
    """
    members = space.members()
    for name in exclusive or {}:
        if name not in members:
            there = f"; there are: {', '.join(members)}" if members else "; the labels have no groups"
            raise LabelError(f"{name!r} is no group of labels{did_you_mean(name, tuple(members)) or there}")
    if ancestors and space.parents is None:
        raise LabelError("ancestors are asked for, and the labels have no parents; name them with data.hierarchy")
    return Constraints(
        groups=tuple(Group(name=name, label_ids=members[name], many=many) for name, many in (exclusive or {}).items()),
        at_most=at_most,
        at_least_one=at_least_one,
        parents=space.parents if ancestors else None,
    )


def _best(scores: Float64[np.ndarray, "n l"], k: int) -> Bool[np.ndarray, "n l"]:
    """Return which are the k largest of each row; of equals, the first."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(best, order, values=True, axis=1)
    return best


def _group(entry: Mapping[str, Any]) -> Group:
    ids: Sequence[int] = entry["label_ids"]
    many = entry["many"]
    if many not in ("at-most-one", "exactly-one"):
        raise ValueError(f"{many!r} is neither at-most-one nor exactly-one")
    return Group(name=str(entry["name"]), label_ids=tuple(int(label) for label in ids), many=many)
