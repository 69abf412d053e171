"""`state` of everything that can be enabled and disabled, and a host's maintenance, through real terraform."""

import re

import pytest

from provider.resources import ALL
from tests.provider.stack import everything
from tests.provider.test_vm import hcl
from tests.provider.test_volume import block

pytestmark = pytest.mark.terraform
SWITCHED = {one.type_name: one for one in ALL if one.state_action and one.type_name != "steppe_access_key"}


def whole(cloud) -> str:
    """One of each that has a state to choose."""
    return everything(cloud) + block("volume", {"name": "v", "size": 512}, "a")


def with_state(text: str, state: str) -> str:
    """On each line that names one of them; `state` "" takes the wish back."""
    for kind in SWITCHED:
        line = f'  state = "{state}"\n' if state else ""
        text = re.sub(rf'(resource "{kind}" "a" {{\n)', rf"\1{line}", text)
    return text


def test_everything_is_made_disabled_enabled_in_place_and_put_right(steppe, cloud):
    assert len(SWITCHED) == 10 and set(SWITCHED) <= set(re.findall(r'"(steppe_\w+)" "a"', whole(cloud)))
    addresses = {f"{kind}.a" for kind in SWITCHED}

    def states():
        return {cloud.only(one.collection)["state"] for one in SWITCHED.values()}

    steppe.write(whole(cloud))
    steppe.must_apply()
    assert steppe.plan() == {} and states() == {"Enabled"}
    steppe.write(with_state(whole(cloud), "Disabled"))
    plan = steppe.plan()
    assert set(plan) == addresses and {tuple(one) for one in plan.values()} == {("update",)}
    steppe.must_apply()
    assert steppe.plan() == {} and states() == {"Disabled"}
    steppe.write(whole(cloud))
    assert steppe.plan() == {}, "a wish that is taken back changes nothing"
    steppe.write(with_state(whole(cloud), "Enabled"))
    steppe.must_apply()
    assert steppe.plan() == {} and states() == {"Enabled"}
    for one in SWITCHED.values():
        path = f"/{one.collection}/{cloud.only(one.collection)['uuid']}"
        cloud.client.action(path, one.state_action, {"stateEvent": "disable"}, timeout=30)
    assert set(steppe.plan()) == addresses
    steppe.must_apply()
    assert steppe.plan() == {} and states() == {"Enabled"}


def test_what_is_made_disabled_is_so_at_once(steppe, cloud):
    steppe.write('resource "steppe_zone" "a" {\n  name = "z"\n  state = "Disabled"\n}\n')
    steppe.must_apply()
    assert steppe.plan() == {} and cloud.only("zones")["state"] == "Disabled"
    steppe.write('resource "steppe_zone" "a" {\n  name = "z"\n  state = "Maintenance"\n}\n')
    done = steppe.run("plan", "-no-color")
    steppe.write('resource "steppe_zone" "a" {\n  name = "z"\n}\n')
    assert "'Maintenance' is not one of 'Enabled', 'Disabled'" in done.output


def test_a_host_is_emptied_for_maintenance_and_comes_back(steppe, cloud, land, base):
    """The land's own host, which this configuration imports for a while."""
    stopped = {"power_state": "stopped", "host_uuid": land["steppe_host.b"]}
    host = block(
        "host", {"name": "host b", "management_ip": cloud.addresses[1], "cluster_uuid": land["steppe_cluster.a"]}
    )
    vm = hcl(base | stopped)
    steppe.write(host + vm)
    done = steppe.run("import", "-no-color", "steppe_host.a", land["steppe_host.b"])
    assert done.succeeded, done.output
    steppe.must_apply()
    resting = host.replace("{\n", '{\n  state = "Maintenance"\n', 1)
    steppe.write(resting + vm)
    assert steppe.plan() == {"steppe_host.a": ["update"]}
    steppe.must_apply()
    uuid, vm_uuid = land["steppe_host.b"], steppe.state()["steppe_vm.a"]["uuid"]
    assert cloud.only("hosts", uuid=uuid)["state"] == "Maintenance"
    root = cloud.only("vm-instances", uuid=vm_uuid)["rootVolumeUuid"]
    refs = cloud.client.query("primary-storage/local-storage/resource-refs", resourceUuid=root)
    assert [one["hostUuid"] for one in refs] == [land["steppe_host.a"]], "it was moved away"
    steppe.write(host.replace("{\n", '{\n  state = "Enabled"\n', 1) + hcl(base))
    steppe.must_apply()
    assert cloud.only("hosts", uuid=uuid)["state"] == "Enabled"
    done = steppe.run("state", "rm", "steppe_host.a")
    assert done.succeeded, done.output
