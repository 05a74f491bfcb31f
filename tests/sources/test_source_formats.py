"""Each format gives the labels, states and splits that a small hand-written fixture says."""

import gzip
import io
import tarfile

import numpy as np
import pytest

from manyhot.errors import SourceError
from manyhot.sources import SourceOptions, open_source, read_source

MULAN_XML = """<labels xmlns="x"><label name="sky's"/><label name="sea"/></labels>"""
ARFF = "@relation x\n@attribute a numeric\n@attribute 'sky\\'s' {0,1}\n@attribute sea {0,1}\n@data\n"
VOC = "<annotation><filename>a.jpg</filename>%s</annotation>"
OBJECT = "<object><name>%s</name><difficult>%d</difficult></object>"
COCO = """{"images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
 "categories": [{"id": 7, "name": "cat"}, {"id": 9, "name": "dog"}],
 "annotations": [{"id": 1, "image_id": 1, "category_id": 9, "iscrowd": 1}%s]}"""
CHEXPERT = "Path,Sex,Age,Frontal/Lateral,AP/PA,Edema,Mass\ntrain/patient00001/a.jpg,F,50,Frontal,AP,1,%s\n"


def dense(manifest):
    return np.nan_to_num(manifest.labels.to_multi_hot(), nan=-1).tolist()


def test_open_images_keeps_three_states_names_and_parents(write):
    root = write(
        {
            "train-labels.csv": "ImageID,Source,LabelName,Confidence\nx,v,/m/1,1\nx,v,/m/2,0\nx,m,/m/3,0.7\ny,v,/m/3,1\n",
            "class-descriptions.csv": "/m/1,Cat\n/m/2,Dog\n/m/3,Animal\n",
            "hierarchy.json": '{"LabelName": "/m/0", "Subcategory": [{"LabelName": "/m/3", "Subcategory": [{"LabelName": "/m/1"}]}]}',
            "images/x.jpg": b"",
            "images/deep/y.png": b"",
        }
    )
    manifest = open_source(root)
    assert manifest.labels.space.names == ("Cat", "Dog", "Animal")
    assert manifest.labels.space.parents == ((2,), (), ())
    assert dense(manifest) == [[1, 0, -1], [-1, -1, 1]]
    assert manifest.references() == ["x.jpg", "deep/y.png"]
    assert manifest.splits() == ["train", "train"]


@pytest.mark.parametrize(
    ("first", "says"),
    [
        ("http://x/a.jpg 0;0.5", "line 1: '0;0.5'"),
        ("http://x/a.jpg 0:high", "line 1: '0:high'"),
        ("http://x/a.jpg :0.5", "line 1: ':0.5'"),
        ("a.jpg 0,0.5", "line 1: '0,0.5'"),
    ],
)
@pytest.mark.parametrize("others", ["", "http://x/b.jpg\t1:0.25\n"])
def test_a_malformed_first_row_is_named_and_its_format_known(write, first, says, others):
    root = write({"rows.txt": f"{first}\n{others}"})
    errors = {finding.name: finding.line for finding in read_source(root / "rows.txt").errors}
    assert says in errors["pair-syntax"]
    assert f"{root / 'rows.txt'}: a token is no 'id:confidence'; mend it, or delete the row" in errors["pair-syntax"]
    assert "unknown-format" not in errors


def test_tencent_rows_keep_confidence_and_parents(write):
    dictionary = (
        "category_index\tcategory_id\tindex_of_parent_category\tcategory name\n0\tn0\t-1\tthing\n1\tn1\t0\tcat\n"
    )
    rows = "https://x/a.jpg\t0:1\t1:0.5\nhttps://x/b.jpg\n"
    root = write({"dictionary_and_semantic_hierarchy.txt": dictionary, "rows.txt": rows})
    manifest = open_source(root / "rows.txt")
    assert not manifest.has_pictures
    assert manifest.labels.space.parents == ((), (0,))
    assert dense(manifest) == [[1, 1], [0, 0]]
    assert manifest.labels.confidence is not None
    assert manifest.labels.confidence.tolist() == [1.0, 0.5]


def test_extreme_text_keeps_features_and_rows_without_labels(write):
    root = write({"train.txt": "3 4 3\n2,0 1:0.5 3:2\n 0:1\n1\n"})
    manifest = open_source(root / "train.txt")
    assert dense(manifest) == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert manifest.features is not None
    assert manifest.features.to_dense().tolist() == [[0, 0.5, 0, 2], [1, 0, 0, 0], [0, 0, 0, 0]]


def test_extreme_labels_alone_keep_blank_rows(write):
    root = write({"y.txt": "3 2\n0:1.0 1:1.0\n\n1:0.5\n"})
    assert dense(open_source(root / "y.txt")) == [[1, 1], [0, 0], [0, 1]]


@pytest.mark.parametrize("rows", ["1.5,1,0\n0,?,1\n", "{0 1.5,1 1}\n{1 ?,2 1}\n"])
def test_mulan_reads_dense_and_sparse_rows_alike(write, rows):
    root = write({"x.xml": MULAN_XML, "x-train.arff": ARFF + rows, "x-test.arff": ARFF + rows})
    manifest = open_source(root / "x.xml")
    assert manifest.labels.space.names == ("sky's", "sea")
    assert dense(manifest) == [[1, 0], [-1, 1]] * 2
    assert manifest.splits() == ["test", "test", "train", "train"]
    assert manifest.features is not None
    assert manifest.features.to_dense()[:, 0].tolist() == [1.5, 0, 1.5, 0]


def test_coco_keeps_images_and_categories_without_annotations(write):
    manifest = open_source(write({"labels.json": COCO % "", "a.jpg": b"", "b.jpg": b""}))
    assert manifest.labels.space.names == ("cat", "dog")
    assert dense(manifest) == [[0, 1], [0, 0]]


def test_voc_takes_labels_of_difficult_objects_alone_as_unknown(write):
    objects = OBJECT % ("cat", 1) + OBJECT % ("dog", 1) + OBJECT % ("dog", 0)
    manifest = open_source(write({"Annotations/a.xml": VOC % objects, "JPEGImages/a.jpg": b""}))
    assert dense(manifest) == [[-1, 1]]


def test_yolo_reads_splits_from_folders_and_pictures_without_objects(write):
    root = write(
        {
            "data.yaml": "nc: 2\nnames: [cat, 'hot dog']\n",
            "images/train/a.jpg": b"",
            "images/val/b.jpg": b"",
            "labels/train/a.txt": "1 0.5 0.5 0.1 0.1\n1 0.5 0.5 0.1 0.1\n",
        }
    )
    manifest = open_source(root)
    assert manifest.labels.space.names == ("cat", "hot dog")
    assert dense(manifest) == [[0, 1], [0, 0]]
    assert manifest.splits() == ["train", "val"]


def test_chexpert_asks_what_minus_one_means(write):
    root = write({"t.csv": CHEXPERT % "-1"})
    options = {value: SourceOptions(uncertain=value, pictures=False) for value in ("unknown", "positive", "negative")}
    assert [dense(open_source(root / "t.csv", each)) for each in options.values()] == [[[1, -1]], [[1, 1]], [[1, 0]]]
    assert open_source(root / "t.csv", options["unknown"]).groups() == ["patient00001"]
    with pytest.raises(SourceError, match=r"--data\.uncertain unknown"):
        open_source(root / "t.csv", SourceOptions(pictures=False))


def test_nih_reads_no_finding_as_no_label_and_patients_as_groups(write):
    root = write({"t.csv": "Image Index,Finding Labels,Patient ID\na.png,Mass|Edema,1\nb.png,No Finding,1\n"})
    manifest = open_source(root / "t.csv", SourceOptions(pictures=False))
    assert dense(manifest) == [[1, 1], [0, 0]]
    assert manifest.groups() == ["1", "1"]


def test_hugging_face_metadata_take_names_from_the_class_label(write):
    root = write(
        {
            "train/metadata.jsonl": '{"file_name": "a.jpg", "labels": [1]}\n{"file_name": "b.jpg", "labels": []}\n',
            "train/a.jpg": b"",
            "train/b.jpg": b"",
            "dataset_info.json": '{"features": {"labels": {"feature": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}',
        }
    )
    manifest = open_source(root)
    assert manifest.labels.space.names == ("cat", "dog")
    assert dense(manifest) == [[0, 1], [0, 0]]
    assert (manifest.references(), manifest.splits()) == (["train/a.jpg", "train/b.jpg"], ["train", "train"])


def tar_of(members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as shard:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            shard.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def test_webdataset_reads_json_and_cls_members(write):
    shard = tar_of({"0.jpg": b"", "0.json": b'{"labels": ["cat", "dog"]}', "1.jpg": b"", "1.json": b"[]"})
    manifest = open_source(write({"s.tar": shard}) / "s.tar")
    assert dense(manifest) == [[1, 1], [0, 0]]
    assert manifest.references() == ["0.jpg", "1.jpg"]


def test_shards_as_webdataset_itself_writes_them_are_read(write):
    # As its TarWriter does: keys with folders, members of a key by name, owners, and times in headers of their own.
    members = {}
    for key, label, picture in (("a/b00000", b"2", b"one"), ("a/b00001", b"0", b"two")):
        others = {"left.pyd": b"\x80\x04N.", "npy": b"\x93NUMPY", "txt": b"some words"}
        of_key = {"cls": label, "png": picture, **others}
        members |= {f"{key}.{kind}": of_key[kind] for kind in sorted(of_key)}
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w|") as shard:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.uname, info.gname = len(content), 0o444, "bigdata", "bigdata"
            info.mtime = 1795887406.168792
            shard.addfile(info, io.BytesIO(content))
    manifest = open_source(write({"s-00000.tar": stream.getvalue()}))
    assert manifest.references() == ["a/b00000.png", "a/b00001.png"]
    assert [bytes(manifest.pictures.read(row)) for row in range(2)] == [b"one", b"two"]
    assert manifest.labels.space.names == ("0", "2")
    assert dense(manifest) == [[0, 1], [1, 0]]


def test_webdataset_gives_each_picture_from_its_place(write):
    first = tar_of({"0.jpg": b"one", "0.json": b'["cat"]', "1.json": b"[]", "1.png": b"two"})
    root = write({"a.tar": first, "b.tar": tar_of({"2.json": b"[]", "2.jpg": b"three"})})
    manifest = open_source(root)
    assert manifest.has_pictures
    assert [bytes(manifest.pictures.read(row)) for row in (2, 0, 1)] == [b"three", b"one", b"two"]
    assert [bytes(manifest.take([1]).pictures.read(0)), manifest.pictures.size_of(2)] == [b"two", 5]
    assert manifest.pictures.name_of(2) == f"{root / 'b.tar'}: 2.jpg"


def test_a_sample_of_a_tar_without_a_picture_is_named_where_others_have_one(write):
    root = write({"s.tar": tar_of({"0.jpg": b"one", "0.json": b"[]", "1.json": b'["cat"]'})})
    (error,) = read_source(root).errors
    assert (error.name, error.examples) == ("no-picture", ("s.tar, key '1'",))


def test_pictures_of_a_compressed_tar_are_not_read_and_that_is_said(write):
    packed = gzip.compress(tar_of({"0.jpg": b"one", "0.json": b'["cat"]'}))
    reading = read_source(write({"s.tar.gz": packed}) / "s.tar.gz")
    assert [finding.name for finding in reading.findings] == ["embedded-pictures"]
    assert not reading.manifest.has_pictures


def test_lists_of_numbers_keep_empty_rows(write):
    assert dense(open_source(write({"r.json": "[[], [2, 0]]"}) / "r.json")) == [[0, 0, 0], [1, 0, 1]]


BROKEN = [
    ("a count of rows", "t.txt", "3 2\n0:1\n", "header", "line 1 says 3 samples"),
    ("a label out of range", "t.txt", "1 2\n2:1\n", "unknown-label", "line 2: 2"),
    ("a value above one", "t.txt", "1 2\n1:7\n", "confidence", "1:7"),
    ("a token that is no pair", "t.txt", "1 2\n1;1\n", "pair-syntax", "'1;1'"),
    ("a feature out of range", "t.txt", "1 2 2\n0 5:1\n", "unknown-feature", "line 2: 5"),
    ("a NaN confidence", "t.txt", "http://a\t1:nan\nhttp://b\t0:1\n", "pair-syntax", "line 1: '1:nan'"),
    ("a confidence of zero", "t.txt", "http://a\t1:0\n", "confidence", "line 1"),
    ("bytes that are no text", "t.txt", b"1 2\n\xe9:1\n", "encoding", "line 2"),
    ("an ARFF without XML", "t.arff", ARFF + "1,1,0\n", "no-names", "t.xml"),
    ("a confidence above one", "t.csv", "ImageID,LabelName,Confidence\na,b,2\n", "confidence", "line 2: '2'"),
    ("a confidence that is a word", "t.csv", "ImageID,LabelName,Confidence\na,b,nan\n", "confidence", "line 2: 'nan'"),
    ("a ragged row", "t.csv", "ImageID,LabelName,Confidence\na,b\n", "csv-syntax", "Expected 3 columns"),
    ("an unknown category", "t.json", COCO % ', {"image_id": 1, "category_id": 4}', "unknown-id", "annotations[1]: '4'"),
    ("an unknown image", "t.json", COCO % ', {"image_id": 5, "category_id": 9}', "unknown-id", "annotations[1]: '5'"),
    ("captions", "t.json", '{"images": [], "annotations": []}', "json-shape", "captions"),
    ("a COCO file cut off", "t.json", (COCO % "")[:-9], "json-syntax", "mend the JSON"),
    ("a negative number", "t.json", "[[1], [-2]]", "label-type", "entry 1: -2"),
    ("a number that is none", "t.json", "[[1], [0.5]]", "label-type", "entry 1: 0.5"),
    ("a tar cut off", "t.tar", tar_of({"0.jpg": b"x" * 2000})[:1000], "unreadable-file", "tar"),
    ("a sample without labels", "t.tar", tar_of({"0.jpg": b""}), "no-labels", "key '0'"),
    ("a broken member", "t.tar", tar_of({"0.json": b"[}"}), "json-syntax", "key '0'"),
    ("no gzip", "t.csv.gz", b"\x1f\x8bxx", "unreadable-file", "gzip"),
    ("a finding beside none", "t.csv", "Image Index,Finding Labels,Patient ID\na,No Finding|Mass,1\n", "contradiction", "line 2"),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "file", "content", "name", "says"), BROKEN, ids=[case[0] for case in BROKEN])
def test_a_broken_file_ends_in_a_finding_with_place_and_mend(write, claim, file, content, name, says):
    root = write({file: content})
    errors = [
        finding for finding in read_source(root / file, SourceOptions(pictures=False)).errors if finding.name == name
    ]
    assert errors, read_source(root / file).findings
    line = " ".join(finding.line for finding in errors)
    assert says in line
    assert file in line
    assert len(line.splitlines()) == 1


ARFF_BROKEN = [
    ("a label that the table lacks", MULAN_XML.replace("sea", "see"), ARFF + "1,1,0\n", "unknown-label", "did you mean 'sea'"),
    ("a ragged row", MULAN_XML, ARFF + "1,1\n", "ragged-row", "line 6: 2 values"),
    ("a label of 2", MULAN_XML, ARFF + "1,2,0\n", "cell-value", "line 6"),
    ("no data", MULAN_XML, ARFF[:-6], "arff-syntax", "@data"),
    ("an index too large", MULAN_XML, ARFF + "{9 1}\n", "unknown-column", "line 6: 9"),
    ("a sparse row cut off", MULAN_XML, ARFF + "{1 1\n", "arff-syntax", "line 6"),
    ("an attribute twice", MULAN_XML, ARFF.replace("sea", "a") + "1,1,0\n", "duplicate-column", "line 4"),
    ("a document type", f"<!DOCTYPE x>{MULAN_XML}", ARFF + "1,1,0\n", "xml-syntax", "refused"),
    ("XML cut off", MULAN_XML[:-4], ARFF + "1,1,0\n", "xml-syntax", "line 1"),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "xml", "arff", "name", "says"), ARFF_BROKEN, ids=[case[0] for case in ARFF_BROKEN])
def test_a_broken_mulan_set_ends_in_a_finding_with_place_and_mend(write, claim, xml, arff, name, says):
    root = write({"x.xml": xml, "x.arff": arff})
    lines = [finding.line for finding in read_source(root / "x.arff").errors if finding.name == name]
    assert lines, read_source(root / "x.arff").findings
    assert says in lines[0]
