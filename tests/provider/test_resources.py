"""Every resource through real terraform against a real control plane with real agents over simulated drivers."""

import re

import pytest

from provider.resources import ALL
from tests.provider.stack import EVERYTHING, VM, everything, renamed, with_vm

pytestmark = pytest.mark.terraform
TYPES = sorted(re.findall(r'^resource "(\w+)"', EVERYTHING + VM, re.MULTILINE))
COLLECTIONS = [one.collection for one in ALL]


def remaining(cloud) -> list[str]:
    """Names of everything that the control plane still has."""
    states = ("Destroyed", "Deleted")
    found = [one for collection in COLLECTIONS for one in cloud.client.query(collection)]
    found = [one for one in found if one.get("name") != "admin"]
    return [
        one.get("name", one["uuid"])
        for one in found
        if one.get("state") not in states and one.get("status") not in states
    ]


def test_create_then_nothing_to_do_then_destroy_leaves_nothing(steppe, cloud):
    steppe.write(with_vm(cloud))
    assert {tuple(actions) for actions in steppe.plan().values()} == {("create",)}
    steppe.must_apply()
    assert steppe.plan() == {}
    state = steppe.state()
    network = state["steppe_network.a"]
    assert network["dns"] == ["10.9.0.1", "10.9.0.2"] and sorted(network["services"]) == ["DHCP", "Userdata"]
    assert network["cidr"] is None and network["zone_uuid"] == state["steppe_zone.a"]["uuid"]
    assert state["steppe_host.a"]["status"] == "Connected"
    assert state["steppe_image.a"]["media_type"] == "RootVolumeTemplate" and state["steppe_image.a"]["size"] == 64 << 20
    done = steppe.destroy()
    assert done.succeeded, done.output
    assert remaining(cloud) == []


def test_names_and_descriptions_change_in_place(steppe, cloud):
    steppe.write(with_vm(cloud))
    steppe.must_apply()
    steppe.write(renamed(with_vm(cloud)))
    plan = steppe.plan()
    assert set(plan) == {f"{name}.a" for name in TYPES} and {tuple(one) for one in plan.values()} == {("update",)}
    steppe.must_apply()
    assert steppe.plan() == {}
    assert cloud.only("zones")["name"] == "zone of mine"
    steppe.write(renamed(with_vm(cloud)).replace('  description = "now with another description"\n', ""))
    steppe.must_apply()
    assert steppe.plan() == {}
    assert not cloud.only("clusters").get("description")


def test_everything_can_be_imported_and_then_there_is_nothing_to_do(steppe, cloud):
    steppe.write(with_vm(cloud))
    steppe.must_apply()
    uuids = {address: values["uuid"] for address, values in steppe.state().items()}
    (steppe.directory / "terraform.tfstate").rename(steppe.directory / "before")
    imports = "".join(f'import {{\n  to = {address}\n  id = "{uuid}"\n}}\n' for address, uuid in uuids.items())
    steppe.write(imports, "imports.tf")
    steppe.must_apply()
    (steppe.directory / "imports.tf").unlink()
    assert steppe.plan() == {}


def test_an_import_by_something_else_is_refused(steppe, cloud):
    steppe.write('resource "steppe_zone" "a" {\n  name = "z"\n}')
    not_a_uuid = steppe.run("import", "-no-color", "steppe_zone.a", "my-zone")
    assert "is not a uuid" in not_a_uuid.output and not not_a_uuid.succeeded
    unknown = steppe.run("import", "-no-color", "steppe_zone.a", "0" * 32)
    assert "There is no steppe_zone" in unknown.output and not unknown.succeeded


def test_data_sources_find_by_uuid_and_by_name(steppe, cloud):
    text = with_vm(cloud)
    for kind in TYPES:
        text += f'data "{kind}" "by_uuid" {{ uuid = {kind}.a.uuid }}\n'
        text += f'data "{kind}" "by_name" {{\n  name = {kind}.a.name\n  depends_on = [{kind}.a]\n}}\n'
        text += f'output "{kind}" {{ value = [{kind}.a.uuid, data.{kind}.by_uuid.name, data.{kind}.by_name.uuid] }}\n'
    steppe.write(text)
    steppe.must_apply()
    state = steppe.state()
    for kind in TYPES:
        resource, by_uuid, by_name = (state[a] for a in (f"{kind}.a", f"data.{kind}.by_uuid", f"data.{kind}.by_name"))
        wishes = {"zone_uuid", "cluster_uuid"} if kind == "steppe_vm" else set()  # looked up, they are facts
        # Room is told by the hosts, and the service address is taken with the first VM, which is made meanwhile.
        shared = set(by_uuid) - {"total_capacity", "service_ip"} - wishes
        for looked_up in (by_uuid, by_name):
            assert {k: looked_up[k] for k in shared} == {k: resource[k] for k in shared}
    steppe.write(with_vm(cloud) + 'data "steppe_zone" "none" {\n  name = "nowhere"\n}\n')
    missing = steppe.run("plan", "-no-color")
    assert "There is none with the name 'nowhere'" in missing.output and 'name = "nowhere"' in missing.output
    steppe.write(with_vm(cloud))  # Terraform destroys nothing while a data source cannot be read


def test_what_was_deleted_outside_is_planned_anew(steppe, cloud):
    steppe.write(everything(cloud))
    steppe.must_apply()
    offering = steppe.state()["steppe_disk_offering.a"]["uuid"]
    cloud.client.delete("DeleteDiskOffering", f"/disk-offerings/{offering}", timeout=10)
    assert steppe.plan() == {"steppe_disk_offering.a": ["create"]}
    steppe.must_apply()
    assert steppe.plan() == {}


def test_what_was_changed_outside_is_put_right(steppe, cloud):
    steppe.write(everything(cloud))
    steppe.must_apply()
    zone, network = (steppe.state()[f"steppe_{one}.a"]["uuid"] for one in ("zone", "network"))
    cloud.client.action(f"/zones/{zone}", "updateZone", {"name": "meddled"}, timeout=10)
    cloud.client.delete("RemoveDnsFromL3Network", f"/l3-networks/{network}/dns/10.9.0.1", timeout=10)
    assert steppe.plan() == {"steppe_zone.a": ["update"], "steppe_network.a": ["update"]}
    steppe.must_apply()
    assert steppe.plan() == {}
    assert cloud.only("l3-networks")["dns"] == ["10.9.0.1", "10.9.0.2"]


def test_parts_of_a_network_change_in_place(steppe, cloud):
    text = everything(cloud)
    steppe.write(text)
    steppe.must_apply()
    more = (
        text.replace('["Userdata", "DHCP"]', '["DHCP"]')
        .replace('["10.9.0.1", "10.9.0.2"]', '["10.9.0.2", "10.9.0.3"]')
        .replace("10.9.0.99", "10.9.0.50")
    )
    steppe.write(more)
    assert steppe.plan() == {"steppe_network.a": ["update"]}
    steppe.must_apply()
    assert steppe.plan() == {}
    network = cloud.only("l3-networks")
    assert network["dns"] == ["10.9.0.2", "10.9.0.3"] and network["ipRanges"][0]["endIp"] == "10.9.0.50"
    assert [one["networkServiceType"] for one in network["networkServices"]] == ["DHCP"]


def test_a_network_by_cidr(steppe, cloud):
    text = re.sub(r"ip_ranges +=.*", 'cidr = "10.9.0.0/24"', everything(cloud))
    steppe.write(text)
    steppe.must_apply()
    assert steppe.plan() == {}
    state = steppe.state()["steppe_network.a"]
    assert state["cidr"] == "10.9.0.0/24" and state["ip_ranges"][0]["end_ip"] == "10.9.0.254"
    steppe.write(text.replace("10.9.0.0/24", "10.9.4.0/22"))
    steppe.must_apply()
    assert steppe.plan() == {}
    assert cloud.only("l3-networks")["ipRanges"][0]["networkCidr"] == "10.9.4.0/22"


def test_links_come_and_go_in_place(steppe, cloud):
    text = everything(cloud)
    steppe.write(text)
    steppe.must_apply()
    steppe.write(re.sub(r"\n +(cluster|zone)_uuids +=.*", "", text))
    assert set(steppe.plan()) == {"steppe_local_storage.a", "steppe_image_store.a", "steppe_l2_network.a"}
    steppe.must_apply()
    assert steppe.plan() == {}
    assert cloud.only("primary-storage")["attachedClusterUuids"] == []
    steppe.write(text)
    steppe.must_apply()
    assert steppe.plan() == {}
