"""JSON lines are read the same way whether pyarrow or Python parses them, and whatever the blocks."""

import gzip
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manyhot.sources import Reading, SourceOptions, json_lines, line_blocks, read_source

PLAIN = SourceOptions(pictures=False)

TEXT = st.sampled_from(
    ["cat", "dog", "x|y", " a ", "", "1", "é", "😀", "a\tb", '"', "\\", "[1]", "\u2028", "\ud800", "x,y"]
)
NUMBERS = st.sampled_from(
    [0, 1, -1, 2, 1.0, 0.0, 0.5, -0.0, 1e300, 10**30, 12, True, False, float("nan"), float("inf")]
)
LABELS = st.lists(TEXT, max_size=3)
ODD = st.one_of(
    st.none(),
    TEXT,
    NUMBERS,
    st.lists(st.one_of(TEXT, st.none(), NUMBERS), max_size=3),
    st.dictionaries(TEXT, st.one_of(TEXT, LABELS), max_size=2),
    st.lists(LABELS, max_size=2),
)
JUNK = st.sampled_from(
    ["", "  ", "{}", "[]", "null", "{", "}", '{"file": "a"} {"file": "b"}', '{"file": "a", "file": "b"}', '{"file":', '"a"}',
     '{"file": "z", "labels": ["a"], "more": 1}', '{"labels": ["\\ud800"]}', '{"file": "\\u0061.jpg", "labels": ["\\/"]}\r',
     '{"file": "q", "labels": [], }', '{"a": {"b": 1}', '{"file": "n", "labels": [NaN]}', "\x0b", "{'file': 1}"]
)  # fmt: skip


@st.composite
def files(draw) -> str:
    columns = {"labels": LABELS, "file": TEXT, "split": st.sampled_from(["train", "test", "", None])}
    columns |= {"cat": NUMBERS, "size": st.lists(NUMBERS, max_size=2)}
    names = draw(st.sets(st.sampled_from(sorted(columns)), min_size=1))
    lines: list[str] = []
    for number in range(draw(st.integers(3, 14))):
        row = {name: draw(columns[name]) for name in sorted(names)}
        if "file" in names and draw(st.booleans()):
            row["file"] = f"{number}.jpg"
        if draw(st.integers(0, 9)) == 0:
            row[draw(st.sampled_from([*names, "more"]))] = draw(ODD)
        lines.append(json.dumps(row, ensure_ascii=draw(st.booleans())))
        if draw(st.integers(0, 11)) == 0:
            lines.append(draw(JUNK))
    return draw(st.sampled_from(["\n", "\r\n"])).join(lines) + draw(st.sampled_from(["", "\n", "\n\n"]))


def facts(reading: Reading) -> tuple[object, ...]:
    """Return all that a reading says, to be compared."""
    manifest = reading.manifest
    if manifest is None:
        return (None, reading.findings)
    return (manifest.fingerprint, manifest.references(), manifest.labels.space.names, reading.findings)


@pytest.fixture
def small_blocks(monkeypatch) -> pytest.MonkeyPatch:
    """Make blocks of a few lines, so that short files are parsed both ways."""
    monkeypatch.setattr(json_lines, "_FEW_LINES", 2)
    monkeypatch.setattr(line_blocks, "BLOCK_BYTES", 300)
    return monkeypatch


def test_the_fast_way_says_what_the_strict_way_says(small_blocks):
    parse_fast = json_lines._parse_fast
    taken: list[bool] = []

    def counted(*arguments):
        table = parse_fast(*arguments)
        taken.append(table is not None)
        return table

    @given(files())
    @settings(max_examples=100, deadline=None)
    def compare(text: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "labels.jsonl")
            path.write_bytes(text.encode("utf-8", "surrogatepass"))
            with small_blocks.context() as patch:
                patch.setattr(json_lines, "_parse_fast", counted)
                fast = facts(read_source(path, PLAIN))
            with small_blocks.context() as patch:
                # Python alone: no value passes through Arrow before its type is checked.
                patch.setattr(json_lines, "_parse_fast", lambda *_: None)
                patch.setattr(json_lines, "arrow_or_list", lambda values: values)
                assert fast == facts(read_source(path, PLAIN))

    compare()
    # The comparison says nothing where the fast way is never taken.
    assert sum(taken) > 20


def test_every_fault_is_found_where_it_is_among_thousands_of_sound_lines(write):
    rows = [json.dumps({"file": f"{row}.jpg", "labels": ["cat"] * (row % 2)}) for row in range(5_000)]
    rows[1_200] = '{"file": "1200.jpg", "labels": ["cat"], "labels": []}'
    rows[2_400] = '{"file": "2400.jpg", "labels": [12]}'
    rows[3_600] = '{"file": "3600.jpg", "labels": ["cat"}'
    rows[4_800] = '{"file": "4800.jpg", "labels": null}'
    root = write({"labels.jsonl": "\n".join(rows)})
    found = {finding.name: finding.examples[0] for finding in read_source(root, PLAIN).errors}
    assert found["duplicate-key"] == "line 1201: 'labels'"
    assert found["label-type"] == "line 2401: 12"
    assert found["json-syntax"].startswith("line 3601: line 1, column")
    assert found["null-labels"] == "line 4801"


def test_a_column_that_appears_late_is_absent_before(write):
    rows = [{"file": f"{row}.jpg", "labels": ["cat"]} for row in range(1_500)]
    rows[-1]["group"] = "last"
    manifest = read_source(write({"labels.jsonl": "\n".join(map(json.dumps, rows))}), PLAIN).manifest
    assert manifest is not None
    assert manifest.groups()[-2:] == [None, "last"]


def test_packed_lines_are_read_like_plain_ones(write):
    text = b"".join(
        json.dumps({"file": f"{row}.jpg", "labels": ["cat", "dog"][: row % 3]}).encode() + b"\n" for row in range(900)
    )
    root = write({"a.jsonl": text, "b.jsonl.gz": gzip.compress(text)})
    plain, packed = (read_source(root / name, PLAIN).manifest for name in ("a.jsonl", "b.jsonl.gz"))
    assert plain is not None
    assert packed is not None
    assert plain.fingerprint == packed.fingerprint
