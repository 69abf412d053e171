"""A change of user data says what it will do, and does it; write-only user data is in no state and no plan."""

import json

import pytest

from tests.provider.test_vm import hcl

pytestmark = pytest.mark.terraform


@pytest.mark.parametrize(
    ("mode", "action", "said"),
    [
        ("update", "update", "Nothing is restarted."),
        ("rerun", "update", "At the next boot of the guest cloud-init runs again"),
        ("reboot", "update", "The VM is rebooted"),
        ("replace", "delete", "a new one is made"),
    ],
)
def test_the_plan_says_what_a_change_does_and_it_is_done(steppe, cloud, base, mode, action, said):
    wished = base | {"user_data_on_change": mode}
    steppe.write(hcl(wished | {"user_data": "hostname: one"}))
    steppe.must_apply()
    before = cloud.only("vm-instances")
    jobs = cloud.on_hosts("/v1/vms")
    steppe.write(hcl(wished | {"user_data": "hostname: two"}))
    shown = " ".join(steppe.run("plan", "-no-color").output.split())
    assert f"New user data: {mode}" in shown and said in shown
    assert steppe.plan()["steppe_vm.a"][0] == action
    steppe.must_apply()
    assert steppe.plan() == {}
    after = cloud.only("vm-instances")
    assert (after["uuid"] == before["uuid"]) == (mode != "replace")
    assert (cloud.on_hosts("/v1/vms")[0]["boot_token"] != jobs[0]["boot_token"]) == (mode == "reboot")
    (tag,) = cloud.client.query("system-tags", resourceUuid=after["uuid"])
    assert tag["tag"] == "userdata::hostname: two"


def test_write_only_user_data(steppe, cloud, base):
    def stored() -> list[str]:
        return [one["tag"] for one in cloud.client.query("system-tags", resourceType="VmInstanceVO")]

    def nowhere(secret: str) -> bool:
        steppe.run("plan", "-out=planned")
        shown = json.loads(steppe.run("show", "-json", "planned").output)
        del shown["configuration"]  # here the secret is written there
        return secret not in json.dumps(shown) + (steppe.directory / "terraform.tfstate").read_text()

    steppe.write(hcl(base | {"user_data_wo": "hush: one", "user_data_wo_version": 1}))
    steppe.must_apply()
    assert steppe.plan() == {} and stored() == ["userdata::hush: one"] and nowhere("hush")
    steppe.write(hcl(base | {"user_data_wo": "hush: two", "user_data_wo_version": 1}))
    assert steppe.plan() == {}
    steppe.write(hcl(base | {"user_data_wo": "hush: two", "user_data_wo_version": 2, "description": "d"}))
    assert steppe.plan() == {"steppe_vm.a": ["update"]} and nowhere("hush")
    steppe.must_apply()
    assert steppe.plan() == {} and stored() == ["userdata::hush: two"] and nowhere("hush")
    steppe.write(hcl(base | {"user_data": "open: yes"}))
    steppe.must_apply()
    assert steppe.plan() == {} and stored() == ["userdata::open: yes"]
    steppe.write(hcl(base | {"user_data_wo": "hush: 3", "user_data_wo_version": 3}))
    steppe.must_apply()
    steppe.write(hcl(base))
    steppe.must_apply()
    assert steppe.plan() == {} and stored() == []


@pytest.mark.parametrize(
    ("attributes", "complaint"),
    [
        ({"user_data": "a", "user_data_wo": "b", "user_data_wo_version": 1}, "exclude each other"),
        ({"user_data_wo": "b"}, "belong together"),
        ({"user_data_wo": "x" * 65536, "user_data_wo_version": 1}, "65536 bytes; at most 65526 are allowed"),
        ({"user_data_on_change": "restart"}, "'restart' is not one of 'update', 'rerun', 'reboot', 'replace'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_planned(steppe, base, attributes, complaint):
    steppe.write(hcl(base | attributes))
    assert complaint in steppe.complaints()[0][1]


def test_what_is_odd_is_a_warning_at_its_attribute(steppe, base):
    def warned() -> dict[str, str]:
        """By summary: where and what more."""
        done = steppe.apply()
        assert done.succeeded, done.output
        texts = " ".join(done.output.replace("│", " ").split()).split("Warning: ")[1:]
        told = {one.partition(" with steppe_vm.a, ")[0]: one.partition("╵")[0] for one in texts}
        return {summary: rest for summary, rest in told.items() if "took it all the same" in rest}

    odd, fine = "#cloud-config\npakages: [vim]\n", "#cloud-config\npackages: [vim]\n"
    key = 'User data, line 2, column 1: pakages is no key that cloud-init knows, did you mean "packages"?'
    steppe.write(hcl(base | {"user_data": odd}))
    told = warned()
    assert list(told) == [key] and "user_data = " in told[key]
    steppe.write(hcl(base | {"user_data": fine}))
    assert warned() == {}
    steppe.write(hcl(base | {"user_data": odd, "system_tags": ["metadataTokens::required"]}))
    told = warned()
    assert len(told) == 2 and key in told, "each is told once, however many calls told it"
    assert any("gets 401" in summary and "system_tags = " in rest for summary, rest in told.items())
    steppe.write(hcl(base | {"user_data_wo": odd.replace("vim", "nano"), "user_data_wo_version": 1}))
    assert "user_data_wo" in warned()[key]
