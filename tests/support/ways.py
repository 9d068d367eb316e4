"""The ways of deploying that the contract tests run against, each with every test.

By default those that any machine can run. Others are named in TEST_DEPLOYMENTS, separated by commas: `triton` needs
`make triton-setup`, `pods` and `pods-cluster` need root, `pods-triton` both.
"""

import os

from support.deployment import BehindTriton, Deployment, Processes, Standalone
from support.pods import PODS

_KINDS: dict[str, type[Deployment]] = {kind.name: kind for kind in (Processes, Standalone, BehindTriton, *PODS)}
DEPLOYMENTS = {name: _KINDS[name] for name in os.environ.get("TEST_DEPLOYMENTS", "processes,standalone").split(",")}
APART = [name for name, kind in DEPLOYMENTS.items() if kind.apart]
ASKING = [name for name, kind in DEPLOYMENTS.items() if kind.restarts and kind.acts_ask_services]
