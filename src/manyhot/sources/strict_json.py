"""JSON parsed strictly: repeated keys are kept, so that they can be reported, and faults name line and column."""

import json
from json import JSONDecodeError

from manyhot.errors import quote


class JsonObject(list[tuple[str, object]]):
    """The members of a JSON object in order, repeated keys included."""

    def repeated_keys(self) -> list[str]:
        """Return the keys that stand more than once, each once.

        >>> JsonObject([("a", 1), ("b", 2), ("a", 3)]).repeated_keys()
        ['a']
        """
        seen: set[str] = set()
        repeated: dict[str, None] = {}
        for key, _ in self:
            if key in seen:
                repeated[key] = None
            seen.add(key)
        return list(repeated)


_DECODER = json.JSONDecoder(object_pairs_hook=JsonObject)


class JsonFaultError(ValueError):
    """Text that is no JSON; the message says where and why."""


def parse_json(text: str) -> object:
    """Return the parsed text, with each object as a `JsonObject`.

    Raises:
        JsonFaultError: With the line and column of the first fault.

    >>> parse_json('{"a.jpg": ["N/A"], "a.jpg": []}')
    [('a.jpg', ['N/A']), ('a.jpg', [])]
    """
    try:
        return _DECODER.decode(text)
    except JSONDecodeError as error:
        near = quote(text[max(0, error.pos - 15) : error.pos + 15])
        raise JsonFaultError(f"line {error.lineno}, column {error.colno}: {error.msg} near {near}") from None
    except RecursionError:
        raise JsonFaultError("lists or objects are nested too deeply") from None
    except ValueError as error:
        # A number of more digits than Python reads.
        raise JsonFaultError(str(error)) from None
