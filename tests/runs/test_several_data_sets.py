"""Several data sets are one training: one label space, a share of each epoch, splits of their own, and figures of each."""

import io
import json
import logging
import os
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from manyhot.cli.main import main
from manyhot.config import (
    AugmentationConfig,
    BinaryCrossEntropyConfig,
    DataConfig,
    LoadingConfig,
    MixtureConfig,
    Recipe,
    SplitConfig,
)
from manyhot.data.mixture import Mixed
from manyhot.errors import ConfigError, ManyhotError, SourceError
from manyhot.labels import LabelSets, LabelSource, LabelSpace
from manyhot.recipes import dump_recipe, load_recipe
from manyhot.runs.checking import check_run
from manyhot.runs.converting import convert
from manyhot.runs.data_sets import joined, names_of, open_data, open_data_sets, with_named_sources
from manyhot.runs.evaluating import evaluate_run
from manyhot.runs.fitting import train
from manyhot.runs.joint_splits import decide_joint_splits
from manyhot.runs.mixing import log_data_sets, mixed_order
from manyhot.runs.run import Run
from manyhot.runs.splits import load_splits
from manyhot.sources import Manifest, SourceOptions

FLAGS = ["--encoder", "test_resnet", "--pretrained", "none", "--image-size", "32", "--batch-size", "8", "--epochs", "1"]
FLAGS += ["--training.workers", "0", "--mixture.temperature", "inf"]


def write_data(folder: Path, labels: list[list[str]], splits: list[str] | None = None) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(len(labels))
    lines = ["file,labels" + (",split" if splits else "")]
    for row, names in enumerate(labels):
        Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(folder / f"{row}.png")
        lines.append(f"{row}.png,{'|'.join(names)}" + (f",{splits[row]}" if splits else ""))
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several")
    fine = [["tabby"], ["siamese"], ["van"], []]
    write_data(folder / "photos", [fine[row % 4] for row in range(41)])
    write_data(folder / "drawings", [[["cat"], ["car"]][row % 2] for row in range(20)])
    (folder / "links.json").write_text(json.dumps({"cat": ["tabby", "siamese"], "car": ["van"]}))
    return folder


def config_of(data: Path) -> DataConfig:
    paths = (str(data / "photos"), str(data / "drawings"))
    return DataConfig(path=paths, mapping={"drawings": str(data / "links.json")})


@pytest.fixture(scope="module")
def trained(data: Path) -> Run:
    arguments = [str(data / "photos"), str(data / "drawings"), "--data.mapping.drawings", str(data / "links.json")]
    assert main(["train", *arguments, "--out", str(data / "run"), *FLAGS]) == 0
    return Run(data / "run")


def test_the_run_knows_the_labels_of_all_and_the_splits_of_each(trained: Run) -> None:
    assert trained.bundle.space.names == ("siamese", "tabby", "van", "car", "cat")
    table = pq.read_table(trained.folder / "splits.parquet")
    found = [reference.split("/")[0] for reference in table["reference"].to_pylist()]
    for name in ("photos", "drawings"):
        own = {split for split, other in zip(table["split"].to_pylist(), found, strict=True) if other == name}
        assert own == {"train", "val", "test"}


def test_a_run_is_measured_on_each_of_its_data_sets_by_its_own_split(trained: Run, data: Path) -> None:
    whole = evaluate_run(trained)
    parts = [evaluate_run(trained, data / name) for name in ("photos", "drawings")]
    assert sum(part.num_samples for part in parts) == whole.num_samples
    # The photographs know of cat and car as well, the drawings of no fine label.
    assert [part.figures["map_macro"].defined for part in parts] == [5, 2]
    with pytest.raises(ManyhotError, match="trained on"):
        evaluate_run(trained, data / "drawings", split="train")


def test_check_reads_all_data_of_a_run(trained: Run, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--run", str(trained.folder)]) == 0
    assert "61" in capsys.readouterr().out.splitlines()[0]


def test_check_goes_on_where_the_links_are_gone(trained: Run, data: Path) -> None:
    (data / "links.json").rename(data / "moved.json")
    try:
        found = {finding.name: finding for finding in check_run(trained.folder).findings}
    finally:
        (data / "moved.json").rename(data / "links.json")
    assert found["unjoined-data"].severity == "error"
    assert "there is no such file of links (data.mapping.drawings)" in found["unjoined-data"].message
    assert len(found) > 1


def test_the_recipe_of_a_run_repeats_it_and_a_finished_one_goes_on_to_the_same_figures(trained: Run) -> None:
    recipe = load_recipe(trained.folder / "recipe.toml")
    assert recipe.mixture.temperature == float("inf")
    assert len(recipe.data.paths) == 2
    figures = trained.evaluation.to_dict()
    (trained.folder / "metrics.json").unlink()
    assert train(Recipe(), trained.folder, resume=True).evaluation.to_dict() == figures


def test_a_stored_mixture_has_the_cells_of_the_data_in_memory(data: Path, tmp_path: Path) -> None:
    paths = [data / "photos", data / "drawings"]
    mapping = {"drawings": str(data / "links.json")}
    stored = convert(paths, tmp_path / "both.store", mapping=mapping).store.labels
    kept = joined([one.aligned() for one in open_data_sets(paths, SourceOptions(), mapping)]).labels
    assert stored.space == kept.space
    assert np.array_equal(stored.take(range(61)).to_multi_hot(), kept.to_multi_hot(), equal_nan=True)


def test_without_a_mixture_every_sample_comes_once_and_the_log_says_how_many_each_has(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels = joined([one.aligned() for one in open_data(config_of(data))]).labels
    with caplog.at_level(logging.INFO, "manyhot"):
        log_data_sets(labels)
    assert "photos 41, drawings 20; each comes once an epoch" in caplog.text


def sets_of(sizes: dict[str, int]) -> LabelSets:
    return LabelSets(
        space=LabelSpace(names=("a",)),
        positives=LabelSets.from_names([["a"]] * sum(sizes.values())).positives,
        sources=tuple(LabelSource(name=name, annotated=(0,)) for name in sizes),
        source_ids=np.repeat(np.arange(len(sizes), dtype=np.uint16), list(sizes.values())),
    )


@pytest.mark.parametrize(
    ("settings", "counts"),
    [
        ({"temperature": 2.0}, [825, 275]),
        ({"temperature": float("inf")}, [550, 550]),
        ({"weight": {"photos": 1.0, "drawings": 4.0}}, [220, 880]),
        ({"weight": {"photos": 0.0, "drawings": 4.0}}, [0, 110]),
        ({"epoch_length": 10}, [9, 1]),
        ({"weight": {"photos": 1, "drawings": 1}, "epoch_length": 7}, [4, 3]),
    ],
)
def test_an_epoch_is_counted_to_the_sample_and_said(
    settings: dict, counts: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "manyhot"):
        order = mixed_order(MixtureConfig(**settings), sets_of({"photos": 990, "drawings": 110}), seed=0)
    assert order.counts.tolist() == counts
    assert order.epoch_length == sum(counts)
    assert np.bincount(order.draw(3, 0, order.epoch_length).indices >= 990, minlength=2).tolist() == counts
    assert all(f"{count:,}" in line for count, line in zip(counts, caplog.messages[1:], strict=True) if count)


def test_sources_of_one_name_are_one_data_set() -> None:
    labels = sets_of({"photos": 30, "x": 10, "y": 20})
    names = ("photos", "drawings", "drawings")
    sources = tuple(LabelSource(name=name, annotated=(0,)) for name in names)
    labels = LabelSets(space=labels.space, positives=labels.positives, sources=sources, source_ids=labels.source_ids)
    assert mixed_order(MixtureConfig(temperature=9.0), labels, seed=0).counts.tolist() == [30, 30]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weight": {"fotos": 1}}, "mixture.weight.fotos: there is no such data set; did you mean 'photos'"),
        ({"weight": {"photos": 1}}, "mixture.weight has none for 'drawings'"),
        ({"weight": {"photos": 1, "drawings": 1, "test": 1}}, "test: has no training sample"),
    ],
)
def test_weights_that_do_not_fit_the_data_are_refused_by_name(settings: dict, message: str) -> None:
    with pytest.raises(ManyhotError, match=message):
        mixed_order(MixtureConfig(**settings), sets_of({"photos": 3, "drawings": 1, "test": 0}), seed=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MixtureConfig(temperature=0.99), "mixture.temperature is 0.99; it must be 1 or more"),
        (lambda: MixtureConfig(temperature=2.0, weight={"a": 1.0}), "give one of them"),
        (lambda: MixtureConfig(weight={"a": -1.0}), "mixture.weight.a is -1.0"),
        (lambda: MixtureConfig(weight={"a": 0.0}), "leaves every data set out"),
        (lambda: MixtureConfig(epoch_length=0), "mixture.epoch_length is 0"),
        (lambda: Recipe(mixture=MixtureConfig(temperature=2.0), loading=LoadingConfig(order="windowed")), "'windowed'"),
        (
            lambda: Recipe(mixture=MixtureConfig(temperature=2.0), loading=LoadingConfig(sampling="inverse")),
            "'inverse'",
        ),
        (
            lambda: Recipe(
                loss=BinaryCrossEntropyConfig(source_weight={"a": 2.0}), augmentation=AugmentationConfig(mixup=0.2)
            ),
            "loss.source_weight weighs samples",
        ),
        (lambda: DataConfig(path=("a", "b", "a")), "'a' stands twice"),
        (lambda: DataConfig(path=()), "data.path"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_one_data_set_alone_is_no_mixture() -> None:
    with pytest.raises(ConfigError, match="takes several data sets, and there is one"):
        mixed_order(MixtureConfig(temperature=2.0), LabelSets.from_names([["a"]]), seed=0)


def test_links_that_cannot_be_read_are_named(data: Path, tmp_path: Path) -> None:
    paths, options = [data / "photos", data / "drawings"], SourceOptions()
    (tmp_path / "strange.json").write_text('{"dog": ["tabby"]}')
    (tmp_path / "empty.json").write_text("{}")
    for mapping, message in (
        ({"drawing": "x.json"}, "data.mapping.drawing: there is no such data set; did you mean 'drawings'"),
        ({"drawings": str(tmp_path / "absent.json")}, "no such file of links .data.mapping.drawings"),
        ({"drawings": str(tmp_path / "strange.json")}, "keys are labels of drawings"),
        ({"drawings": str(tmp_path / "empty.json")}, "links no label of drawings"),
        ({name: str(data / "links.json") for name in ("photos", "drawings")}, "every data set has links"),
    ):
        with pytest.raises(ManyhotError, match=message):
            open_data_sets(paths, options, mapping)
    with pytest.raises(ConfigError, match="there is one"):
        open_data_sets(paths[:1], options, {"photos": str(data / "links.json")})


def test_links_may_be_written_from_either_side(data: Path, tmp_path: Path) -> None:
    (tmp_path / "turned.json").write_text('{"tabby": "cat", "siamese": "cat", "van": "car"}')
    (tmp_path / "table.csv").write_text("coarse,fine\ncat,tabby\ncat,siamese\ncar,van\n")
    labels = []
    for file in (data / "links.json", tmp_path / "turned.json", tmp_path / "table.csv"):
        sets = open_data_sets([data / "photos", data / "drawings"], SourceOptions(), {"drawings": str(file)})
        labels.append(joined([one.aligned() for one in sets]).labels.to_multi_hot())
    assert all(np.array_equal(labels[0], other, equal_nan=True) for other in labels[1:])


def test_ids_that_can_be_read_from_either_side_are_refused_unless_they_say_the_same(tmp_path: Path) -> None:
    first = write_data(tmp_path / "first", [["ant"], ["bee"], ["cat"]])
    second = write_data(tmp_path / "second", [["Hund"], ["Katze"], ["Maus"]])
    links = tmp_path / "links.json"
    mapping = {"second": str(links)}
    links.write_text('{"0": 1, "1": 0}')
    space = open_data_sets([first, second], SourceOptions(), mapping)[1].aligned().labels.space
    assert space.names == ("ant", "bee", "cat", "Maus")
    for ambiguous in ('{"0": 1, "1": 2}', '{"0": [0, 1], "1": [0, 1]}'):
        links.write_text(ambiguous)
        with pytest.raises(SourceError, match=r"keys can be labels of second or of the other data sets.*write names"):
            open_data_sets([first, second], SourceOptions(), mapping)
    links.write_text('{"Hund": "bee", "1": 2}')
    space = open_data_sets([first, second], SourceOptions(), mapping)[1].aligned().labels.space
    assert space.names == ("ant", "bee", "cat", "Maus")


def test_relative_paths_are_called_as_the_run_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data/here").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "data/here")
    for typed in (["..", "."], ["../one", "../../one"], [".", "../here"], ["../here/../one", "two/"]):
        kept = [Path(os.path.abspath(path)) for path in typed]  # noqa: PTH100 - as a run keeps them
        assert names_of([Path(path) for path in typed]) == names_of(kept)


def test_a_source_that_is_called_as_another_data_set_is_told_apart() -> None:
    labels = sets_of({"photos": 2, "drawings": 1, "data": 1})
    manifest = Manifest.from_lists(Path(), list("abcd"), labels)
    named = with_named_sources(manifest, "all.store", others={"photos", "paintings"})
    assert [source.name for source in named.labels.sources] == ["all.store/photos", "drawings", "all.store"]


def test_a_store_and_a_folder_that_its_source_is_called_after_are_two_data_sets(data: Path, tmp_path: Path) -> None:
    convert([data / "photos", data / "drawings"], tmp_path / "both.store")
    photos = write_data(tmp_path / "photos", [["van"], []])
    sets = open_data_sets([tmp_path / "both.store", photos], SourceOptions(), {})
    names = [source.name for source in joined([one.aligned() for one in sets]).labels.sources]
    assert names == ["both.store/photos", "drawings", "photos"]


def write_tar(path: Path, labels: list[list[str]]) -> Path:
    with tarfile.open(path, "w") as shard:
        for row, names in enumerate(labels):
            picture = io.BytesIO()
            Image.new("RGB", (12, 12), (row, len(path.stem), 0)).save(picture, "PNG")
            for name, content in ((f"{row}.png", picture.getvalue()), (f"{row}.json", json.dumps(names).encode())):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                shard.addfile(info, io.BytesIO(content))
    return path


def test_the_same_keys_in_two_tars_of_a_folder_are_different_pictures(tmp_path: Path) -> None:
    labels = [[["cat"], ["dog"], []][row % 3] for row in range(30)]
    paths = [write_tar(tmp_path / name, labels[start:]) for start, name in enumerate(("a.tar", "more.tar"))]
    sets = open_data_sets(paths, SourceOptions(), {})
    whole = joined([one.aligned() for one in sets])
    assert [whole.references()[row] for row in (0, 30)] == ["a.tar/0.png", "more.tar/0.png"]
    assert whole.pictures.read(30) == sets[1].manifest.pictures.read(0)
    assert {*splits_of(paths)} == {"train", "val", "test"}


def splits_of(folders: list[Path]) -> list[str]:
    sets = open_data_sets(folders, SourceOptions(), {})
    parts = {one.name: one.aligned() for one in sets}
    return list(decide_joint_splits(parts, joined(list(parts.values())), SplitConfig(), seed=0).names)


def test_a_data_set_may_only_measure(data: Path, tmp_path: Path) -> None:
    measured = write_data(tmp_path / "measured", [["van"], []], ["test", "test"])
    assert splits_of([data / "photos", measured])[-2:] == ["test", "test"]
    with pytest.raises(SourceError, match="no data set brings a sample of train"):
        splits_of([measured, write_data(tmp_path / "more", [["van"], []], ["val", "test"])])


def test_a_data_set_that_cannot_be_split_is_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="tiny: 1 samples are too few"):
        splits_of([data / "photos", write_data(tmp_path / "tiny", [["van"]])])


def test_a_picture_of_two_data_sets_is_never_in_two_splits(tmp_path: Path) -> None:
    folder = write_data(tmp_path / "photos", [[["cat"], ["dog"], []][row % 3] for row in range(30)])
    (folder / "labels.csv").rename(folder / "first.csv")
    lines = (folder / "first.csv").read_text().splitlines()
    (folder / "second.csv").write_text("\n".join([lines[0], *(line.replace("cat", "dog") for line in lines[:0:-1])]))
    with pytest.raises(SourceError, match="would be in several splits, the first is"):
        splits_of([folder / "first.csv", folder / "second.csv"])


def write_groups(folder: Path, rows: list[tuple[str, str]]) -> Path:
    write_data(folder, [["cat"] for _ in rows], [split for split, _ in rows])
    lines = (folder / "labels.csv").read_text().splitlines()
    groups = ["group", *(group for _, group in rows)]
    (folder / "labels.csv").write_text("\n".join(f"{line},{group}" for line, group in zip(lines, groups, strict=True)))
    return folder


def test_a_group_of_two_data_sets_is_never_in_two_splits(tmp_path: Path) -> None:
    first = write_groups(tmp_path / "first", [("train", "anna"), ("val", "bob"), ("test", "carl"), ("test", "")])
    same = write_groups(tmp_path / "same", [("train", "anna"), ("val", "bob"), ("test", "dora"), ("train", "")])
    # What a data set does with groups of its own alone is its own affair.
    alone = write_groups(tmp_path / "alone", [("train", "emil"), ("val", "emil"), ("test", "carl"), ("test", "emil")])
    assert len(splits_of([first, same, alone])) == 12
    parted = write_groups(tmp_path / "parted", [("train", "carl"), ("val", "fred"), ("test", "gina")])
    with pytest.raises(SourceError, match=r"2 samples of groups of several data sets .* the first is 'carl'"):
        splits_of([first, parted])


def test_a_recipe_of_several_data_sets_is_written_and_read(tmp_path: Path) -> None:
    recipe = Recipe(
        data=DataConfig(path=("a", "b"), mapping={"b": "links.json"}),
        mixture=MixtureConfig(weight={"a": 1.0, "b.store": 0.5}, epoch_length=1000),
    )
    (tmp_path / "recipe.toml").write_text(dump_recipe(recipe))
    assert load_recipe(tmp_path / "recipe.toml") == recipe


def test_the_saved_splits_fit_only_the_same_data(trained: Run, data: Path) -> None:
    saved = load_splits(trained.folder).splits.fingerprint
    assert joined([one.aligned() for one in open_data(config_of(data))]).fingerprint == saved
    unlinked = open_data(DataConfig(path=config_of(data).path))
    assert joined([one.aligned() for one in unlinked]).fingerprint != saved


def test_the_order_is_a_mixture(data: Path) -> None:
    labels = joined([one.aligned() for one in open_data(config_of(data))]).labels
    assert isinstance(mixed_order(MixtureConfig(temperature=2.0), labels, seed=0), Mixed)
