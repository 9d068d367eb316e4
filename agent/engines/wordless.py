"""Builds the engine of an agent without words: frame and state -> action distribution, value and the next state."""

from agent.bundle import WordlessBundle
from agent.engines.loading import loading
from agent.policy.heads import row_sizes
from agent.wordless.entry_point import load_entry_point
from agent.wordless.onnx_policy import OnnxPolicy
from agent.wordless.parts import OnnxPart
from agent.wordless.policy import StackedFrames, WordlessPolicy


def load_wordless(bundle: WordlessBundle, *, threads: int = 1, allow_code: bool = False) -> WordlessPolicy:
    """Builds the policy of a bundle, on the CPU.

    threads: of one run. allow_code: whether a policy of a Python package may be imported; without it ValueError.
    """
    manifest, part = bundle.manifest, bundle.manifest.policy
    seen = manifest.observation
    policy: WordlessPolicy
    with loading(bundle, f"policy {part.file if isinstance(part, OnnxPart) else part.entry_point}"):
        if isinstance(part, OnnxPart):
            shape = (seen.height, seen.width, seen.channels * seen.stack)
            row = sum(row_sizes(manifest.actions))
            policy = OnnxPolicy(bundle.path(part.file), part, shape=shape, row=row, threads=threads)
        elif allow_code:
            policy = load_entry_point(bundle.folder, part)
        else:
            raise ValueError(
                f"policy.entry_point: {part.entry_point} is code; SHELM_ALLOW_CODE=true lets this server run it"
            )
    if seen.stack > 1:
        shape = (seen.height, seen.width, seen.channels)
        policy = StackedFrames(policy, shape=shape, count=seen.stack, start=seen.stack_start)
    return policy
