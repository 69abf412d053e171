"""The proofs: each looks at the running thing itself, and says what it saw when that is not what was promised."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.demo.guest import Guest
from tools.lab import Holder, Lab


class NotProven(Exception):
    """What was promised, and what was seen instead."""


@dataclass(frozen=True)
class Vm:
    """A VM as Terraform's outputs tell of it. `host` is the name of the host it must run on."""

    name: str
    uuid: str
    ip: str
    mac: str
    host: str


@dataclass(frozen=True)
class Scene:
    lab: Lab
    guest: Guest
    key: Path  # the private key whose public half went into the guests
    vms: list[Vm]
    service_ip: str

    def ssh(self, vm: Vm, command: str, timeout: float = 60, user: str = "foobar") -> str:
        """Run a command in the guest, logged in with the key from the guests' own network."""
        return ssh(self.lab.underlay, self.key, f"{user}@{vm.ip}", command, timeout)


def ssh(at: Holder, key: Path, destination: str, command: str, timeout: float) -> str:
    options = (
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "BatchMode=yes",
        "ConnectTimeout=5",
        "LogLevel=ERROR",
    )
    flags = [flag for option in options for flag in ("-o", option)]
    return at.run("ssh", "-i", key, *flags, destination, command, timeout=timeout)


def all_proofs(scene: Scene) -> Iterator[str]:
    """Yields a sentence for each thing proven; raises NotProven at the first that is not."""
    for vm in scene.vms:
        runs_on_its_host(scene, vm)
        yield f"{vm.name} runs on {vm.host} and nowhere else"
    for vm in scene.vms:
        took = logs_in(scene, vm)
        yield f"user foobar logs in to {vm.name} ({vm.ip}) with the key, {took:.0f} s after we began to try"
    for vm in scene.vms:
        yield f"{vm.name}: {set_up(scene, vm)}"
        yield f"{vm.name}: {address(scene, vm)}"
    for one in scene.vms:
        for other in scene.vms:
            if one is not other:
                yield f"{one.name} pings {other.name}: {ping(scene, one, other)}"


def runs_on_its_host(scene: Scene, vm: Vm) -> None:
    where = [
        name
        for name, host in scene.lab.hosts.items()
        if vm.uuid in host.inside.run("virsh", "-c", "qemu:///system", "list", "--uuid").replace("-", "").split()
    ]
    if where != [vm.host]:
        raise NotProven(f"{vm.name} should run on {vm.host}; it runs on {where or 'no host'}")


def logs_in(scene: Scene, vm: Vm) -> float:
    start = time.monotonic()
    last = "nothing"
    while time.monotonic() - start < scene.guest.boot:
        try:
            scene.ssh(vm, "true", timeout=30)
            return time.monotonic() - start
        except Exception as error:
            last = str(error).splitlines()[-1] if str(error) else repr(error)
            time.sleep(1)
    raise NotProven(
        f"foobar cannot log in to {vm.name} at {vm.ip} within {scene.guest.boot} s; ssh says: {last}\n{serial(scene, vm)}"
    )


def set_up(scene: Scene, vm: Vm) -> str:
    """User, groups and host name are as declared."""
    try:
        scene.ssh(vm, scene.guest.finished, timeout=scene.guest.boot)
    except RuntimeError as error:
        raise NotProven(f"{vm.name} did not finish its set-up: {error}\n{serial(scene, vm)}") from error
    user, groups = scene.ssh(vm, "id -un; id -Gn").splitlines()[:2]
    wanted = {"foobar", "cloud-users"}
    if user != "foobar" or not wanted <= set(groups.split()):
        raise NotProven(f"{vm.name}: foobar should be in {sorted(wanted)}; id says {user!r} in {groups!r}")
    name = scene.ssh(vm, "hostname").strip()
    if name.split(".")[0] != vm.name:
        raise NotProven(f"{vm.name}: the guest calls itself {name!r}")
    return f"user foobar is in the groups {groups}; the guest is called {name}"


def address(scene: Scene, vm: Vm) -> str:
    """The planned address, by a lease of the service address, acknowledged by the VM's own host and by no other."""
    shown = scene.ssh(vm, "ip -4 -o addr show dev eth0")
    if f" {vm.ip}/" not in shown:
        raise NotProven(f"{vm.name}: {vm.ip} was planned; eth0 has {shown.strip()!r}")
    lease = scene.ssh(vm, scene.guest.lease).strip().rstrip(";")
    if scene.service_ip not in lease.split():
        raise NotProven(f"{vm.name}: the lease should come from {scene.service_ip}; the guest says {lease!r}")
    for name, host in scene.lab.hosts.items():
        known = neighbour_mac(host.inside, vm.mac)
        if known != (name == vm.host):
            raise NotProven(f"{vm.name}: its MAC {vm.mac} is {'' if known else 'not '}behind a tap of {name}")
    return f"has its planned address {vm.ip}, leased by {scene.service_ip} on {vm.host}"


def neighbour_mac(host: Holder, mac: str) -> bool:
    """Whether a tap of this host carries that guest (QEMU's end of a tap has the guest's MAC with fe: in front)."""
    return f"fe:{mac[3:]}" in host.run("ip", "-o", "link")


def ping(scene: Scene, one: Vm, other: Vm) -> str:
    try:
        said = scene.ssh(one, f"ping -c 3 -W 5 {other.ip}")
    except RuntimeError as error:
        raise NotProven(f"{one.name} cannot ping {other.name} ({other.ip}): {error}") from error
    return next(line.strip() for line in said.splitlines() if "packet loss" in line)


def serial(scene: Scene, vm: Vm) -> str:
    """The end of the guest's console, for whoever looks for the reason."""
    logs = sorted((scene.lab.hosts[vm.host].directory / "log").rglob(f"*{vm.uuid}*"))
    text = "\n".join(path.read_text(errors="replace") for path in logs if path.is_file())
    return "console: …" + text[-1500:] if text else f"no console log of {vm.name} on {vm.host}"


def vms_of(outputs: dict[str, Any], lab: Lab) -> list[Vm]:
    names = {host.address: host.name for host in lab.hosts.values()}
    return [
        Vm(name, vm["uuid"], vm["ip"], vm["mac"], names[vm["host_ip"]]) for name, vm in sorted(outputs["vms"].items())
    ]
