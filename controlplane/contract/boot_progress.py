"""How far a guest has come, as the services of its network see it: nothing in the guest is asked."""

from typing import ClassVar, Literal

from controlplane.contract.base import Api, Route, Uuid, Wire
from controlplane.contract.registry import api


class BootProgressReply(Wire):
    """Counts since the VM came to its host: leases of its default NIC that were acknowledged, requests for metadata and user
    data that were answered, and reports of its cloud-init that it is done. All 0 while it is on no host."""

    state: str
    host_uuid: str | None = None
    dhcp_acks: int
    metadata_reads: int
    phone_homes: int


@api
class GetVmBootProgress(Api):
    """Counts go up with each boot: read them before a start and compare. The last needs `phone_home` in the user data, with
    the url `http://169.254.169.254/phone-home`."""

    kind: ClassVar[Literal["query", "read", "change"]] = "read"
    route = Route("GET", "/vm-instances/{uuid}/boot-progress")
    package = "org.zstack.header.vm"
    admin_only: ClassVar[bool] = False
    result: ClassVar[type[Wire] | None] = BootProgressReply
    result_key = None
    references = {"uuid": "VmInstanceVO"}
    uuid: Uuid
