"""Baselines of training.ppo as bundles: each acts as the evaluation of its run does, step by step."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
from agent.bundle import WordlessBundle, load_any_bundle
from agent.engines.wordless import load_wordless
from agent.policy.heads import action_heads, choose
from training import ppo
from training.agents import load_agent
from training.bundle_policy import main
from training.environments import single_environment

S7 = "MiniGrid-MemoryS7-v0"
STEPS = 40  # more than the window of the language model


@pytest.fixture(scope="module", params=["cnn", "lstm", "helm", pytest.param("helmv2", marks=pytest.mark.long)])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("run") / str(request.param)
    options = ["--method", request.param, "--env", S7, "--task", f"{S7}:16", "--rollout", "16", "--steps", "256"]
    ppo.main(["--out", str(folder), *options])
    return folder


def frames_of(count: int) -> list[Any]:
    env, found = single_environment(S7), list[Any]()
    while len(found) < count:
        frame, _ = env.reset(seed=len(found))
        found.append(frame)
        for action in (2, 1, 2, 2, 0, 2):
            found.append(env.step(action)[0])
    env.close()
    return found[:count]


@pytest.mark.slow
def test_the_bundle_acts_as_the_run_does_also_from_a_state_that_was_kept(run: Path, tmp_path: Path) -> None:
    main(["--run", str(run), "--out", str(tmp_path / run.name)])
    bundle = load_any_bundle(tmp_path / run.name)
    assert isinstance(bundle, WordlessBundle)
    heads = action_heads(bundle.manifest.actions)
    # Each step by another of two engines, as if the server were killed after every step; the state goes on with it.
    engines = [load_wordless(bundle, allow_code=True) for _ in range(2)]
    plain = load_agent(json.loads((run / "run.json").read_text()), run, num_envs=1)
    plain.begin(0)
    frames, state = frames_of(STEPS), b""
    for step, frame in enumerate(frames):
        other = (frames[-1 - step], b"")  # beside the first step of another episode, which must change nothing
        (row, _, state), _ = engines[step % 2].decide([(frame, state), other])  # type: ignore[misc]
        assert len(state) == bundle.manifest.state_bytes
        with torch.inference_mode():
            expected = plain.act(np.stack([frame]), [(0, 5, step)], deterministic=False)
        assert [choose(heads, row, seed=5, step=step, deterministic=False)[0]] == expected


def test_a_run_of_shelm_is_told_where_its_bundle_is_made(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"method": "shelm", "frame": [56, 56]}))
    with pytest.raises(SystemExit, match=r"training\.bundle$"):
        main(["--run", str(tmp_path), "--out", str(tmp_path / "out")])


@pytest.mark.slow
def test_code_is_not_run_unless_it_is_allowed_nor_in_another_version(run: Path, tmp_path: Path) -> None:
    if run.name != "helm":
        pytest.skip("one bundle with code is enough")
    main(["--run", str(run), "--out", str(tmp_path)])
    bundle = load_any_bundle(tmp_path)
    assert isinstance(bundle, WordlessBundle)
    with pytest.raises(Exception, match="SHELM_ALLOW_CODE"):
        load_wordless(bundle)
    sys.modules.pop("training.policies.helm", None)
    other = bundle.manifest.policy.model_copy(update={"version": "0.0.1"})
    changed = WordlessBundle(bundle.folder, bundle.manifest.model_copy(update={"policy": other}))
    with pytest.raises(Exception, match=r"expected shelm-serving 0\.0\.1"):
        load_wordless(changed, allow_code=True)
    assert "training.policies.helm" not in sys.modules, "nothing of it is imported before the version is compared"
