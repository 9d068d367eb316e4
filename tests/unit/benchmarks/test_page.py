"""The performance page says what the raw data says."""

from pathlib import Path

import pytest
from support.plots import marks

from benchmarks import page


def test_the_tables_of_the_page_are_those_of_the_raw_data() -> None:
    assert page.filled(page.PAGE.read_text()) == page.PAGE.read_text()


def test_a_figure_that_somebody_changes_is_noticed() -> None:
    text = page.PAGE.read_text()
    assert "| paper | 511 |" in text
    changed = text.replace("| paper | 511 |", "| paper | 512 |", 1)
    assert page.filled(changed) == text


def test_a_table_that_nobody_makes_is_an_error() -> None:
    with pytest.raises(KeyError):
        page.filled("<!-- table: nothing -->\n\n<!-- end -->")


@pytest.mark.parametrize("name", page.DRAWN)
def test_the_plots_are_those_of_the_raw_data(name: str, tmp_path: Path) -> None:
    page.draw(name, tmp_path / "plot.svg")
    assert marks(tmp_path / "plot.svg") == marks(page.PLOTS / f"performance-{name}.svg")


@pytest.mark.parametrize(("value", "text"), [(0.456, "0.46"), (45.67, "45.7"), (456.7, "457"), (45_678.0, "45,678")])
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert page.number(value) == text
