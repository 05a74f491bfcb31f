"""Pictures by number: read, decoded and transformed, and what went wrong with those that could not be."""

import traceback
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float64, Int64, UInt8
from torch import Tensor

from manyhot.data.augmentation import ImageTransform
from manyhot.data.caching import PictureCache
from manyhot.data.decoding import BYTES_NAME, EncodedImage, open_image
from manyhot.data.order import sample_generator
from manyhot.data.pictures import OpenedImage, render_picture
from manyhot.errors import ImageError, ManyhotError, TrainingError, UsageError
from manyhot.sources.picture_store import PictureStore


@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """Which pictures make a batch, and what their augmentation depends on.

    Args:
        epoch: The epoch.
        rows: The pictures.
        repeats: How often each picture has come before in the epoch; None where all come for the first time.
    """

    epoch: int
    rows: Int64[np.ndarray, " n"]
    repeats: Int64[np.ndarray, " n"] | None = None

    def repeat_of(self, place: int) -> int:
        """Return how often the picture at a place of the batch has come before."""
        return 0 if self.repeats is None else int(self.repeats[place])


@dataclass(frozen=True, kw_only=True, eq=False)
class Failure:
    """A picture that is not in its batch, and why.

    Args:
        row: Which picture.
        error: What is wrong with it; the message does not name it. An `ImageError` is about the file, everything else
            about the transform.
    """

    row: int
    error: ManyhotError

    def named(self, name: str) -> ManyhotError:
        """Return the error with the picture's name in front; a transform's traceback goes along as a note."""
        error = type(self.error)(f"{name}: {self.error}")
        for note in getattr(self.error, "__notes__", ()):
            error.add_note(note)
        return error


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedImages:
    """The pictures of a request that could be loaded, in its order, and why the others could not.

    Args:
        images: Pictures; without height and width when none could be loaded.
        rows: The row of each picture.
        draws: The random numbers of each picture for what is done to the whole batch; none where nothing is.
        failures: The others, in the order of the request.
    """

    images: UInt8[Tensor, "n 3 h w"]
    rows: Int64[np.ndarray, " n"]
    draws: Float64[np.ndarray, "n draws"]
    failures: tuple[Failure, ...] = ()


class SampleReader:
    """Loads a picture by its row. It holds no labels, and can be sent to other processes.

    Args:
        pictures: The picture of each row.
        transform: Makes all pictures the same size.
        seed: With epoch, row and repeat it decides every random number that the transform draws.
        cache: Where decoded pictures are kept, if they are.
        num_draws: How many more numbers each picture draws after its transform, for what is done to a whole batch.
    """

    def __init__(
        self,
        pictures: PictureStore,
        transform: ImageTransform,
        *,
        seed: int,
        cache: PictureCache | None = None,
        num_draws: int = 0,
    ) -> None:
        self.num_draws = num_draws
        self._pictures = pictures
        self._transform = transform
        self._seed = seed
        self._cache = cache

    def name_of(self, row: int) -> str:
        """Return what messages call a picture."""
        return self._pictures.name_of(row)

    def empty_draws(self, request: Request) -> Float64[np.ndarray, "n draws"]:
        """Return memory for what the pictures of a batch draw after their transform."""
        return np.zeros((len(request.rows), self.num_draws))

    def load(
        self,
        request: Request,
        place: int,
        out: UInt8[np.ndarray, "3 height width"] | None = None,
        *,
        draws: Float64[np.ndarray, " draws"] | None = None,
    ) -> UInt8[np.ndarray, "3 height width"] | Failure:
        """Return the picture at a place of a batch, or what is wrong with it. Safe to call from several threads.

        Args:
            request: The batch.
            place: Which of its pictures.
            out: Where the picture goes; new memory by default.
            draws: Where the numbers go that it draws after its transform.
        """
        row = int(request.rows[place])
        generator = sample_generator(seed=self._seed, epoch=request.epoch, row=row, repeat=request.repeat_of(place))
        try:
            planes = render_picture(self._open(row), self._transform, generator, out=out)
        except ImageError as error:
            return Failure(row=row, error=ImageError(str(error).removeprefix(f"{BYTES_NAME}: ")))
        except UsageError as error:
            return Failure(row=row, error=error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a transform is anybody's code; who waits is told
            return Failure(row=row, error=_transform_error(error))
        if draws is not None and len(draws):
            generator.random(out=draws)
        return planes

    def _open(self, row: int) -> OpenedImage:
        read = partial(self._read, row)
        return read() if self._cache is None else self._cache.open(row, read)

    def _read(self, row: int) -> EncodedImage:
        return open_image(self._pictures.read(row))


def _transform_error(error: BaseException) -> TrainingError:
    reason = str(error).splitlines() or [""]
    found = TrainingError(f"the transform raised {type(error).__name__}: {reason[0]}")
    found.add_note("".join(traceback.format_exception(error)))
    return found


def without_failed(
    request: Request,
    images: UInt8[Tensor, "m 3 h w"] | None,
    draws: Float64[np.ndarray, "n draws"],
    failures: dict[int, Failure],
) -> LoadedImages:
    """Return a batch from the memory that its pictures were loaded into.

    Args:
        request: The batch as it was asked for.
        images: A place for each of its pictures; None where none could be loaded.
        draws: What each of its pictures has drawn after its transform.
        failures: By place, what was not loaded.
    """
    if images is None:
        images = torch.empty((0, 3, 0, 0), dtype=torch.uint8)
    if not failures:
        return LoadedImages(images=images, rows=request.rows, draws=draws)
    kept = [place for place in range(len(request.rows)) if place not in failures]
    return LoadedImages(
        images=images[kept] if kept else images[:0],
        rows=request.rows[kept],
        draws=draws[kept],
        failures=tuple(failures[place] for place in sorted(failures)),
    )
