"""XML parsed strictly: elements with their line, and neither entities nor document types, which can grow without end."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from manyhot.sources.finding import FindingLog
from manyhot.sources.text import read_bytes

MAX_DEPTH = 100


class XmlFaultError(ValueError):
    """Text that is no XML, or XML that is refused; the message says where and why."""


@dataclass(eq=False)
class Element:
    """An element with its attributes, its text without outer blanks, its line, and the elements in it."""

    name: str
    attributes: dict[str, str]
    line: int
    text: str = ""
    children: list["Element"] = field(default_factory=list["Element"])

    def find_all(self, name: str) -> Iterator["Element"]:
        """Yield the elements of a name right inside this one."""
        return (child for child in self.children if child.name == name)

    def text_of(self, name: str) -> str | None:
        """Return the text of the first element of a name right inside this one, or None where there is none."""
        return next((child.text.strip() for child in self.find_all(name)), None)


def read_xml(path: Path, findings: FindingLog) -> Element | None:
    """Return the outermost element of a file, or None with the fault in the findings."""
    data = read_bytes(path, findings)
    if data is None:
        return None
    try:
        return parse_xml(data)
    except XmlFaultError as fault:
        findings.error("xml-syntax", f"{path}: {fault}; mend the XML there")
        return None


def parse_xml(data: bytes) -> Element:
    """Return the root element. Names lose the namespace before them.

    Raises:
        XmlFaultError: With the line and column of the first fault.

    >>> root = parse_xml(b'<labels xmlns="x"><label name="sky"/></labels>')
    >>> root.name, [label.attributes["name"] for label in root.find_all("label")]
    ('labels', ['sky'])
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    top = Element("", {}, 0)
    open_elements = [top]

    def start(name: str, attributes: dict[str, str]) -> None:
        if len(open_elements) > MAX_DEPTH:
            raise XmlFaultError(f"line {parser.CurrentLineNumber}: elements are nested too deeply")
        element = Element(name.rpartition(" ")[2], attributes, parser.CurrentLineNumber)
        open_elements[-1].children.append(element)
        open_elements.append(element)

    def end(_: str) -> None:
        open_elements.pop()

    def text(content: str) -> None:
        open_elements[-1].text += content

    def refuse(*_: object) -> None:
        raise XmlFaultError(f"line {parser.CurrentLineNumber}: a document type (<!DOCTYPE …>) is refused; delete it")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = text, refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        reason = expat.errors.messages[error.code]
        raise XmlFaultError(f"line {error.lineno}, column {error.offset + 1}: {reason}") from None
    except ValueError as error:
        if isinstance(error, XmlFaultError):
            raise
        raise XmlFaultError(f"line {parser.CurrentLineNumber}: {error}") from None
    return top.children[0]
