"""Triton Python backend of all models: tensors <-> the engines of `agent`.

A model's folder contains a one-line `model.py` that imports `TritonPythonModel` from here; the parameters in its config
state the part and the bundle. The requests of one Triton batch are processed in one forward pass. A model is ready once its
engine has done all that it is asked for in an episode, so that the first episode does not wait for what happens once.

Failure policy: with numpy 2 in a Triton that would send empty tensors, the model does not start, and the error gives the
reason. If an engine fails, every request of the batch gets an error without a traceback.
"""

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from agent.bundle import AgentBundle, load_bundle
from agent.frame import Frame, Observation
from agent.history import DIGEST_BYTES, MemoryStep, MemoryVector
from agent.memory.language_model import finish
from agent.memory.slots import Rebuild, SlotMiss
from agent.policy.actor_critic import Features
from services.runtime.kept import Kept
from services.triton.models import Op, Status, counts_tensor

log = logging.getLogger(__name__)
NUMPY_2_SINCE = "25.07"  # python_backend pull request 384 is older; this is the oldest release that we deploy
Tensors = dict[str, NDArray[Any]]  # by name, all with the batch dimension


class Engine(Protocol):
    """One model."""

    def run(self, inputs: Tensors) -> Tensors:
        """Processes a batch of rows."""

    def warm_up(self) -> None:
        """Does all of its work once, and leaves no trace."""


class ClipImage:
    """FRAME -> ROWS, SIMILARITIES with the bundle's retriever."""

    def __init__(self, bundle: AgentBundle, device: str, parameters: dict[str, str]) -> None:
        from agent.engines.retrieval import load_retriever

        self._retriever = load_retriever(
            bundle, device=device, dtype=parameters.get("dtype", "float32"), cache_frames=int(parameters["cache_frames"])
        )
        self._black = _black_frame(bundle)

    def warm_up(self) -> None:
        """Embeds a frame."""
        self._retriever.similarities([self._black])

    def run(self, inputs: Tensors) -> Tensors:
        """Retrieves the words of a batch of frames."""
        return self.words([Observation.of(frame) for frame in inputs["FRAME"]])

    def words(self, observations: list[Observation]) -> Tensors:
        """Does the same for frames whose fingerprints are known."""
        found = self._retriever.retrieve_observations(observations)
        return {
            "ROWS": np.array([[word.row for word in words] for words in found], np.int32),
            "SIMILARITIES": np.array([[word.similarity for word in words] for words in found], np.float32),
        }


class Policy:
    """FRAME, MEMORY -> PARAMETERS, VALUE with the bundle's actor-critic."""

    def __init__(self, bundle: AgentBundle, device: str, parameters: dict[str, str]) -> None:
        from agent.engines.policy import load_policy

        self._engine = load_policy(bundle, device=device)
        self._kept: Kept[Features] = Kept(int(parameters["cache_frames"]))
        self._trial: Tensors = {
            "FRAME": _black_frame(bundle)[None],
            "MEMORY": np.zeros((1, bundle.manifest.memory.dimension), np.float32),
        }

    def warm_up(self) -> None:
        """Decides once."""
        self.run(self._trial)

    def run(self, inputs: Tensors) -> Tensors:
        """Computes the action distributions and values of a batch."""
        return self._decided(self._engine.encode(list(inputs["FRAME"])), inputs["MEMORY"])

    def decide(self, observations: Sequence[Observation], memory: NDArray[Any]) -> Tensors:
        """Does the same for frames whose fingerprints are known; the features of frames seen lately are kept."""
        new = {one.fingerprint: one.frame for one in observations if self._kept.get(one.fingerprint) is None}
        found = dict(zip(new, self._engine.encode(list(new.values())), strict=True)) if new else {}
        features = [found[key] if key in found else self._kept.get(key) for key in (one.fingerprint for one in observations)]
        for key, one in found.items():
            self._kept.keep(key, one)
        return self._decided(features, memory)

    def _decided(self, features: Sequence[Any], memory: NDArray[Any]) -> Tensors:
        rows, values = zip(*self._engine.decide(list(zip(features, memory, strict=True))), strict=True)
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

    def warm_up(self) -> None:
        """Takes a step, and rebuilds a state."""
        self._slots.warm_up()

    def run(self, inputs: Tensors) -> Tensors:
        """Executes the operations of a batch in order. Counts need no other input."""
        if len(inputs) == 1:
            return self._tensors([None] * len(inputs["OP"]))
        ops = [Op(int(op)) for op in inputs["OP"][:, 0]]
        episodes = [text.decode() for text in inputs["EPISODE"][:, 0]]
        rows = range(len(ops))
        words = [tuple(ids) for ids in inputs["WORDS"].tolist()]
        history = [digest.tobytes() for digest in inputs["DIGEST"]]
        lengths = inputs["LENGTH"][:, 0].tolist() if "LENGTH" in inputs else [None] * len(ops)
        steps = [MemoryStep(episodes[i], int(inputs["STEP"][i, 0]), words[i], history[i], lengths[i]) for i in rows]
        asked = [i for i in rows if ops[i] is Op.REMEMBER]
        if "PAST" in inputs:
            taken: list[Any] = finish(self._slots.rebuilding([Rebuild(steps[i], inputs["PAST"][i].tolist()) for i in asked]))
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


OUTCOME = ("STATUS", "NEEDED", "ERROR")  # of a step; the first alone says that it is done


class Act:
    """All three: a whole Act, or a decision alone, or an operation of memory."""

    def __init__(self, bundle: AgentBundle, device: str, parameters: dict[str, str]) -> None:
        self._retrieval = ClipImage(bundle, device, parameters)
        self._memory = Memory(bundle, device, parameters)
        self._policy = Policy(bundle, device, parameters)

    def warm_up(self) -> None:
        """Does what an Act does."""
        for engine in (self._retrieval, self._memory, self._policy):
            engine.warm_up()

    def run(self, inputs: Tensors) -> Tensors:
        """Processes a batch. Only its operations of memory can be several ones: the others have inputs of their own."""
        op = inputs["OP"][0, 0]
        if op == Op.ACT:
            return self._act(**inputs)
        return self._policy.run(inputs) if op == Op.DECIDE else self._memory.run(inputs)

    def _act(self, FRAME: NDArray[Any], OP: NDArray[Any], **history: NDArray[Any]) -> Tensors:  # noqa: N803 - names of tensors
        observations, count = [Observation.of(frame) for frame in FRAME], len(FRAME)
        found = self._retrieval.words(observations)
        step = self._memory.run({"OP": np.full_like(OP, Op.REMEMBER), "WORDS": found["ROWS"], **history})
        done = np.flatnonzero(step["STATUS"][:, 0] == Status.DONE)
        outputs = {name: step[name] for name in (OUTCOME if len(done) < count else OUTCOME[:1])}
        if len(done):
            decided = self._policy.decide([observations[i] for i in done], step["VECTOR"][done])
            outputs |= {name: _spread(rows, done, count) for name, rows in decided.items()}
        return {**outputs, **found}


def _spread(rows: NDArray[Any], places: NDArray[np.intp], count: int) -> NDArray[Any]:
    """Puts rows at their places among `count`; the others are zero."""
    if len(rows) == count:
        return rows
    result = np.zeros((count, *rows.shape[1:]), rows.dtype)
    result[places] = rows
    return result


def _black_frame(bundle: AgentBundle) -> Frame:
    size = bundle.manifest.observation
    return np.zeros((size.height, size.width, 3), np.uint8)


ENGINES: dict[str, Any] = {"act": Act, "clip_image": ClipImage, "memory": Memory, "policy": Policy}


def load_engine(config: dict[str, Any], device: str) -> Engine:
    """Loads the engine that a model's config names."""
    parameters = {name: value["string_value"] for name, value in config["parameters"].items()}
    torch.set_num_threads(int(parameters["torch_threads"]))
    engine: Engine = ENGINES[parameters["part"]](load_bundle(Path(parameters["bundle"])), device, parameters)
    engine.warm_up()
    return engine


def check_numpy(release: str) -> None:
    """Raises RuntimeError for numpy 2 in a Triton that loses its tensors. release: of NVIDIA's image, such as 25.07."""
    if int(np.__version__.partition(".")[0]) >= 2 and release < NUMPY_2_SINCE:
        found = f"found {np.__version__} and Triton {release or 'of no named release'}"
        raise RuntimeError(f"before {NUMPY_2_SINCE}, Triton's python backend needs numpy 1 in its environment, {found}")


class TritonPythonModel:
    """The class that Triton's Python backend expects in model.py."""

    def initialize(self, args: dict[str, str]) -> None:
        """Loads the engine on the instance's device, and warms it up."""
        check_numpy(os.environ.get("NVIDIA_TRITON_SERVER_VERSION", ""))
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
