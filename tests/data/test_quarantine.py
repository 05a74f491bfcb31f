"""A picture that cannot be read ends the training or is counted; it is never passed over in silence."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from manyhot.data.quarantine import Quarantine
from manyhot.errors import ImageError, TrainingError, UsageError


def error(row: int) -> ImageError:
    return ImageError(f"{row}.jpg: is empty")


def test_by_default_the_first_bad_file_is_the_error() -> None:
    with pytest.raises(ImageError, match=r"^7\.jpg: is empty$"):
        Quarantine(10**6).handle(error(7), 7)


def test_skipped_rows_are_listed_by_row_with_their_reasons() -> None:
    quarantine = Quarantine(5000, bad_files="skip")
    assert quarantine.summary() == ""
    for row in (9, 3, 9):
        quarantine.handle(error(row), row)
    assert quarantine.failures == ((3, "3.jpg: is empty"), (9, "9.jpg: is empty"))
    said = "2 of 5,000 samples were left out, for their pictures cannot be read: first 3.jpg: is empty"
    assert quarantine.summary() == said


@pytest.mark.parametrize(("num_samples", "allowed"), [(1000, 1), (1999, 1), (2000, 2), (999, 0), (1, 0)])
def test_a_thousandth_may_be_skipped_and_not_one_more(num_samples: int, allowed: int) -> None:
    quarantine = Quarantine(num_samples, bad_files="skip")
    for row in range(allowed):
        quarantine.handle(error(row), row)
    with pytest.raises(TrainingError, match=rf"^{allowed + 1} of .*share of 0\.001 .* the last is {allowed}\.jpg"):
        quarantine.handle(error(allowed), allowed)


def test_the_share_is_ones_own_choice() -> None:
    everything, nothing = (Quarantine(3, bad_files="skip", max_share=share) for share in (1.0, 0.0))
    for row in range(3):
        everything.handle(error(row), row)
    assert len(everything.failures) == 3
    with pytest.raises(TrainingError, match="1 of 3 pictures"):
        nothing.handle(error(0), 0)
    with pytest.raises(UsageError, match=r"1\.5 is no share"):
        Quarantine(3, max_share=1.5)


def test_threads_lose_no_row() -> None:
    quarantine = Quarantine(1000, bad_files="skip", max_share=1.0)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: quarantine.handle(error(number % 500), number % 500), range(4000)))
    assert [row for row, _ in quarantine.failures] == list(range(500))
