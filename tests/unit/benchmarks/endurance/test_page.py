"""The page about load says what the raw data says."""

from pathlib import Path

import pytest
from support.plots import marks

from benchmarks.endurance import page
from benchmarks.page import PLOTS, filled


def test_the_tables_of_the_page_are_those_of_the_raw_data() -> None:
    text = page.PAGE.read_text()
    assert all(f"<!-- table: {name} -->" in text for name in page.TABLES)
    assert filled(text, page.TABLES) == text


@pytest.mark.parametrize("name", page.DRAWN)
def test_the_plots_are_those_of_the_raw_data_and_on_the_page(name: str, tmp_path: Path) -> None:
    page.draw(name, tmp_path / "plot.svg")
    assert marks(tmp_path / "plot.svg") == marks(PLOTS / f"load-{name}.svg")
    assert f"plots/load-{name}.svg" in page.PAGE.read_text()


@pytest.mark.parametrize("path", sorted(page.RAW.glob("*.json")), ids=lambda path: path.name)
def test_the_raw_data_names_its_command_and_commit_and_no_place_on_a_machine(path: Path) -> None:
    text = path.read_text()
    assert '"commit"' in text
    assert '"endurance"' in text or '"month"' in text
    assert "/tmp" not in text
    assert "/home" not in text
