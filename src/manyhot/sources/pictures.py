"""Which listed samples have a picture under the image folder, and which pictures nobody listed."""

import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from manyhot.errors import quote
from manyhot.sources.finding import FindingLog
from manyhot.sources.listing import Listing
from manyhot.sources.scanning import FolderScan, is_absolute, normal_form


def match_pictures(listing: Listing, scan: FolderScan, findings: FindingLog) -> dict[int, str]:
    """Return the rows that enter the manifest, each with its reference in normal form; faults go to the findings.

    A row stays out if it was faulty before, repeats a picture, leads out of the folder, or has no picture.
    """
    for folder, reason in scan.unreadable.items():
        message = f"{scan.root}: a folder or file cannot be listed; mend its permissions or its name"
        findings.error("unreadable-folder", message, f"{quote(folder)}: {reason}")
    rows: dict[int, str] = {}
    first: dict[str, int] = {}
    by_stem = scan.pictures_by_stem() if listing.by_stem else {}
    for row, written in enumerate(listing.references):
        reference = by_stem.get(written) or (written if written in scan.files else normal_form(written))
        if reference in first:
            earlier = listing.place(first[reference])
            place = listing.place(row)
            message = f"{listing.file}: a row repeats the picture of an earlier row; keep one and delete the other"
            after = "again" if place == earlier else f"as in {earlier}"
            findings.error("duplicate-row", message, f"{place}: {quote(written)} {after}")
        elif reference in scan.files:
            first[reference] = row
            if row not in listing.faulty:
                rows[row] = reference
        elif reference:
            first[reference] = row
            _report_unusable(row, reference, listing, scan, findings)
        elif row not in listing.faulty:
            message = f"{listing.file}: a row names no picture, for the name is empty; write it or delete the row"
            findings.error("empty-reference", message, listing.place(row))
    _report_unlisted(listing, first, scan, findings)
    return rows


def match_rows(listing: Listing, findings: FindingLog) -> dict[int, str]:
    """Return the rows that enter a manifest without pictures, each with its reference; faults go to the findings.

    A row stays out if it was faulty before, repeats the name of another row, or has none.
    """
    names = set(listing.references)
    if not listing.faulty and "" not in names and len(names) == len(listing.references):
        return dict(enumerate(listing.references))
    rows: dict[int, str] = {}
    first: dict[str, int] = {}
    for row, written in enumerate(listing.references):
        earlier = first.setdefault(written, row)
        if not written:
            if row not in listing.faulty:
                message = f"{listing.file}: a row has no name; write it or delete the row"
                findings.error("empty-reference", message, listing.place(row))
        elif earlier != row:
            message = f"{listing.file}: a row repeats the name of an earlier row; keep one and delete the other"
            place = f"{listing.place(row)}: {quote(written)} as in {listing.place(earlier)}"
            findings.error("duplicate-row", message, place)
        elif row not in listing.faulty:
            rows[row] = written
    return rows


def _report_unusable(row: int, reference: str, listing: Listing, scan: FolderScan, findings: FindingLog) -> None:
    written, place = listing.references[row], listing.place(row)
    file, root = listing.file, scan.root
    found = place if quote(written) in place else f"{place}: {quote(written)}"
    outside = f"{file}: a row names a file outside of {root}"
    if is_absolute(written):
        findings.error(
            "outside-root", f"{outside}; write the path from that folder, without a drive or leading /", found
        )
    elif ".." in PurePosixPath(written).parts:
        findings.error("outside-root", f"{outside} with ..; move the picture into the folder", found)
    elif reference in scan.outside:
        target = quote(scan.outside[reference])
        findings.error(
            "outside-root", f"{outside} through a link; copy the picture there", f"{found} leads to {target}"
        )
    elif any(str(parent) in scan.linked_folders for parent in PurePosixPath(reference).parents):
        findings.error("outside-root", f"{outside} or through a linked folder; move the folder there", found)
    elif "\\" in written and normal_form(written.replace("\\", "/")) in scan.files:
        findings.error("backslash", f"{file}: a row parts folders with a backslash; write /", found)
    else:
        nearest = scan.nearest(reference)
        hint = "" if nearest is None else f"; there is {_told_apart(nearest, reference)}"
        message = f"{file}: a row names a picture that is not in {root}; add it, mend the name or delete the row"
        if not scan.has_pictures:
            message = (
                f"{file}: a row names a picture, and there are none in {root}; name their folder (images, --data.images "
                "FOLDER), or check and convert the labels alone (pictures, --data.pictures false)"
            )
        findings.error("missing-file", message, f"{found}{hint}")


def _told_apart(name: str, other: str) -> str:
    """Return the name in quotes, spelt out where it looks like the other one."""
    same = unicodedata.normalize("NFC", name) == unicodedata.normalize("NFC", other)
    return f"{name!a}, which is written in another Unicode form" if same else quote(name)


def _report_unlisted(listing: Listing, listed: Iterable[str], scan: FolderScan, findings: FindingLog) -> None:
    listed = set(listed)
    for name in scan.pictures():
        if name not in listed:
            message = (
                f"{scan.root}: a picture has no labels in {listing.file}; it takes no part, not even as a negative; "
            )
            findings.warning("unlisted-file", message + listing.unlisted_mend, quote(name))
    for name in scan.other_pictures():
        if name not in listed:
            message = (
                f"{scan.root}: a picture is of a format that is not read and takes no part; convert it to JPEG or PNG"
            )
            findings.warning("unsupported-file", message, quote(name))
