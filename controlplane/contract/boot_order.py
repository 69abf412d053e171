"""What a VM boots from, and in which order."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from controlplane.contract.base import Api, Route, Uuid, Wire
from controlplane.contract.registry import api
from controlplane.contract.vm import VmInstanceInventory

_PACKAGE = "org.zstack.header.vm"
BootDevice = Literal["HardDisk", "CdRom", "Network"]
BootOrder = Annotated[list[BootDevice], Field(min_length=1)]


class BootOrderReply(Wire):
    """`order` in the words of version 1.0, `orders` for REST clients; `bootOrderOnce` while one waits for the next boot."""

    order: list[str]
    orders: list[str]
    boot_order_once: list[str] | None = None


@api
class GetVmBootOrder(Api):
    """What the next boot follows that nothing else is said for: of a VM made from an ISO `CdRom,HardDisk` until it is
    rebooted or stopped and started."""

    kind: ClassVar[Literal["query", "read", "change"]] = "read"
    route = Route("GET", "/vm-instances/{uuid}/boot-orders")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    result: ClassVar[type[Wire] | None] = BootOrderReply
    result_key = None
    references = {"uuid": "VmInstanceVO"}
    uuid: Uuid


@api
class SetVmBootOrder(Api):
    """Takes effect at the next start or RebootVmInstance. `bootOrder` holds for good; `bootOrderOnce` for the next boot
    only, and then `bootOrder` may be left out. Without both the VM has its default order again. The system tag
    `bootOrderOnce::true` makes `bootOrder` hold once."""

    route = Route("PUT", "/vm-instances/{uuid}/actions", "setVmBootOrder")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    result = VmInstanceInventory
    references = {"uuid": "VmInstanceVO"}
    uuid: Uuid
    boot_order: BootOrder | None = None
    boot_order_once: BootOrder | None = None
    system_tags: list[Literal["bootOrderOnce::true", "bootOrderOnce::false"]] | None = None
