"""What the guides' commands need beside the commands themselves."""

import json
import subprocess
import sys
from pathlib import Path

import torch
from support.process import REPOSITORY

from agent.retrieval.clip import load_clip, preprocess_cfg

SPEC = "random:ViT-S-32-alt/0"


def test_a_saved_clip_sees_and_reads_as_the_one_that_was_saved(tmp_path: Path) -> None:
    # Random weights stand for published ones, which come from a hub; the folder's format is the same.
    command = [sys.executable, "-m", "docs.examples.save_clip", SPEC, "--out", str(tmp_path)]
    subprocess.run(command, cwd=REPOSITORY, check=True, timeout=200)
    saved, loaded = load_clip(SPEC), load_clip(f"file:{tmp_path}/export")
    images = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    texts = saved.tokenizer(["a red square", "a green square"])
    for name, given in (("encode_image", images), ("encode_text", texts)):
        before, after = (getattr(one.model, name)(given, normalize=True) for one in (saved, loaded))
        torch.testing.assert_close(after, before, atol=2e-3, rtol=0)  # float16 in the file
    before, after = (json.dumps(preprocess_cfg(one.model)) for one in (saved, loaded))
    assert after == before
    assert json.loads((tmp_path / "training.json").read_text()) == {"settings": {"source": SPEC}}
