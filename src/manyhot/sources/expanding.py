"""Labels that others imply, added while a source is read: what is a siamese is a cat."""

from dataclasses import replace

from manyhot.errors import LabelError, quote
from manyhot.labels import Hierarchy, LabelSpace
from manyhot.labels.expansion import expand_positives, verified_contradictions
from manyhot.sources.finding import FindingLog
from manyhot.sources.manifest import Manifest


def find_hierarchy(space: LabelSpace, file: str, findings: FindingLog) -> Hierarchy | None:
    """Return which label is a kind of which, or None with an error where the source does not say or goes in a circle.

    >>> find_hierarchy(LabelSpace(names=("cat", "animal"), parents=((1,), ())), "a.csv", FindingLog()).ancestors.ids
    array([1], dtype=uint16)
    """
    if not any(space.parents or ()):
        message = f"{file}: no label has a parent, so there is nothing to expand; give the file that says so "
        findings.error("no-hierarchy", f"{message}(hierarchy, --data.hierarchy FILE), or leave --data.expand out")
        return None
    try:
        return Hierarchy.of(space)
    except LabelError as error:
        findings.error("hierarchy-cycle", str(error))
        return None


def expand_manifest(manifest: Manifest, file: str, findings: FindingLog) -> Manifest:
    """Return the samples with every ancestor of a positive label positive too; unchanged where there is an error.

    A verified negative with a positive descendant becomes unknown, with a warning.
    """
    labels = manifest.labels
    hierarchy = find_hierarchy(labels.space, file, findings)
    if hierarchy is None:
        return manifest
    clashes = verified_contradictions(hierarchy, labels)
    names = labels.space.names
    message = f"{file}: a label is said not to be there, and one that implies it is; it is taken as unknown"
    for row, label in zip(clashes.row_ids().tolist(), clashes.ids.tolist(), strict=True):
        findings.warning(
            "contradiction", message, f"{quote(manifest.samples['reference'][row].as_py())}: {quote(names[label])}"
        )
    return replace(manifest, labels=expand_positives(hierarchy, labels, conflicts="unknown"))
