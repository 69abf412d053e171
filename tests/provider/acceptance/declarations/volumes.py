"""Data volumes, what they are attached to, and their snapshots."""

from tests.provider.acceptance.declaration import Change, Declaration, Values
from tests.provider.acceptance.declarations.machines import LAND as MACHINES

MIB = 1 << 20
STORAGE, HOST, OTHER_HOST = "=steppe_local_storage.a.uuid", "=steppe_host.a.uuid", "=steppe_host.b.uuid"
PLACED: Values = {"primary_storage_uuid": STORAGE, "host_uuid": HOST}
AFTER = ["=steppe_local_storage.a", "=steppe_host.b"]

LAND = (
    MACHINES
    + """
resource "steppe_vm" "grouped" {
  count                  = 2
  name                   = "grouped ${count.index}"
  image_uuid             = steppe_image.a.uuid
  instance_offering_uuid = steppe_instance_offering.a.uuid
  network_uuids          = [steppe_network.a.uuid]
  power_state            = "stopped"
  depends_on             = [steppe_local_storage.a, steppe_host.b]
}
resource "steppe_image" "other" {
  name              = "image of other data"
  url               = "file://${local.images}/other.qcow2"
  format            = "qcow2"
  media_type        = "DataVolumeTemplate"
  image_store_uuids = [steppe_image_store.a.uuid]
}
resource "steppe_volume" "loose" {
  count = 8
  name  = "loose ${count.index}"
  size  = 1024 * 1024
}
resource "steppe_volume" "placed" {
  count                = 2
  name                 = "placed ${count.index}"
  size                 = 1024 * 1024
  primary_storage_uuid = steppe_local_storage.a.uuid
  host_uuid            = steppe_host.a.uuid
}
resource "steppe_volume_snapshot" "placed" {
  count       = 2
  name        = "of ${count.index}"
  volume_uuid = steppe_volume.placed[count.index].uuid
}
"""
)


def _volume(n: int) -> Values:
    return {"name": f"data-{n}", "size": 64 * MIB, "depends_on": AFTER}


VOLUME = Declaration(
    "steppe_volume",
    _volume,
    {
        "size": [
            Change(96 * MIB),
            Change(96 * MIB, PLACED),
            Change(32 * MIB, action="refused", said="cannot shrink"),
        ],
        "disk_offering_uuid": Change(
            "=steppe_disk_offering.b.uuid", {"size": None, "disk_offering_uuid": "=steppe_disk_offering.a.uuid"}
        ),
        "image_uuid": Change(
            "=steppe_image.other.uuid", PLACED | {"size": None, "image_uuid": "=steppe_image.data.uuid"}
        ),
        "snapshot_uuid": Change(
            "=steppe_volume_snapshot.placed[1].uuid", {"size": None, "snapshot_uuid": "=steppe_volume_snapshot.placed[0].uuid"},
            action="replace", forgotten=("snapshot_uuid",),
        ),
        "primary_storage_uuid": Change("0" * 32, PLACED, applies=False),
        "host_uuid": [
            Change(OTHER_HOST, PLACED),
            Change("0" * 32, PLACED, action="refused", said="there is no HostVO"),
            Change(OTHER_HOST, along={"primary_storage_uuid": STORAGE}, action="refused", said="has no file yet"),
        ],
    },
    wishes=frozenset({"host_uuid", "size"}),  # nobody can shrink a volume; that one grew is refused in the plan
)  # fmt: skip

ATTACHMENT = Declaration(
    "steppe_volume_attachment",
    lambda n: {"volume_uuid": f"=steppe_volume.loose[{n}].uuid", "vm_uuid": "=steppe_vm.tagged.uuid"},
    {
        "volume_uuid": Change("=steppe_volume.loose[7].uuid"),
        "vm_uuid": Change("=steppe_vm.other.uuid"),
    },
)

SNAPSHOT = Declaration(
    "steppe_volume_snapshot",
    lambda n: {"name": f"snapshot-{n}", "volume_uuid": "=steppe_volume.placed[0].uuid"},
    {"volume_uuid": Change("=steppe_volume.placed[1].uuid")},
)

GROUP = Declaration(
    "steppe_volume_snapshot_group",
    lambda n: {"name": f"group-{n}", "root_volume_uuid": "=steppe_vm.grouped[0].root_volume_uuid"},
    {"root_volume_uuid": Change("=steppe_vm.grouped[1].root_volume_uuid")},
)

ALL = [VOLUME, ATTACHMENT, SNAPSHOT, GROUP]
