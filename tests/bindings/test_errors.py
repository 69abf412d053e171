"""What cannot be is refused while the program runs, with the path of the construct; what can be is synthesized."""

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def stack(steppe: Any, tmp_path: Path) -> Any:
    kit = steppe._flavour.kit
    return kit.TerraformStack(kit.App(outdir=str(tmp_path / "out")), "s")


def synthesized(steppe: Any, stack: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(steppe._flavour.kit.Testing.synth(stack))
    return found


VM = {"name": "vm", "image_uuid": "i", "instance_offering_uuid": "o"}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"image_uuid": None}, "image_uuid is required"),
    ({"imageUuid": "i"}, "there is no imageUuid; did you mean image_uuid?"),
    ({"colour": "red"}, "there is no colour"),
    ({"ip": "10.0.0.1"}, "ip is a fact, it cannot be set"),
    ({"name": 7}, "name must be a string, not 7"),
    ({"ssh_keys": "ssh-rsa A"}, "ssh_keys must be a list, not 'ssh-rsa A' (its elements go in [ ])"),
    (
        {"power_state": "runing"},
        "power_state must be one of 'running', 'stopped', not 'runing'; did you mean 'running'?",
    ),
    (
        {"boot_order": ["Disk"]},
        "boot_order[0] must be one of 'HardDisk', 'CdRom', 'Network', not 'Disk'; did you mean 'HardDisk'?",
    ),
    ({"ssh_keys": [1]}, "ssh_keys[0] must be a string, not 1"),
    ({"expunge": "yes"}, "expunge must be True or False, not 'yes'"),
    ({"user_data_wo_version": True}, "user_data_wo_version must be a number, not True"),
    ({"timeouts": "1h"}, "timeouts must be a mapping, not '1h'"),
    ({"timeouts": {"make": "1h"}}, "there is no timeouts.make"),
    ({"network_interfaces": [{"static_ip": "10.0.0.1"}]}, "network_interfaces[0].network_uuid is required"),
    ({"network_interfaces": ["n"]}, "network_interfaces[0] must be a mapping, not 'n'"),
]


@pytest.mark.parametrize(("wrong", "complaint"), WRONG, ids=[complaint for _, complaint in WRONG])
def test_a_resource_says_what_is_wrong_and_where(steppe: Any, stack: Any, wrong: Any, complaint: str) -> None:
    with pytest.raises(steppe.StackError) as refused:
        steppe.resources.Vm(stack, "vm", **(VM | wrong))
    assert str(refused.value) == f"s/vm: {complaint}"
    assert (refused.value.path, refused.value.complaint) == ("s/vm", complaint)


def test_an_attribute_is_checked_when_it_is_set_later(steppe: Any, stack: Any) -> None:
    vm = steppe.resources.Vm(stack, "vm", **VM, network_uuids=["n"], hostname="web", timeouts={"create": "1h"})
    for name, value, complaint in (
        ("hostname", 1, "hostname must be a string, not 1"),
        ("name", None, "name is required"),
        ("ip", "10.0.0.1", "ip is a fact, it cannot be set"),
    ):
        with pytest.raises(steppe.StackError, match=rf"^s/vm: {complaint}$"):
            setattr(vm, name, value)
    with pytest.raises(steppe.StackError, match=r"^s/vm: set timeouts as a whole, not its create alone$"):
        vm.timeouts.create = "2h"
    with pytest.raises(TypeError, match="nics: how many there are is known after apply"):
        list(vm.nics)
    vm.hostname, vm.power_state = None, "stopped"
    (made,) = synthesized(steppe, stack)["resource"]["steppe_vm"].values()
    made.pop("//", None)
    assert made == VM | {"network_uuids": ["n"], "power_state": "stopped", "timeouts": {"create": "1h"}}


def test_references_of_every_kind_are_resolved(steppe: Any, stack: Any) -> None:
    kit, resources = steppe._flavour.kit, steppe.resources
    a = resources.Vm(stack, "a", **VM, ssh_keys=["k"])
    network = resources.Network(stack, "network", name="n", l2_network_uuid="l", services=["DHCP"])
    resources.Vm(
        stack, "c", name=f"copy of {a.name}", image_uuid=a.image_uuid, instance_offering_uuid="o",
        network_uuids=[network.uuid, a.nics[1].network_uuid], ssh_keys=a.ssh_keys, expunge=a.expunge,
        user_data_wo_version=a.cpu_num, timeouts={"create": a.timeouts.create},
    )  # fmt: skip
    kit.TerraformOutput(stack, "all", value=a.nics.all())
    found = synthesized(steppe, stack)
    made = found["resource"]["steppe_vm"]["c"]
    assert made["name"] == "copy of ${steppe_vm.a.name}"
    assert made["image_uuid"] == "${steppe_vm.a.image_uuid}"
    assert made["network_uuids"] == ["${steppe_network.network.uuid}", "${steppe_vm.a.nics[1].network_uuid}"]
    assert made["ssh_keys"] == "${steppe_vm.a.ssh_keys}"
    assert made["expunge"] == "${steppe_vm.a.expunge}"
    assert made["user_data_wo_version"] == "${steppe_vm.a.cpu_num}"
    assert made["timeouts"] == {"create": "${steppe_vm.a.timeouts.create}"}
    assert found["output"]["all"]["value"] == "${steppe_vm.a.nics}"


CLUSTER = {"hosts": ["10.0.0.1"]}
CONSTRUCTS: list[tuple[str, dict[str, Any], str]] = [
    ("KvmCluster", {"hosts": []}, "s/x: hosts must be addresses, at least one, not []"),
    ("KvmCluster", {"hosts": "10.0.0.1"}, "s/x: hosts must be addresses, at least one, not '10.0.0.1'"),
    ("instance_offering", {"cpus": 1, "memory": "2 GB"}, "s/x: '2 GB' is not a size: a whole number and one of "),
    ("FlatNetwork", {"cidr": "10.0.0.1/24"}, "s/x: cidr must be a network such as 10.20.0.0/24: 10.0.0.1/24 has host"),
    ("FlatNetwork", {"dhcp": ("10.1.0.1", "10.1.0.2")}, "s/x: dhcp: 10.1.0.1 is not in 10.0.0.0/24"),
    ("FlatNetwork", {"dhcp": ("first", "10.0.0.2")}, "s/x: dhcp: Expected 4 octets in 'first'"),
    ("FlatNetwork", {"gateway": "10.0.0.1"}, "s/x/l3: there is no gateway"),
    ("VirtualMachine", {"image": None}, "s/x: image must be an image or a uuid, not None"),
    ("VirtualMachine", {"on": 3}, "s/x: on must be a host or a uuid, not 3"),
    ("VirtualMachine", {"user_data": 3}, "s/x: user_data must be a CloudConfig, a mapping, a text or a Path, not 3"),
    ("VirtualMachine", {"user_data": Path("/no/such")}, "s/x: user_data: /no/such cannot be read: "),
    ("VirtualMachine", {"ssh_keys": "ssh-rsa A"}, "s/x: ssh_keys must be a list of keys, not 'ssh-rsa A'"),
    ("VirtualMachine", {"host_name": "a"}, "s/x/vm: there is no host_name; did you mean hostname?"),
    ("DataVolume", {"size": "big"}, "s/x: 'big' is not a size: a whole number and one of B, KiB, "),
    ("DataVolume", {"on": 5}, "s/x: on must be a host or a uuid, not 5"),
    ("InstallFromIso", {"iso": "i", "disk": 5.5}, "s/x: disk must be a size, a disk offering or a uuid, not 5.5"),
    ("InstallFromIso", {"iso": "i", "disk": "20 GB"}, "s/x: '20 GB' is not a size"),
]


@pytest.mark.parametrize(("kind", "wrong", "complaint"), CONSTRUCTS, ids=[complaint for *_, complaint in CONSTRUCTS])
def test_a_construct_says_what_is_wrong_and_where(
    steppe: Any, stack: Any, kind: str, wrong: dict[str, Any], complaint: str
) -> None:
    right: dict[str, Any] = {"image": "i", "offering": "o", "network": "n"} if kind == "VirtualMachine" else {}
    if kind == "FlatNetwork":
        right = {"cluster": steppe.KvmCluster(stack, "cluster", **CLUSTER), "interface": "eth1", "cidr": "10.0.0.0/24"}
    if kind == "InstallFromIso":
        right = {"offering": "o", "network": "n"}
    with pytest.raises(steppe.StackError) as refused:
        getattr(steppe, kind)(stack, "x", **(right | wrong))
    assert str(refused.value).startswith(complaint)


def test_user_data_of_a_vm_names_what_cannot_be(steppe: Any, stack: Any) -> None:
    wrong = steppe.CloudConfig(
        users=["Foo", steppe.User(name="a"), "a"],
        groups=["1st"],
        write_files=[steppe.File(path="etc/motd", content="")],
        more={"runcmd": []},
    )
    with pytest.raises(steppe.StackError) as refused:
        steppe.VirtualMachine(stack, "web", image="i", offering="o", network="n", user_data=wrong)
    rule = "a name has 1 to 32 of a-z, 0-9, _ and -, and does not begin with a digit or -"
    assert refused.value.complaint == (
        f"user_data: group '1st': {rule}; user 'Foo': {rule}; user 'a' is there twice; "
        "more['runcmd']: runcmd has an argument of its own; write_files: 'etc/motd' is not an absolute path"
    )


def test_every_form_of_user_data_and_keys_arrives(steppe: Any, stack: Any, tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/bin/sh\necho ${HOME} %{x}\n")
    (tmp_path / "key.pub").write_text("ssh-rsa B b\n")
    zone = steppe.resources.Zone(stack, "zone", name="z")
    forms = {
        "text": "#!/bin/sh\n",
        "mapping": {"groups": ["a"]},
        "path": tmp_path / "script",
        "reference": f"#cloud-config\n# {zone.uuid} ${{HOME}}\n",
    }
    for name, form in forms.items():
        keys = ["ssh-rsa A a", tmp_path / "key.pub"]
        steppe.VirtualMachine(stack, name, image="i", offering="o", network="n", user_data=form, ssh_keys=keys)
    made = {one["name"]: one for one in synthesized(steppe, stack)["resource"]["steppe_vm"].values()}
    assert made["text"]["user_data"] == "#!/bin/sh\n"
    assert made["mapping"]["user_data"] == "#cloud-config\ngroups:\n  - a\n"
    assert made["path"]["user_data"] == "#!/bin/sh\necho $${HOME} %%{x}\n"
    assert made["reference"]["user_data"] == "#cloud-config\n# ${steppe_zone.zone.uuid} $${HOME}\n"
    assert {tuple(one["ssh_keys"]) for one in made.values()} == {("ssh-rsa A a", "ssh-rsa B b")}


def test_an_install_from_iso_has_an_empty_disk_and_a_move_is_a_wish(steppe: Any, stack: Any) -> None:
    cluster = steppe.KvmCluster(stack, "cluster", hosts={"left": "10.0.0.1", "right": "10.0.0.2"})
    vm = steppe.InstallFromIso(stack, "new", iso="i", disk="d", offering="o", network="n", on=cluster.host["left"])
    assert vm.move_to(cluster.host["right"], allow_restart=False) is vm
    sized = steppe.InstallFromIso(stack, "sized", iso="i", disk="20 GiB", offering="o", network="n")
    assert sized.eject() is sized
    vms = {one["name"]: one for one in synthesized(steppe, stack)["resource"]["steppe_vm"].values()}
    assert (vms["sized"]["root_disk_size"], vms["sized"]["iso_uuids"]) == (20 * 2**30, [])
    made = vms["new"]
    assert (made["image_uuid"], made["root_disk_offering_uuid"]) == ("i", "d")
    assert made["host_uuid"].startswith("${steppe_host.cluster_right_") and made["allow_restart"] is False


def test_a_data_volume_is_attached_once_and_moves_while_it_is_not(steppe: Any, stack: Any) -> None:
    volume = steppe.DataVolume(stack, "data", size="2 GiB", on="h", storage="p")
    assert volume.move_to("other") is volume
    vm = steppe.VirtualMachine(stack, "web", image="i", offering="o", network="n")
    assert volume.attach_to(vm) is volume
    with pytest.raises(steppe.StackError, match=r"^s/data: attach_to: the volume is attached already"):
        volume.attach_to("another")
    found = synthesized(steppe, stack)["resource"]
    (made,), (attachment,) = (found[kind].values() for kind in ("steppe_volume", "steppe_volume_attachment"))
    made.pop("//", None)
    assert made == {"name": "data", "size": 2**31, "host_uuid": "other", "primary_storage_uuid": "p"}
    assert attachment["volume_uuid"].startswith("${steppe_volume.data_volume_")
    assert attachment["vm_uuid"].startswith("${steppe_vm.web_vm_")


def test_a_stack_without_the_provider_is_refused_and_an_alias_is_kept(steppe: Any, stack: Any) -> None:
    steppe.resources.Zone(stack, "zone", name="z")
    with pytest.raises(Exception, match="without a matching provider construct"):
        stack.node.root.synth()
    steppe.SteppeProvider(stack, "steppe", endpoint="https://a", default_tags=["blue"])
    other = steppe.SteppeProvider(stack, "other", alias="other", endpoint="https://b")
    steppe.resources.Zone(stack, "far", name="far", provider=other)
    found = synthesized(steppe, stack)
    assert found["provider"]["steppe"] == [
        {"default_tags": ["blue"], "endpoint": "https://a"},
        {"alias": "other", "endpoint": "https://b"},
    ]
    assert found["resource"]["steppe_zone"]["far"]["provider"] == "steppe.other"


def test_the_stack_can_be_written_as_hcl(steppe: Any, stack: Any) -> None:
    steppe.SteppeProvider(stack, "steppe", endpoint="https://a")
    vm = steppe.resources.Vm(
        stack, "vm", **VM, expunge=False, ssh_keys=["k"], network_interfaces=[{"network_uuid": "n"}],
        timeouts={"create": "1h"}, user_data_wo_version=2,
    )  # fmt: skip
    steppe.resources.Zone(stack, "zone", name=vm.name)
    text = " ".join(steppe._flavour.kit.Testing.synth_hcl(stack).split())
    for part in (
        'provider "steppe" { endpoint = "https://a" }', 'resource "steppe_vm" "vm" {', "expunge = false",
        'ssh_keys = [ "k" ]', 'create = "1h"', "user_data_wo_version = 2", 'network_uuid = "n"', 'name = "${steppe_vm.vm.name}"',
    ):  # fmt: skip
        assert part in text, (part, text)


def test_an_ephemeral_resource_is_written_and_referred_to(steppe: Any, stack: Any) -> None:
    team = steppe.Team(stack, "blue", password="secret", quotas={"vm.num": 3}, shares=[])
    ephemeral = steppe.ephemeral_resources.EphemeralAccessKey
    main = steppe.SteppeProvider(stack, "steppe")
    key = ephemeral(
        stack, "key", account_uuid=team.uuid, depends_on=[team.account, team.quotas["vm.num"]], provider=main
    )
    steppe.SteppeProvider(stack, "theirs", alias="theirs", access_key_id=key.access_key_id)
    other = ephemeral(stack, "other", depends_on=[key])
    other.description = f"after {key.access_key_id}"
    found = synthesized(steppe, stack)
    ((name, account),) = found["resource"]["steppe_account"].items()
    assert (account["password_wo"], account["password_wo_version"]) == ("secret", 1)
    made = found["ephemeral"]["steppe_access_key"]
    assert made["key"]["account_uuid"] == f"${{steppe_account.{name}.uuid}}" and made["key"]["provider"] == "steppe"
    assert made["key"]["depends_on"][0] == f"steppe_account.{name}" and len(made["key"]["depends_on"]) == 2
    told = "${ephemeral.steppe_access_key.key.access_key_id}"
    assert made["other"] == {"depends_on": ["ephemeral.steppe_access_key.key"], "description": f"after {told}"}
    assert found["provider"]["steppe"][1]["access_key_id"] == told
    with pytest.raises(Exception, match=r"s/key: an ephemeral resource is written as JSON only"):
        steppe._flavour.kit.Testing.synth_hcl(stack)
    with pytest.raises(steppe.StackError, match=r"s/x: there is no colour"):
        ephemeral(stack, "x", colour="red")


def test_a_team_and_what_is_made_of_a_vm(steppe: Any, stack: Any) -> None:
    offering = steppe.instance_offering(stack, "small", cpus=1, memory="1 GiB")
    vm = steppe.VirtualMachine(stack, "web", image="i", offering=offering, network="n").wait_for("dhcp", "90s")
    golden = vm.image("golden", guest_os_type="Debian 12")
    team = steppe.Team(stack, "blue", password="p", quotas={"vm.num": 3, "vm.cpuNum": 8}, shares=[offering, golden])
    team.key("pipeline", file="blue.toml")
    found = synthesized(steppe, stack)["resource"]
    (made,) = found["steppe_vm"].values()
    assert (made["wait_for"], made["wait_timeout"]) == ("dhcp", "90s")
    ((name, image),) = found["steppe_image"].items()
    ((group, taken),) = found["steppe_volume_snapshot_group"].items()
    assert image["snapshot_uuid"] == f"${{steppe_volume_snapshot_group.{group}.snapshots[0].uuid}}"
    assert "root_volume_uuid}" in taken["root_volume_uuid"] and image["guest_os_type"] == "Debian 12"
    assert {one["name"]: one["value"] for one in found["steppe_quota"].values()} == {"vm.num": 3, "vm.cpuNum": 8}
    shared = {one["resource_uuid"] for one in found["steppe_resource_share"].values()}
    assert shared == {"${steppe_instance_offering.small.uuid}", f"${{steppe_image.{name}.uuid}}"}
    (key,) = found["steppe_access_key"].values()
    assert key["credentials_file"] == "blue.toml"
    with pytest.raises(
        steppe.StackError, match=r"s/red: quotas must be one of 'vm.totalNum', .* did you mean 'vm.num'\?"
    ):
        steppe.Team(stack, "red", password="p", quotas={"vm.nums": 3})
    with pytest.raises(steppe.StackError, match=r"s/green: shares must be a list"):
        steppe.Team(stack, "green", password="p", shares="uuid")
