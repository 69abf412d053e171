"""A cloud with one of everything that an API may be asked of, in each state that matters, by a name."""

from typing import Any

from controlplane.store import rows
from controlplane.workflows import global_config
from tests.controlplane.cloud import Cloud, image_row, network

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh a"
_DATA = "DataVolumeTemplate"


async def furnish(made: Cloud) -> dict[str, str]:
    """One of everything that a case needs, by a name."""
    call, full, empty = made.call, made.hosts[0], made.hosts[1]
    names = {key: getattr(made, key) for key in ("zone", "cluster", "storage", "image", "iso", "offering", "disk")}
    names |= {"l2": made.l2, "l3": made.l3, "flat": made.flat, "full": full, "empty": empty, "spare_ip": made.spare_ip}
    for state in ("running", "stopped", "destroyed"):
        vm = await made.vm(state, hostUuid=full, systemTags=[f"hostname::{state}"])
        names[state] = vm["uuid"]
    await call("StopVmInstance", uuid=names["stopped"])
    await call("DestroyVmInstance", uuid=names["destroyed"])

    names["root"] = (await made.vm("mover", hostUuid=full, strategy="CreateStopped"))["rootVolumeUuid"]
    shed = await made.vm("shed", hostUuid=full, dataDiskOfferingUuids=[made.disk], strategy="CreateStopped")
    names["data"] = (await made.find("VolumeVO", vm_instance_uuid=shed["uuid"], type="Data"))[0]["uuid"]
    await call("DestroyVmInstance", uuid=shed["uuid"])
    layered = await made.vm("layered", hostUuid=full, strategy="CreateStopped")
    names["layered root"] = layered["rootVolumeUuid"]
    for name in ("lower", "upper"):
        await call("CreateVolumeSnapshot", name=name, volumeUuid=layered["rootVolumeUuid"])
    together = await made.vm("disks", hostUuid=full, dataDiskOfferingUuids=[made.disk], strategy="CreateStopped")
    names["disks"] = together["uuid"]
    gone = await made.world.db.write(lambda tx: image_row(tx, "gone", "qcow2", "RootVolumeTemplate"))
    orphan = await made.vm("orphan", hostUuid=full, imageUuid=gone, strategy="CreateStopped")
    names["orphan"] = orphan["rootVolumeUuid"]
    await made.world.db.write(lambda tx: rows.delete(tx, "ImageVO", gone))

    async def make(name: str, api: str, **parameters: Any) -> None:
        names[name] = (await call(api, name=name, **parameters))["uuid"]

    names["loaded"] = (await made.vm("loaded", hostUuid=full))["uuid"]
    await call("AttachIsoToVmInstance", vmInstanceUuid=names["loaded"], isoUuid=made.iso)
    for state in ("running", "stopped"):
        (nic,) = await made.find("VmNicVO", vm_instance_uuid=names[state])
        names[f"{state} nic"] = nic["uuid"]
    await make("larger", "CreateInstanceOffering", cpuNum=2, memorySize=2 << 30)
    names["waiting"] = (await made.vm("waiting", hostUuid=full))["uuid"]
    await call("ChangeInstanceOffering", vmInstanceUuid=names["waiting"], instanceOfferingUuid=names["larger"])
    await make("zone2", "CreateZone")
    for name in ("cluster2", "bare cluster"):
        await make(name, "CreateCluster", zoneUuid=made.zone, hypervisorType="KVM")
    for name in ("storage2", "storage3"):
        await make(name, "AddLocalPrimaryStorage", url=f"/var/lib/{name}", zoneUuid=made.zone)
    await call("AttachPrimaryStorageToCluster", clusterUuid=names["cluster2"], primaryStorageUuid=names["storage3"])
    await make("offering2", "CreateInstanceOffering", cpuNum=1, memorySize=1 << 30)
    await make("disk2", "CreateDiskOffering", diskSize=1 << 30)
    await make("loose", "CreateL2VlanNetwork", zoneUuid=made.zone, physicalInterface="eth1", vlan=7)
    await make("tied", "CreateL2NoVlanNetwork", zoneUuid=made.zone, physicalInterface="eth2")
    await call("AttachL2NetworkToCluster", l2NetworkUuid=names["tied"], clusterUuid=made.cluster)
    await make("bare", "CreateL3Network", l2NetworkUuid=names["tied"])
    names["served"] = await network(made, "served", "192.168.0.0/24")
    names["range"] = (await call("QueryIpRange", conditions=[_is("l3NetworkUuid", names["served"])]))[0]["uuid"]
    await call("AddDnsToL3Network", l3NetworkUuid=made.l3, dns="10.0.0.1")
    await made.world.db.write(global_config.seed)
    await call("UpdateGlobalConfig", category="kvm", name="vm.consoleMode", value="spice")
    allow = {"category": "localStoragePrimaryStorage", "name": "liveMigrationWithStorage.allow"}
    await call("UpdateGlobalConfig", **allow, value="true")
    await make("store", "AddImageStoreBackupStorage", url="store")
    await make("store2", "AddImageStoreBackupStorage", url="store2")
    await call("AttachBackupStorageToZone", backupStorageUuid=names["store"], zoneUuid=made.zone)
    source = {"url": f"file://{made.world.settings.state_dir}/import/disk.raw", "format": "raw"}
    for name in ("image2", "trashed"):
        await make(name, "AddImage", backupStorageUuids=[names["store"]], **source)
    await call("DeleteImage", uuid=names["trashed"])
    await make("data template", "AddImage", backupStorageUuids=[names["store"]], mediaType=_DATA, **source)
    await _furnish_volumes(made, names)
    tag = await call("CreateUserTag", resourceType="ZoneVO", resourceUuid=made.zone, tag="mine")
    names["user tag"] = tag["uuid"]
    await make("tenant", "CreateAccount", password="0" * 128)
    await make("leaver", "CreateAccount", password="0" * 128)
    for key in ("key", "leavers key"):
        account = names["tenant" if key == "key" else "leaver"]
        names[key] = (await call("CreateAccessKey", accountUuid=account))["uuid"]
    accounts = [names["tenant"], names["leaver"]]
    await call("ShareResource", resourceUuids=[names["disk2"], made.offering], accountUuids=accounts, toPublic=True)
    own = [_is("resourceUuid", names["stopped"])]
    names["system tag"] = (await call("QuerySystemTag", conditions=own))[0]["uuid"]
    key = {
        "resourceType": "VmInstanceVO",
        "resourceUuid": names["running"],
        "tag": f"sshkey::{KEY.replace('YWFh', 'YmJi')}",
    }
    names["key tag"] = (await call("CreateSystemTag", **key))["uuid"]
    return names


async def _furnish_volumes(made: Cloud, names: dict[str, str]) -> None:
    here = {"primaryStorageUuid": made.storage, "hostUuid": names["full"]}
    for name in ("unplaced", "lying", "plugged", "unplugged", "deleted"):
        place = {} if name in ("unplaced",) else here
        volume = await made.call("CreateDataVolume", name=name, diskSize=1 << 30, **place)
        names[name] = volume["uuid"]
    await made.call("AttachDataVolumeToVm", volumeUuid=names["plugged"], vmInstanceUuid=names["running"])
    await made.call("AttachDataVolumeToVm", volumeUuid=names["unplugged"], vmInstanceUuid=names["stopped"])
    await made.call("DeleteDataVolume", uuid=names["deleted"])
    snapshot = {"volumeUuid": names["plugged"]}
    for name in ("first snapshot", "second snapshot"):
        names[name] = (await made.call("CreateVolumeSnapshot", name=name, **snapshot))["uuid"]
    snapshot = {"volumeUuid": names["unplugged"]}
    for name in ("root snapshot", "left branch", "right branch"):
        if name == "right branch":
            await made.call("RevertVolumeFromSnapshot", uuid=names["root snapshot"])
        names[name] = (await made.call("CreateVolumeSnapshot", name=name, **snapshot))["uuid"]
    root = (await made.get("VmInstanceVO", names["running"]))["root_volume_uuid"]
    taken = await made.call("CreateVolumeSnapshot", name="root", volumeUuid=root)
    names["snapshot of running root"] = taken["uuid"]
    names["running root"] = (await made.get("VmInstanceVO", names["running"]))["root_volume_uuid"]
    names["stopped root"] = (await made.get("VmInstanceVO", names["stopped"]))["root_volume_uuid"]


def _is(name: str, value: str) -> dict[str, str]:
    return {"name": name, "op": "=", "value": value}
