"""Names of variables: misspelt ones are found, those of others are left alone, and none of ours is missing."""

import re
import subprocess

import pytest
from support.process import REPOSITORY

from services.inspector.settings import InspectorSettings
from services.memory.settings import MemorySettings
from services.policy.settings import PolicySettings
from services.retrieval.settings import RetrievalSettings
from services.runtime.names import NAMES, PREFIX, misspelt
from services.standalone.settings import StandaloneSettings

SETTINGS = (RetrievalSettings, MemorySettings, PolicySettings, StandaloneSettings, InspectorSettings)
READ = re.compile(rf"environ(?:\.get\(|\[|\.setdefault\()\"{PREFIX}(\w+)\"|process\.env\.{PREFIX}(\w+)")


def test_the_names_are_those_that_somebody_reads() -> None:
    fields = {name.upper() for kind in SETTINGS for name in kind.model_fields}
    listed = subprocess.run(["git", "ls-files", "*.py", "*.js"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    texts = [(REPOSITORY / name).read_text() for name in listed.stdout.split() if (REPOSITORY / name).exists()]
    read = {one or other for text in texts for one, other in READ.findall(text)}
    assert fields | read <= NAMES
    assert not [name for name in NAMES - fields if not any(PREFIX + name in text for text in texts)]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SHELM_AGENTSS", "SHELM_AGENTS"),
        ("SHELM_AGENT", "SHELM_AGENTS"),
        ("shelm_agent", "SHELM_AGENTS"),
        ("SHELM_REDISURL", "SHELM_REDIS_URL"),
        ("SHELM_EPSIODE_TTL", "SHELM_EPISODE_TTL"),
        ("SHELM_TOKEN_FILE", "SHELM_TOKENS_FILE"),
    ],
)
def test_a_misspelt_name_is_found(name: str, meant: str) -> None:
    assert misspelt([name]) == {name: meant}


@pytest.mark.parametrize("service", ["POLICY", "MEMORY", "RETRIEVAL", "REDIS", "INSPECTOR", "TRITON", "SERVING"])
def test_what_kubernetes_makes_of_the_names_of_services_is_left_alone(service: str) -> None:
    ends = ("PORT", "SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_GRPC", "PORT_50051_TCP", "PORT_50051_TCP_ADDR")
    assert misspelt(f"SHELM_{service}_{end}" for end in ends) == {}


def test_names_of_ours_and_of_others_are_left_alone() -> None:
    assert misspelt([*(PREFIX + name for name in NAMES), "shelm_agents", "SHELM_MINE", "AGENTSS", "SHELM_"]) == {}
