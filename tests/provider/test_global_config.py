"""steppe_global_config, resource and data source, through real terraform."""

import pytest

pytestmark = pytest.mark.terraform
ENTRY = 'resource "steppe_global_config" "a" {\n  category = "%s"\n  name = "%s"\n  value = "%s"\n}\n'


def now(cloud, entry="kvm/vm.cpuMode"):
    return cloud.client.get(f"/global-configurations/{entry}")["inventory"]["value"]


def test_set_changed_imported_and_reset(steppe, cloud):
    steppe.write(ENTRY % ("kvm", "vm.cpuMode", "host-model"))
    steppe.must_apply()
    assert steppe.plan() == {}
    state = steppe.state()["steppe_global_config.a"]
    assert (state["value"], state["default_value"], now(cloud)) == ("host-model", "none", "host-model")
    assert "CPU that guests see" in state["description"]

    steppe.write(ENTRY % ("kvm", "vm.cpuMode", "host-passthrough"))
    assert steppe.plan() == {"steppe_global_config.a": ["update"]}
    steppe.must_apply()
    assert (steppe.plan(), now(cloud)) == ({}, "host-passthrough")

    path = "/global-configurations/kvm/vm.cpuMode"
    cloud.client.action(path, "updateGlobalConfig", {"value": "none"}, timeout=30)
    assert steppe.plan() == {"steppe_global_config.a": ["update"]}  # what others changed is put right
    steppe.must_apply()

    before = steppe.state()
    (steppe.directory / "terraform.tfstate").unlink()
    assert not steppe.run("import", "steppe_global_config.a", "vm.cpuMode").succeeded
    done = steppe.run("import", "steppe_global_config.a", "kvm/vm.cpuMode")
    assert done.succeeded, done.output
    assert (steppe.state(), steppe.plan()) == (before, {})

    steppe.write(ENTRY % ("kvm", "vm.consoleMode", "spice"))
    assert steppe.plan() == {"steppe_global_config.a": ["delete", "create"]}
    steppe.must_apply()
    assert (now(cloud), now(cloud, "kvm/vm.consoleMode")) == ("none", "spice")
    assert steppe.destroy().succeeded
    assert now(cloud, "kvm/vm.consoleMode") == "vnc"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (("kvm", "vm.cpuMode", "fast"), "it must be one of none, host-model, host-passthrough"),
        (("kvm", "vm.cpumode", "none"), "kvm has vm.cpuMode"),
        (("kvm/x", "vm.cpuMode", "none"), "a word such as vm.cpuMode"),
    ],
)
def test_what_is_wrong_is_said(steppe, cloud, entry, said):
    steppe.write(ENTRY % entry)
    done = steppe.apply()
    assert not done.succeeded
    assert said in " ".join(done.output.split())
    assert "steppe_global_config.a" not in steppe.state()
    steppe.write("")


def test_the_data_source_reads_an_entry(steppe):
    steppe.write('data "steppe_global_config" "a" {\n  category = "console"\n  name = "proxy.idleTimeout"\n}\n')
    steppe.must_apply()
    state = steppe.state()["data.steppe_global_config.a"]
    assert state["value"] == state["default_value"] and int(state["value"]) > 0
