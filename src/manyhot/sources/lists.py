"""A column of labels, as lists or as text parted by a delimiter, without a Python step a label."""

# pyarrow.compute makes its functions when it is imported, where no type checker sees them:
# pyright: reportAttributeAccessIssue=false

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manyhot.errors import quote
from manyhot.sources.columns import ArrowColumn
from manyhot.sources.entries import read_entries
from manyhot.sources.listing import Reader
from manyhot.sources.naming import LabelPairs
from manyhot.sources.strict_json import JsonFaultError, parse_json

DEFAULT_DELIMITER = "|"


def read_list_column(column: ArrowColumn, reader: Reader) -> LabelPairs:
    """Return the labels of a column of lists of text, to the letter.

    A null list or label is an error: it says neither that there is a label nor that there is none.
    """
    array = column.array.cast(pa.large_list(pa.large_string()))
    for row in np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False)).tolist():
        reader.fault(row, "null-labels", "labels are null; write [] for a sample without labels, or delete the row")
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    row_ids = np.repeat(np.arange(len(array)), lengths)
    names = array.flatten()
    absent = names.is_null().to_numpy(zero_copy_only=False)
    for row in row_ids[absent].tolist():
        reader.fault(row, "label-type", "a label is null; write its name or delete it")
    return _pairs_of(ArrowColumn(names.drop_null()), row_ids[~absent], len(array))


def read_text_column(column: ArrowColumn, name: str, delimiter: str | None, reader: Reader) -> LabelPairs:
    """Return the labels of a column of text parted by a delimiter, without the blanks around each.

    An empty text is a sample without labels. Where no delimiter is given and every text is a JSON list, it is read as
    such; otherwise `|` parts labels, and a column that seems to be parted by something else is an error.
    """
    texts = pc.utf8_trim_whitespace(pc.fill_null(column.array.cast(pa.large_string()), ""))
    filled = texts.filter(pc.not_equal(texts, ""))
    if delimiter is None:
        if are_json_lists(ArrowColumn(filled)):
            return _read_json_lists(texts.to_pylist(), reader)
        delimiters = Delimiters()
        delimiters.add(ArrowColumn(filled))
        delimiters.check(name, reader)
    parts = pc.split_pattern(texts, delimiter or DEFAULT_DELIMITER)
    # An empty text splits into one empty part, but it means no label.
    empty = pc.equal(texts, "").to_numpy(zero_copy_only=False)
    lengths = np.where(empty, 0, pc.list_value_length(parts).to_numpy(zero_copy_only=False))
    names = pc.utf8_trim_whitespace(parts.filter(pa.array(~empty)).flatten())
    return _pairs_of(ArrowColumn(names), np.repeat(np.arange(len(texts)), lengths), len(texts))


def filled_texts(column: ArrowColumn) -> ArrowColumn:
    """Return the texts that are not blank, without the blanks around them."""
    texts = pc.utf8_trim_whitespace(column.array.cast(pa.large_string()).drop_null())
    return ArrowColumn(texts.filter(pc.not_equal(texts, "")))


def are_json_lists(filled: ArrowColumn) -> bool:
    """Return whether there are texts and every one stands in brackets."""
    return len(filled.array) > 0 and pc.all(pc.match_substring_regex(filled.array, r"(?s)^\[.*\]$")).as_py()


def _pairs_of(names: ArrowColumn, row_ids: np.ndarray[tuple[int], np.dtype[np.int64]], num_rows: int) -> LabelPairs:
    encoded = names.array.dictionary_encode()
    keys = [(None, name) for name in encoded.dictionary.to_pylist()]
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return LabelPairs(num_rows=num_rows, row_ids=row_ids, codes=codes, keys=keys)


def _read_json_lists(texts: list[str], reader: Reader) -> LabelPairs:
    values: list[object] = []
    for row, text in enumerate(texts):
        try:
            values.append(parse_json(text) if text else [])
        except JsonFaultError as fault:
            message = 'a list of labels is not JSON; write it as ["a", "b"], or a|b without brackets'
            reader.fault(row, "json-syntax", message, str(fault))
            values.append([])
    return read_entries(values, reader)


@dataclass
class Delimiters:
    """How many texts of a column hold each character that may part labels, counted block by block."""

    counts: Counter[str] = field(default_factory=Counter[str])

    def add(self, texts: ArrowColumn) -> None:
        """Count some more texts."""
        for character in (DEFAULT_DELIMITER, ",", ";"):
            self.counts[character] += pc.sum(pc.match_substring(texts.array, character)).as_py() or 0

    def check(self, name: str, reader: Reader) -> None:
        """Report a column that is parted by something else than `|`, as it seems."""
        other = next((other for other in (",", ";") if self.counts[other]), None)
        if other is not None and not self.counts[DEFAULT_DELIMITER]:
            count = self.counts[other]
            reader.findings.error(
                "unclear-delimiter",
                f"{reader.file}: column {quote(name)} holds no '|', but {count:,} rows hold {quote(other)}; say what "
                f"parts labels (delimiter, --data.delimiter {quote(other)}), or '|' if it belongs to the names",
            )
