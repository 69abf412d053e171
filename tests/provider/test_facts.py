"""Data sources and ephemeral resources that only tell: boot order, snapshot trees, console password, enrollment token."""

import json

import pytest

from tests.provider.test_vm import hcl
from tests.provider.test_volume import block, placed, volume
from tests.provider.test_volume_snapshot import snapshot

pytestmark = pytest.mark.terraform
__all__ = ["placed"]
ORDER = 'data "steppe_vm_boot_order" "a" {\n  vm_uuid = steppe_vm.a.uuid\n}\n'
TREES = 'data "steppe_volume_snapshot_trees" "a" {\n  volume_uuid = steppe_volume.a.uuid\n  depends_on = [%s]\n}\n'
# A provisioner may have what no state may keep.
TOLD = """
ephemeral "steppe_console_password" "a" {
  vm_uuid = steppe_vm.a.uuid
}
ephemeral "steppe_host_enrollment_token" "a" {
  management_ip = "127.0.71.99"
  lifetime      = 600
}
resource "terraform_data" "a" {
  provisioner "local-exec" {
    command     = "printf '%s' \\"$SAID\\" >said"
    environment = { SAID = jsonencode([ephemeral.steppe_console_password.a, ephemeral.steppe_host_enrollment_token.a]) }
  }
}
"""


def test_the_boot_order_of_a_vm(steppe, cloud, base):
    steppe.write(hcl(base) + ORDER)
    steppe.must_apply()
    told = steppe.state()["data.steppe_vm_boot_order.a"]
    assert (told["boot_order"], told["boot_order_once"]) == (["HardDisk"], None)
    steppe.write(hcl(base | {"boot_order": ["Network", "HardDisk"], "boot_order_once": ["CdRom"]}) + ORDER)
    steppe.must_apply()
    assert steppe.plan() == {}
    told = steppe.state()["data.steppe_vm_boot_order.a"]
    assert (told["boot_order"], told["boot_order_once"]) == (["Network", "HardDisk"], ["CdRom"])


def test_the_trees_of_a_volume(steppe, cloud, placed):
    one, two = snapshot("one"), snapshot("two", after="one")
    steppe.write(volume(placed) + TREES % "")
    steppe.must_apply()
    assert steppe.state()["data.steppe_volume_snapshot_trees.a"]["trees"] == []
    steppe.write(volume(placed) + one + two + TREES % "steppe_volume_snapshot.two")
    steppe.must_apply()
    assert steppe.plan() == {}
    state = steppe.state()
    (tree,) = state["data.steppe_volume_snapshot_trees.a"]["trees"]
    first, second = tree["snapshots"]
    assert tree["current"] and tree["uuid"] == state["steppe_volume_snapshot.one"]["tree_uuid"]
    assert (first["name"], first["depth"], first["parent_uuid"], first["latest"]) == ("one", 0, None, False)
    assert (second["name"], second["depth"], second["parent_uuid"], second["latest"]) == ("two", 1, first["uuid"], True)


def test_a_console_password_and_an_enrollment_token_are_in_no_state(steppe, cloud, base, monkeypatch):
    steppe.write(hcl(base) + TOLD)
    steppe.must_apply()
    password, token = json.loads((steppe.directory / "said").read_text())
    vm = cloud.only("vm-instances")["uuid"]
    wanted = cloud.client.get(f"/vm-instances/{vm}/console-passwords")["consolePassword"]
    assert password["password"] == wanted and len(wanted) >= 8
    assert (
        "--management-ip 127.0.71.99" in token["command"]
        and token["token"]
        and "BEGIN CERTIFICATE" in token["ca"]
        and token["expires"]
    )
    assert steppe.plan() == {}
    kept = (steppe.directory / "terraform.tfstate").read_text()
    assert wanted not in kept and token["token"] not in kept


def test_what_is_shown_of_everything_in_lists(steppe, cloud, base):
    text = 'data "steppe_network_services" "a" {}\ndata "steppe_accounts" "a" {\n  name = "admin"\n}\n'
    text += 'data "steppe_resource_owners" "a" {\n  conditions = ["resourceUuid=${steppe_vm.a.uuid}"]\n}\n'
    text += 'data "steppe_access_keys" "a" {}\n' + block("zone", {"name": "z"})
    steppe.write(hcl(base) + text)
    steppe.must_apply()
    assert steppe.plan() == {}
    state = steppe.state()
    services = state["data.steppe_network_services.a"]["network_services"]
    assert sorted(one["service"] for one in services) == ["DHCP", "Userdata"]
    (admin,) = state["data.steppe_accounts.a"]["accounts"]
    (owner,) = state["data.steppe_resource_owners.a"]["resource_owners"]
    assert owner["account_uuid"] == admin["uuid"] and owner["resource_type"] == "VmInstanceVO"
    assert state["data.steppe_access_keys.a"]["access_keys"] == [] and admin["type"] == "SystemAdmin"
