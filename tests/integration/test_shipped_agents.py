"""Every bundle in models/ is whole, small and described; the agents play as they are served as their cards say."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from shelm import Client
from shelm.gym import minigrid_env, play
from support.deployment import Deployment, Standalone
from support.process import REPOSITORY

from agent.bundle import load_bundle
from training.environments import single_environment

BUNDLES = {path.parent.name: path.parent for path in sorted((REPOSITORY / "models").glob("*/agent.json"))}
SOLVES = {
    "minigrid-keycorridor": "MiniGrid-KeyCorridorS3R1-v0",
    "minigrid-memory": "MiniGrid-MemoryS11-v0",
    "minigrid-memory-robust": "MiniGrid-MemoryS7-v0",
    "minigrid-redbluedoors": "MiniGrid-RedBlueDoors-6x6-v0",
}
LARGEST = 40 * 2**20  # bytes
EPISODES = 10


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """All shipped agents in one server."""
    settings = {"SHELM_AGENTS": ",".join(map(str, BUNDLES.values())), "SHELM_SLOTS": "8"}
    with Standalone(tmp_path_factory.mktemp("shipped"), settings).running() as running:
        yield running


@pytest.mark.parametrize("folder", BUNDLES.values(), ids=lambda folder: folder.name)
def test_a_shipped_bundle_is_whole_small_and_described(folder: Path) -> None:
    assert load_bundle(folder).name == folder.name
    assert sum(file.stat().st_size for file in folder.rglob("*")) <= LARGEST
    card = (folder / "README.md").read_text()
    for part in ("licence", "seed", "## Scores", "## Words", "Known confusions", "## Limits", "training.bundle"):
        assert part in card


@pytest.mark.parametrize("name", SOLVES)
def test_a_shipped_minigrid_agent_solves_its_task_when_served(served: Deployment, name: str) -> None:
    env = minigrid_env(SOLVES[name])
    with Client(served.target) as client:
        summary = play(client, env, episodes=EPISODES, seed=3_000_000, agent=name, deterministic=True)
    env.close()
    assert summary.mean_return >= 0.9


@pytest.mark.long
def test_the_agent_of_the_sign_touches_the_right_box_more_often_than_a_guess_would(served: Deployment) -> None:
    """Guessing is right one time in three; 17 of 24 or more would be luck in two cases of ten thousand."""
    env = single_environment("MiniWorld-SignColour-v0")
    with Client(served.target) as client:
        summary = play(client, env, episodes=24, seed=3_000_000, agent="miniworld-signcolour", deterministic=True)
    env.close()
    assert sum(value > 0 for value in summary.returns) >= 17
