"""The model cards of the shipped agents."""

from pathlib import Path

import pytest
from support.process import REPOSITORY

from agent.bundle import load_bundle

CARDS = sorted((REPOSITORY / "models").glob("*/README.md"))


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.parent.name)
def test_the_card_says_how_to_play_with_the_agent(card: Path) -> None:
    bundle, text = load_bundle(card.parent), card.read_text()
    commands = text.partition("## Play\n")[2].partition("\n## ")[0]
    assert f"SHELM_AGENTS=models/{card.parent.name} make serve" in commands
    assert f"shelm play --agent {bundle.name} " in commands
    assert bundle.manifest.environments[0] in commands
