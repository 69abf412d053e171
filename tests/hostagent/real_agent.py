"""An agent's real drivers on a lab host, for the tests that need a real libvirtd and QEMU."""

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Literal

import pytest

from hostagent.contract import StorageSpec, VmSpec, VmStatus, VolumeSpec
from hostagent.drivers.disks import LocalDisks
from hostagent.drivers.downloads import HttpDownloads
from hostagent.drivers.files import FileRecords
from hostagent.drivers.hypervisor import LibvirtHypervisor
from hostagent.drivers.kvm_probe import KvmProbe
from hostagent.drivers.libvirt_connection import LibvirtConnection
from hostagent.drivers.machine import LinuxMachine
from hostagent.drivers.uploads import HttpUploads
from hostagent.ensure.agent import Agent, Ports
from hostagent.ensure.image import image_path
from hostagent.sim.disks import SimDisks
from hostagent.sim.network import SimNetwork
from hostagent.sim.peers import SimPeers
from tests.hostagent import specs
from tests.hostagent.specs import IMAGE, STORAGE, VM, VOLUME
from tools.guests import nano
from tools.guests.cache import image
from tools.lab import Host, Lab


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        host = lab.add_host("host-a")
        host.inside.run("ip", "link", "add", "br_eth0", "type", "bridge")
        yield host


def build(machine: Host, domain_type: Literal["kvm", "qemu"] = "qemu") -> Agent:
    """The agent's real drivers on the lab's host; its network is another test's matter."""
    state = machine.directory / "agent"
    return Agent(
        "a" * 32,
        Ports(
            machine=LinuxMachine(),
            hypervisor=LibvirtHypervisor(
                LibvirtConnection(machine.uri),
                KvmProbe(state / "kvm-probe.json", domain_type, None),
                machine.directory / "log/serial",
            ),
            disks=LocalDisks(),
            downloads=HttpDownloads(ssl.create_default_context()),
            uploads=HttpUploads(ssl.create_default_context()),
            peers=SimPeers("a" * 32, SimDisks(0)),
            network=SimNetwork(("eth0",), True),
            records=FileRecords(state / "records"),
        ),
    )


@pytest.fixture
async def agent(machine: Host) -> AsyncIterator[Agent]:
    """An agent with a storage, the nano image in its cache and a root volume on it; afterwards nothing is left."""
    agent = build(machine)
    await agent.open()
    root = machine.directory / "srv/ps"
    await agent.storage.put(STORAGE, StorageSpec(generation=1, path=str(root)))
    cached = Path(image_path(str(root), IMAGE, "qcow2"))
    cached.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(image(nano.DISK), cached)
    await agent.volume.put(VOLUME, VolumeSpec.model_validate(specs.volume(base_image_uuid=IMAGE, size=0)))
    yield agent
    await agent.vm.delete(VM)
    await agent.volume.delete(VOLUME, STORAGE, f"volumes/{VOLUME}.qcow2")
    assert await agent.vm.list() == []
    assert not (root / "volumes").exists()
    assert list((machine.directory / "log/serial").iterdir()) == []
    await agent.close()


async def put(agent: Agent, **changes: object) -> VmStatus:
    return await agent.vm.put(VM, VmSpec.model_validate(specs.vm(**changes)))


async def until_event(agent: Agent, after: int, state: str) -> str:
    """The reason of the first event with that state."""
    async with asyncio.timeout(10):
        while True:
            page = await agent.events.get(after, 10)
            for event in page.events:
                if event.state == state:
                    return event.reason
            after = page.last_sequence


def last(agent: Agent) -> int:
    return agent.events._sequence
