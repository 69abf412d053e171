"""What a fresh cloud is filled with, over HTTP as any client would: one of everything that a VM needs, in a zone `dev`."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from provider.client.control_plane import Inventory
from tools.dev.cloud import SimulatedCloud

GIB = 1 << 30
NETWORK = "10.0.0.0/16"
LIMIT = 120.0  # seconds for one call
_ISO_SECTOR = 2048


@dataclass(frozen=True)
class Content:
    """uuids"""

    zone: str
    cluster: str
    image: str
    iso: str
    offering: str
    disk: str
    network: str


def populate(cloud: SimulatedCloud) -> Content:
    """Raises what the provider's client raises."""
    zone = _create(cloud, "CreateZone", "/zones", name="dev")
    cluster = _create(cloud, "CreateCluster", "/clusters", name="dev", zoneUuid=zone, hypervisorType="KVM")
    _add_hosts(cloud, cluster)
    storage = _create(
        cloud, "AddLocalPrimaryStorage", "/primary-storage/local-storage",
        name="local", url="/var/lib/steppe/storage", zoneUuid=zone,
    )  # fmt: skip
    _create(cloud, "AttachPrimaryStorageToCluster", f"/clusters/{cluster}/primary-storage/{storage}")
    image, iso = _images(cloud, zone)
    return Content(
        zone, cluster, image, iso,
        _create(cloud, "CreateInstanceOffering", "/instance-offerings", name="small", cpuNum=1, memorySize=GIB),
        _create(cloud, "CreateDiskOffering", "/disk-offerings", name="disk", diskSize=2 * GIB),
        _network(cloud, zone, cluster),
    )  # fmt: skip


def _create(cloud: SimulatedCloud, api: str, path: str, **parameters: object) -> str:
    made: Inventory = cloud.client.create(api, path, parameters, timeout=LIMIT)
    return str(made.get("uuid"))


def _add_hosts(cloud: SimulatedCloud, cluster: str) -> None:
    def add(number: int, address: str) -> str:
        name = f"host-{number}"
        return _create(cloud, "AddKVMHost", "/hosts/kvm", name=name, managementIp=address, clusterUuid=cluster)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(1, len(cloud.addresses) + 1), cloud.addresses))


def _images(cloud: SimulatedCloud, zone: str) -> tuple[str, str]:
    """Files of the right format that hold nothing: no simulated host looks inside."""
    template, iso = cloud.images / "template.qcow2", cloud.images / "empty.iso"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", template, "1G"], check=True)
    _empty_iso(iso)
    store = _create(cloud, "AddImageStoreBackupStorage", "/backup-storage/image-store", name="images", url="/images")
    _create(cloud, "AttachBackupStorageToZone", f"/zones/{zone}/backup-storage/{store}")
    where = {"backupStorageUuids": [store]}
    return (
        _create(cloud, "AddImage", "/images", name="template", url=f"file://{template}", format="qcow2", **where),
        _create(cloud, "AddImage", "/images", name="iso", url=f"file://{iso}", format="iso", mediaType="ISO", **where),
    )


def _empty_iso(path: Path) -> None:
    """ISO 9660: sixteen sectors for the system, a primary volume descriptor, the end of descriptors."""
    descriptors = [bytes([kind]) + b"CD001\x01" for kind in (1, 255)]
    path.write_bytes(bytes(16 * _ISO_SECTOR) + b"".join(one.ljust(_ISO_SECTOR, b"\0") for one in descriptors))


def _network(cloud: SimulatedCloud, zone: str, cluster: str) -> str:
    l2 = _create(
        cloud, "CreateL2NoVlanNetwork", "/l2-networks/no-vlan", name="flat", zoneUuid=zone, physicalInterface="eth0"
    )
    _create(cloud, "AttachL2NetworkToCluster", f"/l2-networks/{l2}/clusters/{cluster}")
    l3 = _create(cloud, "CreateL3Network", "/l3-networks", name="flat", l2NetworkUuid=l2)
    path = f"/l3-networks/{l3}"
    _create(cloud, "AddIpRangeByNetworkCidr", f"{path}/ip-ranges/by-cidr", name="flat", networkCidr=NETWORK)
    [flat] = cloud.client.query("network-services/providers", type="Flat")
    services = {flat["uuid"]: ["DHCP", "Userdata"]}
    _create(cloud, "AttachNetworkServiceToL3Network", f"{path}/network-services", networkServices=services)
    return l3
