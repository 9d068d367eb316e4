"""What every server offers beside its methods: health (grpc.health.v1) and reflection."""

import os
import signal
from typing import Any

import grpc
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from support.deployment import Deployment
from support.gateway import serving
from support.waiting import wait_for


def doors(deployment: Deployment) -> dict[str, str]:
    """Full name of each service that is served -> where."""
    targets = {
        "shelm.v1.AgentService": deployment.target,
        "shelm.internal.v1.RetrievalService": deployment.retrieval_target,
        "shelm.internal.v1.MemoryService": deployment.memory_target,
    }
    return {service: target for service, target in targets.items() if target}


def test_health_is_served_for_the_server_and_for_each_service(deployment: Deployment) -> None:
    for service, target in doors(deployment).items():
        with grpc.insecure_channel(target) as channel:
            assert serving(channel)
            assert serving(channel, service)
            assert not serving(channel, "shelm.v1.NoSuchService")


def test_a_server_that_waits_for_redis_is_live_but_not_ready_and_one_that_does_nothing_is_not_live(
    deployment: Deployment,
) -> None:
    with grpc.insecure_channel(deployment.target) as channel:
        assert serving(channel, "live")
        with deployment.redis_paused():
            wait_for("it is not ready", lambda: not serving(channel), seconds=30)
            assert serving(channel, "live")
        wait_for("it is ready", lambda: serving(channel), seconds=30)
        pid = deployment.pids()["policy" if deployment.apart else "standalone"]
        os.kill(pid, signal.SIGSTOP)
        try:
            assert not serving(channel, "live"), "its socket is open, which is not enough"
        finally:
            os.kill(pid, signal.SIGCONT)
        wait_for("it is live", lambda: serving(channel, "live"), seconds=30)


def test_reflection_gives_every_service_and_its_contract(deployment: Deployment) -> None:
    for service, target in doors(deployment).items():
        with grpc.insecure_channel(target) as channel:
            names = [one.name for one in reflect(channel, list_services="").list_services_response.service]
            assert {service, "grpc.health.v1.Health"} <= set(names)
            files = reflect(channel, file_containing_symbol=service).file_descriptor_response.file_descriptor_proto
            found = [descriptor_pb2.FileDescriptorProto.FromString(file) for file in files]
            assert service.rpartition(".")[2] in [one.name for file in found for one in file.service]


def reflect(channel: grpc.Channel, **question: str) -> Any:
    """One answer of the reflection service."""
    request = reflection_pb2.ServerReflectionRequest(**question)
    return next(iter(reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([request]), timeout=10)))
