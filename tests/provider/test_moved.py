"""`moved` blocks from resources of other providers, with real terraform. A toy stands for the other provider: what counts is
the state that it leaves. What is moved is read as at an import, and the plan is empty."""

import json
import re
import threading
import uuid
from typing import Any

import pytest

from provider.framework.diagnostics import Diagnostics
from provider.framework.plan import Object
from provider.framework.resource import Context, Resource
from provider.framework.schema import Schema, optional
from provider.framework.types import STRING
from tests.provider.conftest import HEAD, SOURCE
from tests.provider.stack import with_vm

pytestmark = pytest.mark.terraform
ZSTACK, LIBVIRT = "terraform.local/zstackio/zstack", "terraform.local/dmacvicar/libvirt"
# Ours, by what the other provider calls the same thing.
SAME = {
    "zstack_zone": "steppe_zone",
    "zstack_cluster": "steppe_cluster",
    "zstack_host": "steppe_host",
    "zstack_primary_storage": "steppe_local_storage",
    "zstack_backup_storage": "steppe_image_store",
    "zstack_image": "steppe_image",
    "zstack_instance_offering": "steppe_instance_offering",
    "zstack_disk_offering": "steppe_disk_offering",
    "zstack_l2vlan_network": "steppe_l2_network",
    "zstack_l3network": "steppe_network",
    "zstack_instance": "steppe_vm",
}
DATA = """
resource "steppe_volume" "a" {
  name                 = "data"
  disk_offering_uuid   = steppe_disk_offering.a.uuid
  primary_storage_uuid = steppe_local_storage.a.uuid
  host_uuid            = steppe_host.a.uuid
}
"""


class Anything(Resource):
    """A resource of another provider, which keeps what it is told."""

    schema = Schema({name: optional(STRING, name) for name in ("uuid", "id", "path", "category", "name", "value")})

    def __init__(self, type_name: str) -> None:
        self.type_name = type_name

    def create(self, context: Context, planned: Object) -> Object:
        return planned

    def read(self, context: Context, state: Object) -> Object | None:
        return state

    def delete(self, context: Context, state: Object) -> None:
        raise AssertionError("what is moved is not destroyed")


class Other:
    """Another provider."""

    schema = Schema({})
    data_sources = functions = ephemeral_resources = list_resources = actions = ()

    def __init__(self, *types: str) -> None:
        self.resources = tuple(Anything(one) for one in types)

    def configure(self, config: Object, stop: threading.Event, diagnostics: Diagnostics) -> object:
        return object()

    def release(self, client: object, *, in_good_order: bool) -> None:
        pass

    def explain(self, error: Exception, schema: Schema) -> Diagnostics | None:
        return None

    def remarks(self, client: object, config: Object) -> Diagnostics:
        return Diagnostics()


@pytest.fixture
def both(steppe, serve):
    """Terraform with ours and two others; ours destroys what is left."""
    reattach = json.loads(steppe.environment["TF_REATTACH_PROVIDERS"])
    names = {"steppe": SOURCE}
    for name, source, types in (
        ("zstack", ZSTACK, [*SAME, "zstack_volume", "zstack_global_config", "zstack_eip"]),
        ("libvirt", LIBVIRT, ["libvirt_domain", "libvirt_volume"]),
    ):
        other = serve(Other(*types), name, source)
        reattach |= json.loads(other.environment["TF_REATTACH_PROVIDERS"])
        names[name] = source
    steppe.environment["TF_REATTACH_PROVIDERS"] = json.dumps(reattach)
    first = f'    steppe = {{ source = "{SOURCE}" }}\n'
    steppe.head = (HEAD % ("steppe", SOURCE)).replace(
        first, "".join(f'    {name} = {{ source = "{source}" }}\n' for name, source in names.items())
    )
    return steppe


def block(address: str, **attributes: Any) -> str:
    kind, name = address.split(".")
    return (
        f'resource "{kind}" "{name}" {{\n'
        + "".join(f"  {k} = {json.dumps(v)}\n" for k, v in attributes.items())
        + "}\n"
    )


def moved(pairs: dict[str, str]) -> str:
    return "".join(f"moved {{\n  from = {old}\n  to   = {new}\n}}\n" for old, new in pairs.items())


def forgotten(terraform) -> dict[str, dict[str, Any]]:
    """What there is, which no state knows any more."""
    state = terraform.state()
    (terraform.directory / "terraform.tfstate").rename(terraform.directory / "before.tfstate")
    return state


def test_everything_comes_from_zstack_and_then_there_is_nothing_to_do(both, cloud):
    text = with_vm(cloud) + DATA
    both.write(text)
    both.must_apply()
    state = forgotten(both)
    same = SAME | {"zstack_volume": "steppe_volume"}
    both.write("".join(block(f"{old}.a", uuid=state[f"{new}.a"]["uuid"]) for old, new in same.items()))
    both.must_apply()
    both.write(text + moved({f"{old}.a": f"{new}.a" for old, new in same.items()}))
    unread = both.run("plan", "-no-color", "-refresh=false")
    assert "has not been read yet" in unread.output
    assert both.plan() == {}
    both.must_apply()
    after = both.state()
    assert after.keys() == state.keys()
    assert {address: one["uuid"] for address, one in after.items()} == {a: one["uuid"] for a, one in state.items()}
    vm = after["steppe_vm.a"]
    assert vm["user_data"].startswith("groups:") and vm["ip"] == state["steppe_vm.a"]["ip"]
    both.write(text)
    assert both.plan() == {}


def test_a_vm_and_a_volume_come_from_libvirt(both, cloud):
    text = with_vm(cloud) + DATA
    both.write(text)
    both.must_apply()
    vm, volume = (both.state()[f"steppe_{one}.a"]["uuid"] for one in ("vm", "volume"))
    path = cloud.only("volumes", uuid=volume)["installPath"]
    assert both.run("state", "rm", "steppe_vm.a", "steppe_volume.a").succeeded
    both.write(
        text.replace('resource "steppe_vm" "a" {', 'resource "steppe_vm" "kept" {\n count = 0').replace(
            'resource "steppe_volume" "a" {', 'resource "steppe_volume" "kept" {\n count = 0'
        )
        + block("libvirt_domain.a", id=str(uuid.UUID(vm)))
        + block("libvirt_volume.a", path=path)
    )
    both.must_apply()
    both.write(text + moved({"libvirt_domain.a": "steppe_vm.a", "libvirt_volume.a": "steppe_volume.a"}))
    assert both.plan() == {}
    both.must_apply()
    assert both.state()["steppe_vm.a"]["uuid"] == vm
    assert both.state()["steppe_volume.a"]["uuid"] == volume


def test_an_entry_of_the_global_configuration(both):
    both.write(block("zstack_global_config.a", category="kvm", name="vm.cpuMode", value="none"))
    both.must_apply()
    both.write(
        block("steppe_global_config.a", category="kvm", name="vm.cpuMode", value="none")
        + moved({"zstack_global_config.a": "steppe_global_config.a"})
    )
    assert both.plan() == {}
    both.must_apply()
    assert both.state()["steppe_global_config.a"]["default_value"] is not None


@pytest.mark.parametrize(
    ("source", "target", "complaint"),
    [
        (
            block("zstack_eip.a", uuid="0" * 32),
            "steppe_vm",
            "can take over the state of libvirt_domain, zstack_instance",
        ),
        (block("libvirt_volume.a", path="/var/lib/libvirt/images/disk.qcow2"), "steppe_volume", "is no steppe_volume"),
        (block("zstack_zone.a", uuid="0" * 32), "steppe_zone", "must be one of this cloud"),
    ],
    ids=["another thing", "a foreign file", "of another cloud"],
)
def test_what_is_not_the_same_is_refused(both, source, target, complaint):
    both.write(source)
    both.must_apply()
    old = re.search(r'resource "(\w+)"', source).group(1)
    name = {"steppe_zone": block("steppe_zone.a", name="z")}.get(target, "")
    body = name or f'resource "{target}" "a" {{\n  name = "x"\n' + (
        f'  image_uuid = "{"0" * 32}"\n  instance_offering_uuid = "{"0" * 32}"\n  network_uuids = ["{"0" * 32}"]\n}}\n'
        if target == "steppe_vm"
        else "  size = 1024\n}\n"
    )
    both.write(body + moved({f"{old}.a": f"{target}.a"}))
    done = both.run("plan", "-no-color", "-input=false")
    assert not done.succeeded
    assert complaint in " ".join(done.output.replace("│", " ").split())
    (both.directory / "terraform.tfstate").unlink()
