"""The rows of a new VM: everything it takes is taken in one transaction, or nothing is.

`allocate` decides host, storage, addresses, MACs and names; `forget` is its exact opposite and may run twice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from controlplane.contract.error import ApiError, invalid, refused
from controlplane.contract.vm import CreateVmInstance
from controlplane.rules import system_tag
from controlplane.rules.bridge import nic_mac, tap_name
from controlplane.rules.placement import Candidate, Need
from controlplane.rules.volume import whole_sectors
from controlplane.store import allocation, rows
from controlplane.store.allocation import Scope
from controlplane.store.database import Tx
from controlplane.workflows import cd_drive, inventories, tag
from controlplane.workflows.ip_range import NIC, return_ip, take_ip
from controlplane.workflows.network_service import drop_unused_service_ip, ensure_service_ip
from controlplane.workflows.vm_placement import choose, release_disk, vacate
from controlplane.workflows.vm_spec import data_path, root_path, vm_spec

Derive = Callable[[str], str]
UNFINISHED = "Starting"


@dataclass(frozen=True)
class Wish:
    """What the new VM is made of, as the database has it in this transaction."""

    message: CreateVmInstance
    uuid: str
    offering: rows.Row
    image: rows.Row
    l3s: list[rows.Row]  # in the order of the NICs, locked
    disks: list[tuple[int, str | None]]  # of the data volumes: bytes, offering
    root_size: int
    tags: list[str]

    @property
    def is_iso(self) -> bool:
        return bool(self.image["media_type"] == "ISO")


def allocate(tx: Tx, message: CreateVmInstance, uuid: str, derive: Derive) -> dict[str, Any]:
    """What later steps need, as JSON: host, volumes, image, spec."""
    wish = _read(tx, message, uuid)
    host = _place(tx, wish)
    starts = message.strategy == "InstantStart"
    if not starts:
        allocation.return_host(tx, host.host_uuid, wish.offering["cpu_num"], wish.offering["memory_size"])
    _insert_nics(tx, wish, derive, _insert_vm(tx, wish, host, derive, starts))
    for l3 in wish.l3s:
        ensure_service_ip(tx, l3, derive(f"service ip {l3['uuid']}"))
    volumes = _insert_volumes(tx, wish, host, derive)
    tag.store(tx, uuid, "VmInstanceVO", wish.tags, message.user_tags or [], derive)
    if wish.is_iso:
        cd_drive.insert(tx, uuid, wish.image["uuid"], derive("iso tag"))
    image = {key: wish.image[key] for key in ("uuid", "sha256", "actual_size", "format")}
    return {
        "host_uuid": host.host_uuid,
        "volumes": volumes,
        "image": image,
        "is_iso": wish.is_iso,
        "spec": vm_spec(tx, uuid),
    }


def forget(tx: Tx, uuid: str, derive: Derive) -> None:
    """Only a VM that is still being made: one that was finished belongs to somebody else's operation."""
    vm = rows.get(tx, "VmInstanceVO", uuid)
    if vm is None or vm["state"] not in (UNFINISHED, "Created"):
        return
    vacate(tx, uuid)
    l3s = [nic["l3_network_uuid"] for nic in remove_nics(tx, uuid)]
    for volume in rows.find(tx, "VolumeVO", vm_instance_uuid=uuid):
        release_disk(tx, volume["uuid"])
        tag.remove_all(tx, volume["uuid"])
        rows.delete(tx, "VolumeVO", volume["uuid"])
    tag.remove_all(tx, uuid)
    rows.delete(tx, "VmInstanceVO", uuid)
    for l3_uuid in l3s:
        drop_unused_service_ip(tx, derive(f"service ip {l3_uuid}"))


def remove_nics(tx: Tx, vm_uuid: str) -> list[rows.Row]:
    nics = rows.find(tx, "VmNicVO", vm_instance_uuid=vm_uuid)
    for nic in nics:
        if nic["used_ip_uuid"]:
            return_ip(tx, nic["used_ip_uuid"])
    rows.delete_where(tx, "VmNicVO", vm_instance_uuid=vm_uuid)
    return nics


def _read(tx: Tx, message: CreateVmInstance, uuid: str) -> Wish:
    """Networks are locked in the order of their uuids, so that two VMs never wait for each other."""
    locked = {l3: rows.lock(tx, "L3NetworkVO", l3) for l3 in sorted(set(message.l3_network_uuids))}
    if missing := [l3 for l3, row in locked.items() if row is None]:
        raise refused(f"L3 network {missing[0]} was deleted meanwhile")
    image = inventories.must_get(tx, "ImageVO", message.image_uuid)
    offerings = [inventories.must_get(tx, "DiskOfferingVO", disk) for disk in message.data_disk_offering_uuids or ()]
    disks: list[tuple[int, str | None]] = [(offering["disk_size"], offering["uuid"]) for offering in offerings]
    disks += [(size, None) for size in message.data_disk_sizes or ()]
    disks = [(whole_sectors(size), offering) for size, offering in disks]
    tags = system_tag.joined("VmInstanceVO", message.system_tags or ())
    tag.must_fit(tx, "VmInstanceVO", uuid, tags, default_l3(message))
    return Wish(
        message=message,
        uuid=uuid,
        offering=inventories.must_get(tx, "InstanceOfferingVO", message.instance_offering_uuid),
        image=image,
        l3s=[row for row in (locked[l3] for l3 in message.l3_network_uuids) if row],
        disks=disks,
        root_size=root_size(tx, message, image),
        tags=tags,
    )


def root_size(tx: Tx, message: CreateVmInstance, image: rows.Row) -> int:
    """Bytes of the root volume. SYS.1007 when a template would not fit into it."""
    is_iso = image["media_type"] == "ISO"
    size: int = message.root_disk_size or (0 if is_iso else image["size"])
    if is_iso and not message.root_disk_size:
        size = inventories.must_get(tx, "DiskOfferingVO", message.root_disk_offering_uuid or "")["disk_size"]
    if not is_iso and size < image["size"]:
        raise invalid(
            f"rootDiskSize {size} is less than the {image['size']} bytes of image {image['name']} ({image['uuid']})",
            "rootDiskSize",
        )
    return whole_sectors(size)


def default_l3(message: CreateVmInstance) -> str:
    return message.default_l3_network_uuid or message.l3_network_uuids[0]


def _place(tx: Tx, wish: Wish) -> Candidate:
    message = wish.message
    need = Need(
        cpu=wish.offering["cpu_num"],
        memory=wish.offering["memory_size"],
        disk=wish.root_size + sum(size for size, _ in wish.disks),
        l2_networks=frozenset(l3["l2_network_uuid"] for l3 in wish.l3s),
        storage_uuid=message.primary_storage_uuid_for_root_volume,
    )
    zone = message.zone_uuid or wish.l3s[0]["zone_uuid"]
    return choose(tx, need, Scope(zone, message.cluster_uuid, message.host_uuid))


def _insert_vm(tx: Tx, wish: Wish, host: Candidate, derive: Derive, starts: bool) -> int:
    """Returns the VM's internal number."""
    message, number = wish.message, allocation.next_number(tx, "vm")
    rows.insert(
        tx,
        "VmInstanceVO",
        uuid=wish.uuid,
        name=message.name,
        description=message.description,
        zone_uuid=wish.l3s[0]["zone_uuid"],
        cluster_uuid=host.cluster_uuid,
        host_uuid=host.host_uuid if starts else None,
        image_uuid=wish.image["uuid"],
        instance_offering_uuid=wish.offering["uuid"],
        root_volume_uuid=derive("root volume"),
        default_l3_network_uuid=default_l3(message),
        platform=wish.image["platform"],
        type=message.type,
        hypervisor_type="KVM",
        allocator_strategy=wish.offering["allocator_strategy"],
        state=UNFINISHED if starts else "Created",
        cpu_num=wish.offering["cpu_num"],
        cpu_speed=wish.offering["cpu_speed"],
        memory_size=wish.offering["memory_size"],
        internal_id=number,
        generation=1,
        boot_token="",
    )
    return number


def _insert_nics(tx: Tx, wish: Wish, derive: Derive, number: int) -> None:
    """Wished addresses are taken before any is chosen."""
    static = dict(system_tag.static_ip(text) for text in wish.tags if system_tag.prefix(text) == "staticIp")
    if foreign := set(static) - set(wish.message.l3_network_uuids):
        raise invalid(f"staticIp:: names L3 network {foreign.pop()}, on which the VM has no NIC", "systemTags")
    for index in sorted(range(len(wish.l3s)), key=lambda index: wish.l3s[index]["uuid"] not in static):
        l3 = wish.l3s[index]
        used = take_ip(tx, l3, derive(f"ip {index}"), NIC, static.get(l3["uuid"]))
        insert_nic(tx, derive(f"nic {index}"), wish.uuid, used, tap_name(number, index), index, derive)


def insert_nic(tx: Tx, uuid: str, vm_uuid: str, used: rows.Row, tap: str, device_id: int, derive: Derive) -> None:
    """With the address of that UsedIpVO row."""
    rows.insert(
        tx,
        "VmNicVO",
        uuid=uuid,
        vm_instance_uuid=vm_uuid,
        l3_network_uuid=used["l3_network_uuid"],
        used_ip_uuid=used["uuid"],
        ip=used["ip"],
        netmask=used["netmask"],
        gateway=used["gateway"],
        mac=_free_mac(tx, derive, device_id),
        internal_name=tap,
        tap=tap,
        device_id=device_id,
    )


def _free_mac(tx: Tx, derive: Derive, device_id: int) -> str:
    for attempt in range(16):
        mac = nic_mac(derive(f"mac {device_id} {attempt}"), device_id)
        if not rows.exists(tx, "VmNicVO", mac=mac):
            return mac
    raise ApiError("SYS.1006", "no free MAC address was found in 16 tries")


def _insert_volumes(tx: Tx, wish: Wish, host: Candidate, derive: Derive) -> list[dict[str, Any]]:
    """Device 0 is the root volume. Returns what the host is told of each."""
    name, url = wish.message.name, host.storage_url.rstrip("/")
    root = derive("root volume")
    plan = [(root, "Root", f"ROOT-for-{name}", wish.root_size, wish.message.root_disk_offering_uuid, root_path)]
    for index, (size, offering) in enumerate(wish.disks, 1):
        plan.append((derive(f"data volume {index}"), "Data", f"DATA-for-{name}", size, offering, data_path))
    told = []
    for device_id, (uuid, kind, volume_name, size, offering, path_of) in enumerate(plan):
        path = path_of(uuid)
        rows.insert(
            tx,
            "VolumeVO",
            uuid=uuid,
            name=volume_name[:255],
            description=None,
            primary_storage_uuid=host.storage_uuid,
            vm_instance_uuid=wish.uuid,
            disk_offering_uuid=offering,
            root_image_uuid=wish.image["uuid"] if kind == "Root" else None,
            install_path=f"{url}/{path}",
            type=kind,
            format="qcow2",
            size=size,
            device_id=device_id,
            state="Enabled",
            status="Creating",
        )
        rows.insert(
            tx,
            "LocalStorageResourceRefVO",
            resource_uuid=uuid,
            primary_storage_uuid=host.storage_uuid,
            host_uuid=host.host_uuid,
            size=size,
            resource_type="VolumeVO",
        )
        told.append({"uuid": uuid, "storage_uuid": host.storage_uuid, "path": path, "size": size})
    return told
