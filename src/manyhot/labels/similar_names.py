"""Names that a person would take for one: the same but for case, blanks, dashes, underscores or Unicode form."""

import re
import unicodedata

from manyhot.labels.space import LabelSpace

# Between letters or digits only: "A-" is no "A", and "-1" is no "1".
_DASHES = re.compile(r"(?<=[^\W_])[-‐-―−](?=[^\W_])")
_BLANKS = re.compile(r"[\s_]+")


def fold_name(name: str) -> str:
    r"""Return what remains of a name without case, Unicode form, and the kind and number of blanks.

    Underscores are blanks, and so are dashes between letters or digits. Characters that only steer how text is shown
    (zero-width blanks, direction marks, soft hyphens) are left out. Blanks are never dropped between others: `1_2`
    is not `12`.

    >>> fold_name("Ice_Cream"), fold_name(" ice\u2010cream"), fold_name("icecream"), fold_name("A-")
    ('ice cream', 'ice cream', 'icecream', 'a-')
    """
    if not name.isascii():
        shown = (character for character in name if unicodedata.category(character) != "Cf")
        # Folding case can leave a form that is not normal, and normalising it one that is not folded.
        name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", "".join(shown)).casefold())
    return _BLANKS.sub(" ", _DASHES.sub(" ", name.casefold())).strip()


def similar_names(space: LabelSpace) -> list[tuple[int, ...]]:
    """Return the ids of labels whose names fold to the same, in order; two labels of different groups are not compared.

    >>> similar_names(LabelSpace(names=("Cat", "dog", "cat ", "T-shirt", "t shirt")))
    [(0, 2), (3, 4)]
    """
    groups = space.groups or (None,) * len(space)
    same: dict[tuple[str | None, str], list[int]] = {}
    for label, (group, name) in enumerate(zip(groups, space.names, strict=True)):
        same.setdefault((group, fold_name(name)), []).append(label)
    return [tuple(labels) for labels in same.values() if len(labels) > 1]
