"""Bundles of a hostile author, with all digests right: each part computes finite numbers, or the bundle is refused."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.tiny_bundle import PARTS, write_bundle

from agent.bundle import MANIFEST, AgentBundle, write_manifest
from agent.engines.memory import load_slots
from agent.engines.policy import load_policy
from agent.engines.retrieval import load_retriever

CLIP, LM = "clip/open_clip_model.safetensors", "lm/model.safetensors"
VOCABULARY, POLICY = "vocabulary.safetensors", "policy.safetensors"
Change = Callable[[Path], object]
pytestmark = pytest.mark.slow  # it imports open_clip and transformers


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A good bundle of each kind."""
    return {parts: write_bundle(tmp_path_factory.mktemp("good") / parts, parts).folder for parts in PARTS}


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was asked of the network or on standard input; nothing of it is answered."""
    asked: list[str] = []

    def away(*what: object) -> None:
        asked.append(str(what[-1]))
        raise OSError("away")

    monkeypatch.setattr(socket.socket, "connect", away)
    monkeypatch.setattr("builtins.input", away)
    yield asked
    assert asked == []


def act(bundle: AgentBundle) -> torch.Tensor:
    """Loads all three engines."""
    load_retriever(bundle, device="cpu", cache_frames=4)
    slots = load_slots(bundle, device="cpu", slots=1)
    load_policy(bundle, device="cpu")
    return torch.from_numpy(slots.encode_history([0, 1]))


def changed(folder: Path, to: Path, change: Change) -> AgentBundle:
    """A copy with a change, signed as its author would sign it."""
    for path in (one for one in folder.rglob("*") if one.is_file()):
        (to / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
        (to / path.relative_to(folder)).write_bytes(path.read_bytes())
    change(to)
    content = json.loads((to / MANIFEST).read_text())
    return write_manifest(to, content)


def tensors(file: str, edit: Callable[[dict[str, Any]], object]) -> Change:
    """Another content of a file of tensors."""

    def change(folder: Path) -> None:
        content = load_file(folder / file)
        edit(content)
        save_file(content, folder / file, {"format": "shelm-vocabulary-1" if file == VOCABULARY else "pt"})

    return change


def settings(file: str, edit: Callable[[dict[str, Any]], object]) -> Change:
    """Another content of a JSON file."""

    def change(folder: Path) -> None:
        content = json.loads((folder / file).read_text())
        edit(content)
        (folder / file).write_text(json.dumps(content))

    return change


def filled(name: str, value: float) -> Callable[[dict[str, Any]], object]:
    return lambda content: content[name].view(-1)[-1:].fill_(value)


def words(value: object) -> Callable[[dict[str, Any]], object]:
    return lambda content: content.update(words=torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8))


def vision(**fields: object) -> Change:
    return settings("clip/open_clip_config.json", lambda content: content["model_cfg"]["vision_cfg"].update(fields))


def config(**fields: object) -> Change:
    return settings("lm/config.json", lambda content: content.update(fields))


def manifest(part: str, **fields: object) -> Change:
    return settings(MANIFEST, lambda content: content[part].update(fields))


NAN, HUGE = float("nan"), 3e38
# Which bundle, what is changed, and what the error says.
HOSTILE: dict[str, tuple[str, Change, str]] = {
    "a NaN in CLIP": ("plain", tensors(CLIP, filled("visual.proj", NAN)), r"visual\.proj: expected finite"),
    "a NaN in open_clip's own tower": ("other", tensors(CLIP, filled("visual.conv1.weight", NAN)), r"visual\.conv1.*finite"),
    "a NaN in BatchNorm": ("other", tensors(CLIP, filled("visual.bn1.running_var", NAN)), r"bn1\.running_var.*finite"),
    "a NaN in a Llama": ("plain", tensors(LM, filled("norm.weight", NAN)), r"norm\.weight: expected finite"),
    "a NaN in a model of transformers": ("other", tensors(LM, filled("norm.weight", NAN)), r"norm\.weight: expected finite"),
    "a NaN in the policy": ("plain", tensors(POLICY, filled("actor.0.bias", NAN)), r"actor\.0\.bias: expected finite"),
    "a NaN in the vocabulary": ("plain", tensors(VOCABULARY, filled("embeddings", NAN)), "embeddings: expected finite"),
    "CLIP overflows": ("plain", tensors(CLIP, lambda t: t["visual.proj"].fill_(HUGE)), "retrieval.clip .* not finite"),
    "the policy overflows": (
        "plain",
        tensors(POLICY, lambda t: t["actor.3.weight"].fill_(HUGE)),
        "policy.weights .* not finite",
    ),
    "a memory beyond measure": ("plain", tensors(LM, lambda t: t["norm.weight"].fill_(1e20)), "memory.source .*up to 1e.09"),
    "another width": ("plain", tensors(VOCABULARY, lambda t: t.update(embeddings=torch.ones(5, 9))), "cannot be used"),
    "words of numbers": ("plain", tensors(VOCABULARY, words([1, 2, 3, 4, 5])), "words: expected a list of texts"),
    "words of an object": ("plain", tensors(VOCABULARY, words(dict.fromkeys("abcde"))), "words: expected a list of texts"),
    "half of a character": (
        "plain",
        tensors(VOCABULARY, words(["a", "\ud800", "c", "d", "e"])),
        "words: 1: expected Unicode",
    ),
    "no words": ("plain", tensors(VOCABULARY, lambda t: t.pop("words")), "words: expected a tensor"),
    "ids that are no whole numbers": (
        "plain",
        tensors(VOCABULARY, lambda t: t.update(token_ids=torch.full((5,), NAN))),
        "token_ids: expected a tensor of torch.int",
    ),
    "a tensor of a Llama is missing": ("plain", tensors(LM, lambda t: t.pop("norm.weight")), "KeyError: 'norm.weight'"),
    "a tensor for transformers is missing": ("other", tensors(LM, lambda t: t.pop("norm.weight")), "no tensor norm.weight"),
    "a policy of 17 GB": ("plain", manifest("policy", features=65_536, actor_hidden=65_536), "size mismatch"),
    "frames of 16 million pixels": ("plain", manifest("observation", height=4096, width=4096), "size mismatch"),
    "a CLIP of 4 TB": ("other", vision(width=2**20), "the settings describe|cannot be used"),
    "a CLIP of a billion layers": (
        "other",
        vision(layers=[10**9] * 4),
        r"vision_cfg\.layers\.0: expected a number up to 256",
    ),
    "a picture of 10^12 pixels": (
        "other",
        vision(image_size=10**6),
        r"vision_cfg\.image_size: expected a number up to 4096",
    ),
    "heads of no width": ("plain", vision(head_width=10**5), "cannot be used"),
    "a language model of 20 GB": ("other", config(intermediate_size=2**27), "the settings describe"),
    "a language model of 10^9 layers": ("other", config(num_hidden_layers=10**9), "num_hidden_layers: expected 1..1024"),
    "a vocabulary of 10^12 words": ("other", config(vocab_size=10**12), "the settings describe|cannot be used"),
    "a Transformer-XL of 10^9": ("xl", config(d_model=10**9), "d_model: expected 1..65536"),
    "cutoffs that go back": ("xl", config(cutoffs=[5, 3]), "cutoffs: expected ascending"),
    "twice the same setting": (
        "plain",
        lambda folder: (folder / "lm/config.json").write_text('{"model_type": "llama", "model_type": "llama"}'),
        "'model_type': expected once",
    ),
    "a timm model of a hub": ("other", vision(timm_model_name="hf-hub:timm/x"), "timm_model_name: expected the name of"),
    "a timm model of a folder": (
        "other",
        vision(timm_model_name="local-dir:/tmp/x"),
        "timm_model_name: expected the name of",
    ),
    "weights that timm fetches": ("other", vision(timm_model_name="resnet18", timm_model_pretrained=True), "expected none"),
    "an adapter": (
        "other",
        lambda folder: (folder / "lm/adapter_config.json").write_text('{"base_model_name_or_path": "a/b"}'),
        "adapter_config.json: expected none",
    ),
    "kernels of a hub": ("other", config(_attn_implementation="someone/kernels"), "_attn_implementation: expected none"),
    "an index that leads out": (
        "plain",
        lambda folder: (folder / "lm/model.safetensors.index.json").write_text(
            json.dumps({"weight_map": {"norm.weight": "../policy.safetensors"}})
        ),
        "weight_map: expected files of this folder",
    ),
    "random weights of 1,000 layers": ("plain", manifest("memory", source="random:1", layers=1000), "1000 layers asked for"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_bundle_is_refused(written: dict[str, Path], tmp_path: Path, alone: list[str], name: str) -> None:
    parts, change, problem = HOSTILE[name]
    bundle = changed(written[parts], tmp_path / "hostile", change)
    with pytest.raises(ValueError, match=problem):
        act(bundle)


@pytest.mark.parametrize("parts", PARTS)
def test_a_good_bundle_of_each_kind_acts(written: dict[str, Path], tmp_path: Path, alone: list[str], parts: str) -> None:
    bundle = changed(written[parts], tmp_path / "same", lambda folder: None)
    assert torch.isfinite(act(bundle)).all()


@pytest.mark.parametrize("kind", ["llama", "unheard-of", "qwen2"])
def test_code_of_a_language_model_is_not_run_and_nothing_is_asked(
    written: dict[str, Path], tmp_path: Path, alone: list[str], kind: str
) -> None:
    marker = tmp_path / "marker"

    def attack(folder: Path) -> None:
        (folder / "lm/modeling_x.py").write_text(f"open({str(marker)!r}, 'w').write('ran')\nclass Model: ...\n")
        auto_map = dict.fromkeys(("AutoConfig", "AutoModel", "AutoModelForCausalLM"), "modeling_x.Model")
        config(model_type=kind, auto_map=auto_map)(folder)

    bundle = changed(written["plain"], tmp_path / "hostile", attack)
    with pytest.raises(ValueError, match="auto_map: expected none, it names code of the folder"):
        act(bundle)
    assert not marker.exists()


def test_a_pickle_in_the_place_of_weights_is_not_run(written: dict[str, Path], tmp_path: Path, alone: list[str]) -> None:
    marker = tmp_path / "marker"
    code = b"cos\nsystem\n(S'touch " + str(marker).encode() + b"'\ntR."
    for parts, removed, name in (("other", LM, "lm/pytorch_model.bin"), ("other", CLIP, "clip/open_clip_pytorch_model.bin")):

        def attack(folder: Path, removed: str = removed, name: str = name) -> None:
            (folder / removed).unlink()
            (folder / name).write_bytes(code)

        bundle = changed(written[parts], tmp_path / name.replace("/", "-"), attack)
        with pytest.raises((ValueError, FileNotFoundError)):
            act(bundle)
        assert not marker.exists()


def test_a_tensor_that_shows_a_few_bytes_many_times_over_is_refused(written: dict[str, Path], tmp_path: Path) -> None:
    def attack(folder: Path) -> None:
        content = load_file(folder / CLIP)
        (folder / CLIP).unlink()
        content["visual.conv1.weight"] = torch.zeros(1).expand(2**20, 2**20)
        torch.save(content, folder / "clip/open_clip_pytorch_model.bin")

    bundle = changed(written["other"], tmp_path / "hostile", attack)
    with pytest.raises(ValueError, match=r"visual\.conv1\.weight: has fewer bytes than its shape"):
        act(bundle)
