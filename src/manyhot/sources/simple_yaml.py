"""The names in a YOLO data.yaml, the only YAML that is read here: a list or numbered names, in either notation."""

import re

_KEY = re.compile(r"names\s*:\s*(?P<rest>.*)")
_ENTRY = re.compile(
    r"""\s*(?:-\s+|(?P<number>\d+)\s*:\s+)(?P<name>"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^#]*?)\s*(?:\s\#.*)?"""
)
_FLOW = re.compile(
    r"""\s*(?:(?P<number>\d+)\s*:\s*)?(?P<name>"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^,\[\]{}]+?)\s*(?:,|$)"""
)


class YamlFaultError(ValueError):
    """Text whose names cannot be read; the message says where."""


def read_yaml_names(text: str) -> list[str]:
    r"""Return the names of the labels in their order.

    Raises:
        YamlFaultError: If there are none, or they are written in a way that is not understood.

    >>> read_yaml_names("nc: 2\nnames: [cat, 'hot dog']")
    ['cat', 'hot dog']
    >>> read_yaml_names("names:\n  0: cat\n  1: dog  # small\n")
    ['cat', 'dog']
    """
    lines = text.split("\n")
    for number, line in enumerate(lines):
        match = _KEY.fullmatch(line.rstrip())
        if match is not None:
            rest = match["rest"].partition(" #")[0].strip()
            found = _flow(rest, lines[number + 1 :], number + 1) if rest else _block(lines[number + 1 :], number + 2)
            return _in_order(found, number + 1)
    raise YamlFaultError("there is no key 'names'")


def _block(lines: list[str], start: int) -> list[tuple[str | None, str]]:
    found: list[tuple[str | None, str]] = []
    for number, line in enumerate(lines, start=start):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _ENTRY.fullmatch(line.rstrip())
        if match is None:
            if line[0] in " -":
                raise YamlFaultError(f"line {number}: expected '- name' or 'number: name'")
            break
        found.append((match["number"], _unquoted(match["name"])))
    return found


def _flow(rest: str, lines: list[str], number: int) -> list[tuple[str | None, str]]:
    closing = {"[": "]", "{": "}"}.get(rest[0])
    if closing is None:
        raise YamlFaultError(f"line {number}: the names are no list")
    for line in lines:
        if rest.endswith(closing):
            break
        rest += " " + line.strip()
    if not rest.endswith(closing):
        raise YamlFaultError(f"line {number}: the list of names does not end in {closing}")
    inner, position = rest[1:-1].rstrip().removesuffix(","), 0
    found: list[tuple[str | None, str]] = []
    while position < len(inner):
        match = _FLOW.match(inner, position)
        if match is None:
            raise YamlFaultError(f"line {number}: a name cannot be read near {inner[position : position + 20]!r}")
        found.append((match["number"], _unquoted(match["name"])))
        position = match.end()
    return found


def _in_order(found: list[tuple[str | None, str]], number: int) -> list[str]:
    if not found:
        raise YamlFaultError(f"line {number}: there are no names")
    keys = [key for key, _ in found]
    if any(key is not None for key in keys) and keys != [str(position) for position in range(len(keys))]:
        raise YamlFaultError(f"line {number}: the numbers of the names do not count from 0")
    return [name for _, name in found]


def _unquoted(name: str) -> str:
    if len(name) > 1 and name[0] == name[-1] == "'":
        return name[1:-1].replace("''", "'")
    if len(name) > 1 and name[0] == name[-1] == '"':
        return re.sub(r"\\(.)", r"\1", name[1:-1])
    return name
