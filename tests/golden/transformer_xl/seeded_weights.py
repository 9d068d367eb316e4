"""The weights behind the golden vectors, made again wherever they are needed instead of being committed.

Imported by `make_golden.py` and by the parity test; needs numpy only.

Rule: the tensor of a published name is `standard_normal(shape, float32)` of numpy's `default_rng([SEED, crc32(name)])`, then
- divided by sqrt(last dimension) where the name is of a matrix or an embedding table, which keeps activations near 1,
- times 0.1 for biases, plus 1 for the weight of a layer norm,
- times 0.5 for the two attention biases.
Weights of this size make attention far from uniform, unlike the library's initial ones, so that an error of position shows.
"""

import zlib

import numpy as np
import numpy.typing as npt

SEED = 20230615


def seeded_tensor(name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Float32 `shape`: the tensor of a published name, without the `transformer.` before it."""
    values = np.random.default_rng([SEED, zlib.crc32(name.encode())]).standard_normal(shape, np.float32)
    if name.endswith("layer_norm.weight"):
        return 1 + np.float32(0.1) * values
    if name.endswith(".bias"):
        return np.float32(0.1) * values
    if name.endswith(("r_r_bias", "r_w_bias")):
        return np.float32(0.5) * values
    values *= np.float32(shape[-1] ** -0.5)
    return values


def seeded_words(case: str, *, shape: tuple[int, ...], vocab_size: int) -> npt.NDArray[np.int64]:
    """Int64 `shape`: token ids of a case, spread over the vocabulary on a logarithmic scale so that all clusters occur."""
    uniform = np.random.default_rng([SEED, zlib.crc32(case.encode())]).random(shape)
    ids: npt.NDArray[np.int64] = np.expm1(uniform * np.log(vocab_size)).astype(np.int64)
    return ids
