"""The commands of "The paper's agent", from download to a served Act, on random weights in the published formats and sizes.

ViT-B/16 and 18 layers of Transformer-XL; of its 267,735 words CLIP knows 500, so that the vocabulary does not
take minutes. The hub's cache stands in for the hub, which is not reached.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
from safetensors.torch import save_file
from support.fenced import Block, blocks_of
from support.gateway import Gateway
from support.newcomer import Newcomer
from support.process import REPOSITORY
from support.published import in_hub_cache, transformer_xl

from agent.build_vocabulary.overlap import clip_strings
from agent.bundle import load_bundle
from agent.memory.transformer_xl.model import TransformerXLConfig

PAGE = REPOSITORY / "docs" / "paper-agent.md"
pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
KNOWN = 500


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache of the hub's library, with both models in it."""
    cache, config = tmp_path / "hub", TransformerXLConfig()
    known = sorted({text for text in clip_strings() if text.isalpha() and text.isascii()})[:: max(1, 13_000 // KNOWN)]
    words = ["<eos>", *known, *(f"Word{number}" for number in range(config.vocab_size))][: config.vocab_size]
    in_hub_cache(cache, "transfo-xl/transfo-xl-wt103", transformer_xl(tmp_path / "wt103", words, config))
    clip = tmp_path / "clip"
    clip.mkdir()
    model = open_clip.create_model("ViT-B-16", load_weights=False, force_quick_gelu=True)
    save_file(
        {name: tensor.contiguous() for name, tensor in model.state_dict().items()}, clip / "open_clip_model.safetensors"
    )
    in_hub_cache(cache, "timm/vit_base_patch16_clip_224.openai", clip)
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def commands() -> list[Block]:
    """The page's blocks; training is made short, as the page itself says, and the server's command stands alone."""
    made, trained = [block for block in blocks_of(PAGE) if block.language == "bash"][:2]
    short = trained.code.replace("--device cuda", "--rollout 20 --steps 320 --device cpu")
    assert short != trained.code
    first, serve = short.rstrip().rsplit("\n", 1)
    return [made, replace(trained, code=first), replace(trained, code=serve)]


@pytest.mark.usefixtures("hub")
def test_the_pages_commands_lead_to_a_served_act(tmp_path: Path) -> None:
    with Newcomer(tmp_path) as newcomer:
        *before, serve = commands()
        for block in before:
            newcomer.follow(block, seconds=900)
        manifest = load_bundle(newcomer.clone / "models" / "paper").manifest
        assert (manifest.memory.kind, manifest.memory.layers, manifest.memory.dimension) == ("transformer_xl", 18, 1024)
        newcomer.follow(serve, seconds=300)
        with Gateway(newcomer.target) as gateway:
            frame = np.zeros((56, 56, 3), np.uint8)
            steps = [gateway.act("paper", step, frame + step) for step in range(3)]
    assert [step.committed_step for step in steps] == [0, 1, 2]
    assert all(len(step.tokens) == 1 for step in steps)
