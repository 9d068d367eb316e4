"""deploy/k8s/smoke.sh: it plays on while pods die, and says so when an episode is lost.

There is no Kubernetes here, so `kubectl` is a stand-in: it writes down what it is told, leads its port-forward to a real
server, and ends that server with SIGKILL where a pod is deleted, which is then started again.
"""

import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

from support.deployment import Standalone
from support.process import REPOSITORY
from support.waiting import wait_for

from deploy.local.stack import free_port

SCRIPT = REPOSITORY / "deploy" / "k8s" / "smoke.sh"
KUBECTL = """#!{python}
import os, pathlib, sys
here = pathlib.Path(__file__).parent
with (here / "told").open("a") as told:
    print(*sys.argv[1:], file=told)
if "port-forward" in sys.argv:
    port = sys.argv[-1].split(":")[0]
    os.execv(sys.executable, [sys.executable, "-c", (here / "forward.py").read_text(), port, (here / "target").read_text()])
if "--dry-run=client" in sys.argv:
    print("kind: Stated")
if "-f" in sys.argv:
    sys.stdin.read()
"""
# Leads one port to another until it is ended.
FORWARD = """
import socket, sys, threading
host, port = sys.argv[2].split(":")
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
def lead(one, other):
    try:
        while data := one.recv(65536):
            other.sendall(data)
    except OSError:
        pass
    for end in (one, other):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
while True:
    near, _ = server.accept()
    try:
        far = socket.create_connection((host, int(port)))
    except OSError:
        near.close()
        continue
    for ends in ((near, far), (far, near)):
        threading.Thread(target=lead, args=ends, daemon=True).start()
"""


class Cluster:
    """A folder with the stand-in, in front of a server."""

    def __init__(self, folder: Path, target: str) -> None:
        self._folder = folder
        for name, text in (("kubectl", KUBECTL.format(python=sys.executable)), ("forward.py", FORWARD), ("target", target)):
            (folder / name).write_text(text)
        (folder / "kubectl").chmod(0o755)

    def told(self) -> str:
        """Returns what kubectl was told, a line a call."""
        told = self._folder / "told"
        return told.read_text() if told.exists() else ""

    def deleted(self, count: int) -> bool:
        """Returns whether so many pods were deleted."""
        return self.told().count(" delete pod ") >= count

    def smoke(self, episodes: int) -> "subprocess.Popen[str]":
        settings = {
            "PATH": f"{self._folder}:{os.environ['PATH']}",
            "SHELM": str(Path(sys.executable).with_name("shelm")),
            "SHELM_SMOKE_PORT": str(free_port()),
            "SHELM_SMOKE_EPISODES": str(episodes),
            "SHELM_SMOKE_PAUSE": "1",
        }
        output = subprocess.PIPE
        return subprocess.Popen([SCRIPT], env=os.environ | settings, stdout=output, stderr=subprocess.STDOUT, text=True)


def test_episodes_go_on_while_their_server_dies_three_times(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    with Standalone(tmp_path / "server").running() as server:
        assert isinstance(server, Standalone)
        cluster = Cluster(tmp_path / "bin", server.target)
        script = cluster.smoke(episodes=60)
        for count, pod in enumerate(("policy", "memory", "redis"), 1):
            assert script.poll() is None
            wait_for(f"the pod of {pod} is deleted", partial(cluster.deleted, count), seconds=60)
            server.kill_and_start()
        said, _ = script.communicate(timeout=300)
    assert script.returncode == 0, said
    assert '"episodes": 60' in said
    told = cluster.told()
    assert re.findall(r"delete pod -l app\.kubernetes\.io/name=(\w+)", told) == ["policy", "memory", "redis"]
    assert f"apply -k {REPOSITORY}/deploy/k8s/overlays/laptop" in told
    waited = re.findall(r"rollout status (\w+/\w+)", told)
    assert waited == ["statefulset/redis", "deployment/retrieval", "deployment/memory", "deployment/policy"]


def test_an_episode_that_cannot_be_played_fails_the_script(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    with Standalone(
        tmp_path / "server", {"SHELM_AGENTS": str(REPOSITORY / "models" / "miniworld-signcolour")}
    ).running() as server:
        script = Cluster(tmp_path / "bin", server.target).smoke(episodes=1)
        said, _ = script.communicate(timeout=300)
    assert script.returncode != 0, said
