"""Triton Python backend of all three models: tensors <-> the engines of `agent`.

A model's folder contains a one-line `model.py` that imports `TritonPythonModel` from here; the parameters in its config
state the part and the bundle. The requests of one Triton batch are processed in one forward pass.

Failure policy: with numpy 2 the model does not start, and the error gives the reason (Triton 24.10's stub would send empty
tensors). If an engine fails, every request of the batch gets an error without a traceback.
"""

import json
import logging
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from agent.bundle import AgentBundle, load_bundle
from agent.history import DIGEST_BYTES, MemoryStep, MemoryVector
from agent.memory.slots import SlotMiss
from services.triton.models import Op, Status, counts_tensor

log = logging.getLogger(__name__)
Tensors = dict[str, NDArray[Any]]  # by name, all with the batch dimension


class Engine(Protocol):
    """One model."""

    def run(self, inputs: Tensors) -> Tensors:
        """Processes a batch of rows."""


class ClipImage:
    """FRAME -> ROWS, SIMILARITIES with the bundle's retriever."""

    def __init__(self, bundle: AgentBundle, device: str, parameters: dict[str, str]) -> None:
        from agent.engines.retrieval import load_retriever

        self._retriever = load_retriever(
            bundle, device=device, dtype=parameters.get("dtype", "float32"), cache_frames=int(parameters["cache_frames"])
        )

    def run(self, inputs: Tensors) -> Tensors:
        """Retrieves the words of a batch of frames."""
        found = self._retriever.retrieve(list(inputs["FRAME"]))
        return {
            "ROWS": np.array([[word.row for word in words] for words in found], np.int32),
            "SIMILARITIES": np.array([[word.similarity for word in words] for words in found], np.float32),
        }


class Policy:
    """FRAME, MEMORY -> PARAMETERS, VALUE with the bundle's actor-critic."""

    def __init__(self, bundle: AgentBundle, device: str, parameters: dict[str, str]) -> None:
        from agent.engines.policy import load_policy

        self._engine = load_policy(bundle, device=device)

    def run(self, inputs: Tensors) -> Tensors:
        """Computes the action distributions and values of a batch."""
        features = self._engine.encode(list(inputs["FRAME"]))
        rows, values = zip(*self._engine.decide(list(zip(features, inputs["MEMORY"], strict=True))), strict=True)
        return {"PARAMETERS": np.stack(rows), "VALUE": np.array(values, np.float32)[:, None]}


class Memory:
    """The memory slots: remembers, rebuilds, encodes and forgets."""

    def __init__(self, bundle: AgentBundle, device: str, parameters: dict[str, str]) -> None:
        from agent.engines.memory import load_slots

        self._slots = load_slots(
            bundle,
            device=device,
            slots=int(parameters["slots"]),
            slot_bytes=int(parameters["slot_bytes"]),
            host_bytes=int(parameters.get("host_bytes", "0")),  # repositories of before have neither
            dtype=parameters.get("dtype", "float32"),
        )
        self._dimension = bundle.manifest.memory.dimension

    def run(self, inputs: Tensors) -> Tensors:
        """Executes the operations of a batch in order."""
        ops = [Op(int(op)) for op in inputs["OP"][:, 0]]
        episodes = [text.decode() for text in inputs["EPISODE"][:, 0]]
        rows = range(len(ops))
        words = [tuple(ids) for ids in inputs["WORDS"].tolist()]
        history = [digest.tobytes() for digest in inputs["DIGEST"]]
        steps = [MemoryStep(episodes[i], int(inputs["STEP"][i, 0]), words[i], history[i]) for i in rows]
        asked = [i for i in rows if ops[i] is Op.REMEMBER]
        if "PAST" in inputs:
            taken: list[Any] = [self._rebuilt(steps[i], inputs["PAST"][i].tolist()) for i in asked]
        else:
            taken = self._slots.remember([steps[i] for i in asked])
        answers: list[Any] = [None] * len(ops)
        for i, answer in zip(asked, taken, strict=True):
            answers[i] = answer
        for i in rows:
            if ops[i] is Op.FORGET:
                answers[i] = self._slots.forget(episodes[i])
            elif ops[i] is Op.ENCODE_HISTORY:
                answers[i] = self._encoded(inputs["PAST"][i].tolist())
        return self._tensors(answers)

    def _rebuilt(self, step: MemoryStep, past: list[int]) -> MemoryVector | ValueError:
        try:
            return self._slots.rebuild_and_remember(step, past)
        except ValueError as error:
            return error

    def _encoded(self, words: list[int]) -> MemoryVector | ValueError:
        try:
            return MemoryVector(self._slots.encode_history(words), bytes(DIGEST_BYTES))
        except ValueError as error:
            return error

    def _tensors(self, answers: list[Any]) -> Tensors:
        count = len(answers)
        out: Tensors = {
            "STATUS": np.full((count, 1), Status.DONE, np.uint8),
            "VECTOR": np.zeros((count, self._dimension), np.float32),
            "AFTER": np.zeros((count, DIGEST_BYTES), np.uint8),
            "NEEDED": np.zeros((count, 1), np.int32),
            "ERROR": np.full((count, 1), b"", np.object_),
            "COUNTS": np.tile(counts_tensor(self._slots.counts), (count, 1)),
        }
        for i, answer in enumerate(answers):
            if isinstance(answer, MemoryVector):
                out["VECTOR"][i], out["AFTER"][i] = answer.vector, np.frombuffer(answer.history_digest, np.uint8)
            elif isinstance(answer, SlotMiss):
                out["STATUS"][i], out["NEEDED"][i] = Status.SLOT_MISS, answer.steps
            elif isinstance(answer, ValueError):
                out["STATUS"][i], out["ERROR"][i, 0] = Status.REFUSED, str(answer).encode()
            elif answer is not None:  # result of a FORGET
                out["NEEDED"][i] = int(answer)
        return out


ENGINES: dict[str, Any] = {"clip_image": ClipImage, "memory": Memory, "policy": Policy}


def load_engine(config: dict[str, Any], device: str) -> Engine:
    """Loads the engine that a model's config names."""
    if int(np.__version__.partition(".")[0]) >= 2:
        raise RuntimeError(f"Triton's python backend needs numpy 1 in its environment, found {np.__version__}")
    parameters = {name: value["string_value"] for name, value in config["parameters"].items()}
    torch.set_num_threads(int(parameters["torch_threads"]))
    engine: Engine = ENGINES[parameters["part"]](load_bundle(Path(parameters["bundle"])), device, parameters)
    return engine


class TritonPythonModel:
    """The class that Triton's Python backend expects in model.py."""

    def initialize(self, args: dict[str, str]) -> None:
        """Loads the engine on the instance's device."""
        gpu = args["model_instance_kind"] == "GPU"
        device = f"cuda:{args['model_instance_device_id']}" if gpu else "cpu"
        self._engine = load_engine(json.loads(args["model_config"]), device)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Processes all requests in one batch; Triton's batcher ensures that their inputs have the same names and shapes."""
        groups: dict[Any, list[int]] = {}
        inputs = [{tensor.name(): tensor.as_numpy() for tensor in request.inputs()} for request in requests]
        for i, tensors in enumerate(inputs):
            key = tuple(sorted((name, value.shape[1:]) for name, value in tensors.items()))
            groups.setdefault(key, []).append(i)
        responses: list[Any] = [None] * len(requests)
        for members in groups.values():
            for i, response in zip(members, self._respond([inputs[i] for i in members]), strict=True):
                responses[i] = response
        return responses

    def _respond(self, inputs: list[Tensors]) -> list[Any]:
        import triton_python_backend_utils as backend  # exists only inside Triton

        try:
            outputs = self._engine.run({name: np.concatenate([one[name] for one in inputs]) for name in inputs[0]})
        except Exception as error:  # reported to the callers; the model keeps running
            log.exception("a run failed")
            failure = backend.TritonError(f"{type(error).__name__}: {error}")
            return [backend.InferenceResponse(error=failure)] * len(inputs)
        at, responses = 0, []
        for one in inputs:
            count = len(next(iter(one.values())))
            tensors = [backend.Tensor(name, np.ascontiguousarray(rows[at : at + count])) for name, rows in outputs.items()]
            responses.append(backend.InferenceResponse(output_tensors=tensors))
            at += count
        return responses
