"""The inspector's image and its place in docker-compose.yml."""

import os

import pytest
from packaging.utils import canonicalize_name
from support.compose import SERVICES, rendered
from support.images import STAGES, distributions, imports

from services.inspector.settings import InspectorSettings
from services.runtime.settings import load_settings
from tools.image_check.stages import ancestry, command, last
from tools.packages import installed, listed

SERVICE = SERVICES["inspector"]
# Imported late, by traces, which the inspector does not start.
NOT_NEEDED = {"opentelemetry"}
CLIENT = {"numpy", "pillow"}  # imported by the package that the stubs are part of


def test_everything_it_imports_is_in_its_image_and_torch_is_not() -> None:
    packages, held = distributions(), installed("inspector")
    names = imports("inspector") - NOT_NEEDED
    missing = {name for name in names if not held & {canonicalize_name(one) for one in packages.get(name, [])}}
    assert not missing
    assert not held & {"torch", "redis", "transformers"}


def test_every_listed_package_is_imported() -> None:
    packages = distributions()
    used = {canonicalize_name(one) for name in imports("inspector") for one in packages.get(name, [])}
    assert set(listed("inspector")) - CLIENT <= used


def test_the_container_is_asked_and_run_as_its_image_says() -> None:
    stages = ancestry(STAGES, "inspector")
    assert SERVICE["healthcheck"]["test"][1:] == command(last(stages, "HEALTHCHECK"))
    assert SERVICE["user"] == last(stages, "USER")
    assert SERVICE["build"]["target"] == "inspector"
    assert command(last(stages, "ENTRYPOINT")) == ["python", "-m", "services.inspector"]
    assert f"LISTEN=0.0.0.0:{last(stages, 'EXPOSE')}" in last(stages, "ENV")
    assert f":{last(stages, 'EXPOSE')}/healthz" in last(stages, "HEALTHCHECK")
    assert float(SERVICE["stop_grace_period"].removesuffix("s")) > InspectorSettings.model_fields["stop_grace"].default


def test_it_gets_its_settings_and_neither_token_nor_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in [key for key in os.environ if key.startswith("SHELM_")]:
        monkeypatch.delenv(key)
    given = rendered()["services"]["inspector"]["environment"]
    assert {key for key in given if key.removeprefix("SHELM_").lower() not in InspectorSettings.model_fields} == set()
    for key, value in given.items():
        monkeypatch.setenv(key, str(value))
    settings = load_settings(InspectorSettings)
    assert settings.inspector_target == "policy:50051"
    assert not settings.allow_anonymous
    assert "secrets" not in SERVICE
    assert "volumes" not in SERVICE
