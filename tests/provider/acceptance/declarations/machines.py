"""VMs and the tags of them."""

from tests.provider.acceptance.declaration import Change, Declaration, Values

A, B = "=steppe_network.a.uuid", "=steppe_network.b.uuid"
ISO = ["=steppe_image.iso.uuid"]
MIB = 1 << 20
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh a"
YAML = "groups:\n  - ubuntu: [foo, bar]\n# a :: in the text\n"
TWO_NETWORKS: Values = {"network_uuids": [A, B], "default_network_uuid": A}
ON_A = {"host_uuid": "=steppe_host.a.uuid"}

_VM = """
resource "steppe_vm" "%s" {
  name                   = "vm %s"
  image_uuid             = steppe_image.a.uuid
  instance_offering_uuid = steppe_instance_offering.a.uuid
  network_uuids          = [steppe_network.a.uuid]
  host_uuid              = steppe_host.a.uuid
  depends_on             = [steppe_local_storage.a]
}
"""
LAND = "".join(_VM % (name, name) for name in ("tagged", "other"))


def _vm(n: int) -> Values:
    return {
        "name": f"vm-{n}",
        "image_uuid": "=steppe_image.a.uuid",
        "instance_offering_uuid": "=steppe_instance_offering.a.uuid",
        "network_uuids": [A],
        "depends_on": ["=steppe_local_storage.a", "=steppe_host.b"],
    }


def _tag(text: str) -> Values:
    return {"resource_uuid": "=steppe_vm.tagged.uuid", "resource_type": "VmInstanceVO", "tag": text}


def _cases(name: str, one: object, other: object) -> list[Change]:
    """It comes, changes and goes."""
    return [Change(one), Change(other, {name: one}), Change(None, {name: one})]


VM = Declaration(
    "steppe_vm",
    _vm,
    {
        "image_uuid": Change("=steppe_image.b.uuid"),
        "instance_offering_uuid": Change("=steppe_instance_offering.b.uuid"),
        "root_disk_offering_uuid": Change("=steppe_disk_offering.b.uuid", {"root_disk_offering_uuid": "=steppe_disk_offering.a.uuid"}),
        "root_disk_size": [Change(128 * MIB, {"root_disk_size": 96 * MIB}), Change(96 * MIB, {"root_disk_size": 128 * MIB}, action="replace")],
        "network_uuids": [Change([B]), Change([A, B], {"default_network_uuid": A})],
        "network_interfaces": Change(
            [{"network_uuid": A, "static_ip": "10.9.0.98"}],
            {"network_uuids": None, "network_interfaces": [{"network_uuid": A, "static_ip": "10.9.0.97"}]},
            action="replace",
        ),
        "default_network_uuid": Change(B, TWO_NETWORKS),
        "zone_uuid": [Change("=steppe_zone.a.uuid"), Change("=steppe_zone.b.uuid", action="replace", applies=False)],
        "cluster_uuid": [Change("=steppe_cluster.a.uuid"), Change("0" * 32, action="replace", applies=False)],
        "host_uuid": [
            Change("=steppe_host.b.uuid", ON_A | {"power_state": "stopped"}),
            Change("=steppe_host.b.uuid", ON_A | {"allow_restart": True}),
            Change("=steppe_host.b.uuid", ON_A, action="refused", said="would have to be restarted"),
            Change("0" * 32, ON_A, action="refused", said="there is no HostVO"),
            Change(None, ON_A, action="none"),
        ],
        "user_data": [*_cases("user_data", YAML, "#!/bin/sh\necho a::b\n"), Change("", {"user_data": YAML}),
                      Change("#!/bin/sh\n", {"user_data": YAML, "user_data_on_change": "rerun"}),
                      Change("#!/bin/sh\n", {"user_data": YAML, "user_data_on_change": "reboot"}),
                      Change("#!/bin/sh\n", {"user_data": YAML, "user_data_on_change": "replace"}, action="replace")],
        "user_data_wo": Change(YAML, along={"user_data_wo_version": 1}, forgotten=("user_data",)),
        "user_data_wo_version": Change(2, {"user_data_wo": YAML, "user_data_wo_version": 1}, forgotten=("user_data",)),
        "user_data_on_change": Change("reboot"),
        "ssh_keys": [*_cases("ssh_keys", [KEY], [KEY, KEY.replace(" a", " b")]), Change([], {"ssh_keys": [KEY]})],
        "hostname": [Change("one"), Change("three", {"hostname": "two"}), Change(None, {"hostname": "four"})],
        "system_tags": _cases("system_tags", ["cdRoms::2"], ["cdRoms::1"]),
        "wait_for": Change("running"),
        "wait_timeout": Change("10m"),
        "power_state": [Change("stopped"), Change("running", {"power_state": "stopped"})],
        "iso_uuids": [Change(ISO, forgotten=("iso_uuids",), drifts=False), Change([], {"iso_uuids": ISO}),
                      Change(None, {"iso_uuids": ISO}, drifts=False)],
        "boot_order": _cases("boot_order", ["CdRom", "HardDisk"], ["Network"]),
        "boot_order_once": _cases("boot_order_once", ["CdRom"], ["Network"]),
        "cpu_mode": [*_cases("cpu_mode", "host-model", "none"), Change("host-model", {"allow_restart": True})],
        "console_mode": _cases("console_mode", "spice", "vnc"),
    },
    shared=frozenset({
        "user_data", "ssh_keys", "hostname", "system_tags", "boot_order", "cpu_mode", "console_mode",
    }),
    wishes=frozenset({
        "user_data_on_change", "user_data_wo", "user_data_wo_version", "allow_restart", "migrate_running", "boot_order_once",
        "zone_uuid", "cluster_uuid", "host_uuid", "root_disk_size",
        "wait_for", "wait_timeout",
    }),
)  # fmt: skip

SYSTEM_TAG = Declaration(
    "steppe_system_tag",
    lambda n: _tag(f"sshkey::{KEY}{n}"),
    {
        "tag": Change(f"sshkey::{KEY} other"),
        "resource_uuid": Change("=steppe_vm.other.uuid"),
        "resource_type": Change("VolumeVO", applies=False),
    },
)

USER_TAG = Declaration(
    "steppe_user_tag",
    lambda n: _tag(f"team-{n}"),
    {
        "tag": Change("team-other"),
        "resource_uuid": Change("=steppe_vm.other.uuid"),
        "resource_type": Change("VolumeVO", along={"resource_uuid": "=steppe_vm.tagged.root_volume_uuid"}),
    },
)

ALL = [VM, SYSTEM_TAG, USER_TAG]
