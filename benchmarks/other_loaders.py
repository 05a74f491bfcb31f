"""Other loaders for `loading.py`: each over the same files, with two workers and the transforms of the baseline.

What they need beyond manyhot's own environment is installed by hand, in an environment of its own. Those that read a format
of their own are given the same JPEG files in it, which is written before anything is measured.
"""

import io
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

SIZE, BATCH, WORKERS = 224, 64, 2


def transform_of(name: str) -> Callable[..., Any]:
    """Return the baseline's transform: from a Pillow picture to a float tensor."""
    from torchvision import transforms

    steps = {
        "evaluation": [transforms.Resize((SIZE, SIZE))],
        "training": [transforms.RandomResizedCrop(SIZE, scale=(0.6, 1.0)), transforms.RandomHorizontalFlip()],
    }
    return transforms.Compose([*steps[name], transforms.ToTensor()])


def decode(content: bytes) -> "Image.Image":
    """Return a Pillow picture."""
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        return image.convert("RGB")


def files_in(pictures: Path) -> list[Path]:
    """Return the JPEG files."""
    return sorted(pictures.rglob("*.jpg"))


def webdataset(pictures: Path, transform: str) -> Iterable[object]:
    """Return webdataset over two tar shards, in torch's loader."""
    import torch
    import webdataset as wds

    shards = pictures.parent / f"{pictures.name}-webdataset"
    if not shards.exists():
        shards.mkdir()
        files = files_in(pictures)
        for number in range(WORKERS):
            with wds.TarWriter(str(shards / f"{number:06}.tar")) as writer:
                for path in files[number::WORKERS]:
                    writer.write({"__key__": path.stem, "jpg": path.read_bytes(), "cls": 0})
    change = transform_of(transform)
    dataset = (
        wds.WebDataset([str(path) for path in sorted(shards.glob("*.tar"))], shardshuffle=WORKERS)
        .shuffle(1000)
        .decode("pil")
        .to_tuple("jpg", "cls")
        .map_tuple(change, lambda label: label)
        .batched(BATCH)
    )
    return torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=WORKERS, persistent_workers=True)


def read_for_litdata(path: str) -> dict[str, object]:
    """Return a sample as litdata stores it."""
    return {"jpg": Path(path).read_bytes(), "label": 0}


def litdata(pictures: Path, transform: str) -> Iterable[object]:
    """Return litdata over its own chunks."""
    import litdata as ld

    chunks = pictures.parent / f"{pictures.name}-litdata"
    if not chunks.exists():
        paths = [str(path) for path in files_in(pictures)]
        ld.optimize(fn=read_for_litdata, inputs=paths, output_dir=str(chunks), chunk_bytes="64MB", num_workers=1)
    dataset = ld.StreamingDataset(str(chunks), shuffle=True, transform=DecodeMember(transform))
    return ld.StreamingDataLoader(dataset, batch_size=BATCH, num_workers=WORKERS, persistent_workers=True)


class DecodeMember:
    """Decodes and changes what `read_for_litdata` gave; a class, for it is sent to other processes."""

    def __init__(self, transform: str) -> None:
        self._change = transform_of(transform)

    def __call__(self, sample: dict[str, Any]) -> object:
        """Return the changed picture and its label."""
        return self._change(decode(sample["jpg"])), sample["label"]


class GrainSource:
    """Files by number, decoded and transformed."""

    def __init__(self, paths: list[Path], transform: str) -> None:
        self._paths, self._change = paths, transform_of(transform)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> object:
        return self._change(decode(self._paths[index].read_bytes())).numpy()


class Grain:
    """A grain pipeline of two worker processes, which go on from epoch to epoch: to start them takes longer than an epoch."""

    def __init__(self, pictures: Path, transform: str) -> None:
        import grain.python as grain

        source = GrainSource(files_in(pictures), transform)
        dataset = grain.MapDataset.source(source).shuffle(seed=0).repeat().to_iter_dataset().batch(BATCH)
        self._num_batches = -(-len(source) // BATCH)
        self._batches = iter(dataset.mp_prefetch(grain.MultiprocessingOptions(num_workers=WORKERS)))

    def __iter__(self) -> Iterator[object]:
        return islice(self._batches, self._num_batches)


class Spdl:
    """An SPDL pipeline: two threads decode, crop and scale with FFmpeg; the crop is the same for all, which is cheaper."""

    def __init__(self, pictures: Path, transform: str) -> None:
        self._paths = [str(path) for path in files_in(pictures)]
        crop = "crop=iw*0.89:ih*0.89," if transform == "training" else ""
        self._filter = f"{crop}scale=width={SIZE}:height={SIZE}:flags=bilinear,format=pix_fmts=rgb24"

    def _load(self, path: str) -> object:
        import spdl.io

        packets = spdl.io.demux_image(path)
        return spdl.io.decode_packets(packets, filter_desc=self._filter)

    def _batch(self, frames: list[object]) -> object:
        import spdl.io

        return spdl.io.to_numpy(spdl.io.convert_frames(frames))

    def __iter__(self) -> Iterator[object]:
        from spdl.pipeline import PipelineBuilder

        builder = PipelineBuilder().add_source(iter(self._paths)).pipe(self._load, concurrency=WORKERS)
        pipeline = builder.aggregate(BATCH).pipe(self._batch).add_sink(2).build(num_threads=WORKERS)
        with pipeline.auto_stop():
            yield from pipeline


def streaming(pictures: Path, transform: str) -> Iterable[object]:
    """Return mosaicml-streaming over its own shards."""
    import streaming as mds
    import torch

    shards = pictures.parent / f"{pictures.name}-mds"
    if not shards.exists():
        with mds.MDSWriter(out=str(shards), columns={"jpg": "bytes", "label": "int"}) as writer:
            for path in files_in(pictures):
                writer.write({"jpg": path.read_bytes(), "label": 0})
    change = transform_of(transform)

    class Decoded(mds.StreamingDataset):
        def __getitem__(self, index: int) -> object:
            sample = super().__getitem__(index)
            return change(decode(sample["jpg"])), sample["label"]

    dataset = Decoded(local=str(shards), shuffle=True, batch_size=BATCH)
    return torch.utils.data.DataLoader(dataset, batch_size=BATCH, num_workers=WORKERS, persistent_workers=True)


OTHERS = {"webdataset": webdataset, "litdata": litdata, "grain": Grain, "spdl": Spdl, "streaming": streaming}
