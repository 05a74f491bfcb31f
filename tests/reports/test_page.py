"""The page of a run stands alone, escapes what it is given, and shows what is undefined."""

import math
from html.parser import HTMLParser
from pathlib import Path

import pytest

from manyhot.metrics.figures import Evaluation, Figure, LabelFigures
from manyhot.reports.history import read_history
from manyhot.reports.page import Report, render_page, write_page
from manyhot.reports.plots import HEIGHT, WIDTH, Line, plot_lines
from manyhot.reports.reliability import ReliabilityCurve

NASTY = "<script>alert('&')</script>"
VOID = {"meta", "br"}


class Reader(HTMLParser):
    """Collects tags, attributes and text, and fails where tags do not nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def label(name: str, average_precision: float | None, threshold: float | None = 0.25) -> LabelFigures:
    numbers = dict.fromkeys(("auroc", "precision", "recall", "f1", "f2", "accuracy", "balanced_accuracy", "mcc"), 0.5)
    return LabelFigures(
        name=name, positives=3, known=9, average_precision=average_precision, threshold=threshold, **numbers
    )


def report(*labels: LabelFigures, **more: object) -> Report:
    evaluation = Evaluation(
        protocol="manyhot",
        split="test",
        num_samples=9,
        num_labels=len(labels),
        figures={"map_macro": Figure(0.75, 1, 2), NASTY: Figure(None, 0, 2)},
        baselines={"predict all": {"map_macro": 0.25}},
        labels=labels,
    )
    return Report(title=NASTY, evaluation=evaluation, **more)


def test_the_page_needs_no_other_file_and_runs_no_script() -> None:
    history = {"Loss": [Line(name="train_loss", points=((1, 0.5), (2, 0.25)))]}
    page = read(render_page(report(label("a", 0.5), history=history, recipe="seed = 0")))
    assert not {"script", "link", "img", "iframe", "object", "image", "use"} & set(page.seen)
    assert not {"src", "href", "srcset", "data"} & {name for name, _ in page.attributes}
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "url(" not in "".join(page.text)
    assert "svg" in page.seen


def test_names_are_shown_to_the_letter() -> None:
    page = read(render_page(report(label(NASTY, 0.5), facts=[NASTY], reasons={NASTY: NASTY}, recipe=NASTY)))
    assert page.text.count(NASTY) == 7


def test_labels_come_weakest_first_and_the_undefined_last() -> None:
    page = read(render_page(report(label("good", 0.9), label("empty", None, None), label("bad", 0.0))))
    found = [text for text in page.text if text in {"good", "empty", "bad"}]
    assert found == ["bad", "good", "empty"]
    assert "never" in page.text


def test_the_page_is_written(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_page(path, report(label("犬", 0.5)))
    assert "犬" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "points",
    [
        ((1.0, 0.5),),
        ((1.0, 0.5), (2.0, 0.5)),
        ((1.0, 1e-9), (2.0, 3e-9), (3.0, math.nan)),
        ((1.0, -3.0), (100.0, 4_000.0)),
        tuple((float(index), 0.001 * index) for index in range(100)),
    ],
)
def test_every_point_of_a_plot_lies_inside_it(points: tuple[tuple[float, float], ...]) -> None:
    page = read(plot_lines([Line(name="loss", points=points)], title="Loss", x_name="epoch"))
    places = dict(page.attributes)["points"] or ""
    pairs = [tuple(float(number) for number in pair.split(",")) for pair in places.split()]
    assert len(pairs) == sum(math.isfinite(y) for _, y in points)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in pairs)


def test_a_higher_value_stands_higher() -> None:
    page = read(plot_lines([Line(name="map", points=((1, 0.2), (2, 0.4)))], title="map", x_name="epoch"))
    first, second = (dict(page.attributes)["points"] or "").split()
    assert float(first.split(",")[0]) < float(second.split(",")[0])
    assert float(first.split(",")[1]) > float(second.split(",")[1])


def test_history_is_read_by_epoch_and_averages_what_repeats(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,train_loss,val_map_macro\n1,10,0.5,\n1,20,0.3,\n1,20,,0.7\n2,30,0.2,\n2,30,,nan\n,,,\n")
    lines = read_history(path)
    assert lines["train_loss"].points == ((1.0, 0.4), (2.0, 0.2))
    assert lines["val_map_macro"].points == ((1.0, 0.7),)


def test_intervals_are_shown_where_there_are_any() -> None:
    evaluation = report(label("cat", 0.5)).evaluation
    figures = {"map_macro": Figure(0.75, 1, 2, 0.625, 0.875), "f1_macro": Figure(None, 0, 2)}
    page = render_page(Report(title="run", evaluation=Evaluation(**{**vars(evaluation), "figures": figures})))
    assert "0.625 to 0.875" in read(page).text
    assert "interval" in read(page).text
    assert "interval" not in read(render_page(report(label("cat", 0.5)))).text


def test_reliability_is_drawn_for_each_label_that_is_given() -> None:
    curves = [
        ReliabilityCurve(name=NASTY, error=0.125, points=((0.1, 0.2), (0.9, 0.7))),
        ReliabilityCurve(name="dog", error=math.nan, points=()),
    ]
    seen = read(render_page(report(label("cat", 0.5), reliability=curves)))
    assert seen.seen.count("svg") == 2
    assert "error 0.125" in seen.text
    assert "no known cell" in seen.text
    assert NASTY in seen.text


def test_other_protocols_stand_beside_with_what_differs() -> None:
    page = report(label("cat", 0.5))
    other = Evaluation(**{**vars(page.evaluation), "protocol": "asl", "figures": {"map_macro": Figure(75.0, 2, 2)}})
    seen = read(render_page(report(label("cat", 0.5), others=[(other, "in per cent")])))
    assert "75.000" in seen.text
    assert "asl" in seen.text
    assert ": in per cent" in seen.text


def test_figures_that_no_protocol_can_give_have_no_row_among_protocols() -> None:
    page = report(label("cat", 0.5))
    figures = {"map_macro": Figure(0.75, 2, 2), "psp_at_1": Figure(None, 0, 2)}
    other = Evaluation(**{**vars(page.evaluation), "protocol": "xc", "figures": figures})
    shown = render_page(report(label("cat", 0.5), others=[(other, "in sums")])).partition("Under other protocols")[2]
    assert "<code>map_macro</code>" in shown
    assert "psp_at_1" not in shown


def test_what_holds_for_the_whole_decision_is_said() -> None:
    assert "at most 10 % missed" in read(render_page(report(label("cat", 0.5), notes=["at most 10 % missed"]))).text
