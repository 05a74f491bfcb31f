"""What is no list of samples at all, or is cut off, is said in one line instead of once a row."""

import gzip
import io

import pytest

from manyhot.errors import LabelError, SourceError
from manyhot.labels import LabelSpace
from manyhot.labels.hierarchy import with_parents
from manyhot.sources import SourceOptions, open_source, read_source

WHOLES = {
    "links between labels": ('{"6": 0, "11": 1}', "maps labels to labels"),
    "links to several labels": ('{"knife": [499], "clock": [409, 530]}', "read_mapping"),
    "labels apart from samples": (
        '{"classes": ["sky", "road"], "present": {"a.jpg": [0, 1], "b.jpg": [1]}}',
        "key 'present' holds an object of 2 names with numbers",
    ),
}


@pytest.mark.parametrize(("text", "says"), WHOLES.values(), ids=WHOLES)
def test_a_file_of_numbers_is_one_error(write, text, says):
    reading = read_source(write({"l.json": text}) / "l.json")
    assert [finding.name for finding in reading.errors] == ["json-shape"]
    assert says in reading.errors[0].line
    assert "samples are {name: [label, …]}" in reading.errors[0].line


def test_a_single_number_among_labels_is_an_error_of_its_row(write):
    file = write({"l.json": '{"a.jpg": ["cat"], "b.jpg": [3]}'}) / "l.json"
    errors = read_source(file, SourceOptions(pictures=False)).errors
    assert [finding.name for finding in errors] == ["label-type"]


def test_a_folder_of_several_sets_asks_for_one_of_them(write):
    root = write({f"{name}.{kind}": "x" for name in ("birds", "yeast-train") for kind in ("arff", "xml")})
    with pytest.raises(SourceError, match=r"name one of these files: 'birds.xml', 'yeast-train.xml'"):
        open_source(root)


def cut(text: str, size: int) -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file:
        file.write(text.encode())
    return packed.getvalue()[:size]


ROWS = "".join(f"{row * 7919 % 997}.jpg,label{row * 31 % 89}\n" for row in range(5_000))
CUT = {
    "t.csv.gz": f"file,labels\n{ROWS}",
    "t.tsv.gz": f"file\tlabels\n{ROWS}".replace(",", "\t"),
    "t.txt.gz": f"5000 2\n{ROWS}",
    "t.json.gz": "{" + ROWS,
    "t.arff.gz": f"@relation x\n{ROWS}",
    "t.jsonl.gz": ROWS,
    "open.csv.gz": "ImageID,LabelName,Confidence\n"
    + "".join(f"{row * 7919 % 997},/m/{row},1\n" for row in range(5_000)),
}


@pytest.mark.parametrize("size", [15, 200, 9_000])
@pytest.mark.parametrize(("name", "text"), CUT.items())
def test_a_gzip_file_that_is_cut_off_is_said_to_be(write, name, text, size):
    root = write({name: cut(text, size), "t.xml": '<labels><label name="a"/></labels>'})
    assert any("is cut off" in finding.message for finding in read_source(root / name).errors)


@pytest.mark.parametrize(
    "call",
    [
        lambda name: LabelSpace(names=("a",)).id_of(name),
        lambda name: LabelSpace(names=(name, name)),
        lambda name: with_parents(LabelSpace(names=("a",)), {"a": [name]}),
        lambda name: with_parents(LabelSpace(names=("a",)), {name: ["a"]}),
    ],
)
def test_no_error_quotes_a_name_of_ten_thousand_letters(call):
    with pytest.raises(LabelError) as caught:
        call("x" * 10_000)
    assert len(str(caught.value)) < 600
