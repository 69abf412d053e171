"""Checks before a VM is made or changed, in the order of the reference, and the console's address."""

from typing import Any

from controlplane.contract.error import ApiError, Temporary, invalid, refused
from controlplane.contract.vm import (
    ChangeInstanceOffering,
    ConsoleAddressReply,
    CreateVmInstance,
    GetVmConsoleAddress,
    UpdateVmInstance,
)
from controlplane.rules import system_tag
from controlplane.rules.vm_state import must_allow
from controlplane.rules.volume import MOST_DATA_VOLUMES
from controlplane.services.registry import Caller, answers, checks
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows import tag
from controlplane.workflows.inventories import must_get
from controlplane.workflows.vm_allocation import default_l3, root_size
from controlplane.workflows.world import World


@checks(CreateVmInstance)
def may_create(tx: Tx, message: CreateVmInstance) -> None:
    _must_be_enabled(tx, "InstanceOfferingVO", message.instance_offering_uuid)
    _image_fits(tx, message)
    disks = [*(message.data_disk_offering_uuids or ()), *(message.data_disk_sizes or ())]
    if len(disks) > MOST_DATA_VOLUMES:
        raise refused(f"{len(disks)} data volumes are asked for; {MOST_DATA_VOLUMES} is the most a VM can have")
    for disk in filter(None, (message.root_disk_offering_uuid, *(message.data_disk_offering_uuids or ()))):
        _must_be_enabled(tx, "DiskOfferingVO", disk)
    _networks_fit(tx, message)
    for resource, uuid in (
        ("ZoneVO", message.zone_uuid),
        ("ClusterVO", message.cluster_uuid),
        ("HostVO", message.host_uuid),
    ):
        if uuid:
            _must_be_enabled(tx, resource, uuid)
    if message.host_uuid and (host := must_get(tx, "HostVO", message.host_uuid))["status"] != "Connected":
        raise refused(f"host {host['name']} ({host['uuid']}) is {host['status']}, it must be Connected")
    _tags_fit(tx, message)


@checks(ChangeInstanceOffering)
def may_change_offering(tx: Tx, message: ChangeInstanceOffering) -> None:
    _must_be_enabled(tx, "InstanceOfferingVO", message.instance_offering_uuid)


def _must_be_enabled(tx: Tx, resource: str, uuid: str) -> rows.Row:
    row = must_get(tx, resource, uuid)
    if row["state"] != "Enabled":
        raise refused(f"{resource.removesuffix('VO')} {row['name']} ({uuid}) is {row['state']}, it must be Enabled")
    return row


def _image_fits(tx: Tx, message: CreateVmInstance) -> None:
    image = _must_be_enabled(tx, "ImageVO", message.image_uuid)
    what = f"image {image['name']} ({image['uuid']})"
    if image["status"] != "Ready":
        raise refused(f"{what} is {image['status']}, it must be Ready")
    if image["media_type"] not in ("RootVolumeTemplate", "ISO"):
        raise invalid(f"{what} is a {image['media_type']}; a VM needs a RootVolumeTemplate or an ISO", "imageUuid")
    if image["media_type"] == "ISO" and not (message.root_disk_offering_uuid or message.root_disk_size):
        raise invalid(
            f"{what} is an ISO: rootDiskOfferingUuid or rootDiskSize must say how large the root disk is",
            "rootDiskOfferingUuid",
        )
    root_size(tx, message, image)
    if image["system"] and message.type == "UserVm":
        raise invalid(f"{what} is a system image; a user VM cannot be made from it", "imageUuid")


def _networks_fit(tx: Tx, message: CreateVmInstance) -> None:
    uuids = message.l3_network_uuids
    if len(set(uuids)) < len(uuids):
        raise invalid("l3NetworkUuids names a network twice; a VM has one NIC on each", "l3NetworkUuids")
    for uuid in uuids:
        l3 = _must_be_enabled(tx, "L3NetworkVO", uuid)
        if l3["system"] and message.type == "UserVm":
            raise refused(f"L3 network {l3['name']} ({uuid}) is a system network; a user VM cannot be on it")
    if len(uuids) > 1 and message.default_l3_network_uuid is None:
        raise invalid("defaultL3NetworkUuid is needed when there are several l3NetworkUuids", "defaultL3NetworkUuid")
    if default_l3(message) not in uuids:
        raise invalid(
            f"defaultL3NetworkUuid {message.default_l3_network_uuid} is none of l3NetworkUuids", "defaultL3NetworkUuid"
        )


def _tags_fit(tx: Tx, message: CreateVmInstance) -> None:
    tags = system_tag.joined("VmInstanceVO", message.system_tags or ())
    tag.must_fit(tx, "VmInstanceVO", message.resource_uuid or "", tags, default_l3(message))
    for text in tags:
        if system_tag.prefix(text) == "staticIp" and system_tag.static_ip(text)[0] not in message.l3_network_uuids:
            raise invalid(f"system tag {text!r} names an L3 network that is none of l3NetworkUuids", "systemTags")


@checks(UpdateVmInstance)
def may_update(tx: Tx, message: UpdateVmInstance) -> None:
    l3 = message.default_l3_network_uuid
    if l3 and not rows.exists(tx, "VmNicVO", vm_instance_uuid=message.uuid, l3_network_uuid=l3):
        raise invalid(f"the VM has no NIC on L3 network {l3}", "defaultL3NetworkUuid")


@answers(GetVmConsoleAddress)
async def console_address(world: World, _caller: Caller, message: GetVmConsoleAddress) -> dict[str, Any]:
    """The one read that asks a host: the port is chosen when the domain starts."""

    def find(tx: Tx) -> tuple[rows.Row, rows.Row | None]:
        vm = must_get(tx, "VmInstanceVO", message.uuid)
        must_allow("GetVmConsoleAddress", message.uuid, vm["state"])
        return vm, rows.get(tx, "HostVO", vm["host_uuid"])

    vm, host = await world.db.read(find)
    if host is None:
        raise refused(f"VM {vm['name']} is on no host now")
    try:
        status = await world.hosts.get(host["uuid"]).get_vm(vm["uuid"])
    except Temporary as error:
        raise ApiError("SYS.1006", f"host {host['name']} does not answer: {error}") from error
    if status is None or not status.consoles:
        raise refused(f"VM {vm['name']} has no console on host {host['name']} now")
    console = status.consoles[0]
    return ConsoleAddressReply(host_ip=host["management_ip"], port=console.port, protocol=console.protocol).wire()
