"""The Kubernetes bundle of a release."""

import json
import tarfile
from pathlib import Path

import pytest
import yaml

from tools.images import names, variables
from tools.k8s_check.kustomize import OVERLAYS, Combination, KubectlMissing, find_kubectl, render
from tools.release import files, main, read_digests

DIGEST = "sha256:" + "0123456789abcdef" * 4
METADATA = {
    "buildx.build.ref": "default/default/x",
    **{
        name: {"image.name": f"registry.my.org/a/{name}:2", "containerimage.digest": DIGEST} for name in names(variables({}))
    },
}


def unpacked(tmp_path: Path, *arguments: str) -> Path:
    out = tmp_path / "bundle.tar.gz"
    main(["--images", "registry.my.org/a", "--version", "2", "--out", str(out), *arguments])
    with tarfile.open(out) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "shelm-2"


def rendered_images(root: Path, overlay: str) -> set[str]:
    try:
        text = render(find_kubectl(), Combination(overlay), root)
    except KubectlMissing as error:
        pytest.skip(str(error))
    found: set[str] = set()
    for one in yaml.safe_load_all(text):
        pod = one.get("spec", {}).get("template", {}).get("spec", {})
        found |= {container["image"] for part in ("containers", "initContainers") for container in pod.get(part, [])}
    return found


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_overlay_has_the_names_of_the_registry_and_the_digests_of_what_was_pushed(
    tmp_path: Path, overlay: str
) -> None:
    (tmp_path / "digests.json").write_text(json.dumps(METADATA))
    root = unpacked(tmp_path, "--digests", str(tmp_path / "digests.json"))
    ours = {image for image in rendered_images(root, overlay) if "redis" not in image and "envoy" not in image}
    assert ours
    assert {image.rpartition("/")[0] for image in ours} == {"registry.my.org/a"}
    assert {image.partition("@")[2] for image in ours} == {DIGEST}


def test_without_digests_tags_are_used_and_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    root = unpacked(tmp_path)
    first = (tmp_path / "bundle.tar.gz").read_bytes()
    entries = yaml.safe_load((root / "components" / "images" / "kustomization.yaml").read_text())["images"]
    assert {(one["newName"], one["newTag"]) for one in entries} == {
        (f"registry.my.org/a/{name}", "2") for name in names(variables({}))
    }
    unpacked(tmp_path)
    assert (tmp_path / "bundle.tar.gz").read_bytes() == first


def test_metadata_of_what_was_not_pushed_and_a_folder_without_overlays_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"digests: policy: expected containerimage\.digest"):
        read_digests(json.dumps({"policy": {"image.name": "registry.my.org/a/policy:2"}}))
    with pytest.raises(ValueError, match="expected overlays/NAME/kustomization"):
        files(tmp_path, "registry.my.org/a", "2", {})
