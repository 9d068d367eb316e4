"""The commands of a recipe."""

import pytest

from training import recipe


@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
def test_training_and_evaluation_get_the_device(device: str) -> None:
    parts = recipe.parts("MiniGrid-MemoryS11-v0", "shelm", 0, device)
    models = [part for part in parts if part[0] in ("training.ppo", "training.evaluate")]
    assert len(models) == 2
    assert all(part[part.index("--device") + 1] == device for part in models)
