"""The networks of a VM, through real terraform: they come and go in place, and nothing drifts."""

import pytest

from tests.provider.test_vm import hcl, left
from tests.provider.test_vm_start import said

pytestmark = pytest.mark.terraform


@pytest.fixture
def nets(land):
    return land["steppe_network.a"], land["steppe_network.b"]


def networks(cloud):
    return [nic["l3NetworkUuid"] for nic in cloud.only("vm-instances")["vmNics"]]


def test_networks_come_and_go_in_place_and_the_default_follows(steppe, cloud, base, nets):
    one, other = nets
    steppe.write(hcl(base))
    steppe.must_apply()
    before = cloud.only("vm-instances")
    # The new one is named first, and the default goes over to it.
    both = base | {"network_uuids": [other, one], "default_network_uuid": other}
    steppe.write(hcl(both))
    assert steppe.plan() == {"steppe_vm.a": ["update"]}
    assert "VM vm gets and loses NICs while it runs" in said(steppe)
    steppe.must_apply()
    assert steppe.plan() == {}
    state = steppe.state()["steppe_vm.a"]
    assert (state["network_uuids"], [nic["network_uuid"] for nic in state["nics"]]) == ([other, one], [one, other])
    assert state["ip"] == state["nics"][1]["ip"]
    # It goes again, and nobody says which network is the default then.
    steppe.write(hcl(base))
    assert steppe.plan() == {"steppe_vm.a": ["update"]}
    steppe.must_apply()
    assert steppe.plan() == {}
    state, after = steppe.state()["steppe_vm.a"], cloud.only("vm-instances")
    assert (state["default_network_uuid"], state["ip"]) == (one, before["vmNics"][0]["ip"])
    assert (after["uuid"], after["vmNics"]) == (before["uuid"], before["vmNics"])


def test_the_only_network_is_exchanged_for_another_with_a_wished_address(steppe, cloud, base, nets):
    steppe.write(hcl(base))
    steppe.must_apply()
    uuid = cloud.only("vm-instances")["uuid"]
    wished = {"network_uuid": nets[1], "static_ip": "10.8.0.60"}
    steppe.write(hcl(base | {"network_uuids": None, "network_interfaces": [wished]}))
    assert steppe.plan() == {"steppe_vm.a": ["update"]}
    steppe.must_apply()
    assert steppe.plan() == {}
    state = steppe.state()["steppe_vm.a"]
    assert (state["uuid"], state["ip"], state["default_network_uuid"]) == (uuid, "10.8.0.60", nets[1])
    assert networks(cloud) == [nets[1]]


def test_a_nic_taken_away_by_hand_is_put_back_and_a_foreign_one_taken_away(steppe, cloud, base, nets):
    one, other = nets
    steppe.write(hcl(base | {"network_uuids": [one, other], "default_network_uuid": one, "power_state": "stopped"}))
    steppe.must_apply()
    nic = cloud.only("vm-instances")["vmNics"][0]
    cloud.client.delete("", f"/vm-instances/nics/{nic['uuid']}", timeout=30)
    assert steppe.plan() == {"steppe_vm.a": ["update"]}
    steppe.must_apply()
    assert steppe.plan() == {}
    assert (networks(cloud), steppe.state()["steppe_vm.a"]["default_network_uuid"]) == ([other, one], one)
    steppe.write(hcl(base | {"network_uuids": [one], "power_state": "stopped"}))
    steppe.must_apply()
    uuid = cloud.only("vm-instances")["uuid"]
    cloud.client.create("", f"/vm-instances/{uuid}/l3-networks/{other}", {}, timeout=30)
    assert steppe.plan() == {"steppe_vm.a": ["update"]}
    steppe.must_apply()
    assert networks(cloud) == [one]


def test_a_network_of_the_same_apply_comes_in_place(steppe, cloud, land, base, nets):
    steppe.write(hcl(base))
    steppe.must_apply()
    uuid = cloud.only("vm-instances")["uuid"]
    new = f"""resource "steppe_network" "new" {{
  name            = "new"
  l2_network_uuid = "{land["steppe_l2_network.a"]}"
  cidr            = "10.66.0.0/24"
  lifecycle {{ create_before_destroy = true }} # so that it goes after the VM has left it
}}
"""
    vm = hcl(base | {"network_uuids": [nets[0], "NEW"], "default_network_uuid": nets[0]})
    steppe.write(new + vm.replace('"NEW"', "steppe_network.new.uuid"))
    assert steppe.plan() == {"steppe_vm.a": ["update"], "steppe_network.new": ["create"]}
    steppe.must_apply()
    assert steppe.plan() == {}
    assert cloud.only("vm-instances")["uuid"] == uuid
    steppe.write(hcl(base))
    steppe.must_apply()
    assert networks(cloud) == [nets[0]]
    done = steppe.destroy()
    assert done.succeeded and left(cloud) == []
