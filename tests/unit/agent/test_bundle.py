"""Agent bundles: what is checked before one is served, and what its digest depends on."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.bundle import (
    MANIFEST,
    AgentBundle,
    InvalidBundle,
    WordlessBundle,
    load_any_bundle,
    load_bundle,
    manifest_digest,
    write_manifest,
    write_wordless,
)

CONTENT: dict[str, Any] = {
    "format": 1,
    "name": "tiny",
    "description": "For tests",
    "environments": ["MiniGrid-MemoryS7-v0"],
    "observation": {"height": 56, "width": 56},
    "actions": {"discrete": 7, "names": ["left", "right"]},
    "retrieval": {"clip": "file:clip", "vocabulary": "vocabulary.safetensors", "k": 1},
    "memory": {
        **{"kind": "causal_lm", "source": "package:a/b.gguf", "sha256": "0" * 64},
        **{"layers": 2, "window": 32, "dimension": 576},
    },
    "policy": {"weights": "policy.safetensors"},
    "provenance": {"seed": 1},
}
FILES = ("clip/config.json", "clip/model.safetensors", "policy.safetensors", "vocabulary.safetensors")


def make_bundle(folder: Path, files: tuple[str, ...] = FILES, **changes: Any) -> AgentBundle:
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}")
    return write_manifest(folder, {**CONTENT, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A good bundle."""
    return make_bundle(tmp_path / "tiny").folder


def edit(folder: Path, change: Callable[[dict[str, Any]], object], *, digest: bool = True) -> None:
    """Changes the manifest; with `digest` its digest is made right again."""
    content = json.loads((folder / MANIFEST).read_text())
    change(content)
    if digest:
        content["digest"] = manifest_digest(content)
    (folder / MANIFEST).write_text(json.dumps(content))


def test_a_bundle_lists_every_file_and_loads_again(folder: Path) -> None:
    bundle = load_bundle(folder)
    assert tuple(bundle.manifest.files) == FILES
    assert bundle.name == "tiny"
    assert bundle.path("policy.safetensors").read_text() == "content of policy.safetensors"
    assert bundle.source("file:clip") == f"file:{folder / 'clip'}"
    assert bundle.source("package:a/b.gguf") == "package:a/b.gguf"
    assert len(bundle.digest) == 64


def test_the_digest_stays_when_the_bundle_moves(folder: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    assert load_bundle(moved).digest == load_bundle(folder).digest


def test_the_digest_does_not_depend_on_the_order_in_which_files_were_made(folder: Path, tmp_path: Path) -> None:
    assert make_bundle(tmp_path / "other", files=FILES[::-1]).digest == load_bundle(folder).digest


def test_the_order_and_layout_of_the_manifest_do_not_matter(folder: Path) -> None:
    digest = load_bundle(folder).digest
    content = json.loads((folder / MANIFEST).read_text())
    content["files"] = dict(reversed(content["files"].items()))
    (folder / MANIFEST).write_text(json.dumps(dict(reversed(content.items())), indent=7))
    assert load_bundle(folder).digest == digest


def test_the_model_card_defines_nothing(folder: Path) -> None:
    digest = load_bundle(folder).digest
    (folder / "README.md").write_text("# Tiny")
    assert load_bundle(folder).digest == digest
    assert write_manifest(folder, CONTENT).digest == digest


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_part_of_the_digest(tmp_path: Path, folder: Path, name: str) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    (other / name).write_text("other content")
    assert write_manifest(other, CONTENT).digest != load_bundle(folder).digest


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(InvalidBundle, match=f"tiny: file {name} is missing"):
        load_bundle(folder)


@pytest.mark.parametrize("name", FILES)
def test_an_altered_file_is_named(folder: Path, name: str) -> None:
    path = folder / name
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(InvalidBundle, match=f"tiny: file {name} was altered"):
        load_bundle(folder)


@pytest.mark.parametrize("name", FILES)
def test_weights_that_the_manifest_does_not_list_are_refused(folder: Path, name: str) -> None:
    edit(folder, lambda content: content["files"].pop(name))
    with pytest.raises(InvalidBundle, match=f"files: {name} is not listed"):
        load_bundle(folder)


def test_a_file_added_to_a_model_folder_later_is_refused(folder: Path) -> None:
    """A loader might prefer it to the listed ones."""
    (folder / "clip" / "model.bin").write_text("newer")
    with pytest.raises(InvalidBundle, match=r"files: clip/model\.bin is not listed"):
        load_bundle(folder)


@pytest.mark.parametrize("outside", ["../secret", "clip/../../secret"])
def test_a_file_outside_the_bundle_is_refused(folder: Path, outside: str) -> None:
    (folder.parent / "secret").write_text("secret")
    edit(folder, lambda content: content["files"].update({outside: "0" * 64}))
    with pytest.raises(InvalidBundle, match=f"file {outside} lies outside the bundle"):
        load_bundle(folder)


def test_a_link_out_of_the_bundle_is_refused(folder: Path) -> None:
    (folder.parent / "secret").write_text("content of policy.safetensors")
    (folder / "policy.safetensors").unlink()
    (folder / "policy.safetensors").symlink_to(folder.parent / "secret")
    with pytest.raises(
        InvalidBundle, match=r"'policy\.safetensors': expected files and folders alone, this is a symbolic link"
    ):
        load_bundle(folder)


@pytest.mark.parametrize("clip", ["file:../clip", "file:clip/../../clip"])
def test_a_model_folder_outside_the_bundle_is_refused(folder: Path, clip: str) -> None:
    shutil.copytree(folder / "clip", folder.parent / "clip")
    edit(folder, lambda content: content["retrieval"].update(clip=clip))
    with pytest.raises(InvalidBundle, match=r"/clip lies outside the bundle"):
        load_bundle(folder)


def test_a_name_that_no_file_system_takes_is_refused(folder: Path) -> None:
    edit(folder, lambda content: content["retrieval"].update(clip=f"file:{'9' * 5000}"))
    with pytest.raises(InvalidBundle, match="cannot be read: File name too long") as error:
        load_bundle(folder)
    assert len(str(error.value)) < 500


def test_a_model_folder_that_is_not_there_is_refused(folder: Path) -> None:
    edit(folder, lambda content: content["memory"].update(source="file:language"))
    with pytest.raises(InvalidBundle, match="file:language holds no file"):
        load_bundle(folder)


def test_an_altered_manifest_does_not_match_its_digest(folder: Path) -> None:
    edit(folder, lambda content: content.update(description="Something else"), digest=False)
    with pytest.raises(InvalidBundle, match=r"agent\.json was altered: it does not match its digest"):
        load_bundle(folder)


BOX: dict[str, Any] = {"low": [0], "high": [1]}
BAD_VALUES: list[tuple[str, Callable[[dict[str, Any]], object]]] = [
    ("format", lambda content: content.update(format=2)),
    ("name", lambda content: content.update(name="no spaces")),
    ("observation.height", lambda content: content["observation"].update(height=0)),
    ("actions.discrete", lambda content: content["actions"].update(discrete="many")),
    ("actions", lambda content: content.update(actions={"names": ["left"]})),
    ("actions", lambda content: content["actions"].update(continuous=BOX)),
    ("actions", lambda content: content.update(actions={"continuous": BOX, "names": ["x", "y"]})),
    ("actions", lambda content: content.update(actions={"dict": {"a": {"discrete": 2}}, "names": ["x"]})),
    ("actions.continuous", lambda content: content.update(actions={"continuous": {**BOX, "low": [1]}})),
    ("actions.continuous", lambda content: content.update(actions={"continuous": {**BOX, "low": [0, 0]}})),
    # Different numbers, but the same float32.
    ("actions.continuous", lambda content: content.update(actions={"continuous": {"low": [1], "high": [1 + 1e-9]}})),
    (r"actions.continuous.high.0", lambda content: content.update(actions={"continuous": {**BOX, "high": [1e39]}})),
    ("actions.continuous.low", lambda content: content.update(actions={"continuous": {"low": [], "high": []}})),
    ("actions.dict", lambda content: content.update(actions={"dict": {}})),
    ("actions.dict.a b", lambda content: content.update(actions={"dict": {"a b": {"discrete": 2}}})),
    ("actions.dict.a.discrete", lambda content: content.update(actions={"dict": {"a": {"discrete": 0}}})),
    ("actions.dict.a", lambda content: content.update(actions={"dict": {"a": {}}})),
    ("actions.dict.a.dict", lambda content: content.update(actions={"dict": {"a": {"dict": {"b": {"discrete": 2}}}}})),
    ("retrieval.k", lambda content: content["retrieval"].update(k=65)),
    ("memory.kind", lambda content: content["memory"].update(kind="lstm")),
    ("memory.window", lambda content: content["memory"].update(window=1)),
    ("memory.window", lambda content: content["memory"].update(window=10**9)),
    ("memory", lambda content: content["memory"].pop("sha256")),
    ("memory", lambda content: content["memory"].update(source="package:a/../../b.gguf")),
    ("memory", lambda content: content["memory"].update(source="package:a//etc/b.gguf")),
    ("memory", lambda content: content["memory"].update(source="hub:owner/name")),
    ("memory", lambda content: content["memory"].update(source="hub:/tmp/model@" + "0" * 40)),
    ("retrieval.clip", lambda content: content["retrieval"].update(clip="hub:ViT-B-16/openai")),
    ("retrieval.clip", lambda content: content["retrieval"].update(clip="random:hf-hub:a/b/1")),
    ("policy.features", lambda content: content["policy"].update(features=10**9)),
    ("actions.discrete", lambda content: content["actions"].update(discrete=10**9)),
    ("policy.weights", lambda content: content["policy"].pop("weights")),
    ("policy.wights", lambda content: content["policy"].update(wights="x")),
    ("files", lambda content: content.pop("files")),
]


@pytest.mark.parametrize(("field", "change"), BAD_VALUES, ids=[field for field, _ in BAD_VALUES])
def test_a_bad_value_is_refused_with_its_field(folder: Path, field: str, change: Callable[[dict[str, Any]], object]) -> None:
    edit(folder, change)
    with pytest.raises(InvalidBundle, match=rf"tiny: agent\.json: {field}(\.\[key\])?: "):
        load_bundle(folder)


GOOD_ACTIONS: list[dict[str, Any]] = [
    {"discrete": 7},
    {"continuous": BOX, "names": ["x"]},
    {"dict": {"turn": {"discrete": 3, "names": ["left", "on", "right"]}, "move": {"continuous": BOX}}},
]


@pytest.mark.parametrize("actions", GOOD_ACTIONS, ids=[next(iter(actions)) for actions in GOOD_ACTIONS])
def test_every_kind_of_action_space_loads_and_is_part_of_the_digest(
    folder: Path, tmp_path: Path, actions: dict[str, Any]
) -> None:
    bundle = make_bundle(tmp_path / "other", actions=actions)
    assert bundle.digest != load_bundle(folder).digest
    assert bundle.manifest.actions.model_dump(mode="json", by_alias=True, exclude_unset=True) == {
        **actions,
        **({"dict": dict(sorted(actions["dict"].items()))} if "dict" in actions else {}),
    }
    assert make_bundle(tmp_path / "again", actions=dict(reversed(actions.items()))).digest == bundle.digest


@pytest.mark.parametrize(
    ("text", "problem"), [("{", "is not JSON"), ("[]", "is not a JSON object"), ("\xff", "is not JSON")]
)
def test_a_manifest_that_cannot_be_read_is_refused(folder: Path, text: str, problem: str) -> None:
    (folder / MANIFEST).write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidBundle, match=problem):
        load_bundle(folder)


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidBundle, match=r"agent\.json is missing"):
        load_bundle(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"name": "tiny"', '"name": "tiny", "name": "other"', r"'name': expected once, it is there 2 times"),
        ('"k": 1', '"k": NaN', r"retrieval\.k: expected a finite number"),
        ('"seed": 1', '"seed": 1e999', r"provenance\.seed: expected a finite number"),
        ('"seed": 1', f'"seed": {"9" * 10_000}', r"provenance\.seed: expected a finite number of at most 64 bits"),
        ('"seed": 1', f'"seed": {"[" * 10_000}', r"seed: expected at most \d+ values within each other"),
        ('"For tests"', '"\\ud800"', r"description: expected Unicode text"),
    ],
)
def test_json_that_can_be_read_in_two_ways_is_refused_with_its_field(folder: Path, old: str, new: str, problem: str) -> None:
    text = json.dumps(json.loads((folder / MANIFEST).read_text()))
    assert old in text
    (folder / MANIFEST).write_text(text.replace(old, new))
    with pytest.raises(InvalidBundle, match=rf"tiny: agent\.json: {problem}"):
        load_bundle(folder)


@pytest.mark.parametrize("name", [MANIFEST, "README.md", "policy.safetensors", "clip/model.safetensors"])
def test_a_pipe_is_refused_and_nobody_waits_for_its_other_end(folder: Path, name: str) -> None:
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(InvalidBundle, match=f"tiny: '{name}': expected files and folders alone, this is a pipe"):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["a\0b", "a\nb", "\x7f"])
def test_a_name_that_is_no_line_of_text_is_refused(folder: Path, name: str) -> None:
    edit(folder, lambda content: content["files"].update({name: "0" * 64}))
    with pytest.raises(InvalidBundle, match=r"tiny: agent\.json: files"):
        load_bundle(folder)


WORDLESS: dict[str, Any] = {
    **{key: value for key, value in CONTENT.items() if key not in ("retrieval", "memory")},
    "observation": {"height": 64, "width": 64, "channels": 3},
    "policy": {"kind": "onnx", "file": "policy.onnx"},
}


def wordless(folder: Path, **changes: Any) -> WordlessBundle:
    folder.mkdir(exist_ok=True)
    (folder / "policy.onnx").write_bytes(b"content")
    return write_wordless(folder, {**WORDLESS, **changes})


def test_a_bundle_without_words_is_told_by_its_policys_kind_and_is_no_bundle_with_words(tmp_path: Path) -> None:
    bundle = wordless(tmp_path / "plain")
    assert load_any_bundle(bundle.folder) == bundle
    assert bundle.manifest.state_bytes == 0
    with pytest.raises(InvalidBundle, match="keeps no words: expected `retrieval` and `memory`, got neither"):
        load_bundle(bundle.folder)


def test_an_altered_file_of_a_bundle_without_words_is_refused(tmp_path: Path) -> None:
    bundle = wordless(tmp_path / "plain")
    bundle.path("policy.onnx").write_bytes(b"another")
    with pytest.raises(InvalidBundle, match=r"policy\.onnx was altered"):
        load_any_bundle(bundle.folder)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"policy": {**WORDLESS["policy"], "file": "other.onnx"}}, "other.onnx is not listed"),
        ({"policy": {"kind": "pickle", "file": "policy.onnx"}}, "policy"),
        ({"retrieval": CONTENT["retrieval"]}, "retrieval"),
        (
            {"policy": {**WORDLESS["policy"], "state": [{"input": "h", "output": "g"}], "state_bytes": 262_148}},
            "expected at most 262144 bytes for an episode, got 262148",
        ),
        (
            {"observation": {**WORDLESS["observation"], "stack": 23}},
            "expected at most 262144 bytes for an episode, got 270336",
        ),
        ({"policy": {**WORDLESS["policy"], "state_bytes": 8}}, "state_bytes: 8 with 0 arrays of state"),
        (
            {"policy": {"kind": "entry_point", "entry_point": "os.system", "package": "p", "version": "1"}},
            "expected MODULE:FUNCTION",
        ),
    ],
)
def test_a_bundle_without_words_that_says_what_cannot_be_is_refused(
    tmp_path: Path, changes: dict[str, Any], text: str
) -> None:
    with pytest.raises(InvalidBundle, match=text):
        wordless(tmp_path / "plain", **changes)
