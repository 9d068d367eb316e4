"""The paper's agent from published files to a served Act, small: vocabulary, PPO with the authors' settings, bundle, server.

The files have the formats of transfo-xl-wt103 and open_clip's folders, with random numbers, because the hub is not reached.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.deployment import Standalone
from support.frames import Frame
from support.gateway import Gateway
from support.published import COMMIT, in_hub_cache, transformer_xl

from agent.build_vocabulary import build
from agent.bundle import AgentBundle, load_bundle, manifest_digest
from agent.engines.memory import load_slots
from agent.memory.transformer_xl import published
from agent.memory.transformer_xl.model import TransformerXLConfig
from agent.sources import file_sha256
from agent.vocabulary import Vocabulary
from training import ppo
from training.bundle import make_bundle
from training.clip.folder import MODEL_CFG, PREPROCESS_CFG, export
from training.clip.folder import build as small_clip
from training.engines import load_engines

NAME, S7 = "transfo-xl/transfo-xl-wt103", "MiniGrid-MemoryS11-v0"
WORDS = [
    "<eos>",
    "<unk>",
    "key",
    "ball",
    "door",
    "box",
    "wall",
    "floor",
    "green",
    "red",
    "blue",
    "grey",
    "goal",
    "lava",
    "and",
]
SMALL = TransformerXLConfig(
    vocab_size=len(WORDS), cutoffs=(5, 10), d_model=32, d_embed=32, n_head=4, d_head=8, d_inner=64, n_layer=3
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a hub's cache, a CLIP and what the commands make."""
    folder = tmp_path_factory.mktemp("paper")
    in_hub_cache(folder / "hub", NAME, transformer_xl(folder / "published", WORDS, SMALL))
    torch.manual_seed(0)
    export(small_clip(), folder / "clip", MODEL_CFG, PREPROCESS_CFG)
    (folder / "training.json").write_text(json.dumps({"settings": {"source": "random"}}))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "hub"))
        patched.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        yield folder


def vocabulary(home: Path, out: str, *, clip: str = "clip", language_model: str = f"hub:{NAME}") -> Path:
    build.main(
        ["--clip", f"file:{home / clip}", "--language-model", language_model, "--overlap", "words", "--out", str(home / out)]
    )
    return home / out


def train(home: Path, out: str, language_model: str, words: Path, *, clip: str = "clip") -> Path:
    sources = ["--clip", f"file:{home / clip}", "--vocabulary", str(words), "--language-model", language_model]
    size = ["--layers", "3", "--rollout", "20", "--steps", "320"]
    ppo.main(["--profile", "paper", "--env", S7, *sources, *size, "--out", str(home / out)])
    return home / out


def bundled(home: Path, run: Path, name: str) -> AgentBundle:
    return make_bundle(home / name, run=run, name=name, description="the paper's, small", environments=[S7])


@pytest.fixture(scope="module")
def words(home: Path) -> Path:
    return vocabulary(home, "vocabulary.safetensors")


@pytest.fixture(scope="module")
def run(home: Path, words: Path) -> Path:
    published.main([f"hub:{NAME}", str(home / "wt103")])
    return train(home, "run", f"file:{home / 'wt103'}", words)


@pytest.fixture(scope="module")
def bundle(home: Path, run: Path) -> AgentBundle:
    return bundled(home, run, "paper")


def test_the_bundle_is_of_the_papers_kind_and_holds_all_weights_without_pickles(bundle: AgentBundle) -> None:
    manifest = bundle.manifest
    assert (manifest.memory.kind, manifest.memory.source) == ("transformer_xl", "file:language_model")
    assert (manifest.memory.dimension, manifest.memory.layers, manifest.memory.window) == (32, 3, 15)
    assert (manifest.retrieval.preprocessing, manifest.retrieval.k) == ("reference", 1)
    assert (manifest.policy.channels, manifest.policy.features, manifest.policy.kernels) == ((64, 128), 1024, "frame")
    assert {Path(file).suffix for file in manifest.files} <= {".json", ".safetensors"}


@pytest.mark.slow
def test_the_agent_is_served_as_it_was_trained(
    home: Path, run: Path, bundle: AgentBundle, frames: tuple[Frame, ...]
) -> None:
    settings = {**json.loads((run / "run.json").read_text()), "dtype": "auto"}
    engines = load_engines(settings, num_envs=1)
    known = Vocabulary.load(home / "vocabulary.safetensors").words
    remembered = [[known[row] for row in found] for found in engines.words(np.stack(frames[:4]))]
    with (
        Standalone(home / "server", {"SHELM_AGENTS": str(bundle.folder)}).running() as server,
        Gateway(server.target) as gateway,
    ):
        steps = [gateway.act("paper", step, frame) for step, frame in enumerate(frames[:4])]
    assert [[token.text for token in step.tokens] for step in steps] == remembered
    assert all(step.committed_step == number for number, step in enumerate(steps))


def test_a_model_of_the_hub_is_pinned_by_its_commit_and_its_files(home: Path, words: Path) -> None:
    made = bundled(home, train(home, "run-hub", f"hub:{NAME}", words), "paper-hub")
    assert made.manifest.memory.source == f"hub:{NAME}@{COMMIT}"
    assert load_slots(made, device="cpu", slots=1).dimension == 32
    weights = home / "hub" / f"models--{NAME.replace('/', '--')}" / "snapshots" / COMMIT / "pytorch_model.bin"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        with pytest.raises(ValueError, match=rf"hub:{NAME}@{COMMIT}: SHA-256 is .*, the agent was made with"):
            load_slots(made, device="cpu", slots=1)
    finally:
        weights.write_bytes(content)


def other_language_model(home: Path) -> Path:
    """The same model with its words in another order, so that every token id means another word."""
    return transformer_xl(home / "other-words", [*WORDS[:2], *reversed(WORDS[2:])], SMALL)


def other_clip(home: Path) -> Path:
    torch.manual_seed(1)
    export(small_clip(), home / "other-clip", MODEL_CFG, PREPROCESS_CFG)
    return home / "other-clip"


@pytest.mark.parametrize("of", ["language model", "CLIP model"])
def test_a_vocabulary_of_another_model_is_refused_at_training_bundling_and_loading(
    home: Path, run: Path, bundle: AgentBundle, tmp_path: Path, of: str
) -> None:
    if of == "language model":
        other = vocabulary(home, f"{tmp_path.name}.safetensors", language_model=f"file:{other_language_model(home)}")
    else:
        other = vocabulary(home, f"{tmp_path.name}.safetensors", clip=other_clip(home).name)
    expected = f"made for another {of}"

    with pytest.raises(SystemExit, match=expected):
        train(home, f"{tmp_path.name}-run", f"file:{home / 'wt103'}", other)

    edited = shutil.copytree(run, tmp_path / "run")
    settings: dict[str, Any] = json.loads((edited / "run.json").read_text())
    (edited / "run.json").write_text(json.dumps({**settings, "vocabulary": str(other)}))
    with pytest.raises(ValueError, match=expected):
        bundled(tmp_path, edited, "wrong")

    forged = shutil.copytree(bundle.folder, tmp_path / "forged")
    shutil.copy(other, forged / "vocabulary.safetensors")
    content = json.loads((forged / "agent.json").read_text())
    content["files"]["vocabulary.safetensors"] = file_sha256(forged / "vocabulary.safetensors")
    content["digest"] = manifest_digest(content)
    (forged / "agent.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=expected):
        load_slots(load_bundle(forged), device="cpu", slots=1)
