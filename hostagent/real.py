"""The agent of a real host: libvirt, qemu-img, netlink and files behind the ports."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hostagent.drivers.disks import LocalDisks
from hostagent.drivers.downloads import HttpDownloads
from hostagent.drivers.files import FileRecords
from hostagent.drivers.hypervisor import LibvirtHypervisor
from hostagent.drivers.kvm_probe import KvmProbe
from hostagent.drivers.libvirt_connection import LibvirtConnection
from hostagent.drivers.machine import LinuxMachine
from hostagent.drivers.peers import TlsPeers
from hostagent.drivers.uploads import HttpUploads
from hostagent.enroll import Identity
from hostagent.ensure.agent import Agent, Ports
from hostagent.ensure.network import HostNetwork


@dataclass(frozen=True)
class Choices:
    """What the operator chooses at start-up."""

    state_dir: Path
    libvirt_uri: str = "qemu:///system"
    domain_type: Literal["auto", "kvm", "qemu"] = "auto"
    probe_kernel: Path | None = None
    serial_directory: Path = Path("/var/log/libvirt/steppe")


def real_agent(identity: Identity, choices: Choices) -> Agent:
    """Nothing is touched before `Agent.open`; the network service process is begun or adopted at first need."""
    probe = KvmProbe(choices.state_dir / "kvm-probe.json", choices.domain_type, choices.probe_kernel)
    connection = LibvirtConnection(choices.libvirt_uri)
    files = (identity.certificate_file, identity.key_file, identity.agent_ca_file)
    trusted = ssl.create_default_context(cafile=str(identity.control_ca_file))
    return Agent(
        identity.host_agent_uuid,
        Ports(
            machine=LinuxMachine(),
            hypervisor=LibvirtHypervisor(connection, probe, choices.serial_directory),
            disks=LocalDisks(),
            downloads=HttpDownloads(trusted),
            peers=TlsPeers(identity.management_ip, identity.port + 1, files),
            uploads=HttpUploads(trusted),
            network=HostNetwork(choices.state_dir / "network"),
            records=FileRecords(choices.state_dir / "records"),
        ),
    )
