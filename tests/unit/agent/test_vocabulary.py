"""A vocabulary's file."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from agent.vocabulary import Vocabulary


def test_saving_and_loading_keeps_every_field(tmp_path: Path) -> None:
    words = ["key", "two\nlines", "\ufffd", "nul\0"]
    saved = Vocabulary(words, torch.randn(4, 3), torch.tensor([4, 3, 2, 267_734]), {"overlap": "reference"})
    saved.save(tmp_path / "v.safetensors", dtype=torch.float32)
    loaded = Vocabulary.load(tmp_path / "v.safetensors")
    assert (loaded.words, loaded.provenance) == (words, {"overlap": "reference"})
    assert torch.equal(loaded.embeddings, saved.embeddings)
    assert torch.equal(loaded.token_ids, saved.token_ids)


def test_the_file_is_as_readable_as_any_other_new_file(tmp_path: Path) -> None:
    Vocabulary(["key"], torch.randn(1, 8), torch.tensor([4])).save(tmp_path / "v.safetensors")
    (tmp_path / "other").touch()
    assert (tmp_path / "v.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_half_precision_storage_is_read_as_float32(tmp_path: Path) -> None:
    saved = Vocabulary(["key"], torch.randn(1, 8), torch.tensor([4]))
    saved.save(tmp_path / "v.safetensors")
    loaded = Vocabulary.load(tmp_path / "v.safetensors")
    assert torch.equal(loaded.embeddings, saved.embeddings.half().float())


def test_a_file_that_is_no_vocabulary_is_refused_by_name(tmp_path: Path) -> None:
    save_file({"embeddings": torch.zeros(1, 2)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"other\.safetensors: expected a vocabulary of format"):
        Vocabulary.load(tmp_path / "other.safetensors")


def test_fields_that_disagree_in_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected embeddings \(2, dim\)"):
        Vocabulary(["key", "ball"], torch.zeros(1, 2), torch.zeros(2, dtype=torch.int64))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_embeddings_that_are_no_numbers_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="embeddings: expected finite numbers"):
        Vocabulary(["a"], torch.tensor([[bad]]), torch.tensor([0]))


def test_a_negative_token_id_does_not_count_from_the_end() -> None:
    with pytest.raises(ValueError, match="token_ids: expected 0 or more, got -1"):
        Vocabulary(["a"], torch.tensor([[1.0]]), torch.tensor([-1]))
