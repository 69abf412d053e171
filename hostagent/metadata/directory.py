"""Who is asking: the guests of one network by address, from the snapshot, and the documents each of them may read.

Documents are made at a guest's first request and kept as long as the snapshot stands.
"""

from base64 import b64decode
from dataclasses import dataclass, field

from hostagent.contract import InstanceMetadata, NetworkSpec, PortSpec, SnapshotSpec
from hostagent.contract.error import rejected
from hostagent.metadata import documents


@dataclass
class Guest:
    """One NIC's view of its VM. `documents` maps a path to the bytes served there."""

    port: PortSpec
    network: NetworkSpec
    instance: InstanceMetadata
    nics: list[tuple[PortSpec, NetworkSpec]]
    _documents: dict[str, bytes] = field(default_factory=dict)

    @property
    def vm_uuid(self) -> str:
        return self.instance.vm_uuid

    @property
    def tokens_required(self) -> bool:
        return self.instance.tokens == "required"

    @property
    def documents(self) -> dict[str, bytes]:
        if not self._documents:
            self._documents = documents.tree(self.instance, self.port, self.network, self.nics)
        return self._documents


class Directory:
    """The guests of every network of one snapshot: `guests[l3_uuid][address]`. Only networks with user data are in it.

    Raises when built: invalid_spec for user data that is not base64.
    """

    def __init__(self, snapshot: SnapshotSpec) -> None:
        instances = {instance.vm_uuid: instance for instance in snapshot.instances}
        for instance in snapshot.instances:
            _check_user_data(instance)
        nics: dict[str, list[tuple[PortSpec, NetworkSpec]]] = {}
        for network in snapshot.networks:
            for port in network.ports:
                nics.setdefault(port.vm_uuid, []).append((port, network))
        self.guests: dict[str, dict[str, Guest]] = {}
        for network in snapshot.networks:
            if not network.userdata:
                continue
            self.guests[network.l3_uuid] = {
                port.ip: Guest(port, network, instances[port.vm_uuid], nics[port.vm_uuid])
                for port in network.ports
                if port.vm_uuid in instances
            }


def _check_user_data(instance: InstanceMetadata) -> None:
    try:
        b64decode(instance.user_data_base64, validate=True)
    except ValueError as error:
        raise rejected("invalid_spec", f"user_data_base64 of VM {instance.vm_uuid} is not base64: {error}") from error
