"""`plan -generate-config-out` with real terraform: what it writes for each kind of resource is valid, says what is, and plans
empty. Terraform 1.14 asks the provider for the configuration instead: that is asked by a client of the protocol."""

from typing import Any

import pytest

from provider.main import Steppe
from provider.wire import values
from tests.provider.stack import PARTS, with_vm
from tests.provider.wire.core import told

pytestmark = pytest.mark.terraform
# What a cloud may hold beyond that: other ways of making the same kinds of things.
MORE = """
resource "steppe_network" "cidr" {
  name            = "by cidr"
  l2_network_uuid = steppe_l2_network.a.uuid
  cidr            = "10.7.0.0/24"
}
resource "steppe_l2_network" "vlan" {
  name               = "vlan"
  zone_uuid          = steppe_zone.a.uuid
  physical_interface = "eth0"
  vlan               = 7
}
resource "steppe_image" "iso" {
  name              = "iso"
  url               = "file://%(images)s/guest.iso"
  format            = "iso"
  image_store_uuids = [steppe_image_store.a.uuid]
}
resource "steppe_image" "data" {
  name              = "image of data"
  url               = "file://%(images)s/guest.qcow2"
  format            = "qcow2"
  media_type        = "DataVolumeTemplate"
  image_store_uuids = [steppe_image_store.a.uuid]
}
resource "steppe_volume" "copy" {
  name                 = "of an image"
  image_uuid           = steppe_image.data.uuid
  primary_storage_uuid = steppe_local_storage.a.uuid
  host_uuid            = steppe_host.a.uuid
}
resource "steppe_volume" "bare" {
  name = "by size"
  size = 1048576
}
resource "steppe_vm" "iso" {
  name                      = "from an iso"
  image_uuid                = steppe_image.iso.uuid
  instance_offering_uuid    = steppe_instance_offering.a.uuid
  root_disk_offering_uuid   = steppe_disk_offering.a.uuid
  network_interfaces        = [{ network_uuid = steppe_network.a.uuid, static_ip = "10.9.0.55" }, { network_uuid = steppe_network.cidr.uuid }]
  default_network_uuid      = steppe_network.a.uuid
  power_state               = "stopped"
  boot_order                = ["HardDisk", "CdRom"]
  cpu_mode                  = "none"
  system_tags               = ["cdRoms::2"]
  depends_on                = [steppe_local_storage.a]
}
resource "steppe_volume_snapshot_group" "a" {
  name             = "both"
  root_volume_uuid = steppe_vm.a.root_volume_uuid
  depends_on       = [steppe_volume_snapshot.a, steppe_volume_attachment.a]
}
resource "steppe_image" "taken" {
  name          = "of a snapshot"
  snapshot_uuid = steppe_volume_snapshot.a.uuid
}
resource "steppe_account" "a" {
  name                = "team"
  password_wo         = "a password of the team"
  password_wo_version = 1
}
resource "steppe_quota" "a" {
  account_uuid = steppe_account.a.uuid
  name         = "vm.num"
  value        = 7
}
resource "steppe_resource_share" "a" {
  resource_uuid = steppe_instance_offering.a.uuid
  account_uuids = [steppe_account.a.uuid]
}
resource "steppe_global_config" "a" {
  category = "kvm"
  name     = "vm.cpuMode"
  value    = "none"
}
"""


def id_of(one: dict[str, Any]) -> str:
    """What it is imported by."""
    parts = [one[name] for name in ("category", "account_uuid") if name in one]
    return "/".join([*parts, one["name"]]) if "uuid" not in one and parts else one.get("uuid") or one["resource_uuid"]


def imports(state) -> str:
    text = ""
    for address, one in state.items():
        identifier = id_of(one)
        text += f'import {{\n  to = {address}\n  id = "{identifier}"\n}}\n'
    return text


@pytest.fixture
def cloud_in_use(steppe, cloud):
    """One of each kind and more, and its state; in the end it is destroyed in the order of its own configuration."""
    text = with_vm(cloud) + PARTS + MORE % {"images": cloud.images}
    steppe.write(text)
    steppe.must_apply()
    whole, before = steppe.directory / "terraform.tfstate", steppe.directory / "before.tfstate"
    state = steppe.state()
    whole.rename(before)
    yield state
    (steppe.directory / "generated.tf").unlink(missing_ok=True)
    before.rename(whole)
    steppe.write(text)


def test_what_terraform_generates_for_each_kind_plans_empty(steppe, cloud_in_use):
    steppe.write(imports(cloud_in_use))
    done = steppe.run("plan", "-no-color", "-input=false", "-generate-config-out=generated.tf")
    assert done.succeeded, done.output
    assert f"{len(cloud_in_use)} to import, 0 to add, 0 to change, 0 to destroy" in done.output
    steppe.must_apply()
    steppe.write("")
    assert steppe.plan() == {}


def test_what_the_provider_generates_is_short_and_plans_empty(steppe, cloud_in_use, ask):
    for address, one in cloud_in_use.items():
        type_name = address.partition(".")[0]
        schema = next(resource for resource in Steppe.resources if resource.type_name == type_name).schema
        identifier = id_of(one)
        (imported,) = ask("ImportResourceState", type_name=type_name, id=identifier).imported_resources
        generated = ask("GenerateResourceConfig", type_name=type_name, state=imported.state)
        assert not generated.diagnostics
        wrong = ask("ValidateResourceConfig", type_name=type_name, config=generated.config).diagnostics
        assert told(wrong) == [], address
        config, state = (values.decode(value, schema.type) for value in (generated.config, imported.state))
        # Where nothing is written, Terraform proposes what a computed attribute has.
        proposed = {
            n: state[n] if config[n] is None and a.is_computed else config[n] for n, a in schema.attributes.items()
        }
        planned = ask(
            "PlanResourceChange", type_name=type_name, prior_state=imported.state, config=generated.config,
            proposed_new_state=values.encode(proposed, schema.type), prior_private=imported.private,
        )  # fmt: skip
        assert told(planned.diagnostics) == [], address
        assert values.decode(planned.planned_state, schema.type) == state, address
        redundant = {"timeouts", "expunge", "deletion_protection", "power_state"} & config.keys()
        left = {name for name in redundant if config[name] is not None and address != "steppe_vm.iso"}
        assert not left, "it goes without saying"


def test_the_url_of_an_image_that_was_made_here_makes_none(steppe, cloud):
    steppe.write(with_vm(cloud).replace(f"file://{cloud.images}/guest.qcow2", f"volume://{'0' * 32}"))
    refused = steppe.run("plan", "-no-color", "-input=false")
    assert not refused.succeeded
    assert "tells where an image came from" in " ".join(refused.output.split())


def test_two_ways_to_say_the_same_must_agree(steppe, cloud):
    text = with_vm(cloud).replace(
        "network_uuids          = [steppe_network.a.uuid]",
        'network_uuids = ["{}"]\n  network_interfaces = [{{ network_uuid = "{}" }}]'.format("0" * 32, "1" * 32),
    )
    steppe.write(text.replace("ip_ranges ", 'cidr = "10.9.0.0/24"\n  ip_ranges '))
    complaints = {summary: detail for summary, detail, _ in steppe.complaints()}
    assert "name different networks" in complaints["Invalid network_uuids"]
    assert complaints["Invalid cidr"].startswith("cidr is the range 10.9.0.2 to 10.9.0.254")
