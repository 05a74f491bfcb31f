"""What is mistaken for lists of label ids: rows of 0s and 1s, and padded rows."""

from manyhot.errors import TargetError


def refuse_multi_hot(rows: list[list[int]], num_labels: int) -> None:
    """Check that rows are not a dense matrix of 0s and 1s: its entries would pass for the ids 0 and 1.

    Raises:
        TargetError: If every row has one entry a label, each 0 or 1. Rows of one or two labels may be ids, and pass.

    >>> refuse_multi_hot([[0, 1], [2]], num_labels=3)
    """
    # Three labels or more: a list of ids that holds each once cannot be all 0s and 1s.
    looks_dense = num_labels > 2 and bool(rows) and all(len(row) == num_labels and set(row) <= {0, 1} for row in rows)
    if looks_dense:
        raise TargetError(
            "these rows are multi-hot, 0s and 1s with one entry a label, where label ids are expected; "
            "use SparseTargets.from_dense(torch.tensor(rows))"
        )


def refuse_padding(rows: list[list[int]]) -> None:
    """Check that no row is padded with -1.

    Raises:
        TargetError: Naming the first row that is.

    >>> refuse_padding([[0, 1], []])
    """
    padded = next((index for index, row in enumerate(rows) if -1 in row), None)
    if padded is not None:
        raise TargetError(
            f"row {padded} holds -1, with which torch.nn.MultiLabelMarginLoss pads its ids; leave it out, rows may differ in length"
        )
