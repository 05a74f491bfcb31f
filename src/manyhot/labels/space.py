"""The ordered names of the labels, with optional groups and parents."""

import hashlib
import json
import operator
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from manyhot.errors import LabelError, did_you_mean, quote

MAX_NAME_LENGTH = 1_000


@dataclass(frozen=True, kw_only=True)
class LabelSpace:
    """Ordered label names. The position of a name is its label id.

    Names are kept to the letter: `N/A` and `0012` are names like any other, and `Cat` is not `cat`.

    Args:
        names: One name a label, unique, not empty, without control characters.
        groups: For each label the name of its group (colour, type), or None where it has none.
        parents: For each label the ids of its parents, for a hierarchy.

    Raises:
        LabelError: If a name is empty, repeated or unprintable, or a list has the wrong length.

    >>> space = LabelSpace(names=("red", "blue", "dress"), groups=("colour", "colour", "type"))
    >>> len(space), space.id_of("dress"), "coat" in space, space.members()
    (3, 2, False, {'colour': (0, 1), 'type': (2,)})
    """

    names: tuple[str, ...]
    groups: tuple[str | None, ...] | None = None
    parents: tuple[tuple[int, ...], ...] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.names, str):
            raise LabelError(
                f"names is the string {quote(self.names)}; give a list of names, like [{quote(self.names)}]"
            )
        object.__setattr__(self, "names", tuple(self.names))
        _check_names(self.names)
        if self.groups is not None:
            object.__setattr__(self, "groups", tuple(self.groups))
        if self.parents is not None:
            object.__setattr__(self, "parents", tuple(map(_ids_of_parents, self.parents)))
        for field, values in (("groups", self.groups), ("parents", self.parents)):
            if values is not None and len(values) != len(self.names):
                raise LabelError(
                    f"{field} has {len(values):,} entries for {len(self.names):,} labels; give one a label"
                )
        for child, parents in enumerate(self.parents or ()):
            for parent in parents:
                if type(parent) is not int or not 0 <= parent < len(self.names) or parent == child:
                    raise LabelError(
                        f"label {quote(self.names[child])} names parent {parent!r}, which is no other label's id"
                    )

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: str) -> bool:
        return name in self._ids

    @cached_property
    def _ids(self) -> Mapping[str, int]:
        return {name: index for index, name in enumerate(self.names)}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of names, groups and parents, in order: equal exactly when the spaces are equal."""
        return hashlib.sha256(json.dumps(self.to_dict(), ensure_ascii=False).encode()).hexdigest()

    def id_of(self, name: str) -> int:
        """Return the id of a label.

        Raises:
            LabelError: If there is no such label; the message names the nearest one.

        >>> LabelSpace(names=("cat", "dog")).id_of("dog")
        1
        """
        index = self._ids.get(name)
        if index is None:
            raise LabelError(
                f"label {quote(name)} is not among the {len(self):,} labels{did_you_mean(name, self.names)}"
            )
        return index

    def ids_of(self, names: Iterable[str]) -> list[int]:
        """Return the ids of several labels, in the order given.

        >>> LabelSpace(names=("cat", "dog")).ids_of(["dog", "cat"])
        [1, 0]
        """
        return [self.id_of(name) for name in names]

    def members(self) -> dict[str, tuple[int, ...]]:
        """Return the label ids of each group, in order of first appearance; empty without groups."""
        members: dict[str, list[int]] = {}
        for index, group in enumerate(self.groups or ()):
            if group is not None:
                members.setdefault(group, []).append(index)
        return {group: tuple(ids) for group, ids in members.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return the space as plain data for JSON.

        >>> LabelSpace(names=("cat", "dog")).to_dict()
        {'names': ['cat', 'dog'], 'groups': None, 'parents': None}
        """
        return {
            "names": list(self.names),
            "groups": None if self.groups is None else list(self.groups),
            "parents": None if self.parents is None else [list(parents) for parents in self.parents],
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> "LabelSpace":
        """Return the space that `to_dict` wrote.

        Raises:
            LabelError: If there are no names.

        >>> LabelSpace.from_dict({"names": ["cat", "dog"]}).names
        ('cat', 'dog')
        """
        if "names" not in data:
            raise LabelError(f"a label space needs names; found {', '.join(map(repr, data)) or 'nothing'}")
        groups, parents = data.get("groups"), data.get("parents")
        return LabelSpace(
            names=tuple(data["names"]),
            groups=None if groups is None else tuple(groups),
            parents=None if parents is None else tuple(map(_ids_of_parents, parents)),
        )


def name_fault(name: str) -> str | None:
    """Return what is wrong with a name in a few words, or None if nothing is.

    >>> name_fault(" "), name_fault("N/A")
    ('has an empty name', None)
    """
    if not name.strip():
        return "has an empty name"
    if len(name) > MAX_NAME_LENGTH:
        return f"has a name of {len(name):,} characters ({name[:40]!r}…); at most {MAX_NAME_LENGTH:,}"
    # isprintable: nearly every name is, and a million names are checked in a quarter of the time.
    if not name.isprintable() and any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        return f"has a control character in its name: {name[:80]!r}"
    return None


def _ids_of_parents(parents: Iterable[int]) -> tuple[int, ...]:
    if isinstance(parents, str) or not isinstance(parents, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance] - what a user's JSON may hold
        raise LabelError(f"parents of a label are {quote(parents)}; give a list of label ids, like [0]")
    # Numbers of an array become plain ones; what is none is named with its label. bool is an int, and no id.
    return tuple(
        operator.index(parent) if hasattr(parent, "__index__") and not isinstance(parent, bool) else parent
        for parent in parents
    )


def _check_names(names: Sequence[str]) -> None:
    seen: dict[str, int] = {}
    for index, name in enumerate(names):
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] - users may hand us numbers
            raise LabelError(f"label {index} is {quote(name)}, not a string; quote it to keep it to the letter")
        fault = name_fault(name)
        if fault is not None:
            raise LabelError(f"label {index} {fault}")
        if name in seen:
            raise LabelError(
                f"label {quote(name)} stands twice, as id {seen[name]} and as id {index}; names must be unique"
            )
        seen[name] = index
