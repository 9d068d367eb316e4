"""Makes a bundle of a policy from elsewhere: `python -m training.bundle_policy --sb3 agent.zip --out models/NAME`.

  --sb3 ZIP          an agent of stable-baselines3 (PPO, A2C, DQN) or sb3-contrib (RecurrentPPO), converted to ONNX
  --onnx FILE        an ONNX file; options name its inputs and outputs
  --run FOLDER       a baseline that training.ppo has trained: cnn and lstm as ONNX, helm and helmv2 as an entry point
  --entry-point M:F  a function of an installed package; a server runs it only with SHELM_ALLOW_CODE=true

A zip of stable-baselines3 holds pickles, so that to open one is to run it: convert only zips that you trust. Nothing of the
bundle is run as code, unless it names an entry point.

Failure policy: what cannot be served as it was trained is refused with what was expected and what came. The bundle is
verified by loading it and running its policy once.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from agent.bundle import MANIFEST, WordlessBundle, write_wordless
from agent.engines.wordless import load_wordless
from training.policies.entry_point import entry_point_policy
from training.policies.given_onnx import given_policy
from training.policies.own_run import run_policy
from training.policies.sb3 import sb3_policy

POLICY_FILE = "policy.onnx"


def make_policy_bundle(out: Path, *, content: dict[str, Any], model: Path | bytes | None) -> WordlessBundle:
    """Writes the bundle folder with `content` as its manifest, and runs its policy once.

    model: the ONNX file, or its content; None for an entry point.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / MANIFEST).unlink(missing_ok=True)
    data = model.read_bytes() if isinstance(model, Path) else model  # before the bundle's own file goes: it may be that one
    (out / POLICY_FILE).unlink(missing_ok=True)
    if data:
        (out / POLICY_FILE).write_bytes(data)
    bundle = write_wordless(out, {"format": 1, **content})
    load_wordless(bundle, allow_code=True)
    return bundle


def main(arguments: list[str] | None = None) -> None:
    """Runs the command."""
    options = parser().parse_args(arguments)
    if (options.out / MANIFEST).exists() and not options.replace:
        sys.exit(f"training.bundle_policy: --out {options.out} holds a bundle already; --replace overwrites it")
    try:
        content, model = _made(options)
        common = {"name": options.name or options.out.name, "description": options.description}
        common["environments"] = options.environment
        bundle = make_policy_bundle(options.out, content=common | content, model=model)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"training.bundle_policy: {error}")
    print(f"{options.out}: {bundle.name} {bundle.digest}")


def _made(options: argparse.Namespace) -> tuple[dict[str, Any], Path | bytes | None]:
    """The parts of the manifest that the source decides, and the model."""
    stack = {"stack": options.frame_stack, "stack_start": options.stack_start}
    if options.sb3:
        return sb3_policy(options.sb3, options.algorithm, stack=stack, action_names=options.action)
    if options.onnx:
        return given_policy(options.onnx, options, stack=stack)
    if options.run:
        return run_policy(options.run, options.out, action_names=options.action)
    return entry_point_policy(options, stack=stack), None


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    result = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = result.add_mutually_exclusive_group(required=True)
    source.add_argument("--sb3", type=Path, metavar="ZIP", help="what model.save wrote")
    source.add_argument("--onnx", type=Path, metavar="FILE")
    source.add_argument("--run", type=Path, metavar="FOLDER", help="of training.ppo --out")
    source.add_argument("--entry-point", metavar="MODULE:FUNCTION")
    result.add_argument("--out", type=Path, required=True, help="folder of the new bundle")
    result.add_argument("--name", default="", help="of the agent, for clients; as the folder, if not given")
    result.add_argument("--description", default="A policy without words", help="one line about the agent")
    result.add_argument("--environment", action="append", default=[], help="id that it was trained for")
    result.add_argument("--replace", action="store_true", help="overwrite a bundle that is there")
    result.add_argument("--algorithm", choices=("PPO", "A2C", "DQN", "RecurrentPPO"), help="of the zip; it is read from it")
    result.add_argument("--action", action="append", default=[], metavar="NAME", help="name of each action, in order")
    result.add_argument("--frame-stack", type=int, default=1, help="frames that it sees at once (VecFrameStack)")
    result.add_argument(
        "--stack-start", choices=("zeros", "first"), default="zeros", help="what stands for frames before the first"
    )
    given = result.add_argument_group("with --onnx or --entry-point")
    given.add_argument("--size", metavar="HEIGHTxWIDTH", help="of a frame, where the file leaves it open")
    given.add_argument("--channels", type=int, choices=(1, 3), help="of a frame: 1, grey, or 3")
    given.add_argument("--actions", help='the action space as JSON: {"discrete": 4}, as in agent.json')
    onnx = result.add_argument_group("with --onnx")
    onnx.add_argument("--frame", default="frame", help="the input that takes frames")
    onnx.add_argument("--scale", type=float, default=255.0, help="what pixels are divided by where the file takes floats")
    onnx.add_argument("--parameters", action="append", help="the outputs of logits, or of means and log deviations")
    onnx.add_argument("--value", default="", help="the output of the critic's value, if there is one")
    onnx.add_argument("--state", action="append", default=[], metavar="INPUT=OUTPUT", help="each array of a recurrent state")
    code = result.add_argument_group("with --entry-point")
    code.add_argument("--package", default="", help="the installed distribution that the module belongs to")
    return result


if __name__ == "__main__":
    main()
