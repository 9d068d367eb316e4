"""CLIP models of several shapes, and words that mean nothing."""

import json
from pathlib import Path

import pytest
import torch

from agent.vocabulary import Vocabulary
from training.clip.encoders import SHIPPED, main, permuted


def test_permuted_words_are_all_others_and_each_keeps_its_id_of_the_language_model() -> None:
    before = Vocabulary.load(SHIPPED / "vocabulary.safetensors")
    after = permuted(before)
    ids = dict(zip(before.words, before.token_ids.tolist(), strict=True))
    assert torch.equal(after.embeddings, before.embeddings)
    assert sorted(after.words) == sorted(before.words)
    assert not any(one == other for one, other in zip(before.words, after.words, strict=True))
    assert [ids[word] for word in after.words] == after.token_ids.tolist()


@pytest.mark.slow
def test_permuted_words_tell_frames_apart_as_before_and_name_nothing(tmp_path: Path) -> None:
    main(["--only", "shipped", "permuted", "resnet", "--quick", "--out", str(tmp_path)])
    found = {name: json.loads((tmp_path / name / "measured.json").read_text()) for name in ("shipped", "permuted", "resnet")}
    assert found["shipped"]["whole_vocabulary"]["top1"] == 1
    assert found["permuted"]["whole_vocabulary"]["top1"] == 0
    assert found["permuted"]["pairs"] == found["shipped"]["pairs"] > 0
    assert found["permuted"]["pairs_same_word"] == found["shipped"]["pairs_same_word"] == 0
    config = json.loads((tmp_path / "resnet" / "export" / "open_clip_config.json").read_text())
    assert config["model_cfg"]["vision_cfg"]["layers"] == [1, 1, 1, 1]
