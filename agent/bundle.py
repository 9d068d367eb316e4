"""Agent bundles: folders that define one agent completely.

`agent.json` holds all settings (`AgentManifest`) and lists every other file with its SHA-256. `digest` is the SHA-256 of the
manifest without that field, so it identifies all weights. Third-party weights are referenced by their own SHA-256 and never
copied into a bundle. The model card, README.md, is not part of the digest.

Failure policy: `load_bundle` checks everything before it returns. A missing or altered file, an invalid value or a wrong
digest raises `InvalidBundle`, whose message names the bundle and the file or field; so does whatever is neither file nor
folder (agent.bundle_folder), and JSON that can be read in two ways (agent.strict_json). What is in the weights is checked
where they are loaded (agent.engines).
"""

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from agent.action_space import ActionSpace
from agent.bundle_folder import check_entries
from agent.sources import file_sha256
from agent.strict_json import read_json
from agent.wordless.parts import MOST_STATE_BYTES, EntryPointPart, OnnxPart

MANIFEST, CARD = "agent.json", "README.md"
MOST_CARD_BYTES = 2**18
Width = Annotated[int, Field(gt=0, le=65_536)]  # of a layer
_SHA256, _PACKAGE_FILE = re.compile(r"[0-9a-f]{64}"), re.compile(r"[A-Za-z0-9_]+/[^/].*")
_FILE_NAME = r"^[^\x00-\x1f\x7f]+$"
_HUB_COMMIT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*/[A-Za-z0-9_-][A-Za-z0-9._-]*@[0-9a-f]{40}")


PathText = Annotated[str, Field(pattern=_FILE_NAME)]


class InvalidBundle(ValueError):  # noqa: N818
    """The agent bundle cannot be served."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ObservationPart(_Part):
    """Size of the agent's frames, in pixels."""

    height: int = Field(gt=0, le=4096)
    width: int = Field(gt=0, le=4096)


class WordlessObservation(ObservationPart):
    """What an agent without words sees: frames of one grey channel or of three colours, and `stack` of them at once.

    stack_start: what stands for the frames before an episode's first, as in agent.wordless.policy.StackedFrames.
    """

    channels: Literal[1, 3] = 3
    stack: int = Field(default=1, gt=0, le=64)
    stack_start: Literal["zeros", "first"] = "zeros"

    @property
    def state_bytes(self) -> int:
        """Bytes of the earlier frames that an episode's state holds."""
        return (self.stack - 1) * self.height * self.width * self.channels


class RetrievalPart(_Part):
    """How words are retrieved for a frame."""

    clip: PathText  # file:FOLDER in the bundle, or random:ARCH/SEED for benchmarks
    vocabulary: PathText  # a file of the bundle
    k: int = Field(gt=0, le=64)
    preprocessing: Literal["model", "reference"] = "model"

    @field_validator("clip")
    @classmethod
    def _check_clip(cls, clip: str) -> str:
        if clip.startswith("hub:"):  # open_clip's tags name no commit
            raise ValueError("a hub's model cannot be pinned: save it (docs/own-environment.md) and name it file:FOLDER")
        if not re.fullmatch(r"file:.+|random:[A-Za-z0-9._-]+/\d+", clip):
            raise ValueError("expected file:FOLDER in the bundle, or random:ARCH/SEED")
        return clip


class MemoryPart(_Part):
    """The language model that turns words into the memory vector, as in agent.memory.weights.LanguageModelSpec."""

    kind: Literal["causal_lm", "transformer_xl"]
    source: PathText
    sha256: str = ""  # of a package's file, or of a hub's model as in agent.memory.described
    words_sha256: str = ""  # as there; of a package it is that of the file
    layers: int = Field(gt=0, le=1024)
    window: int = Field(gt=1, le=65_536)
    dimension: int = Field(gt=0, le=65_536)

    @property
    def words(self) -> str:
        """What identifies the words that token ids stand for; empty in older bundles whose source is no package."""
        return self.words_sha256 or (self.sha256 if self.source.startswith("package:") else "")

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        """A bundle's digest stands for its weights: each source is pinned, by the bundle's files, a hash or a commit."""
        kind, _, name = self.source.partition(":")
        if kind == "package" and not _SHA256.fullmatch(self.sha256):
            raise ValueError("sha256: a source package:PACKAGE/FILE needs the file's SHA-256, 64 hexadecimal digits")
        if kind == "package" and (not _PACKAGE_FILE.fullmatch(name) or ".." in Path(name).parts):
            raise ValueError("source: expected package:PACKAGE/FILE, a file inside an installed package")
        for field in ("sha256", "words_sha256"):
            if (value := getattr(self, field)) and not _SHA256.fullmatch(value):
                raise ValueError(f"{field}: expected 64 hexadecimal digits")
        if kind == "hub" and not _HUB_COMMIT.fullmatch(name):
            raise ValueError("source: expected hub:OWNER/NAME@REVISION with a commit of 40 hexadecimal digits")
        return self


class PolicyPart(_Part):
    """Shape of the actor-critic; the defaults are the paper's (docs/paper.md#trainable)."""

    weights: PathText
    channels: tuple[Width, Width] = (64, 128)
    features: Width = 1024
    kernels: Literal["map", "frame"] = (
        "map"  # what the second kernel's size follows: the first map, or, as the paper's, the frame
    )
    actor_hidden: Width = 128
    critic_hidden: Width = 512


class Manifest(_Part):
    """What agent.json says of every agent."""

    format: Literal[1]
    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    description: str
    environments: tuple[str, ...]
    observation: ObservationPart
    actions: ActionSpace
    provenance: dict[str, Any]
    files: dict[PathText, str]  # path in the bundle -> SHA-256
    digest: str


class AgentManifest(Manifest):
    """The content of agent.json of an agent whose memory is words."""

    retrieval: RetrievalPart
    memory: MemoryPart
    policy: PolicyPart


class WordlessManifest(Manifest):
    """The content of agent.json of an agent without words, whose `policy` names its kind.

    Why it is so: docs/decisions/0018-policies-without-words.md.
    """

    observation: WordlessObservation
    policy: OnnxPart | EntryPointPart = Field(discriminator="kind")

    @property
    def state_bytes(self) -> int:
        """Bytes of the state that an episode keeps from step to step."""
        return self.observation.state_bytes + self.policy.state_bytes

    @model_validator(mode="after")
    def _check_state(self) -> Self:
        if self.state_bytes > MOST_STATE_BYTES:
            raise ValueError(f"state: expected at most {MOST_STATE_BYTES} bytes for an episode, got {self.state_bytes}")
        return self


@dataclass(frozen=True)
class Bundle:
    """A verified bundle, with words or without."""

    folder: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """The agent's name."""
        return self.manifest.name

    @property
    def digest(self) -> str:
        """The bundle's digest, in hexadecimal."""
        return self.manifest.digest

    def path(self, file: str) -> Path:
        """Returns the path of a file of the bundle."""
        return self.folder / file

    def card(self) -> str:
        """Returns the model card, at most MOST_CARD_BYTES of it; "" if there is none that can be read."""
        try:
            with self.path(CARD).open("rb") as file:
                return file.read(MOST_CARD_BYTES).decode(errors="replace")
        except OSError:
            return ""


@dataclass(frozen=True)
class AgentBundle(Bundle):
    """A bundle of an agent whose memory is words."""

    manifest: AgentManifest

    def source(self, source: str) -> str:
        """Resolves `file:` in a model source relative to the bundle's folder."""
        return f"file:{self.folder / source.removeprefix('file:')}" if source.startswith("file:") else source


@dataclass(frozen=True)
class WordlessBundle(Bundle):
    """A bundle of an agent without words."""

    manifest: WordlessManifest


def manifest_digest(content: dict[str, Any]) -> str:
    """Returns the SHA-256 of a manifest without its field `digest`, serialised as canonical JSON."""
    rest = {key: value for key, value in content.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def hash_files(folder: Path) -> dict[str, str]:
    """Returns the SHA-256 of every file that is part of the digest, by path: all but agent.json and README.md."""
    return {name: file_sha256(folder / name) for name in _file_names(folder)}


def _file_names(folder: Path) -> list[str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in (MANIFEST, CARD))
    return [str(p.relative_to(folder)) for p in files]


def write_manifest(folder: Path, content: dict[str, Any]) -> AgentBundle:
    """Adds the file hashes and the digest to `content`, writes it as `folder`/agent.json, and loads the bundle."""
    _write(folder, content)
    return load_bundle(folder)


def write_wordless(folder: Path, content: dict[str, Any]) -> WordlessBundle:
    """Does the same for an agent without words."""
    _write(folder, content)
    bundle = load_any_bundle(folder)
    assert isinstance(bundle, WordlessBundle), "its policy has a kind"
    return bundle


def _write(folder: Path, content: dict[str, Any]) -> None:
    content = {**content, "files": hash_files(folder)}
    content["digest"] = manifest_digest(content)
    (folder / MANIFEST).write_text(json.dumps(content, indent=2) + "\n")


def load_bundle(folder: Path) -> AgentBundle:
    """Loads and verifies a bundle of an agent whose memory is words; raises InvalidBundle."""
    bundle = load_any_bundle(folder)
    if not isinstance(bundle, AgentBundle):
        raise InvalidBundle(
            f"agent bundle {folder}: the agent keeps no words: expected `retrieval` and `memory`, got neither"
        )
    return bundle


def load_any_bundle(folder: Path) -> Bundle:
    """Loads and verifies a bundle with words or without; raises InvalidBundle."""
    content = _read_manifest(folder)
    policy = content.get("policy")
    wordless = isinstance(policy, dict) and "kind" in policy
    try:
        manifest = WordlessManifest.model_validate(content) if wordless else AgentManifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidBundle(f"agent bundle {folder}: {MANIFEST}: {field}: {first['msg']}") from None
    if manifest_digest(content) != manifest.digest:
        raise InvalidBundle(f"agent bundle {folder}: {MANIFEST} was altered: it does not match its digest {manifest.digest}")
    try:
        _check_files(folder, manifest)
    except OSError as error:  # a name that is too long, or a file without the right to read it
        named = str(error.filename)[:200]
        raise InvalidBundle(f"agent bundle {folder}: {named} cannot be read: {error.strerror}") from None
    return AgentBundle(folder, manifest) if isinstance(manifest, AgentManifest) else WordlessBundle(folder, manifest)


def _read_manifest(folder: Path) -> dict[str, Any]:
    if not (folder / MANIFEST).exists():
        raise InvalidBundle(f"agent bundle {folder}: {MANIFEST} is missing")
    try:
        check_entries(folder)
        content = read_json(folder / MANIFEST, MANIFEST)
    except ValueError as error:
        raise InvalidBundle(f"agent bundle {folder}: {error}") from None
    except OSError as error:
        raise InvalidBundle(f"agent bundle {folder}: {error.filename} cannot be read: {error.strerror}") from None
    if not isinstance(content, dict):
        raise InvalidBundle(f"agent bundle {folder}: {MANIFEST} is not a JSON object")
    return content


def _check_files(folder: Path, manifest: AgentManifest | WordlessManifest) -> None:
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise InvalidBundle(f"agent bundle {folder}: file {name} lies outside the bundle")
        if not path.is_file():
            raise InvalidBundle(f"agent bundle {folder}: file {name} is missing")
        if file_sha256(path) != expected:
            raise InvalidBundle(f"agent bundle {folder}: file {name} was altered: its SHA-256 is not {expected}")
    if unlisted := _needed(folder, manifest) - manifest.files.keys():
        raise InvalidBundle(f"agent bundle {folder}: {MANIFEST}: files: {sorted(unlisted)[0]} is not listed")


def _needed(folder: Path, manifest: AgentManifest | WordlessManifest) -> set[str]:
    """Returns the files that the parts of the manifest name."""
    if isinstance(manifest, WordlessManifest):
        return {manifest.policy.file} if isinstance(manifest.policy, OnnxPart) else set()
    needed = {manifest.retrieval.vocabulary, manifest.policy.weights}
    for source in (manifest.retrieval.clip, manifest.memory.source):
        if source.startswith("file:"):
            needed |= _files_of(folder, source)
    return needed


def _files_of(folder: Path, source: str) -> set[str]:
    """Returns the files of a model source in the bundle; InvalidBundle if it lies outside or is empty."""
    name = source.removeprefix("file:")
    if not (folder / name).resolve().is_relative_to(folder.resolve()):  # before it is walked: it could be the whole disk
        raise InvalidBundle(f"agent bundle {folder}: {source} lies outside the bundle")
    found = {os.path.normpath(os.path.join(name, file)) for file in _file_names(folder / name)}
    if not found:
        raise InvalidBundle(f"agent bundle {folder}: {source} holds no file")
    return found
