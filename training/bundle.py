"""Creates an agent bundle from a training run: `python -m training.bundle --run runs/NAME --out models/NAME ...`.

Copies the CLIP model, the vocabulary, the policy weights and a language model of a folder into the bundle, and writes the
manifest with the run's settings as provenance. A language model of a package or of the hub is referenced by its SHA-256, and
the hub's commit.

Failure policy: a missing file is named; a run of another method than SHELM, or a vocabulary that was made for another CLIP
or language model, raises ValueError; the bundle is verified by loading it.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from agent.bundle import MANIFEST, AgentBundle, load_bundle, write_manifest
from agent.memory.described import WEIGHTS, Described, Kind, describe, model_folder
from agent.memory.transformer_xl.published import convert
from agent.memory.weights import memory_dimension
from agent.retrieval.clip import clip_sha256
from agent.vocabulary import Vocabulary
from training.engines import language_model_spec
from training.environments import single_environment


def make_bundle(out: Path, *, run: Path, name: str, description: str, environments: list[str]) -> AgentBundle:
    """Writes the bundle folder; replaces the files of an older bundle in it, except its model card.

    environments: the ids that the agent was trained for; the names of the actions are taken from the first.
    """
    settings = json.loads((run / "run.json").read_text())
    if settings["method"] != "shelm":
        raise ValueError(f"run {run}: only SHELM agents can be served, this one's method is {settings['method']}")
    clip = Path(settings["clip"].removeprefix("file:"))
    described = describe(settings["language_model"])
    vocabulary = Vocabulary.load(Path(settings["vocabulary"]))
    vocabulary.check_made_for(clip_sha256=clip_sha256(settings["clip"]), words_sha256=described.words_sha256)
    provenance = {"policy": _policy_provenance(settings), "clip": _clip_provenance(clip)}
    out.mkdir(parents=True, exist_ok=True)
    for source, target in ((clip, out / "clip"), (Path(settings["vocabulary"]), out / "vocabulary.safetensors")):
        _copy(source, target)
    _copy(run / "policy.safetensors", out / "policy.safetensors")
    (out / "agent.json").unlink(missing_ok=True)
    memory = _language_model(settings, described, out)
    height, width = settings["frame"]
    mode = settings.get("preprocessing", "model")  # older runs have none
    preprocessing = {} if mode == "model" else {"preprocessing": mode}
    manifest: dict[str, Any] = {
        "format": 1,
        "name": name,
        "description": description,
        "environments": environments,
        "observation": {"height": height, "width": width},
        "actions": _actions(environments[0], settings["actions"]),
        "retrieval": {"clip": "file:clip", "vocabulary": "vocabulary.safetensors", "k": settings["k"]} | preprocessing,
        "memory": memory,
        "policy": settings["policy"],
        "provenance": provenance,
    }
    return write_manifest(out, manifest)


def _language_model(settings: dict[str, Any], described: Described, out: Path) -> dict[str, Any]:
    """Returns the manifest's part about the language model; that of a folder is copied, and its pickles are left out."""
    source, spec = settings["language_model"], language_model_spec(settings)
    part: dict[str, Any] = {"kind": described.kind, "source": source}
    if source.startswith("file:"):
        _copy_language_model(Path(source.removeprefix("file:")), out / "language_model", described.kind)
        part["source"] = "file:language_model"
    elif source.startswith("hub:"):
        commit = model_folder(source, WEIGHTS[described.kind]).name  # the hub's library names the folder of a snapshot so
        part |= {"source": f"{source.partition('@')[0]}@{commit}", "sha256": described.sha256}
    elif described.sha256:
        part["sha256"] = described.sha256
    if described.words_sha256 and not source.startswith("package:"):
        part["words_sha256"] = described.words_sha256
    return part | {"layers": spec.layers, "window": spec.window, "dimension": memory_dimension(spec)}


def _copy_language_model(source: Path, target: Path, kind: Kind) -> None:
    if source.resolve() == target.resolve():
        return
    shutil.rmtree(target, ignore_errors=True)
    if kind == "transformer_xl":
        convert(source, target)
        return
    target.mkdir()
    for file in {path for pattern in WEIGHTS[kind] for path in source.glob(pattern)}:
        shutil.copy(file, target / file.name)


def _copy(source: Path, target: Path) -> None:
    if source.resolve() == target.resolve():
        return
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)


def _actions(env_id: str, space: dict[str, Any]) -> dict[str, Any]:
    """Returns the run's action space, with the environment's names for discrete actions (`action_names` or `actions`)."""
    if "discrete" not in space:
        return space
    env = single_environment(env_id)
    names = getattr(env.unwrapped, "action_names", None) or [action.name for action in getattr(env.unwrapped, "actions", ())]
    env.close()
    return {"discrete": space["discrete"], "names": list(names[: space["discrete"]])}


def _policy_provenance(settings: dict[str, Any]) -> dict[str, Any]:
    places = (
        "policy",
        "out",
        "resume",
        "clip",
        "vocabulary",
        "tokens",
        "beta",
        "threads",
        "checkpoint_every",
        "checkpoint_seconds",
    )
    return {key: value for key, value in settings.items() if key not in places}


def _clip_provenance(clip: Path) -> Any:
    """Returns the training settings of the CLIP model, stored next to it or in the bundle that it was taken from."""
    if (clip.parent / "training.json").exists():
        return json.loads((clip.parent / "training.json").read_text())["settings"]
    return load_bundle(clip.parent).manifest.provenance["clip"]


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    parser.add_argument("--out", type=Path, required=True, help="folder of the new bundle")
    parser.add_argument("--name", required=True, help="of the agent, for clients")
    parser.add_argument("--description", required=True, help="one line about the agent")
    parser.add_argument(
        "--environment", action="append", required=True, help="id that it was trained for; the first names the actions"
    )
    parser.add_argument("--replace", action="store_true", help="overwrite a bundle that is there")
    options = parser.parse_args()
    if (options.out / MANIFEST).exists() and not options.replace:
        sys.exit(f"training.bundle: --out {options.out} holds a bundle already; --replace overwrites it")
    bundle = make_bundle(
        options.out,
        run=options.run,
        name=options.name,
        description=options.description,
        environments=options.environment,
    )
    print(f"{options.out}: {bundle.name} {bundle.digest}")


if __name__ == "__main__":
    main()
