"""Loading of the public transfo-xl-wt103 files, refusal of everything that could run code, and random models.

`small/` beside the golden vectors is a model folder that the library itself has saved, its pickled vocabulary included.
"""

import json
import pickle
import shutil
import subprocess
import sys
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.process import REPOSITORY
from torch import Tensor

from agent.memory.transformer_xl.model import TransformerXL, TransformerXLConfig
from agent.memory.transformer_xl.published import convert, load_transformer_xl, load_words, random_transformer_xl

SMALL_FOLDER = REPOSITORY / "tests/golden/transformer_xl" / "small"
SMALL_WORDS = ["<eos>", "<unk>", "<formula>", *(f"word{number}" for number in range(3, 60))]
SMALL = TransformerXLConfig(
    vocab_size=60, cutoffs=(20, 40), d_model=32, d_embed=32, n_head=4, d_head=8, d_inner=64, n_layer=4, clamp_len=10
)
WORDS = ["<eos>", "the", "Kakapo", "é"]


def published_vocabulary() -> dict[str, Any]:
    """What the published vocab.bin holds: the attributes of the original code's Vocab."""
    numbers = OrderedDict((word, number) for number, word in enumerate(WORDS))
    counts = Counter({"the": 3, "Kakapo": 1})
    return {"counter": counts, "special": ["<eos>"], "min_freq": 0, "idx2sym": list(WORDS), "sym2idx": numbers, "unk_idx": 1}


class Malicious:
    """Pickles to a call of `function`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A writable copy of the small model folder."""
    return shutil.copytree(SMALL_FOLDER, tmp_path / "model")


def load(path: Path, **options: Any) -> TransformerXL:
    usual = {"lm_token_ids": torch.tensor([3, 25, 59]), "window": 5, "tokens_per_step": 1}
    return load_transformer_xl(path, **{**usual, **options})


def same_weights(one: TransformerXL, another: TransformerXL) -> bool:
    """Up to rounding, because the embeddings are computed, which depends on where in memory the tables lie."""
    ours, theirs = one.state_dict(), another.state_dict()
    return ours.keys() == theirs.keys() and all(torch.allclose(ours[name], theirs[name], atol=1e-5) for name in ours)


def edit_tensors(folder: Path, **changes: Tensor | None) -> None:
    """Replace tensors of model.safetensors; None removes one. A double underscore stands for a dot."""
    tensors: dict[str, Tensor] = load_file(folder / "model.safetensors")
    for name, value in changes.items():
        del tensors[name.replace("__", ".")]
        if value is not None:
            tensors[name.replace("__", ".")] = value
    save_file(tensors, folder / "model.safetensors")


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("zipped", [False, True])
def test_torch_files_load_like_safetensors(folder: Path, zipped: bool) -> None:
    expected = load(folder)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(OrderedDict(tensors), folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    assert same_weights(load(folder), expected)


def test_names_without_the_language_model_head_load_the_same(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    bare = {name.removeprefix("transformer."): value for name, value in tensors.items() if not name.startswith("crit.")}
    assert any(name.startswith("crit.") for name in tensors)
    expected = load(folder)
    save_file(bare, folder / "model.safetensors")
    assert same_weights(load(folder), expected)


def head_names(folder: Path, *, projections: tuple[int, ...]) -> dict[str, Tensor]:
    """The model's tensors, those that it shares with its head under the head's names."""
    tensors = {name.removeprefix("transformer."): tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    renamed = {f"word_emb.emb_layers.{i}.weight": f"crit.out_layers.{i}.weight" for i in range(3)}
    renamed |= {f"word_emb.emb_projs.{i}": f"crit.out_projs.{i}" for i in projections}
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("crit.")}
    return {renamed.get(name, name): tensor for name, tensor in kept.items()}


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_tensors_that_were_saved_under_the_heads_names_load_the_same(folder: Path, file: str) -> None:
    tensors = head_names(folder, projections=(1, 2))
    (folder / "model.safetensors").unlink()
    if file == "model.safetensors":
        save_file(tensors, folder / file)
    else:
        torch.save(tensors, folder / file)
    assert same_weights(load(folder), load(SMALL_FOLDER))


def test_a_tensor_that_the_head_has_for_itself_is_not_taken_for_the_embeddings(folder: Path) -> None:
    save_file(head_names(folder, projections=(0, 1, 2)), folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"no tensor word_emb\.emb_projs\.0"):
        load(folder)


def test_only_the_layers_asked_for_are_read(folder: Path) -> None:
    edit_tensors(folder, transformer__layers__2__dec_attn__qkv_net__weight=None)
    assert load(folder, layers=2).layers == 2
    with pytest.raises(ValueError, match=r"model.safetensors: no tensor layers\.2\.dec_attn\.qkv_net\.weight"):
        load(folder, layers=3)


def test_a_loaded_model_does_not_change_with_its_file(folder: Path) -> None:
    model = load(folder)
    before = model.stack[0].get_parameter("widen.weight").clone()
    file = folder / "model.safetensors"
    with file.open("r+b") as opened:
        opened.write(bytes(file.stat().st_size))
    assert torch.equal(model.stack[0].get_parameter("widen.weight"), before)


def test_a_tensor_of_another_shape_is_named(folder: Path) -> None:
    edit_tensors(folder, transformer__word_emb__emb_projs__1=torch.zeros(32, 4))
    with pytest.raises(ValueError, match=r"emb_projs\.1 has shape \(32, 4\), expected \(32, 8\)"):
        load(folder)


@pytest.mark.parametrize(
    ("field", "value"), [("same_length", False), ("pre_lnorm", True), ("untie_r", False), ("attn_type", 2), ("div_val", 1)]
)
def test_a_variant_of_the_model_that_is_not_computed_is_refused(folder: Path, field: str, value: Any) -> None:
    edit_config(folder, **{field: value})
    with pytest.raises(ValueError, match=rf"config.json: {field} is {value}"):
        load(folder)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(FileNotFoundError, match=missing):
        load(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "config.json"])
def test_a_damaged_file_is_named(folder: Path, name: str) -> None:
    if name == "pytorch_model.bin":
        (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(b"\x80\x02K\x01.")
    with pytest.raises(ValueError, match=name):
        load(folder)


def test_weights_that_would_run_code_are_refused_without_running_it(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"layers": Malicious(Path.touch, tmp_path / "ran")}, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"pytorch_model\.bin"):
        load(folder)
    assert not (tmp_path / "ran").exists()


def test_the_vocabulary_that_the_library_pickled_is_read() -> None:
    assert b"sacremoses" in (SMALL_FOLDER / "vocab.pkl").read_bytes(), "it should hold more than plain values"
    assert load_words(SMALL_FOLDER / "vocab.pkl") == load_words(SMALL_FOLDER) == SMALL_WORDS


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_vocabulary_is_read(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "vocab.pkl").write_bytes(pickle.dumps(published_vocabulary(), protocol=protocol))
    assert load_words(tmp_path / "vocab.pkl") == WORDS


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", ["vocab.bin", "vocab.pkl"])
def test_a_vocabulary_saved_with_torch_is_read(tmp_path: Path, name: str, zipped: bool) -> None:
    torch.save(published_vocabulary(), tmp_path / name, _use_new_zipfile_serialization=zipped)
    assert load_words(tmp_path) == WORDS


def test_words_are_ordered_by_number_where_only_numbers_are_kept(tmp_path: Path) -> None:
    saved = {"idx2sym": [], "sym2idx": OrderedDict(reversed(published_vocabulary()["sym2idx"].items()))}
    (tmp_path / "vocab.pkl").write_bytes(pickle.dumps(saved))
    assert load_words(tmp_path) == WORDS


@pytest.mark.parametrize(("name", "text"), [("vocabulary.json", json.dumps(WORDS)), ("vocab.txt", "\n".join(WORDS))])
def test_plain_word_lists_are_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert load_words(tmp_path) == load_words(tmp_path / name) == WORDS


@pytest.mark.parametrize("written_by", ["pickle", "older torch", "torch"])
@pytest.mark.parametrize("function", [Path.touch, exec, eval, subprocess.run])
def test_a_vocabulary_that_would_run_code_is_refused_without_running_it(
    tmp_path: Path, function: Any, written_by: str
) -> None:
    proof = tmp_path / "ran"
    code = f"open({str(proof)!r}, 'w')"
    argument = {Path.touch: proof, subprocess.run: [sys.executable, "-c", code]}.get(function, code)
    saved = {**published_vocabulary(), "extra": Malicious(function, argument)}
    if written_by == "pickle":
        (tmp_path / "vocab.bin").write_bytes(pickle.dumps(saved))
    else:
        torch.save(saved, tmp_path / "vocab.bin", _use_new_zipfile_serialization=written_by == "torch")
    with pytest.raises(ValueError, match=r"vocab\.bin"):
        load_words(tmp_path)
    assert not proof.exists()
    Malicious(function, argument).call[0](argument)
    assert proof.exists(), "the code should have been able to run"


def test_names_of_the_tokenizers_own_modules_are_never_resolved(tmp_path: Path) -> None:
    missing = b"\x80\x02}(X\x05\x00\x00\x00extracsacremoses.nowhere\nno_such_thing\nX\x01\x00\x00\x00x\x85R"
    (tmp_path / "vocab.pkl").write_bytes(missing + b"X\x07\x00\x00\x00idx2sym](X\x03\x00\x00\x00thee" + b"u.")
    assert load_words(tmp_path) == ["the"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocabulary.json", b'["a", 1]', "expected a list of words"),
        ("vocabulary.json", b'["a", "b", "a"]', "1 words occur twice"),
        ("vocabulary.json", b'["a"', "Expecting"),
        ("vocab.txt", b"a\n\nb\n", "line 2 has no word"),
        ("vocab.txt", b"\xff\n", "utf-8"),
        ("vocab.pkl", pickle.dumps({"words": ["a"]}), "expected a dict with idx2sym or sym2idx"),
        ("vocab.pkl", pickle.dumps({"sym2idx": {"a": 0, "b": 2}}), "not 0, 1, 2"),
        ("vocab.pkl", pickle.dumps(published_vocabulary())[:-9], "vocab.pkl"),
    ],
)
def test_a_vocabulary_that_is_none_is_refused_with_the_reason(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_words(tmp_path / name)


def test_a_folder_without_a_vocabulary_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"vocabulary\.json"):
        load_words(tmp_path)


def test_the_converter_writes_a_folder_without_pickles_that_loads_the_same(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "converted"
    command = [sys.executable, "-m", "agent.memory.transformer_xl.published", str(folder), str(target)]
    subprocess.run(command, check=True, cwd=REPOSITORY)
    assert {file.name for file in target.iterdir()} == {"config.json", "model.safetensors", "vocabulary.json"}
    assert load_words(target) == SMALL_WORDS
    assert same_weights(load(target), load(folder))
    assert not any(name.startswith("crit.") for name in load_file(target / "model.safetensors"))


def test_the_converter_refuses_a_vocabulary_of_another_size(folder: Path, tmp_path: Path) -> None:
    (folder / "vocabulary.json").write_text(json.dumps(WORDS))
    with pytest.raises(ValueError, match=r"the vocabulary has 4 words, config\.json says 60"):
        convert(folder, tmp_path / "converted")
    assert not (tmp_path / "converted").exists()


def random_model(seed: int, words: list[int], **options: Any) -> TransformerXL:
    ids = torch.tensor(words)
    return random_transformer_xl(seed, lm_token_ids=ids, window=5, tokens_per_step=1, config=SMALL, **options)


def memory_vector(model: TransformerXL) -> Tensor:
    cache, slot = model.new_cache(1), torch.tensor([0])
    return [model.step(cache, slot, torch.tensor([step]), torch.tensor([[step % 2]])) for step in range(3)][-1]


def test_random_models_are_the_same_for_the_same_seed_only() -> None:
    first, again, other = (memory_vector(random_model(seed, [3, 59])) for seed in (7, 7, 8))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=0.1)


def test_random_embeddings_and_layers_do_not_depend_on_what_else_was_asked_for() -> None:
    one, another = random_model(7, [3, 59], layers=4), random_model(7, [59], layers=1)
    assert torch.equal(one.embeddings[1], another.embeddings[0])
    assert torch.equal(one.positional[:1], another.positional)


def test_random_models_have_the_published_sizes_by_default() -> None:
    model = random_transformer_xl(0, lm_token_ids=torch.tensor([0, 267_734]), layers=1, window=15, tokens_per_step=1)
    parameters = sum(parameter.numel() for parameter in model.stack.parameters())
    assert parameters / 1e6 == pytest.approx(13.64, abs=0.005)  # docs/paper.md#memory
    assert model.dimension == 1024
    assert model.new_cache(2).keys.shape == (1, 2, 16, 15, 64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": 5}, r"layers: expected 1\.\.4, got 5"),
        ({"layers": 0}, r"layers: expected 1\.\.4, got 0"),
        ({"window": 0}, "window 0"),
        ({"tokens_per_step": 0}, "0 tokens per step"),
        ({"lm_token_ids": torch.tensor([3, 60])}, r"lm_token_ids: expected 0\.\.59, got 60"),
    ],
)
def test_impossible_sizes_are_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(SMALL_FOLDER, **options)
