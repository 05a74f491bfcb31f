"""Broken annotations, dictionaries, hierarchies and archives: each ends in one error with file, place and mend."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from manyhot.errors import SourceError
from manyhot.runs.converting import convert
from manyhot.sources import SourceOptions, open_source, read_source

Files = dict[str, str | bytes]
Case = tuple[Files, str, str, tuple[str, ...]]
LONG = "x" * 10_000
BOX = "0.5 0.5 0.1 0.1"


def voc(content: str | bytes, **beside: str) -> Files:
    return {
        "Annotations/a.xml": content,
        "JPEGImages/a.jpg": b"",
        **{f"ImageSets/Main/{key}.txt": text for key, text in beside.items()},
    }


def annotation(inner: str) -> str:
    return f"<annotation>\n<filename>a.jpg</filename>\n{inner}\n</annotation>"


def yolo(labels: str | bytes, names: str | bytes = "names: [cat, dog]\n", **beside: str | bytes) -> Files:
    return {
        "data.yaml": names,
        "images/a.jpg": b"",
        "labels/a.txt": labels,
        **{key.replace("__", "/").replace("_DOT_", "."): text for key, text in beside.items()},
    }


def tencent(rows: str | bytes, dictionary: str | bytes = "0\tn0\t-1\tthing\n1\tn1\t0\tcat\n") -> Files:
    return {"rows.txt": rows, "dictionary_and_semantic_hierarchy.txt": dictionary}


def open_images(
    rows: str | bytes = "x,/m/1,1\n", names: str | bytes = "/m/1,Cat\n", tree: str | bytes | None = None
) -> Files:
    rows = rows if isinstance(rows, bytes) else f"ImageID,LabelName,Confidence\n{rows}"
    files: Files = {"rows.csv": rows, "class-descriptions.csv": names}
    return files if tree is None else {**files, "hierarchy.json": tree}


def kind(name: str, *below: object) -> object:
    return {"LabelName": name, "Subcategory": list(below)}


def tar(members: dict[str, bytes], *, links: dict[str, str] | None = None) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as shard:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            shard.addfile(info, io.BytesIO(content))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            shard.addfile(info)
    return stream.getvalue()


def flipped(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 255]) + content[position + 1 :]


def mulan(xml: str | bytes, rows: str = "1,1,0\n", *, head: str | None = None) -> Files:
    head = (
        "@relation x\n@attribute a numeric\n@attribute sky {0,1}\n@attribute sea {0,1}\n@data\n"
        if head is None
        else head
    )
    return {"x.xml": xml, "x.arff": head + rows}


XML = '<labels><label name="sky"/><label name="sea"/></labels>'
GOOD = tar({"0.jpg": b"x", "0.json": b'["cat"]'})
ROW = "http://x/a\t1:0.5\n"

VOC: dict[str, Case] = {
    "VOC in UTF-16 that says UTF-8": (voc('<?xml version="1.0" encoding="utf-8"?><annotation/>'.encode("utf-16")), "", "xml-syntax", ("Annotations/a.xml", "line 1")),
    "VOC with a byte of Latin-1": (voc(annotation("<object><name>caf\xe9</name></object>").encode("latin-1")), "", "xml-syntax", ("a.xml", "line 3", "mend the XML")),
    "VOC with a control character": (voc(annotation("<object><name>c&#7;t</name></object>")), "", "xml-syntax", ("a.xml", "line 3")),
    "VOC cut off": (voc(annotation("<object>")[:-15]), "", "xml-syntax", ("a.xml", "line")),
    "an empty VOC file": (voc(b""), "", "empty-data", ("a.xml", "is empty")),
    "VOC with entities": (voc('<!DOCTYPE a [<!ENTITY b "c">]>' + annotation("")), "", "xml-syntax", ("a.xml", "document type", "delete it")),
    "VOC nested without end": (voc("<annotation>" + "<part>" * 9_999), "", "xml-syntax", ("a.xml", "nested too deeply")),
    "VOC of another kind": ({**voc(annotation("")), "Annotations/b.xml": "<labels/>"}, "", "xml-shape", ("b.xml", "<labels>", "move the file away")),
    "VOC without a name": (voc(annotation("<object/>")), "", "xml-shape", ("a.xml: line 3", "<name>", "write it")),
    "VOC with an empty name": (voc(annotation("<object><name> </name></object>")), "", "label-name", ("a.xml", "empty name")),
    "VOC with a name of 10,000 letters": (voc(annotation(f"<object><name>{LONG}</name></object>")), "", "label-name", ("a.xml", "10,000 characters")),
    "VOC that is difficult in another way": (voc(annotation("<object><name>a</name><difficult>2</difficult></object>")), "", "xml-shape", ("a.xml: line 3: '2'", "neither 0 nor 1")),
    "VOC without its picture": ({"Annotations/a.xml": annotation("<object><name>a</name></object>"), "JPEGImages/b.jpg": b""}, "", "missing-file", ("a.xml: 'a.jpg'", "add it")),
    "VOC with a path out of the root": (voc(annotation("<object><name>a</name></object>").replace("a.jpg", "../../b.jpg")), "", "outside-root", ("a.xml: '../../b.jpg'",)),
    "VOC with a picture twice": ({**voc(annotation("<object><name>a</name></object>")), "Annotations/b.xml": annotation("")}, "", "duplicate-row", ("b.xml: 'a.jpg' as in a.xml", "delete the other")),
    "VOC with a picture in two sets": (voc(annotation("<object><name>a</name></object>"), train="a\n", val="a\n"), "", "split-overlap", ("val.txt", "line 1: 'a', also in train.txt")),
    "VOC with a set in UTF-16": ({**voc(annotation("<object><name>a</name></object>")), "ImageSets/Main/train.txt": "a\n".encode("utf-16")}, "", "encoding", ("train.txt", "UTF-16")),
    "VOC with names that are not declared": ({**voc(annotation("<object><name>cta</name></object>")), "label_names.json": '["cat"]'}, "", "unknown-label", ("a.xml: 'cta'", "did you mean 'cat'")),
}  # fmt: skip

YOLO: dict[str, Case] = {
    "YOLO in Latin-1": (yolo(b"0 0.5 0.5 0.1 0.1 \xe9\n"), "", "encoding", ("labels/a.txt", "line 1", "UTF-8")),
    "YOLO in UTF-16": (yolo(f"0 {BOX}\n".encode("utf-16")), "", "encoding", ("labels/a.txt", "UTF-16")),
    "YOLO with a short line": (yolo(f"0 {BOX}\n1 0.5\n"), "", "yolo-syntax", ("labels/a.txt: line 2: '1 0.5'", "mend the line")),
    "YOLO with words": (yolo(f"cat {BOX}\n"), "", "yolo-syntax", ("line 1: 'cat ",)),
    "YOLO with NaN": (yolo("0 nan 0.5 0.1 0.1\n"), "", "yolo-syntax", ("line 1: '0 nan",)),
    "YOLO with a negative label": (yolo(f"-1 {BOX}\n"), "", "yolo-syntax", ("line 1: '-1 ",)),
    "YOLO with a label out of range": (yolo(f"2 {BOX}\n"), "", "unknown-label", ("labels/a.txt: line 1: 2", "below 2", "count from 0")),
    "YOLO without names": ({"images/a.jpg": b"", "labels/a.txt": f"0 {BOX}\n"}, "", "no-names", ("data.yaml or classes.txt",)),
    "YOLO with names that are none": (yolo(f"0 {BOX}\n", "names: cat\n"), "", "yaml-syntax", ("data.yaml", "line 1", "names: [cat, dog]")),
    "YOLO with a list that is open": (yolo(f"0 {BOX}\n", "names: [cat, dog\n"), "", "yaml-syntax", ("data.yaml", "does not end in ]")),
    "YOLO with numbers that skip": (yolo(f"0 {BOX}\n", "names:\n  0: cat\n  2: dog\n"), "", "yaml-syntax", ("line 1", "count from 0")),
    "YOLO with no key for names": (yolo(f"0 {BOX}\n", "nc: 2\n"), "", "yaml-syntax", ("data.yaml", "no key 'names'")),
    "YOLO with a name twice": (yolo(f"0 {BOX}\n", "names: [cat, cat]\n"), "", "duplicate-label", ("data.yaml", "name 2: 'cat' as in name 1")),
    "YOLO with an empty name": (yolo(f"0 {BOX}\n", "names: [cat, '']\n"), "", "label-name", ("data.yaml", "name 2", "empty name")),
    "YOLO with names in UTF-16": (yolo(f"0 {BOX}\n", "names: [cat]\n".encode("utf-16")), "", "encoding", ("data.yaml", "UTF-16")),
    "YOLO with an empty file of names": (yolo(f"0 {BOX}\n", b""), "", "empty-data", ("data.yaml", "empty")),
    "YOLO with labels of no picture": (yolo(f"0 {BOX}\n", labels__lost_DOT_txt=f"1 {BOX}\n"), "", "missing-file", ("'labels/lost.txt'", "add the picture")),
}  # fmt: skip

DICTIONARIES: dict[str, Case] = {
    "a dictionary in UTF-16": (tencent(ROW, "0\tn0\t-1\tthing\n".encode("utf-16")), "rows.txt", "encoding", ("dictionary", "UTF-16")),
    "a dictionary in Latin-1": (tencent(ROW, "0\tn0\t-1\tcaf\xe9\n".encode("latin-1")), "rows.txt", "encoding", ("line 1", "0xe9")),
    "an empty dictionary": (tencent(ROW, b""), "rows.txt", "empty-data", ("dictionary", "empty")),
    "a dictionary parted by blanks": (tencent(ROW, "0 n0 -1 thing\n"), "rows.txt", "dictionary-entry", ("line 1", "parted by tabs")),
    "a dictionary with an index twice": (tencent(ROW, "0\tn0\t-1\ta\n0\tn1\t-1\tb\n"), "rows.txt", "dictionary-entry", ("line 2: '0' instead of 1", "in order")),
    "a dictionary with an unknown parent": (tencent(ROW, "0\tn0\t-1\ta\n1\tn1\t7\tb\n"), "rows.txt", "dictionary-entry", ("line 2: '7'", "parent", "mend it")),
    "a dictionary whose parent is a word": (tencent(ROW, "0\tn0\tthing\ta\n"), "rows.txt", "dictionary-entry", ("line 1: 'thing'",)),
    "a dictionary with its own parent": (tencent(ROW, "0\tn0\t0\ta\n"), "rows.txt", "dictionary-entry", ("line 1: '0'",)),
    "a dictionary that goes in a circle": (tencent(ROW, "0\tn0\t1\ta\n1\tn1\t2\tb\n2\tn2\t0\tc\n"), "rows.txt", "cycle", ("'a' > 'b' > 'c' > 'a'", "mend the parent")),
    "a dictionary with an empty name": (tencent(ROW, "0\tn0\t-1\ta\n1\tn1\t-1\t\n"), "rows.txt", "label-name", ("entry 2", "empty name")),
    "a dictionary with a long name": (tencent(ROW, f"0\tn0\t-1\ta\n1\tn1\t-1\t{LONG}\n"), "rows.txt", "label-name", ("entry 2", "10,000")),
    "a dictionary with a control character": (tencent(ROW, "0\tn0\t-1\ta\n1\tn1\t-1\tb\x1bc\n"), "rows.txt", "label-name", ("entry 2", r"\x1b")),
    "a label beyond the dictionary": (tencent("http://x/a\t2:1\n"), "rows.txt", "unknown-label", ("line 1: 2", "below 2", "mend it or the dictionary")),
    "a confidence that is NaN": (tencent(f"{ROW}http://x/b\t0:nan\n"), "rows.txt", "pair-syntax", ("line 2: '0:nan'", "mend it")),
    "a confidence past all numbers": (tencent(f"{ROW}http://x/b\t0:1e999\n"), "rows.txt", "confidence", ("line 2",)),
    "a confidence below 0": (tencent(f"{ROW}http://x/b\t0:-0.5\n"), "rows.txt", "confidence", ("line 2: 0:-0.5",)),
    "an address twice": (tencent(f"{ROW}{ROW}"), "rows.txt", "duplicate-row", ("line 2: 'http://x/a' as in line 1",)),
    "rows in UTF-16 after the first": (tencent(ROW.encode() + "http".encode("utf-16-le")), "rows.txt", "encoding", ("line 2", "NUL")),
}  # fmt: skip

OPEN_IMAGES: dict[str, Case] = {
    "a hierarchy that is no JSON": (open_images(tree="{"), "", "json-syntax", ("hierarchy.json", "line 1", "mend the JSON")),
    "a hierarchy in UTF-16": (open_images(tree="{}".encode("utf-16")), "", "encoding", ("hierarchy.json", "UTF-16")),
    "an empty hierarchy": (open_images(tree=b""), "", "empty-data", ("hierarchy.json", "empty")),
    "a hierarchy that is a list": (open_images(tree="[]"), "", "json-shape", ("hierarchy.json", "at the top", "Subcategory")),
    "a hierarchy with a number": (open_images(tree=json.dumps(kind("/m/0", 7))), "", "json-shape", ("below '/m/0'",)),
    "a hierarchy without a name": (open_images(tree='{"Subcategory": []}'), "", "json-shape", ("at the top", "LabelName")),
    "a hierarchy with a word for its children": (open_images(tree='{"LabelName": "a", "Subcategory": "b"}'), "", "json-shape", ("at the top",)),
    "a hierarchy that goes in a circle": (open_images(tree=json.dumps(kind("/m/0", kind("/m/1", kind("/m/0"))))), "", "cycle", ("'/m/0' > '/m/1' > '/m/0'", "take it out")),
    "a circle over two places": (open_images("x,/m/1,1\nx,/m/2,1\n", "/m/1,a\n/m/2,b\n", json.dumps(kind("/m/0", kind("/m/1", kind("/m/2")), kind("/m/2", kind("/m/1"))))), "", "cycle", ("hierarchy.json", "own ancestor")),
    "a hierarchy nested without end": (open_images(tree='{"LabelName": "a", "Subcategory": [' * 100_000), "", "json-syntax", ("nested too deeply",)),
    "descriptions in Latin-1": (open_images(names=b"/m/1,caf\xe9\n"), "", "encoding", ("class-descriptions.csv", "line 1")),
    "descriptions with an id twice": (open_images(names="/m/1,a\n/m/1,b\n"), "", "description", ("line 2: '/m/1' stands twice", "mend the line")),
    "descriptions with three fields": (open_images(names="/m/1,a,b\n"), "", "description", ("line 1: 3 fields",)),
    "descriptions with an open quote": (open_images(names='/m/1,"a\n'), "", "csv-syntax", ("class-descriptions.csv", "check its quotes")),
    "a description without letters": (open_images(names="/m/1,\n"), "", "description", ("line 1", "empty name")),
    "a description of 10,000 letters": (open_images(names=f"/m/1,{LONG}\n"), "", "description", ("line 1", "10,000")),
    "a confidence of infinity": (open_images("x,/m/1,inf\n"), "", "confidence", ("line 2: 'inf'", "from 0 to 1")),
    "a blank confidence": (open_images("x,/m/1,\n"), "", "confidence", ("line 2: ''",)),
    "a row of four fields": (open_images("x,/m/1,1,2\n"), "", "csv-syntax", ("rows.csv", "Expected 3 columns")),
    "a row without a label": (open_images("x,,1\n"), "", "empty-cell", ("no LabelName", "delete the row")),
    "a header alone": (open_images(""), "", "empty-data", ("at least one sample",)),
}  # fmt: skip

TARS: dict[str, Case] = {
    "no byte": ({"s.tar": b""}, "s.tar", "unreadable-file", ("s.tar", "write it again")),
    "text as tar": ({"s.tar": "0.jpg"}, "s.tar", "unreadable-file", ("s.tar", "write it again")),
    "a tar cut in a header": ({"s.tar": GOOD[:1200]}, "s.tar", "unreadable-file", ("s.tar", "write it again")),
    "a tar cut in its labels": ({"s.tar": GOOD[:1538]}, "s.tar", "unreadable-file", ("s.tar",)),
    "a tar with a flipped header": ({"s.tar": flipped(GOOD, 1024 + 150)}, "s.tar", "unreadable-file", ("s.tar",)),
    "a tar of no files": ({"s.tar": tar({})}, "s.tar", "empty-data", ("s.tar", "at least one")),
    "a member twice": ({"s.tar": tar({"0.json": b'["a"]'})[:1024] + GOOD[1024:2048] + tar({"0.json": b'["b"]'})}, "s.tar", "duplicate-member", ("'0.json'",)),
    "labels in UTF-16": ({"s.tar": tar({"0.json": '["cat"]'.encode("utf-16")})}, "s.tar", "encoding", ("key '0'", "UTF-8")),
    "labels in Latin-1": ({"s.tar": tar({"0.cls": b"caf\xe9"})}, "s.tar", "encoding", ("key '0'",)),
    "labels that are an object": ({"s.tar": tar({"0.json": b'{"size": 3}'})}, "s.tar", "json-shape", ("key '0'", '{"labels": [label, …]}')),
    "labels that are fractions": ({"s.tar": tar({"0.json": b"[0.5]"})}, "s.tar", "label-type", ("key '0': 0.5",)),
    "labels that are NaN": ({"s.tar": tar({"0.json": b"[NaN]"})}, "s.tar", "label-type", ("key '0': nan",)),
    "labels that are null": ({"s.tar": tar({"0.json": b"null"})}, "s.tar", "label-type", ("key '0': None",)),
    "a negative label": ({"s.tar": tar({"0.json": b"[-1]"})}, "s.tar", "label-type", ("key '0': -1",)),
    "a label beyond the names": ({"s.tar": tar({"0.cls": b"2"}), "classes.txt": "a\nb\n"}, "s.tar", "unknown-label", ("key '0': 2", "below 2")),
    "a label that is not named": ({"s.tar": tar({"0.json": b'["c"]'}), "classes.txt": "cat\nb\n"}, "s.tar", "unknown-label", ("key '0': 'c'", "classes.txt")),
    "a control character in a label": ({"s.tar": tar({"0.json": b'["c\\u0007t"]'})}, "s.tar", "label-name", ("key '0'", r"\x07")),
    "a long label in a tar": ({"s.tar": tar({"0.json": json.dumps([LONG]).encode()})}, "s.tar", "label-name", ("key '0'", "10,000")),
    "a sample in two shards": ({"a.tar": GOOD, "b.tar": GOOD}, "", "duplicate-row", ("b.tar, key '0'", "as in a.tar, key '0'")),
    "names beside a tar in UTF-16": ({"s.tar": GOOD, "classes.txt": "cat\n".encode("utf-16")}, "s.tar", "encoding", ("classes.txt", "UTF-16")),
    "labels that are a link": ({"s.tar": tar({"0.jpg": b"x"}, links={"0.json": "/etc/passwd"})}, "s.tar", "no-labels", ("key '0'", "add one")),
}  # fmt: skip

MULAN: dict[str, Case] = {
    "XML in Latin-1": (mulan('<labels><label name="caf\xe9"/></labels>'.encode("latin-1")), "x.arff", "xml-syntax", ("x.xml", "line 1")),
    "an empty XML": (mulan(b""), "x.arff", "empty-data", ("x.xml", "empty")),
    "XML without labels": (mulan("<labels/>"), "x.arff", "empty-data", ("x.xml", "names no label")),
    "XML with another element": (mulan("<labels>\n<tag/></labels>"), "x.arff", "xml-shape", ("x.xml", "line 2: <tag>")),
    "XML without a name": (mulan("<labels><label/></labels>"), "x.arff", "xml-shape", ("line 1: <label>", "write that")),
    "XML with a name twice": (mulan('<labels><label name="sky"/><label name="sky"/></labels>'), "x.arff", "duplicate-label", ("label 2: 'sky' as in label 1",)),
    "XML with an empty name": (mulan('<labels><label name="sky"/><label name=""/></labels>'), "x.arff", "label-name", ("label 2", "empty name")),
    "ARFF in UTF-16": ({"x.xml": XML, "x.arff": "@relation x".encode("utf-16")}, "x.arff", "encoding", ("x.arff", "UTF-16")),
    "ARFF in Latin-1": ({"x.xml": XML, "x.arff": b"@relation caf\xe9\n"}, "x.arff", "encoding", ("x.arff", "line 1")),
    "an attribute of dates": (mulan(XML, head="@attribute a date\n@data\n"), "x.arff", "arff-syntax", ("line 1: '@attribute a date'", "numeric")),
    "NaN as a feature": (mulan(XML, "nan,1,0\n"), "x.arff", "cell-value", ("line 6", "'a' is 'nan'", "finite")),
    "a word as a feature": (mulan(XML, "big,1,0\n"), "x.arff", "cell-value", ("line 6", "'a' is 'big'")),
    "no row": (mulan(XML, ""), "x.arff", "empty-data", ("x.arff", "no row")),
    "an index twice in a row": (mulan(XML, "{1 1, 1 1}\n"), "x.arff", "duplicate-key", ("line 6", "stands twice")),
    "a label of words": (mulan(XML, "1,y,0\n", head="@attribute a numeric\n@attribute sky {n,y}\n@attribute sea {0,1}\n@data\n"), "x.arff", "label-type", ("'sky'", "{0,1}")),
}  # fmt: skip

EXTREME: dict[str, Case] = {
    "rows that are missing": ({"t.txt": "3 2 2\n0 0:1\n"}, "t.txt", "header", ("line 1 says 3 samples",)),
    "rows that are too many": ({"t.txt": "1 2 2\n0 0:1\n1 0:1\n"}, "t.txt", "header", ("line 1 says 1 samples",)),
    "a header of zeros": ({"t.txt": "0 0 0\n"}, "t.txt", "empty-data", ("t.txt",)),
    "a header past all memory": ({"t.txt": "1 999999999999999999\n0:1\n"}, "t.txt", "too-many-labels", ("line 1 asks for 999,999,999,999,999,999 labels", "mend the number")),
    "a number past all memory": ({"t.json": "[[1], [2000000000]]"}, "t.json", "too-many-labels", ("2,000,000,001 labels", "give the names")),
    "an id past all memory": ({"t.txt": "http://x/a\t4000000000:1\n"}, "t.txt", "too-many-labels", ("4,000,000,001 labels",)),
    "a feature that is NaN": ({"t.txt": "1 2 2\n0 0:nan\n"}, "t.txt", "pair-syntax", ("line 2", "'0:nan'")),
    "a label out of range": ({"t.txt": "1 2 2\n2 0:1\n"}, "t.txt", "unknown-label", ("line 2: 2",)),
    "a negative label in text": ({"t.txt": "1 2 2\n-1 0:1\n"}, "t.txt", "pair-syntax", ("line 2: '-1'",)),
    "a value past all floats": ({"t.txt": "1 2 2\n0 0:1e999\n"}, "t.txt", "feature-value", ("line 2",)),
    "text in UTF-16 after the header": ({"t.txt": b"1 2\n" + "0:1\n".encode("utf-16-le")}, "t.txt", "encoding", ("line 2", "NUL")),
    "too few names": ({"t.txt": "1 2\n0:1\n", "names.txt": "a\n"}, "t.txt", "label-names", ("names.txt", "2")),
    "a gzip cut off": ({"t.txt.gz": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"}, "t.txt.gz", "unreadable-file", ("t.txt.gz", "cut off", "get it again")),
}  # fmt: skip

CASES = {**VOC, **YOLO, **DICTIONARIES, **OPEN_IMAGES, **TARS, **MULAN, **EXTREME}
PICTURELESS = {**OPEN_IMAGES, **DICTIONARIES, **EXTREME}


@pytest.mark.parametrize("claim", CASES)
def test_a_broken_file_ends_in_one_error_with_place_and_mend(write, claim):
    files, opened, name, says = CASES[claim]
    path = write(files) / opened
    options = SourceOptions(pictures=claim not in PICTURELESS)
    reading = read_source(path, options)
    assert [finding.name for finding in reading.errors] == [name], reading.findings
    line = reading.errors[0].line
    for words in (str(path.parent if opened else path), *says):
        assert words in line
    assert line.isprintable()
    with pytest.raises(SourceError) as caught:
        open_source(path, options)
    assert str(caught.value) == line


@pytest.mark.parametrize("claim", [next(iter(cases)) for cases in (VOC, YOLO, DICTIONARIES, OPEN_IMAGES, TARS, MULAN)])
def test_nothing_is_half_written_when_data_are_broken(write, tmp_path: Path, claim):
    files, opened, _, _ = CASES[claim]
    path = write(files) / opened
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SourceError):
        convert([path], tmp_path / "store", SourceOptions(pictures=claim not in PICTURELESS))
    assert sorted(tmp_path.rglob("*")) == before
