"""A trusted pickle gives plain containers and arrays, and nothing in it, however damaged, ends the process."""

import codecs
import contextlib
import pickle

import numpy as np
import pytest

from manyhot.errors import SourceError
from manyhot.sources import SourceOptions, open_source, read_source, read_trusted_pickle


class Harmful:
    def __reduce__(self):
        return print, ("harm",)


def test_a_pickle_is_read_only_when_trusted_and_plain(write, capsys):
    root = write({"l.pkl": pickle.dumps({"a.jpg": ["cat"], "b.jpg": np.array([3])}), "x.pkl": pickle.dumps(Harmful())})
    assert [finding.name for finding in read_source(root / "l.pkl").errors] == ["pickle"]
    manifest = open_source(root / "l.pkl", SourceOptions(trust_pickle=True, pictures=False))
    assert manifest.labels.space.names == ("3", "cat")
    with pytest.raises(SourceError, match=r"print, which is refused"):
        read_trusted_pickle(root / "x.pkl")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("length", [b"\x00", b"\x45", b"\xff"])
def test_a_pickled_array_of_another_length_than_it_says_is_refused(write, length):
    content = pickle.dumps({"a.jpg": np.array(["dog"], dtype=object)}, protocol=4)
    place = content.index(b"K\x01K\x01\x85") + 3
    root = write({"l.pkl": content[:place] + length + content[place + 1 :]})
    with pytest.raises(SourceError, match="not as many values as its shape says"):
        read_trusted_pickle(root / "l.pkl")


class _Asking:
    """Pickles as a call of something by name."""

    def __init__(self, call, *arguments):
        self.call = (call, arguments)

    def __reduce__(self):
        return self.call


PICKLED = {
    "numbers": np.arange(6, dtype=">i4").reshape(2, 3),
    "columns first": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "text": np.array(["cat", "é"]),
    "bytes": np.array([b"cat", b""]),
    "objects": np.array(["dog", 3], dtype=object),
    "nothing": np.zeros((0, 4), dtype=bool),
    "a number": np.float32(0.5),
}


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("value", PICKLED.values(), ids=PICKLED)
def test_plain_arrays_come_out_of_a_pickle_as_they_went_in(write, value, protocol):
    found = read_trusted_pickle(write({"l.pkl": pickle.dumps(value, protocol=protocol)}) / "l.pkl")
    np.testing.assert_array_equal(found, value)
    assert isinstance(found, np.ndarray) == isinstance(value, np.ndarray)
    # NumPy itself turns the order of bytes into that of the machine.
    assert np.asarray(found).dtype.newbyteorder("=") == np.asarray(value).dtype.newbyteorder("=")


REFUSED = {
    "fields": (np.zeros(2, dtype=[("a", "i4")]), "'V4', which is refused"),
    "times": (np.array(["2020-01-01"], dtype="M8[D]"), "'M8', which is refused"),
    "a type": (np.dtype("V8"), "'V8', which is refused"),
    "a packed codec": (_Asking(codecs.encode, "x", "zlib"), "'zlib', which is refused"),
}


@pytest.mark.parametrize(("value", "message"), REFUSED.values(), ids=REFUSED)
def test_arrays_that_are_not_plain_are_refused_by_name(write, value, message):
    root = write({"l.pkl": pickle.dumps(value)})
    with pytest.raises(SourceError, match=message):
        read_trusted_pickle(root / "l.pkl")


def test_no_damage_to_a_pickled_array_or_its_type_ends_the_process(write):
    content = pickle.dumps({"a.jpg": np.array(["dog", "cat"], dtype=object), "b.jpg": np.arange(3)})
    file = write({"l.pkl": content}) / "l.pkl"
    for place in range(len(content)):
        for byte in (ord("r"), content[place] ^ 1):
            file.write_bytes(content[:place] + bytes([byte]) + content[place + 1 :])
            with contextlib.suppress(SourceError):
                read_trusted_pickle(file)
