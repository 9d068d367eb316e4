"""What a run changes in its policy while it learns."""

from typing import Any

import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import ConvertCallback

from training.policy import LinearEntropySchedule


def test_the_entropy_bonus_falls_to_its_end_also_when_a_run_goes_on() -> None:
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=64, batch_size=64, n_epochs=1, device="cpu")
    seen: list[float] = []
    falling = LinearEntropySchedule(0.2, 0.1)

    def note(*_: Any) -> bool:
        seen.append(model.ent_coef)
        return True

    model.learn(128, callback=[falling, ConvertCallback(note)])
    assert model.ent_coef == pytest.approx(0.1)
    model.learn(128, callback=[falling, ConvertCallback(note)], reset_num_timesteps=False)  # 256 in all, half of them done
    assert model.ent_coef == pytest.approx(0.1)
    assert seen[127] == pytest.approx(0.15)
    assert seen[-1] == pytest.approx(0.125)
