"""steppe_vm through real terraform: every attribute's change, drift, failures, Ctrl-C, and many at once."""

import json
import time
from typing import Any

import pytest

pytestmark = pytest.mark.terraform
USER_DATA = (
    'groups:\n  - ubuntu: [foo, bar]\n# a :: in the text, a "quote", a $${literal} and 雪\nruncmd: ["echo a::b"]\n'
)
KEYS = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh a",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJi b",
]


def hcl(attributes: dict[str, Any], name: str = "a") -> str:
    """JSON values are HCL expressions."""
    lines = (
        f"  {key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in attributes.items() if value is not None
    )
    return f'resource "steppe_vm" "{name}" {{\n{"".join(lines)}}}\n'


def vms(cloud) -> list[dict[str, Any]]:
    return [one for one in cloud.client.query("vm-instances") if one["state"] != "Destroyed"]


def left(cloud) -> list[Any]:
    """What VMs leave behind: in the database and on the hosts."""
    client = cloud.client
    rows = [client.query(one) for one in ("vm-instances", "vm-instances/nics", "volumes")]
    rows.append(client.query("system-tags", resourceType="VmInstanceVO"))
    return [*(one for found in rows for one in found), *cloud.on_hosts("/v1/vms")]


def test_create_then_nothing_to_do_and_the_state_says_what_is(steppe, cloud, land, base):
    wished = {"user_data": USER_DATA, "ssh_keys": KEYS, "hostname": "vm-1.flat.example", "description": "mine"}
    steppe.write(hcl(base | wished | {"host_uuid": land["steppe_host.b"]}))
    steppe.must_apply()
    assert steppe.plan() == {}
    state, vm = steppe.state()["steppe_vm.a"], cloud.only("vm-instances")
    assert {name: state[name] for name in wished} == wished | {"user_data": USER_DATA.replace("$${", "${")}
    assert state["running_host_uuid"] == vm["hostUuid"] == land["steppe_host.b"]
    assert state["state"] == "Running" and state["power_state"] == "running"
    nic = vm["vmNics"][0]
    assert (state["ip"], state["mac"]) == (nic["ip"], nic["mac"]) and state["ip"].startswith("10.9.0.")
    assert state["nics"][0]["gateway"] == "10.9.0.1" and state["nics"][0]["uuid"] == nic["uuid"]
    assert (state["cpu_num"], state["memory_size"]) == (1, 256 << 20)
    assert (state["root_volume_uuid"], state["zone_uuid"]) == (vm["rootVolumeUuid"], None)
    done = steppe.destroy()
    assert done.succeeded, done.output
    assert left(cloud) == []


UPDATES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"name": "another"}),
    ({}, {"description": "now with"}),
    ({"description": "with"}, {"description": None}),
    ({}, {"user_data": "#!/bin/sh\necho hello\n"}),
    ({"user_data": USER_DATA}, {"user_data": "hostname: x"}),
    ({"user_data": USER_DATA}, {"user_data": None}),
    ({"user_data": USER_DATA}, {"user_data": ""}),
    ({}, {"ssh_keys": KEYS}),
    ({"ssh_keys": KEYS}, {"ssh_keys": KEYS[1:]}),
    ({"ssh_keys": KEYS}, {"ssh_keys": None}),
    ({"ssh_keys": KEYS}, {"ssh_keys": []}),
    ({}, {"hostname": "named"}),
    ({"hostname": "named"}, {"hostname": "renamed"}),
    ({"hostname": "named"}, {"hostname": None}),
    ({}, {"power_state": "stopped"}),
    ({"power_state": "stopped"}, {"power_state": "running"}),
    ({}, {"root_disk_size": 128 << 20}),
    ({"cpu_mode": "host-model"}, {"cpu_mode": "none"}),
    ({"cpu_mode": "none"}, {"cpu_mode": None}),
    ({}, {"console_mode": "spice"}),
    ({"console_mode": "spice"}, {"console_mode": None, "allow_restart": True}),
    ({}, {"boot_order": ["CdRom", "HardDisk"]}),
    ({"boot_order": ["HardDisk", "Network"]}, {"boot_order": ["Network", "HardDisk"]}),
    ({"boot_order": ["Network"]}, {"boot_order": None}),
    ({"boot_order_once": ["Network"]}, {"boot_order_once": ["CdRom"], "boot_order": ["HardDisk"]}),
    ({"boot_order_once": ["Network"]}, {"boot_order_once": None}),
    ({}, {"expunge": False}),
    ({}, {"allow_restart": True}),
    ({}, {"migrate_running": True}),
    ({}, {"deletion_protection": True}),
    ({}, {"timeouts": {"create": "20m"}}),
]


@pytest.mark.parametrize(
    ("before", "after"), UPDATES, ids=lambda one: "-".join(f"{k}:{v!s:.12}" for k, v in one.items())
)
def test_a_change_in_place(steppe, cloud, base, before, after):
    steppe.write(hcl(base | before))
    steppe.must_apply()
    vm = cloud.only("vm-instances")
    steppe.write(hcl(base | before | after))
    assert steppe.plan() == {"steppe_vm.a": ["update"]}
    steppe.must_apply()
    assert steppe.plan() == {}
    assert cloud.only("vm-instances")["uuid"] == vm["uuid"]
    state = steppe.state()["steppe_vm.a"]
    for name, value in after.items():
        expected = value | {"update": None, "delete": None} if name == "timeouts" else value
        assert state[name] == expected or (name == "expunge" and value is None)
    assert state["state"] == ("Stopped" if state["power_state"] == "stopped" else "Running")
    assert (state["running_host_uuid"] is None) == (state["state"] == "Stopped")
    if state["expunge"] is False or state["deletion_protection"]:
        steppe.write(hcl(base))  # leave the cloud empty
        steppe.must_apply()


def test_changes_that_need_a_new_vm(steppe, cloud, land, base):
    network, zone = land["steppe_network.a"], land["steppe_zone.a"]
    first = base | {"zone_uuid": zone, "cluster_uuid": land["steppe_cluster.a"], "host_uuid": land["steppe_host.a"]}
    steppe.write(hcl(first))
    steppe.must_apply()
    for name, value in {
        "image_uuid": land["steppe_image.b"],
        "root_disk_offering_uuid": land["steppe_disk_offering.a"],
        "network_interfaces": [{"network_uuid": network, "static_ip": "10.9.0.77"}],
        "zone_uuid": "0" * 32,
        "cluster_uuid": "0" * 32,
    }.items():
        without = {"network_uuids": None} if name == "network_interfaces" else {}
        steppe.write(hcl(first | without | {name: value}))
        assert steppe.plan() == {"steppe_vm.a": ["delete", "create"]}, name
        blamed = {path[0] for path in steppe.planned("steppe_vm.a")["replace_paths"]}
        assert name in blamed and blamed <= {name, "network_uuids", "network_interfaces"}, name
    uuid = cloud.only("vm-instances")["uuid"]
    steppe.write(hcl(first | {"root_disk_offering_uuid": land["steppe_disk_offering.a"]}))
    steppe.must_apply()
    assert steppe.plan() == {}
    (vm,) = vms(cloud)
    assert vm["uuid"] != uuid and vm["hostUuid"] == land["steppe_host.a"]


def test_a_wish_that_is_met_already_changes_nothing_but_the_state(steppe, cloud, land, base):
    steppe.write(hcl(base | {"power_state": "stopped"}))
    steppe.must_apply()
    (ref,) = cloud.client.query("primary-storage/local-storage/resource-refs", resourceType="VolumeVO")
    wishes = {
        "host_uuid": ref["hostUuid"],
        "zone_uuid": land["steppe_zone.a"],
        "cluster_uuid": land["steppe_cluster.a"],
    }
    steppe.write(hcl(base | {"power_state": "stopped"} | wishes))
    assert steppe.plan() == {"steppe_vm.a": ["update"]}
    steppe.must_apply()
    steppe.write(hcl(base | {"power_state": "running"}))  # taking a wish back moves nothing
    assert steppe.plan() == {"steppe_vm.a": ["update"]}
    steppe.must_apply()
    assert steppe.plan() == {}


def test_several_networks_and_wished_addresses(steppe, land, base):
    one, other = land["steppe_network.a"], land["steppe_network.b"]
    interfaces = [{"network_uuid": other, "static_ip": "10.8.0.50"}, {"network_uuid": one}]
    wished = base | {"network_uuids": None, "network_interfaces": interfaces, "default_network_uuid": one}
    steppe.write(hcl(wished))
    steppe.must_apply()
    assert steppe.plan() == {}
    state = steppe.state()["steppe_vm.a"]
    assert state["network_uuids"] == [other, one] and state["nics"][0]["ip"] == "10.8.0.50"
    assert state["ip"] == state["nics"][1]["ip"]
    steppe.write(hcl(wished | {"default_network_uuid": other}))
    assert steppe.plan() == {"steppe_vm.a": ["update"]}
    steppe.must_apply()
    assert steppe.state()["steppe_vm.a"]["ip"] == "10.8.0.50"
    assert steppe.plan() == {}
    steppe.write(hcl(wished | {"network_interfaces": None, "network_uuids": [other, one]}))
    assert steppe.plan() == {"steppe_vm.a": ["delete", "create"]}  # the wished address is taken back


def test_a_vm_from_an_iso_is_imported_as_it_is(steppe, cloud, land, base):
    iso = {"image_uuid": land["steppe_image.iso"], "root_disk_offering_uuid": land["steppe_disk_offering.a"]}
    where = {"host_uuid": land["steppe_host.b"], "zone_uuid": land["steppe_zone.a"]}
    more = {"user_data": USER_DATA, "ssh_keys": KEYS, "hostname": "iso", "description": "d"}
    for power in ("running", "stopped"):
        wished = hcl(base | iso | where | more | {"power_state": power})
        steppe.write(wished)
        steppe.must_apply()
        before = steppe.state()["steppe_vm.a"]
        (steppe.directory / "terraform.tfstate").unlink()
        done = steppe.run("import", "-no-color", "steppe_vm.a", before["uuid"])
        assert done.succeeded, done.output
        assert steppe.plan() == {}
        wishes = {name: land[f"steppe_{name[:-5]}.a"] for name in ("zone_uuid", "cluster_uuid")}
        assert steppe.state()["steppe_vm.a"] == before | wishes
    steppe.write(hcl(base | iso | {"root_disk_offering_uuid": land["steppe_disk_offering.b"]}))
    assert steppe.plan() == {"steppe_vm.a": ["delete", "create"]}


def test_a_vm_that_was_destroyed_outside_is_planned_anew(steppe, cloud, base):
    steppe.write(hcl(base | {"hostname": "again"}))
    steppe.must_apply()
    uuid = cloud.only("vm-instances")["uuid"]
    cloud.client.delete("DestroyVmInstance", f"/vm-instances/{uuid}", timeout=30)
    assert steppe.plan() == {"steppe_vm.a": ["create"]}
    steppe.must_apply()
    assert steppe.plan() == {} and vms(cloud)[0]["uuid"] != uuid
    cloud.client.action(f"/vm-instances/{uuid}", "expungeVmInstance", {}, timeout=30)
    assert steppe.plan() == {}


def test_what_was_changed_outside_is_put_right(steppe, cloud, base):
    steppe.write(hcl(base | {"user_data": USER_DATA, "ssh_keys": KEYS}))
    steppe.must_apply()
    path = f"/vm-instances/{cloud.only('vm-instances')['uuid']}"
    cloud.client.action(path, "stopVmInstance", {}, timeout=30)
    for tag in cloud.client.query("system-tags", resourceType="VmInstanceVO"):
        cloud.client.delete("DeleteTag", f"/tags/{tag['uuid']}", timeout=10)
    assert steppe.plan() == {"steppe_vm.a": ["update"]}
    change = steppe.planned("steppe_vm.a")
    assert (change["before"]["power_state"], change["after"]["power_state"]) == ("stopped", "running")
    assert (change["before"]["user_data"], change["after"]["ssh_keys"]) == (None, KEYS)
    steppe.must_apply()
    assert steppe.plan() == {} and cloud.only("vm-instances")["state"] == "Running"


def test_a_vm_that_is_not_expunged_can_be_recovered(steppe, cloud, base):
    steppe.write(hcl(base | {"expunge": False}))
    steppe.must_apply()
    assert steppe.destroy().succeeded
    vm = cloud.only("vm-instances")
    assert vm["state"] == "Destroyed"
    cloud.client.action(f"/vm-instances/{vm['uuid']}", "recoverVmInstance", {}, timeout=30)
    steppe.write(hcl(base | {"power_state": "stopped"}))
    done = steppe.run("import", "-no-color", "steppe_vm.a", vm["uuid"])
    assert done.succeeded, done.output
    assert steppe.plan() == {}


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"instance_offering_uuid": "huge"}, ["SYS.1006", "HOST_ALLOCATION.1000", "memory"]),
        ({"image_uuid": "0" * 32}, ["SYS.1003", "image_uuid = "]),
        ({"network_uuids": ["0" * 32]}, ["SYS.1003", "network_uuids = "]),
        ({"host_uuid": "0" * 32}, ["SYS.1003", "host_uuid = "]),
        ({"user_data": "  \n"}, ["SYS.1007", "userdata:: is empty"]),
        ({"system_tags": ["nobody::knows"]}, ["SYS.1007", "no system tag matches", "system_tags = "]),
    ],
)
def test_a_create_that_fails_leaves_nothing_and_the_next_apply_starts_clean(
    steppe, cloud, land, base, attributes, said
):
    if "instance_offering_uuid" in attributes:
        attributes = {"instance_offering_uuid": land["steppe_instance_offering.huge"]}
    steppe.write(hcl(base | attributes))
    failed = steppe.apply()
    assert not failed.succeeded and "CreateVmInstance failed" in failed.output
    for part in said:
        assert part in failed.output, failed.output
    assert steppe.state() == {} and left(cloud) == []
    steppe.write(hcl(base))
    steppe.must_apply()
    assert steppe.plan() == {} and len(vms(cloud)) == 1


def test_an_update_that_fails_keeps_the_truth_in_the_state(steppe, cloud, base):
    steppe.write(hcl(base))
    steppe.must_apply()
    steppe.write(hcl(base | {"name": "renamed", "user_data": "   "}))
    failed = steppe.apply()
    assert "CreateSystemTag failed: SYS.1007" in failed.output
    state = steppe.state()["steppe_vm.a"]
    assert (state["name"], state["user_data"]) == ("renamed", None)
    steppe.write(hcl(base | {"name": "renamed"}))
    assert steppe.plan() == {}


def test_ctrl_c_cancels_on_the_server(steppe, cloud, base):
    steppe.write(hcl(base))
    with cloud.frozen_hosts():
        process = steppe.start("apply", "-auto-approve", "-no-color")
        _until(lambda: vms(cloud))
        process.send_signal(2)
        _until(lambda: "Interrupt" in process.stdout.readline())
        time.sleep(0.5)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1 and "Stopped on request" in output and "undid it" in output, output
    assert steppe.state() == {} and left(cloud) == []
    steppe.must_apply()
    assert steppe.plan() == {}


def test_a_time_out_cancels_too(steppe, cloud, base):
    steppe.write(hcl(base | {"timeouts": {"create": "2s"}}))
    with cloud.frozen_hosts():
        process = steppe.start("apply", "-auto-approve", "-no-color")
        _until(lambda: vms(cloud))
        time.sleep(3)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1 and "CreateVmInstance did not end within 2 s" in output, output
    assert steppe.state() == {} and left(cloud) == []


def test_a_killed_apply_is_taken_up_by_the_next(plugin, cloud, base):
    plugin.write(hcl(base))
    with cloud.frozen_hosts():
        process = plugin.start("apply", "-auto-approve", "-no-color")
        _until(lambda: vms(cloud))
        process.kill()
        process.communicate(timeout=30)
    (first,) = vms(cloud)
    assert plugin.state() == {}
    plugin.must_apply()
    (vm,) = vms(cloud)
    assert vm["uuid"] == first["uuid"] == plugin.state()["steppe_vm.a"]["uuid"] and vm["state"] == "Running"
    assert plugin.plan() == {}
    assert list((plugin.directory / ".terraform" / "steppe-pending").iterdir()) == []


def test_twenty_at_once(steppe, cloud, base):
    steppe.write(
        hcl(base | {"name": "EACH"}).replace('"EACH"', 'each.key\n  for_each = toset([for n in range(20) : "vm-${n}"])')
    )
    steppe.must_apply("-parallelism=10")
    assert steppe.plan() == {}
    made = vms(cloud)
    assert len({one["name"] for one in made}) == len({one["vmNics"][0]["ip"] for one in made}) == 20
    done = steppe.destroy()
    assert done.succeeded and left(cloud) == []


def _until(condition, limit: float = 60.0) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
