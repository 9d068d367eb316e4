"""Loads and unloads the models of agent bundles in a running Triton: `python -m services.triton.control load BUNDLE...`.

BUNDLE is the folder of a bundle, or its digest. The models must be in Triton's repository (services.triton.repository), and
Triton must run as deploy/docker/tritonserver.sh starts it. It takes these calls from nobody but who knows its key
(SHELM_TRITON_KEY), because who can load a model can run code.

Contract: `load` returns when the models are ready, and changes nothing for models that run. `unload` lets the requests that
a model has end; no service may serve the bundle any more. Failure policy: a Triton that cannot be reached, refuses the key
or cannot load a model ends the command with Triton's words; so does a bundle without models.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import grpc
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from agent.bundle import load_bundle
from services.triton.models import DIGITS

KEY_NAME = "shelm-key"  # deploy/docker/tritonserver.sh
TIMEOUT = 600.0  # seconds for one model


class Control:
    """The models of one Triton server. target: HOST:PORT of its gRPC endpoint. key: of its restricted protocols."""

    def __init__(self, target: str, key: str) -> None:
        self._target, self._headers = target, {f"triton-grpc-protocol-{KEY_NAME}": key}

    def load(self, digest: str) -> list[str]:
        """Loads the models of the bundle with this digest, and waits until they are ready; returns their names."""
        with triton.InferenceServerClient(self._target) as client:
            names = self._models(client, digest)
            for name in names:
                client.load_model(name, headers=self._headers, client_timeout=TIMEOUT)
        return names

    def unload(self, digest: str) -> list[str]:
        """Unloads them; returns their names."""
        with triton.InferenceServerClient(self._target) as client:
            names = self._models(client, digest)
            for name in names:
                client.unload_model(name, headers=self._headers, client_timeout=TIMEOUT)
        return names

    def _models(self, client: "triton.InferenceServerClient", digest: str) -> list[str]:
        index = client.get_model_repository_index(headers=self._headers, client_timeout=TIMEOUT)
        names = [one.name for one in index.models if one.name.endswith(f"_{digest[:DIGITS]}")]
        if not names:
            raise LookupError(f"the repository of {self._target} has no models of the bundle {digest}")
        return names


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    result = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("action", choices=["load", "unload"])
    result.add_argument("bundles", nargs="+", metavar="BUNDLE")
    result.add_argument("--target", default=os.environ.get("SHELM_TRITON_TARGET", "127.0.0.1:8001"), metavar="HOST:PORT")
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command."""
    options = parser().parse_args(arguments)
    control = Control(options.target, os.environ.get("SHELM_TRITON_KEY", ""))
    act = control.load if options.action == "load" else control.unload
    for bundle in options.bundles:
        digest = load_bundle(Path(bundle)).digest if Path(bundle).is_dir() else bundle
        try:
            for name in act(digest):
                print(f"{options.action}ed {name}")
        except (InferenceServerException, grpc.RpcError, LookupError) as error:
            sys.exit(f"{options.target}: {error}")


if __name__ == "__main__":
    main()
