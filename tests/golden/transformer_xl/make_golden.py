"""Runs the last published TransfoXLModel and writes what it computes, for tests/unit/agent/memory/transformer_xl.

`python tests/golden/transformer_xl/make_golden.py` makes a virtual environment of its own under .cache/ (the library removed
the model after transformers 4.57), runs itself in it, and writes beside itself:
- `small/`: a model folder in the public format, as the library saves it: config.json, model.safetensors, vocab.pkl,
- `small_cases.safetensors`, `full_cases.safetensors`: per case the token ids `words` (steps, rows, k), the `outputs`
  (steps, rows, d_model), i.e. the last hidden state of the last of the k tokens, and `reset` (step, row).
The full model has the sizes of transfo-xl-wt103; its weights are those of `seeded_weights.py`.

As in the authors' loop (docs/paper.md#memory): caches of zeros at full length, k tokens a forward, and before step `reset`
the cache columns of one row are zeroed in all layers. Cases named `masked` start from caches of length 0 instead, with which
the library sees no empty slots.

The published module fails on a call of `Tensor.type_as(dtype=...)`, which never existed; it is read as `.to(dtype=...)`.
Failure policy: any error stops the script; nothing is written for a case that failed.
"""

import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ENVIRONMENT = HERE.parents[2] / ".cache" / "transformer-xl-golden"
PACKAGES = ["torch==2.13.0", "transformers==4.57.6", "numpy==2.4.6", "safetensors==0.8.0", "sacremoses==0.2.0"]
SMALL: dict[str, Any] = {
    "vocab_size": 60,
    "cutoffs": [20, 40],
    "d_model": 32,
    "d_embed": 32,
    "n_head": 4,
    "d_head": 8,
    "d_inner": 64,
    "n_layer": 4,
    "mem_len": 15,
    "clamp_len": 10,
}
FULL = {"mem_len": 31}  # everything else as published
# case -> steps, tokens per step (k), step before which row 1 begins a new episode; at least three windows of tokens each
SMALL_CASES = {"k1": (50, 1, 23), "k4": (20, 4, 9), "masked_k1": (50, 1, None), "masked_k4": (20, 4, None)}
FULL_CASES = {"k1": (94, 1, 40), "k4": (24, 4, 10)}


def main() -> None:
    """Make the environment once, then run this file in it."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        venv.create(ENVIRONMENT, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", *PACKAGES], check=True)
    subprocess.run([python, __file__, "inside"], check=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})


def inside() -> None:
    """Write everything; runs in the environment made by `main`."""
    import torch

    torch.manual_seed(0)  # for the output layers, which no test reads
    original = torch.Tensor.type_as

    def type_as(self: Any, other: Any = None, dtype: Any = None) -> Any:
        return original(self, other) if dtype is None else self.to(dtype=dtype)

    torch.Tensor.type_as = type_as  # type: ignore[method-assign]
    small = seeded_model(SMALL, output_layers=True)
    save_small(small)
    save_cases(small.transformer, SMALL_CASES, rows=3, file="small_cases.safetensors")
    save_cases(seeded_model(FULL, output_layers=False), FULL_CASES, rows=2, file="full_cases.safetensors")


def seeded_model(sizes: dict[str, Any], *, output_layers: bool) -> Any:
    """The library's model with the seeded weights, in eval mode."""
    import torch
    from seeded_weights import seeded_tensor
    from transformers.models.deprecated.transfo_xl import TransfoXLConfig, TransfoXLLMHeadModel, TransfoXLModel

    model = (TransfoXLLMHeadModel if output_layers else TransfoXLModel)(TransfoXLConfig(**sizes)).eval()
    with torch.no_grad():
        for name, parameter in (model.transformer if output_layers else model).named_parameters():
            parameter.copy_(torch.from_numpy(seeded_tensor(name, tuple(parameter.shape))))
    return model


def save_small(model: Any) -> None:
    """The model folder `small`, with a vocabulary that the library's own tokenizer has pickled."""
    from safetensors.torch import save_file
    from transformers.models.deprecated.transfo_xl import TransfoXLTokenizer

    folder = HERE / "small"
    folder.mkdir(exist_ok=True)
    model.config.save_pretrained(folder)
    save_file(
        {name: tensor.clone().contiguous() for name, tensor in model.state_dict().items()}, folder / "model.safetensors"
    )
    words = ["<eos>", "<unk>", "<formula>", *(f"word{number}" for number in range(3, SMALL["vocab_size"]))]
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)  # the tokenizer remembers the path of its file
        Path("vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
        TransfoXLTokenizer(vocab_file="vocab.txt").save_vocabulary(str(folder))
        os.chdir(HERE)


def save_cases(model: Any, cases: Mapping[str, tuple[int, int, int | None]], *, rows: int, file: str) -> None:
    """Run every case and save words, outputs and resets."""
    import torch
    from safetensors.torch import save_file
    from seeded_weights import seeded_words

    saved = {}
    for case, (steps, tokens, reset) in cases.items():
        words = torch.from_numpy(seeded_words(case, shape=(steps, rows, tokens), vocab_size=model.config.vocab_size))
        saved[f"{case}.words"] = words
        saved[f"{case}.outputs"] = run(model, words, reset=reset, empty_visible=not case.startswith("masked"))
        saved[f"{case}.reset"] = torch.tensor([] if reset is None else [reset, 1])
        print(file, case, "done", flush=True)
    save_file(saved, HERE / file)


def run(model: Any, words: Any, *, reset: int | None, empty_visible: bool) -> Any:
    """(steps, rows, k) token ids -> (steps, rows, d_model), as the authors' loop calls the model."""
    import torch

    mems = model.init_mems(words.shape[1])
    if not empty_visible:
        mems = [layer[:0] for layer in mems]
    outputs = []
    with torch.no_grad():
        for step, step_words in enumerate(words):
            if step == reset:
                for layer in mems:
                    layer[:, 1] = 0
            result = model(inputs_embeds=model.word_emb(step_words), mems=mems)
            mems = result.mems
            outputs.append(result.last_hidden_state[:, -1].clone())
    return torch.stack(outputs)


if __name__ == "__main__":
    inside() if sys.argv[1:] == ["inside"] else main()
