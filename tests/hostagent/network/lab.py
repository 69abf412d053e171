"""Hosts in namespaces of their own, joined by an underlay bridge, with guests that are namespaces behind "taps".

Everything ends with the processes that `Lab` started: a host is one pid namespace.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from hostagent.contract import BridgeSpec, InstanceMetadata, NetworkSpec, PortSpec, SnapshotSpec
from hostagent.drivers import netns

T = TypeVar("T")
L3 = "5e" * 16
SERVICE_IP = "10.50.0.2"
SERVICE_MAC = "fa:01:02:03:04:ff"
EVERY_PROTOCOL = 3  # ETH_P_ALL


@dataclass
class Guest:
    host: "Host"
    number: int
    ip: str
    mac: str
    tap: str
    vm_uuid: str

    @property
    def nic_uuid(self) -> str:
        return f"{self.number:032x}"

    def port(self, **changes: Any) -> PortSpec:
        facts: dict[str, Any] = {
            "nic_uuid": self.nic_uuid, "vm_uuid": self.vm_uuid, "mac": self.mac, "ip": self.ip, "tap": self.tap,
            "is_default": True, "hostname": f"guest{self.number}",
        }  # fmt: skip
        return PortSpec(**facts | changes)

    def metadata(self, **changes: Any) -> InstanceMetadata:
        facts: dict[str, Any] = {
            "vm_uuid": self.vm_uuid, "instance_id": f"i-{self.number}", "hostname": f"guest{self.number}",
            "public_keys": ["ssh-ed25519 AAAA one"],
        }  # fmt: skip
        return InstanceMetadata(**facts | changes)

    def run(self, *command: str, timeout: float = 30, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.host.run("ip", "netns", "exec", self.tap, *command, timeout=timeout, check=check)

    def configure(self) -> None:
        """The planned address, without asking."""
        self.run("ip", "addr", "replace", f"{self.ip}/24", "dev", "eth0")

    def inside(self, work: Callable[[], T]) -> T:
        return netns.inside(f"/proc/{self.host.pid}/root/run/netns/{self.tap}", work)

    def packet_socket(self) -> socket.socket:
        return self.inside(lambda: packet_socket("eth0"))


def packet_socket(device: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERY_PROTOCOL))
    opened.bind((device, EVERY_PROTOCOL))
    opened.settimeout(1)
    return opened


def heard(opened: socket.socket, wanted: Callable[[bytes], bool], seconds: float = 0.25) -> list[bytes]:
    """The frames that arrive within `seconds` and are wanted."""
    deadline = time.monotonic() + seconds
    found = []
    while (left := deadline - time.monotonic()) > 0:
        opened.settimeout(left)
        try:
            frame = opened.recv(4096)
        except TimeoutError:
            break
        if wanted(frame):
            found.append(frame)
    return found


@dataclass
class Host:
    name: str
    directory: Path
    process: subprocess.Popen[str]
    pid: int

    def ask(self, line: str) -> dict[str, Any]:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def apply(self, snapshot: SnapshotSpec) -> dict[str, Any]:
        return self.ask(f"apply {snapshot.model_dump_json()}")

    def run(self, *command: str, timeout: float = 30, check: bool = True) -> subprocess.CompletedProcess[str]:
        entered = ["nsenter", "-t", str(self.pid), "-n", "-m", "-p", "--", *command]
        done = subprocess.run(entered, capture_output=True, text=True, timeout=timeout, check=False)
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def links(self) -> set[str]:
        return {link["ifname"] for link in json.loads(self.run("ip", "-j", "link").stdout)}

    def inside(self, work: Callable[[], T]) -> T:
        return netns.inside(f"/proc/{self.pid}/ns/net", work)

    def guest(self, number: int, *, bridge: str = "br_eth0", ip: str | None = None) -> Guest:
        """A namespace whose eth0 is joined to the bridge as QEMU's tap would be."""
        guest = Guest(
            self, number, ip or f"10.50.0.{number}", f"fa:00:00:00:00:{number:02x}", f"vnic{number}.0", f"{number:032x}"
        )
        self.run("ip", "netns", "add", guest.tap)
        self.run(
            "ip", "link", "add", guest.tap, "type", "veth",
            "peer", "name", "eth0", "address", guest.mac, "netns", guest.tap,
        )  # fmt: skip
        self.run("ip", "link", "set", guest.tap, "master", bridge, "up")
        guest.run("ip", "link", "set", "lo", "up")
        guest.run("ip", "link", "set", "eth0", "up")
        return guest


@dataclass
class Lab:
    hosts: list[Host] = field(default_factory=list)
    _directories: list[Path] = field(default_factory=list)
    _underlay: subprocess.Popen[str] | None = None

    def host(self, name: str) -> Host:
        """A host whose eth0 is a port of the underlay's bridge."""
        underlay = self.underlay()
        directory = Path(tempfile.mkdtemp(prefix="host-"))
        self._directories.append(directory)
        process = _unshared([sys.executable, str(Path(__file__).with_name("host_process.py")), str(directory / "n")])
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        [pid] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        host = Host(name, directory, process, int(pid))
        self.hosts.append(host)
        port = f"h{len(self.hosts)}"
        enter = ["nsenter", "-t", str(underlay), "-n", "--"]
        subprocess.run(
            [*enter, "ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", pid], check=True
        )
        subprocess.run([*enter, "ip", "link", "set", port, "master", "wire", "up"], check=True)
        host.run("ip", "link", "set", "eth0", "up")
        return host

    def underlay(self) -> int:
        if self._underlay is None:
            self._underlay = _unshared(["sleep", "infinity"])
            deadline = time.monotonic() + 5
            children = Path(f"/proc/{self._underlay.pid}/task/{self._underlay.pid}/children")
            while not children.read_text() and time.monotonic() < deadline:
                time.sleep(0.01)
            enter = ["nsenter", "-t", children.read_text().split()[0], "-n", "--"]
            subprocess.run([*enter, "ip", "link", "add", "wire", "type", "bridge"], check=True)
            subprocess.run([*enter, "ip", "link", "set", "wire", "up"], check=True)
        return int(Path(f"/proc/{self._underlay.pid}/task/{self._underlay.pid}/children").read_text().split()[0])

    def wire(self) -> socket.socket:
        """Hears every frame that crosses the underlay to or from the first host."""
        return netns.inside(f"/proc/{self.underlay()}/ns/net", lambda: packet_socket("h1"))

    def close(self) -> None:
        for process in [host.process for host in self.hosts] + ([self._underlay] if self._underlay else []):
            process.kill()  # and with it, by --kill-child, everything in its pid namespace
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()
        for directory in self._directories:
            shutil.rmtree(directory, ignore_errors=True)


def _unshared(command: list[str]) -> subprocess.Popen[str]:
    unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--", *command]
    root = str(Path(__file__).parents[3])
    return subprocess.Popen(
        unshare,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": root},
    )


@contextmanager
def lab() -> Iterator[Lab]:
    made = Lab()
    try:
        yield made
    finally:
        made.close()


def network(guests: list[PortSpec], **changes: Any) -> NetworkSpec:
    facts: dict[str, Any] = {
        "l3_uuid": L3, "bridge": "br_eth0", "cidr": "10.50.0.0/24", "gateway": "10.50.0.1", "service_ip": SERVICE_IP,
        "service_mac": SERVICE_MAC, "dhcp": True, "userdata": True, "dns": ["10.50.0.53"], "domain": "lan.example",
        "mtu": 1450, "ports": guests,
    }  # fmt: skip
    return NetworkSpec(**facts | changes)


def snapshot(generation: int, guests: list[Guest] | None = None, **changes: Any) -> SnapshotSpec:
    guests = guests or []
    facts: dict[str, Any] = {
        "generation": generation,
        "bridges": [BridgeSpec(l2_uuid="a" * 32, name="br_eth0", physical_interface="eth0")],
        "networks": [network([guest.port() for guest in guests])],
        "instances": [guest.metadata() for guest in guests],
    }
    return SnapshotSpec(**facts | changes)
