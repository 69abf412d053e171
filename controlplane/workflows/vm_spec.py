"""From a VM's rows to what its host is told: domain, disks, image copies. JSON, so that a step can remember it."""

from typing import Any

from controlplane.contract.account import ADMIN_UUID
from controlplane.contract.error import ApiError, Temporary, refused
from controlplane.rules.bridge import bridge_name
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows import boot_order, cd_drive, global_config, inventories, start_settings
from controlplane.workflows.world import World
from hostagent.contract import DiskSpec, ImageSpec, IsoSpec, NicSpec, VmSpec, VolumeSpec

Json = dict[str, Any]
GRACE = 60  # seconds a guest gets to shut down


def vm_spec(tx: Tx, uuid: str, without: str = "", at: str = "") -> Json:
    """A `VmSpec` without its power, and without that volume or NIC, on its host or `at` another. The caller has counted `generation` up."""
    vm = rows.get(tx, "VmInstanceVO", uuid)
    assert vm is not None
    nics = rows.find(tx, "VmNicVO", vm_instance_uuid=uuid, order_by=("device_id",))
    volumes = rows.find(tx, "VolumeVO", vm_instance_uuid=uuid, order_by=("device_id",))
    l3s = rows.find(tx, "L3NetworkVO", uuid={nic["l3_network_uuid"] for nic in nics}) if nics else []
    l2s = rows.find(tx, "L2NetworkVO", uuid={l3["l2_network_uuid"] for l3 in l3s}) if l3s else []
    bridges = {l2["uuid"]: bridge_name(l2["physical_interface"], l2["vlan"]) for l2 in l2s}
    networks = {l3["uuid"]: (bridges[l3["l2_network_uuid"]], l3["mtu"]) for l3 in l3s}
    tag_rows = rows.find(tx, "SystemTagVO", resource_uuid=uuid)
    tags = [row["tag"] for row in tag_rows if not row["inherent"]]
    listen = global_config.value(tx, "kvm", "vm.consoleListen")
    host = rows.get(tx, "HostVO", at or vm["host_uuid"]) if listen == "management" else None
    spec = VmSpec(
        console_listen=host["management_ip"] if host else "127.0.0.1",
        generation=vm["generation"],
        name=vm["name"],
        cpu_num=vm["cpu_num"],
        memory_bytes=vm["memory_size"],
        disks=[_disk(volume) for volume in volumes if volume["uuid"] != without],
        nics=[_nic(nic, *networks[nic["l3_network_uuid"]]) for nic in nics if nic["uuid"] != without],
        isos=[_drive(iso, volumes[0]["primary_storage_uuid"]) for iso in cd_drive.drives(tx, tag_rows)],
        boot_order=boot_order.lasting(vm),
        boot_once=boot_order.once(vm, cd_drive.attached_by(tag_rows).values()),
        power="stopped",
        boot_token=vm["boot_token"] or "",
        **start_settings.modes(tags, start_settings.defaults(tx)),
    )
    return spec.model_dump(mode="json")


def count_up(tx: Tx, vm: rows.Row) -> str | None:
    """The host's next wish for this VM is newer than all before; returns the host, if the VM is on one."""
    rows.update(tx, "VmInstanceVO", vm["uuid"], generation=vm["generation"] + 1)
    host: str | None = vm["host_uuid"]
    return host


async def match_devices(world: World, vm_uuid: str, without: str = "") -> None:
    """A running guest has the disks and NICs that the rows say, but that one. It is neither started nor stopped."""

    def read(tx: Tx) -> tuple[str | None, Json]:
        vm = inventories.must_get(tx, "VmInstanceVO", vm_uuid)
        return vm["host_uuid"], vm_spec(tx, vm_uuid, without) if vm["host_uuid"] else {}

    host, spec = await world.db.read(read)
    if host:  # else it was stopped meanwhile
        await world.hosts.get(host).put_vm(vm_uuid, VmSpec.model_validate(spec | {"power": "unchanged"}))


async def power_on(world: World, host_uuid: str, vm_uuid: str, spec: Json) -> Json:
    """Returns columns of the VM: what the host chose for it."""
    wish = spec | {"power": "running", "console_password": console_password(world, vm_uuid)}
    status = await world.hosts.get(host_uuid).put_vm(vm_uuid, VmSpec.model_validate(wish))
    chosen = {"cpu_mode": status.cpu_mode[:32], "cpu_model": status.cpu_model[:255]}
    return chosen | start_settings.started(spec)


def console_password(world: World, vm_uuid: str) -> str:
    """Added when a host is told, so that no step remembers it."""
    return world.authority.console_password(vm_uuid) if world.authority else ""


async def power_off(world: World, host_uuid: str, vm_uuid: str, spec: Json, grace: int) -> None:
    """The guest stops, gracefully or not, and its domain is removed: a host defines only VMs that are placed on it."""
    client = world.hosts.get(host_uuid)
    await client.put_vm(vm_uuid, VmSpec.model_validate(spec | {"power": "stopped", "stop_timeout": grace}))
    await client.delete_vm(vm_uuid)


def root_path(volume_uuid: str) -> str:
    """Below the storage's directory, as the reference lays it out; whoever owns it, so that it stays when that changes."""
    return f"rootVolumes/acct-{ADMIN_UUID}/vol-{volume_uuid}/{volume_uuid}.qcow2"


def data_path(volume_uuid: str) -> str:
    return f"dataVolumes/acct-{ADMIN_UUID}/vol-{volume_uuid}/{volume_uuid}.qcow2"


def volume_path(volume: rows.Row) -> str:
    """Relative to the storage, from the stored absolute path."""
    folder = "rootVolumes/" if volume["type"] == "Root" else "dataVolumes/"
    return folder + str(volume["install_path"]).rpartition(f"/{folder}")[2]


# -- disks and images on the host --------------------------------------------------------------------------------


async def make_volume(world: World, host_uuid: str, volume: Json, image: Json | None) -> int:
    """`volume`: uuid, storage_uuid, path, size. With a template the image is copied to the host first, if need be.
    Returns what the file takes."""
    spec = VolumeSpec(
        generation=1,
        storage_uuid=volume["storage_uuid"],
        path=volume["path"],
        size=volume["size"],
        base_image_uuid=image["uuid"] if image else None,
        copy_of=volume.get("copy_of"),
    )
    client = world.hosts.get(host_uuid)
    try:
        return (await client.put_volume(volume["uuid"], spec)).actual_size
    except ApiError as error:
        if image is None or getattr(error, "problem_code", "") != "not_found":
            raise
        await copy_image(world, host_uuid, volume["storage_uuid"], image)
        return (await client.put_volume(volume["uuid"], spec)).actual_size


async def copy_image(world: World, host_uuid: str, storage_uuid: str, image: Json) -> None:
    """The image is in the cache of the host's storage."""
    token = world.authority.image_token(image["uuid"]) if world.authority else ""
    spec = ImageSpec(
        generation=1,
        storage_uuid=storage_uuid,
        url=f"{world.settings.public_url}/v1/image-files/{image['uuid']}",
        bearer_token=token,
        sha256=image["sha256"],
        size=image["actual_size"],
        format=image["format"],
    )
    await world.hosts.get(host_uuid).put_image(image["uuid"], spec)


async def delete_volume(world: World, host_uuid: str, volume: Json) -> None:
    await world.hosts.get(host_uuid).delete_volume(volume["uuid"], volume["storage_uuid"], volume["path"])


async def ensure_isos(world: World, host_uuid: str, vm_uuid: str) -> None:
    """The ISO images in the VM's drives are in the cache of the host's storage."""

    def find(tx: Tx) -> tuple[list[rows.Row], str]:
        root = rows.find_one(tx, "VolumeVO", vm_instance_uuid=vm_uuid, type="Root")
        isos = [iso for iso in cd_drive.drives(tx, rows.find(tx, "SystemTagVO", resource_uuid=vm_uuid)) if iso]
        return isos, root["primary_storage_uuid"] if root else ""

    isos, storage_uuid = await world.db.read(find)
    for iso in isos:
        await copy_image(world, host_uuid, storage_uuid, iso)


async def unless_lost(world: World, host_uuid: str, error: Temporary) -> Exception:
    """What to raise for a host that does not answer: try again, or give up when it is known to be lost."""
    host = await world.db.read(lambda tx: rows.get(tx, "HostVO", host_uuid))
    if host is None or host["status"] == "Disconnected":
        return refused(f"host {host['name'] if host else host_uuid} was lost: {error}")
    return error


# -- parts ---------------------------------------------------------------------------------------------------------


def _drive(iso: rows.Row | None, storage_uuid: str) -> IsoSpec:
    if iso is None:
        return IsoSpec(image_uuid=None)
    uuid = iso["uuid"]
    return IsoSpec(image_uuid=uuid, storage_uuid=storage_uuid, path=f"imagecache/iso/{uuid}/{uuid}.iso")


def _disk(volume: rows.Row) -> DiskSpec:
    return DiskSpec(
        volume_uuid=volume["uuid"],
        storage_uuid=volume["primary_storage_uuid"],
        path=volume_path(volume),
        device_id=volume["device_id"],
    )


def _nic(nic: rows.Row, bridge: str, mtu: int) -> NicSpec:
    return NicSpec(
        nic_uuid=nic["uuid"], mac=nic["mac"], bridge=bridge, tap=nic["tap"], device_id=nic["device_id"], mtu=mtu
    )
