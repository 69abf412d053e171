"""Zones, clusters, hosts, storages, images, offerings and networks: all that VMs need."""

from tests.provider.acceptance.declaration import Change, Declaration

ZONE, OTHER_ZONE = "=steppe_zone.a.uuid", "=steppe_zone.b.uuid"
MIB = 1 << 20

ENTRIES = [
    ("kvm", "vm.cpuMode", "host-model"),
    ("vm", "expungePeriod", "3600"),
    ("console", "proxy.idleTimeout", "300"),
    ("image", "expungePeriod", "3600"),
    ("volume", "deletionPolicy", "Never"),
]
LAND = """
resource "steppe_cluster" "more" {
  count     = 6
  name      = "cluster ${count.index}"
  zone_uuid = steppe_zone.a.uuid
}
resource "steppe_vm" "stopped" {
  count                  = 2
  name                   = "stopped ${count.index}"
  image_uuid             = steppe_image.a.uuid
  instance_offering_uuid = steppe_instance_offering.a.uuid
  network_uuids          = [steppe_network.a.uuid]
  power_state            = "stopped"
  depends_on             = [steppe_local_storage.a, steppe_host.b]
}
resource "steppe_volume_snapshot" "stopped" {
  count       = 2
  name        = "of ${count.index}"
  volume_uuid = steppe_vm.stopped[count.index].root_volume_uuid
}
resource "steppe_image_store" "b" {
  name       = "store b"
  url        = "/images-b"
  zone_uuids = [steppe_zone.a.uuid]
}
resource "steppe_l2_network" "b" {
  name               = "l2 b"
  zone_uuid          = steppe_zone.a.uuid
  physical_interface = "eth0"
  vlan               = 99
}
"""


def _file(name: str) -> str:
    return f'="file://${{local.images}}/{name}"'


def _sha256(name: str) -> str:
    return f'=filesha256("${{local.images}}/{name}")'


def _copied(name: str, source: str) -> Change:
    """An image of something in the cloud."""
    return Change(
        f"={source % 1}", {"url": None, "format": None, name: f"={source % 0}"}, action="replace", forgotten=(name,)
    )


def _range(n: int, last: int) -> list[dict[str, str]]:
    start, gateway = f"10.{100 + n}.0.10", f"10.{100 + n}.0.1"
    return [{"start_ip": start, "end_ip": f"10.{100 + n}.0.{last}", "netmask": "255.255.255.0", "gateway": gateway}]


ALL = [
    Declaration("steppe_zone", lambda n: {"name": f"zone-{n}"}),
    Declaration(
        "steppe_cluster",
        lambda n: {"name": f"cluster-{n}", "zone_uuid": ZONE},
        {"zone_uuid": Change(OTHER_ZONE)},
    ),
    Declaration(
        "steppe_host",
        lambda n: {
            "name": f"host-{n}",
            "management_ip": f"=local.addresses[{2 + n}]",
            "cluster_uuid": "=steppe_cluster.more[0].uuid",
        },
        {"management_ip": Change("=local.addresses[15]"), "cluster_uuid": Change("=steppe_cluster.more[1].uuid")},
        wishes=frozenset({"leave_stopped", "allow_restart"}),
    ),
    Declaration(
        "steppe_local_storage",
        lambda n: {"name": f"storage-{n}", "url": f"/var/lib/steppe/storage-{n}", "zone_uuid": ZONE},
        {
            "url": Change("/var/lib/steppe/another"),
            "zone_uuid": Change(OTHER_ZONE),
            "cluster_uuids": [Change(["=steppe_cluster.more[2].uuid"]), Change(None, {"cluster_uuids": ["=steppe_cluster.more[3].uuid"]})],
        },
    ),
    Declaration(
        "steppe_image_store",
        lambda n: {"name": f"store-{n}", "url": f"/images-{n}"},
        {
            "url": Change("/images-another"),
            "hostname": Change("machine-b", {"hostname": "machine-a"}),
            "zone_uuids": [Change([ZONE, OTHER_ZONE], {"zone_uuids": [ZONE]}), Change(None, {"zone_uuids": [ZONE]})],
        },
    ),
    Declaration(
        "steppe_image",
        lambda n: {
            "name": f"image-{n}",
            "url": _file("guest.qcow2"),
            "format": "qcow2",
            "image_store_uuids": ["=steppe_image_store.a.uuid"],
        },
        {
            "url": Change(_file("other.qcow2")),
            "format": Change("raw", along={"url": _file("guest.raw")}),
            "media_type": Change("DataVolumeTemplate"),
            "platform": Change("Windows"),
            "guest_os_type": [Change("Debian 13", {"guest_os_type": "Debian 12"}), Change(None, {"guest_os_type": "x"})],
            "sha256": Change(
                _sha256("other.qcow2"), {"sha256": _sha256("guest.qcow2")}, {"url": _file("other.qcow2")}
            ),
            "image_store_uuids": Change(["=steppe_image_store.b.uuid"]),
            "root_volume_uuid": _copied("root_volume_uuid", "steppe_vm.stopped[%d].root_volume_uuid"),
            "volume_uuid": _copied("volume_uuid", "steppe_vm.stopped[%d].root_volume_uuid"),
            "snapshot_uuid": _copied("snapshot_uuid", "steppe_volume_snapshot.stopped[%d].uuid"),
        },
    ),
    Declaration(
        "steppe_instance_offering",
        lambda n: {"name": f"offering-{n}", "cpu_num": 1, "memory_size": 256 * MIB},
        {"cpu_num": Change(2), "memory_size": Change(512 * MIB)},
    ),
    Declaration(
        "steppe_disk_offering",
        lambda n: {"name": f"disk-{n}", "disk_size": 64 * MIB},
        {"disk_size": Change(128 * MIB)},
    ),
    Declaration(
        "steppe_l2_network",
        lambda n: {"name": f"l2-{n}", "zone_uuid": ZONE, "physical_interface": "eth0", "vlan": 100 + n},
        {
            "zone_uuid": Change(OTHER_ZONE),
            "physical_interface": Change("eth1"),
            "vlan": [Change(3000), Change(None)],
            "cluster_uuids": [
                Change(["=steppe_cluster.a.uuid"]),
                Change([], {"cluster_uuids": ["=steppe_cluster.a.uuid"]}),
            ],
        },
    ),
    Declaration(
        "steppe_network",
        lambda n: {"name": f"network-{n}", "l2_network_uuid": "=steppe_l2_network.a.uuid", "cidr": f"10.{100 + n}.0.0/24"},
        {
            "l2_network_uuid": Change("=steppe_l2_network.b.uuid"),
            "cidr": Change("10.200.0.0/22"),
            "ip_ranges": Change(_range(90, 99), {"cidr": None, "ip_ranges": _range(90, 50)}),
            "dns": [
                Change(["9.9.9.9", "1.1.1.1"], {"dns": ["1.1.1.1", "9.9.9.9"]}),
                Change(None, {"dns": ["1.1.1.1"]}),
            ],
            "dns_domain": [Change("b.example", {"dns_domain": "a.example"}), Change(None, {"dns_domain": "a.example"})],
            "services": [Change(["DHCP"], {"services": ["DHCP", "Userdata"]}), Change(["DHCP", "Userdata"])],
        },
    ),
    Declaration(
        "steppe_global_config",
        lambda n: dict(zip(("category", "name", "value"), ENTRIES[n], strict=True)),
        {"category": Change("volume"), "name": Change("token.lifetime"), "value": Change("7200")},
        identifier=lambda state: f"{state['category']}/{state['name']}",
        lost="update",  # an entry always exists
    ),
]  # fmt: skip
