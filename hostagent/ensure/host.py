"""What this host is and can do, gathered from the machine, the hypervisor and the network."""

from importlib.metadata import PackageNotFoundError, version

from hostagent.contract import HostFacts
from hostagent.ports.hypervisor import Hypervisor
from hostagent.ports.machine import Machine
from hostagent.ports.network import NetworkPort


class Host:
    def __init__(self, uuid: str, boot_id: str, machine: Machine, hypervisor: Hypervisor, network: NetworkPort) -> None:
        self.uuid = uuid
        self._boot_id = boot_id
        self._machine = machine
        self._hypervisor = hypervisor
        self._network = network

    async def get(self) -> HostFacts:
        machine = self._machine.facts()
        hypervisor = await self._hypervisor.facts()
        return HostFacts(
            host_uuid=self.uuid,
            hostname=machine.hostname,
            agent_version=agent_version(),
            agent_boot_id=self._boot_id,
            cpu_num=machine.cpu_num,
            cpu_model=machine.cpu_model,
            memory_bytes=machine.memory_bytes,
            libvirt_version=hypervisor.libvirt_version,
            qemu_version=hypervisor.qemu_version,
            domain_type=hypervisor.domain_type,
            kvm_reason=hypervisor.kvm_reason,
            cpu_models=hypervisor.cpu_models,
            cpu_features=hypervisor.cpu_features,
            vlan_supported=await self._network.vlan_supported(),
            interfaces=await self._network.interfaces(),
            simulated=machine.simulated,
            problems=[hypervisor.problem] if hypervisor.problem else [],
        )


def agent_version() -> str:
    try:
        return version("steppe")
    except PackageNotFoundError:  # run from a source tree
        return "0"
