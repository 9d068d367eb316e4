"""Simulates several machines on one: network namespaces with their own addresses behind one bridge, as pods have.

Needs root (CAP_NET_ADMIN) and iproute2. Contract: every `Machine` has its own loopback and one address of `Network.subnet`;
this process reaches all of them from the bridge. `cut` disconnects a machine without closing any connection; `mend`
reconnects it. `close` removes everything. Failure policy: `NotPermitted` gives the reason why namespaces cannot be created
here.
"""

import random
import shutil
import subprocess
from dataclasses import dataclass


class NotPermitted(RuntimeError):  # noqa: N818
    """Network namespaces cannot be created here."""


@dataclass(frozen=True)
class Machine:
    """One namespace. inside: command prefix that runs a command in it."""

    name: str
    address: str
    cable: str  # name of its link's end at the bridge

    @property
    def inside(self) -> list[str]:
        """Command prefix that runs a command in the namespace."""
        return ["ip", "netns", "exec", self.name]


class Network:
    """A bridge and the machines on it."""

    def __init__(self) -> None:
        mark = f"{random.randrange(16**4):04x}"
        self.subnet = f"10.{random.randrange(64, 128)}.{random.randrange(256)}"
        self._mark, self._bridge = mark, f"shelm{mark}"
        self._machines: list[Machine] = []

    @property
    def entry(self) -> str:
        """Address of this process on the bridge."""
        return f"{self.subnet}.1"

    def open(self) -> None:
        """Creates the bridge."""
        if shutil.which("ip") is None:
            raise NotPermitted("iproute2 is not installed")
        try:
            _ip("link", "add", self._bridge, "type", "bridge")
            _ip("address", "add", f"{self.entry}/24", "dev", self._bridge)
            _ip("link", "set", self._bridge, "up")
            self.close_machine(self.add("probe"))
        except subprocess.CalledProcessError as error:
            self.close()
            raise NotPermitted(f"network namespaces: {error.stderr.strip()}") from None

    def add(self, role: str) -> Machine:
        """Adds a machine."""
        number = len(self._machines) + 2
        cable = f"s{self._mark}{number}"
        machine = Machine(f"shelm-{self._mark}-{role}", f"{self.subnet}.{number}", cable)
        _ip("netns", "add", machine.name)
        self._machines.append(machine)
        _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", machine.name)
        _ip("link", "set", cable, "master", self._bridge, "up")
        for command in (("address", "add", f"{machine.address}/24", "dev", "eth0"), ("link", "set", "eth0", "up")):
            _ip("-n", machine.name, *command)
        _ip("-n", machine.name, "link", "set", "lo", "up")
        return machine

    def cut(self, machine: Machine) -> None:
        """Disconnects a machine: no packet is delivered to or from it."""
        _ip("link", "set", machine.cable, "down")

    def mend(self, machine: Machine) -> None:
        """Reconnects a machine."""
        _ip("link", "set", machine.cable, "up")

    def close_machine(self, machine: Machine) -> None:
        """Removes a machine; its number is not reused."""
        _ip("netns", "delete", machine.name)

    def close(self) -> None:
        """Removes all machines and the bridge."""
        known = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False).stdout
        for machine in self._machines:
            if machine.name in known:
                self.close_machine(machine)
        subprocess.run(["ip", "link", "delete", self._bridge], capture_output=True, check=False)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True)
