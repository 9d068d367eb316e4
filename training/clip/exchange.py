"""Makes a bundle with another CLIP and the rest of an older one:
`python -m training.clip.exchange --bundle models/OLD --clip file:runs/clip-minigrid-robust/export --out models/NEW`.

Only for a CLIP with the older one's text tower, as training.clip.robust makes it: then every word keeps its embedding, and
the policy goes on with the words that it was trained with. The new bundle has a digest of its own; the older one stays as it
is, for the episodes that began with it.

Failure policy: a CLIP with another text tower raises ValueError, and no bundle is written.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from agent.bundle import MANIFEST, AgentBundle, load_bundle, write_manifest
from agent.retrieval.clip import clip_sha256
from agent.vocabulary import Vocabulary, load_vocabulary

WEIGHTS, IMAGE_TOWER = "open_clip_model.safetensors", "visual."


def check_same_words(old: Path, new: Path) -> None:
    """Raises ValueError unless the CLIP models of both folders differ in nothing but their image towers."""
    one, other = (load_file(folder / WEIGHTS) for folder in (old, new))
    kept = [name for name in one if not name.startswith(IMAGE_TOWER)]
    if one.keys() != other.keys() or not all(torch.equal(one[name], other[name]) for name in kept):
        raise ValueError(f"clip {new}: expected the text tower of {old}, got another one")


def exchange(bundle: AgentBundle, clip: str, out: Path, *, name: str) -> AgentBundle:
    """Writes the new bundle. clip: file:FOLDER, with training.json beside the folder."""
    folder = Path(clip.removeprefix("file:"))
    check_same_words(Path(bundle.source(bundle.manifest.retrieval.clip).removeprefix("file:")), folder)
    shutil.copytree(bundle.folder, out, ignore=shutil.ignore_patterns(MANIFEST, "README.md", "clip"))
    shutil.copytree(folder, out / "clip")
    old = load_vocabulary(bundle)
    provenance = old.provenance | {"clip_sha256": clip_sha256(clip)}
    Vocabulary(old.words, old.embeddings, old.token_ids, provenance).save(out / "vocabulary.safetensors")
    content = json.loads((bundle.folder / MANIFEST).read_text()) | {"name": name}
    training = json.loads((folder.parent / "training.json").read_text())["settings"]
    content["provenance"]["clip"] = training | {"taught_by": bundle.digest, "teacher": content["provenance"]["clip"]}
    return write_manifest(out, content)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--clip", required=True, metavar="file:FOLDER")
    parser.add_argument("--out", type=Path, required=True, help="folder of the new bundle, which must not exist")
    parser.add_argument("--name", help="of the agent; as the older one, if not given")
    options = parser.parse_args(arguments)
    if options.out.exists():
        sys.exit(f"training.clip.exchange: --out {options.out} exists already")
    old = load_bundle(options.bundle)
    bundle = exchange(old, options.clip, options.out, name=options.name or old.name)
    print(f"{options.out}: {bundle.name} {bundle.digest}")


if __name__ == "__main__":
    main()
