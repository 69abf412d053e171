"""`GET /v1/host`: what this host is and can do."""

from typing import Literal

from hostagent.contract.base import Model


class PhysicalInterface(Model):
    name: str
    mac: str
    mtu: int
    up: bool


class HostFacts(Model):
    """`domain_type` is what a probe found that really runs a Linux kernel; `kvm_reason` says why not kvm."""

    host_uuid: str
    hostname: str
    agent_version: str
    agent_boot_id: str
    cpu_num: int
    cpu_model: str
    memory_bytes: int
    libvirt_version: str
    qemu_version: str
    domain_type: Literal["kvm", "qemu"]
    kvm_reason: str = ""
    cpu_models: list[str] = []
    cpu_features: list[str] = []  # that a guest with the host's model gets
    vlan_supported: bool
    interfaces: list[PhysicalInterface] = []
    simulated: bool = False
    problems: list[str] = []  # what an operator must look after before guests can run, e.g. libvirtd is away
