"""Writes a Triton model repository from agent bundles: `python -m services.triton.repository --out DIR BUNDLE [BUNDLE ...]`.

Each bundle becomes the models `act_D`, `clip_image_D`, `memory_D` and `policy_D`, version 1, or those that `--parts` names.
D is the first 16 digits of its digest (services.triton.models). Policy uses `act` alone, or with SHELM_TRITON_MODELS=parts
`policy`; the services retrieval and memory use `clip_image` and `memory`. The models import the engines of `agent`; the
repository contains only the path of the bundle. `act` and `memory` have one instance, because they hold slots; the others
have `--instances`.

Contract: models of other bundles in DIR are kept, so a new bundle can be added while episodes of another one run; each model
is put in place by one rename. Failure policy: a bundle that cannot be loaded ends the command before anything is written.
"""

import argparse
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as triton

from agent.bundle import AgentBundle, load_bundle
from agent.engines.dtype import NAMES
from services.triton.models import PARTS, Part, TensorSpec, model_name, model_tensors

MODEL = 'from services.triton.backend import TritonPythonModel\n\n__all__ = ["TritonPythonModel"]\n'


def model_config(part: Part, bundle: AgentBundle, options: argparse.Namespace) -> triton.ModelConfig:
    """Returns the config.pbtxt of one model."""
    inputs, outputs = model_tensors(part, bundle)
    gpu = options.device == "gpu"
    config = triton.ModelConfig(
        name=model_name(part, bundle.digest),
        backend="python",
        max_batch_size=options.max_batch,
        input=[
            triton.ModelInput(name=name, data_type=_kind(one), dims=one.dims, optional=one.optional)
            for name, one in inputs.items()
        ],
        output=[triton.ModelOutput(name=name, data_type=_kind(one), dims=one.dims) for name, one in outputs.items()],
        instance_group=[
            triton.ModelInstanceGroup(
                count=1 if part in ("act", "memory") else options.instances,
                kind=triton.ModelInstanceGroup.KIND_GPU if gpu else triton.ModelInstanceGroup.KIND_CPU,
            )
        ],
        version_policy=triton.ModelVersionPolicy(all=triton.ModelVersionPolicy.All()),
        model_warmup=[_warm_up(inputs)],
    )
    config.dynamic_batching.max_queue_delay_microseconds = options.queue_delay
    parameters = {
        "part": part,
        "bundle": str(options.bundle_root or bundle.folder.resolve().parent) + "/" + bundle.folder.name,
    }
    for name in ("dtype", "slots", "slot_bytes", "host_bytes", "cache_frames", "torch_threads"):
        parameters[name] = str(getattr(options, name))
    for name, value in parameters.items():
        config.parameters[name].string_value = value
    return config


def _kind(tensor: TensorSpec) -> int:
    return int(triton.DataType.Value(f"TYPE_{tensor.kind}"))


def _warm_up(inputs: Mapping[str, TensorSpec]) -> triton.ModelWarmup:
    """Returns one row of zeros: a black frame, or a harmless request for memory's counts."""
    warm_up = triton.ModelWarmup(name="zeros", batch_size=1)
    for name, one in inputs.items():
        if not one.optional:
            warm_up.inputs[name].data_type = _kind(one)
            warm_up.inputs[name].dims.extend(one.dims)
            warm_up.inputs[name].zero_data = True
    return warm_up


def write_repository(bundles: list[AgentBundle], options: argparse.Namespace) -> list[str]:
    """Writes the models of all bundles; returns their names."""
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    names = []
    for bundle in bundles:
        for part in options.parts:
            config = model_config(part, bundle, options)
            names.append(config.name)
            _put(out / config.name, text_format.MessageToString(config))
    return names


def _put(folder: Path, config: str) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as scratch:
        model = Path(scratch) / "model"
        (model / "1").mkdir(parents=True)
        (model / "config.pbtxt").write_text(config)
        (model / "1" / "model.py").write_text(MODEL)
        shutil.rmtree(folder, ignore_errors=True)
        model.rename(folder)


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    result = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE")
    result.add_argument("--out", type=Path, required=True)
    result.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}")
    result.add_argument("--device", choices=["cpu", "gpu"], default="cpu")
    result.add_argument("--dtype", choices=NAMES, default="auto", help="number format of the frozen models")
    result.add_argument("--bundle-root", default="", help="folder of the bundles on Triton's machine, if different")
    result.add_argument("--instances", type=int, default=1, help="instances of clip_image and policy, per device")
    result.add_argument("--max-batch", type=int, default=64)
    result.add_argument("--queue-delay", type=int, default=500, help="maximum batching delay in microseconds")
    result.add_argument("--slots", type=int, default=512, help="number of cached memory states")
    result.add_argument("--slot-bytes", type=int, default=2**30, help="bytes that all memory slots of one agent may take")
    result.add_argument("--host-bytes", type=int, default=2**32, help="bytes of the host's memory for states without a slot")
    result.add_argument("--cache-frames", type=int, default=4096, help="number of frames whose words are cached")
    result.add_argument("--torch-threads", type=int, default=1)
    return result


def main(arguments: list[str] | None = None) -> None:
    """Runs the command."""
    options = parser().parse_args(arguments)
    bundles: list[Any] = [load_bundle(folder) for folder in options.bundles]
    for name in write_repository(bundles, options):
        print(options.out / name)


if __name__ == "__main__":
    main()
