"""docker-compose.yml: valid, and what it promises about start order, limits, ports, settings and secrets."""

import os
import re
import subprocess
import sys

import pytest
import yaml
from compose_spec import PyCompose
from support.compose import COMPOSE, SERVICES, VARIABLE, rendered
from support.process import REPOSITORY

from services.memory.settings import MemorySettings
from services.policy.settings import PolicySettings
from services.retrieval.settings import RetrievalSettings
from services.runtime.settings import ServerSettings, load_settings
from tools.image_check.stages import DOCKERFILE, ancestry, command, last, read_stages

SETTINGS: dict[str, type[ServerSettings]] = {
    "retrieval": RetrievalSettings,
    "memory": MemorySettings,
    "policy": PolicySettings,
}

OBSERVABILITY = REPOSITORY / "deploy" / "observability"
METERED = {name: SERVICES[name] for name in SETTINGS}


@pytest.mark.parametrize("variables", [{}, {"SHELM_ENGINE": "triton", "VERSION": "1.2.3", "PUBLISH": "0.0.0.0:443"}])
def test_the_file_is_valid(variables: dict[str, str]) -> None:
    assert set(PyCompose.from_yaml(yaml.safe_dump(rendered(**variables))).service_names()) == set(SERVICES)


def test_a_misspelt_key_is_found() -> None:
    content = rendered()
    content["services"]["policy"]["helthcheck"] = {}
    with pytest.raises(ValueError, match="helthcheck"):
        PyCompose.from_yaml(yaml.safe_dump(content))


@pytest.mark.parametrize("name", SETTINGS)
def test_every_variable_given_to_a_service_is_one_of_its_settings(name: str) -> None:
    given = {key: str(value) for key, value in SERVICES[name]["environment"].items()}
    fields = SETTINGS[name].model_fields
    assert {key for key in given if key.removeprefix("SHELM_").lower() not in fields} == set()


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("engine", ["local", "triton"])
def test_a_service_accepts_the_values_it_is_given(name: str, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in [key for key in os.environ if key.startswith("SHELM_")]:
        monkeypatch.delenv(key)
    for key, value in rendered(SHELM_ENGINE=engine)["services"][name]["environment"].items():
        monkeypatch.setenv(key, str(value))
    settings = load_settings(SETTINGS[name])
    assert settings.tokens_file == "/run/secrets/tokens"
    assert not settings.allow_anonymous
    assert settings.model_dump()["engine"] == engine


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_bounded_watched_and_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"] == ["/tmp"]
    assert int(service["user"].partition(":")[0]) > 0
    assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", SERVICES)
def test_images_have_versions(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9./-]+:v?\d+\.\d+\.\d+", SERVICES[name]["image"])


def test_only_the_public_door_and_the_web_pages_are_published_and_only_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    doors = {"policy": 50051, "inspector": 8080, "grafana": 3000}
    assert published == {name: [f"127.0.0.1:{port}:{port}"] for name, port in doors.items()}


def test_only_those_who_need_it_reach_redis() -> None:
    assert rendered()["networks"]["store"] == {"internal": True}
    assert {name for name, service in SERVICES.items() if "store" in service["networks"]} == {"redis", "memory", "policy"}


def test_policy_starts_after_everything_it_calls_is_healthy() -> None:
    healthy = {"condition": "service_healthy"}
    assert SERVICES["policy"]["depends_on"] == dict.fromkeys(("redis", "retrieval", "memory"), healthy)
    assert SERVICES["memory"]["depends_on"] == {"redis": healthy}


def test_targets_are_where_the_services_listen() -> None:
    policy = SERVICES["policy"]["environment"]
    for name in ("retrieval", "memory"):
        port = SERVICES[name]["environment"][f"SHELM_{name.upper()}_LISTEN"].rpartition(":")[2]
        assert policy[f"SHELM_{name.upper()}_TARGET"] == f"{name}:{port}"
    assert policy["SHELM_REDIS_URL"] == SERVICES["memory"]["environment"]["SHELM_REDIS_URL"] == "redis://redis:6379/0"


@pytest.mark.parametrize("name", SETTINGS)
def test_the_container_is_asked_and_stopped_as_its_image_says(name: str) -> None:
    stages = ancestry(read_stages(REPOSITORY / DOCKERFILE), name)
    service = SERVICES[name]
    assert service["healthcheck"]["test"][1:] == command(last(stages, "HEALTHCHECK"))
    assert service["user"] == last(stages, "USER")
    assert service["build"]["target"] == name
    assert float(service["stop_grace_period"].removesuffix("s")) > SETTINGS[name].model_fields["stop_grace"].default


def test_the_profiles_add_and_never_replace() -> None:
    profiles = {name: service.get("profiles", []) for name, service in SERVICES.items()}
    assert [name for name, of in profiles.items() if not of] == ["redis", "retrieval", "memory", "policy"]
    assert profiles["triton"] == ["triton"]
    assert profiles["inspector"] == ["inspector"]
    assert profiles["prometheus"] == profiles["grafana"] == ["observability"]


def test_the_example_of_the_variables_has_every_one_with_its_default() -> None:
    lines = (REPOSITORY / ".env.example").read_text().splitlines()
    example = dict(line.removeprefix("#").split("=", 1) for line in lines if line.startswith("#") and line[1] != " ")
    given = {match[1]: match[2] or "" for match in VARIABLE.finditer(COMPOSE.read_text())}
    assert example.keys() == given.keys()
    off = {"SHELM_RECORD", "SHELM_ARCHIVE", "SHELM_SEARCH_INDEX"}  # the example shows what they may be
    assert {name: value for name, value in example.items() if name not in off} == {
        name: value for name, value in given.items() if name not in off
    }


def test_prometheus_scrapes_where_the_services_tell_their_metrics() -> None:
    config = yaml.safe_load((OBSERVABILITY / "compose" / "prometheus.yml").read_text())
    targets = [target for job in config["scrape_configs"] for one in job["static_configs"] for target in one["targets"]]
    told = {name: service["environment"]["SHELM_METRICS_LISTEN"].rpartition(":")[2] for name, service in METERED.items()}
    assert sorted(targets) == sorted(f"{name}:{port}" for name, port in told.items())
    assert [(OBSERVABILITY / "compose" / name).resolve().name for name in config["rule_files"]] == ["alerts.yaml"]
    networks = [set(SERVICES[name]["networks"]) for name in ("prometheus", "grafana", *METERED)]
    assert set.intersection(*networks) == {"services"}


def test_grafana_asks_that_prometheus_and_finds_the_dashboards() -> None:
    (source,) = yaml.safe_load((OBSERVABILITY / "compose" / "datasource.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    places = dict(volume.removesuffix(":ro").split(":") for volume in SERVICES["grafana"]["volumes"])
    provider = OBSERVABILITY / "grafana/provisioning/dashboards/shelm.yaml"
    path = yaml.safe_load(provider.read_text())["providers"][0]["options"]["path"]
    assert places["./deploy/observability/grafana/dashboards"] == path
    assert all((REPOSITORY / place).exists() for place in places if place.startswith("."))


def test_redis_keeps_every_answered_act() -> None:
    words = SERVICES["redis"]["command"]
    options = dict(zip(words[1::2], words[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "always"
    assert options["--maxmemory-policy"] == "noeviction"
    assert SERVICES["redis"]["volumes"] == ["episodes:/data"]


@pytest.mark.slow
def test_triton_gets_a_gpu_and_a_repository_that_its_writer_understands() -> None:
    triton = SERVICES["triton"]
    assert triton["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]
    line = triton["entrypoint"][2]
    writer = re.search(r"-m (services\.triton\.repository) (.+?) &&", line)
    assert writer
    assert "--out /tmp/repository" in writer[2]
    assert "--model-repository=/tmp/repository" in line
    options = subprocess.run([sys.executable, "-m", writer[1], "--help"], capture_output=True, text=True, check=True).stdout
    for option in re.findall(r"--[a-z-]+", writer[2]):
        assert option in options
