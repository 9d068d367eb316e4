"""Makes the Kubernetes bundle of a release: `python -m tools.release --images REGISTRY/FOLDER --version V --out FILE`.

Contract: the archive, a tar.gz, contains deploy/k8s with one more component, `images`, which every overlay has as its last:
it gives each image of deploy/docker/bake.json its name in the registry and, with `--digests` (the metadata of `docker buildx
bake`), its digest in place of a tag. The same files give the same bytes. Failure: an image without a digest in the metadata,
or a folder without overlays, raises ValueError naming it.
"""

import argparse
import gzip
import io
import json
import re
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from tools.images import ROOT, names, variables

K8S = ROOT / "deploy" / "k8s"
COMPONENT = "components/images/kustomization.yaml"
OVERLAY = re.compile(r"overlays/[\w-]+/kustomization\.yaml")


def component(images: str, version: str, digests: Mapping[str, str]) -> str:
    """Returns the component that names the images. digests: sha256:... by target; empty: tags are used."""
    ours, theirs = names(variables({})), names(variables({"IMAGES": images, "VERSION": version}))
    entries = []
    for target, image in ours.items():
        name, (new_name, tag) = image.rpartition(":")[0], theirs[target].rsplit(":", 1)
        pin = {"digest": digests[target]} if target in digests else {"newTag": tag}
        entries.append({"name": name, "newName": new_name, **pin})
    kind = {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component", "images": entries}
    return str(yaml.safe_dump(kind, sort_keys=False))


def with_component(overlay: str) -> str:
    """Returns an overlay's kustomization with the component of the images as its last."""
    content = yaml.safe_load(overlay)
    components = [*content.get("components", []), "../../components/images"]
    return str(yaml.safe_dump({**content, "components": components}, sort_keys=False))


def read_digests(metadata: str) -> dict[str, str]:
    """Returns the digest of each target in the metadata of `docker buildx bake`. Raises ValueError if one has none."""
    found = {name: one for name, one in json.loads(metadata).items() if isinstance(one, dict) and "image.name" in one}
    for name, one in found.items():
        if not one.get("containerimage.digest", "").startswith("sha256:"):
            raise ValueError(f"digests: {name}: expected containerimage.digest, as of what was pushed")
    return {name: one["containerimage.digest"] for name, one in found.items()}


def files(root: Path, images: str, version: str, digests: Mapping[str, str]) -> dict[str, bytes]:
    """Returns the files of the bundle by path. root: deploy/k8s. Raises ValueError if there is no overlay."""
    found = {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
    overlays = [name for name in found if OVERLAY.fullmatch(name)]
    if not overlays:
        raise ValueError(f"{root}: expected overlays/NAME/kustomization.yaml")
    found |= {name: with_component(found[name].decode()).encode() for name in overlays}
    return {**found, COMPONENT: component(images, version, digests).encode()}


def pack(content: Mapping[str, bytes], folder: str, out: Path) -> None:
    """Writes the files below `folder` into a tar.gz without times, owners and modes of this machine."""
    out.parent.mkdir(parents=True, exist_ok=True)
    unpacked = io.BytesIO()
    with tarfile.open(fileobj=unpacked, mode="w") as archive:
        for name, data in sorted(content.items()):
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size, info.mode = len(data), 0o644
            archive.addfile(info, io.BytesIO(data))
    out.write_bytes(gzip.compress(unpacked.getvalue(), mtime=0))


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True, metavar="REGISTRY/FOLDER")
    parser.add_argument("--version", required=True)
    parser.add_argument("--digests", type=Path, help="metadata of docker buildx bake")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    digests = read_digests(options.digests.read_text()) if options.digests else {}
    pack(files(K8S, options.images, options.version, digests), f"shelm-{options.version}", options.out)


if __name__ == "__main__":
    main()
