"""Arrow tables become batches: ids or names, sorted or not, with errors that name the row."""

import numpy as np
import pyarrow as pa
import pytest

from manyhot.errors import LabelError
from manyhot.labels import LabelSets, LabelSource, LabelSpace
from manyhot.labels.arrow_rows import batch_from_arrow

SPACE = LabelSpace(names=("ant", "bee", "cat"))
ROWS = [[2, 0], [], [1]]
LIST_TYPES = [pa.list_(pa.uint16()), pa.list_(pa.int64()), pa.large_list(pa.int32())]


@pytest.mark.parametrize("kind", LIST_TYPES, ids=str)
def test_lists_of_ids_are_read(kind: pa.DataType):
    labels = batch_from_arrow(pa.table({"labels": pa.array(ROWS, kind)}), SPACE).labels
    assert labels.to_multi_hot().tolist() == LabelSets.from_lists(ROWS, SPACE).to_multi_hot().tolist()


def test_lists_of_names_are_read_from_chunks_and_slices():
    names = [[SPACE.names[label] for label in row] for row in ROWS]
    table = pa.concat_tables([pa.table({"labels": names}), pa.table({"labels": names})]).slice(1, 4)
    labels = batch_from_arrow(table, SPACE).labels
    assert labels.to_multi_hot().tolist() == LabelSets.from_lists((ROWS * 2)[1:5], SPACE).to_multi_hot().tolist()


def test_confidence_follows_its_label_when_ids_are_sorted():
    table = pa.table({"labels": ROWS, "confidence": [[0.25, 0.5], [], [1.0]]})
    labels = batch_from_arrow(table, SPACE).labels
    assert labels.confidence is not None
    assert (labels.positives.ids.tolist(), labels.confidence.tolist()) == ([0, 2, 1], [0.5, 0.25, 1.0])


def test_exceptions_and_samples_are_read():
    table = pa.table(
        {"reference": ["x", "y", "z"], "labels": ROWS, "exceptions": [[], ["bee"], []], "other": [1, 2, 3]}
    )
    batch = batch_from_arrow(table, SPACE, source=LabelSource(unlisted="unknown"))
    assert np.isnan(batch.labels.to_multi_hot()).sum() == 5
    assert batch.samples is not None
    assert batch.samples.to_pydict() == {"reference": ["x", "y", "z"], "split": [None] * 3, "group": [None] * 3}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"names": ROWS}, "no column 'labels'"),
        ({"labels": [1, 2]}, "of type int64; write a list a row"),
        ({"labels": [[0], None]}, "null in row 1"),
        ({"labels": [[0, None]]}, "holds a null"),
        ({"labels": [[0.5]]}, "hold double"),
        ({"labels": [[0], [3]]}, "row 1 has label id 3, but there are 3 labels"),
        ({"labels": [[0], [-1]]}, "id -1"),
        ({"labels": [["ant"], ["bea"]]}, "row 1 of column 'labels': .*did you mean 'bee'"),
        ({"labels": [[0, 1]], "confidence": [[0.5]]}, "not as long"),
        ({"labels": [[0, 0]], "confidence": [[0.5, 0.5]]}, "not sorted and unique"),
        ({"labels": [[0]], "confidence": [[float("nan")]]}, "confidence is not in"),
        ({"labels": [[0]], "exceptions": [[0]]}, "both positive and in the exceptions"),
    ],
)
def test_what_makes_no_sense_is_refused(columns: dict[str, list[object]], message: str):
    with pytest.raises(LabelError, match=message):
        batch_from_arrow(pa.table(columns), SPACE)
