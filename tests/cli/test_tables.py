"""Tables stay in line."""

from manyhot.cli.tables import format_table, shorten, width_of


def test_columns_line_up_for_narrow_and_wide_letters() -> None:
    lines = format_table([["label", "n"], ["犬と猫", "10"], ["é", "7"]])
    assert {width_of(line) for line in lines} == {width_of("犬と猫  10")}


def test_a_short_text_is_not_cut() -> None:
    assert shorten("abc", 3) == "abc"


def test_a_cut_text_fits_and_says_that_it_is_cut() -> None:
    assert shorten("犬犬犬犬", 5) == "犬犬…"
