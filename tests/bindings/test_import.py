"""What others have made can be taken into a Python stack: imported without a change, renamed in the program without one."""

import json
from pathlib import Path

import pytest

from tests.bindings.conftest import FLAVOURS, Bindings, Stacks
from tests.provider.cloud import Cloud

PROGRAM = """
from cdktf import App, TerraformStack
from steppe_cdktf import SteppeProvider
from steppe_cdktf.resources import Cluster, Zone

app = App()
stack = TerraformStack(app, "old")
SteppeProvider(stack, "steppe")
zone = Zone(stack, "zone", name="made by hand", description="long ago")
cluster = Cluster(stack, "cluster", name="also", zone_uuid=zone.uuid)
%s
app.synth()
"""


@pytest.mark.terraform
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_an_existing_zone_and_cluster_are_imported_and_move(
    bindings: Bindings, cloud: Cloud, stacks: Stacks, tmp_path: Path, flavour: str
) -> None:
    make = cloud.client.create
    zone = make("CreateZone", "/zones", {"name": "made by hand", "description": "long ago"}, timeout=30)["uuid"]
    cluster = make(
        "CreateCluster", "/clusters", {"name": "also", "zoneUuid": zone, "hypervisorType": "KVM"}, timeout=30
    )["uuid"]
    imports = f'zone.import_from("{zone}")\ncluster.import_from("{cluster}")'
    bindings.synth(flavour, PROGRAM % imports, tmp_path)
    terraform = stacks.applied(tmp_path / "out" / "stacks" / "old")
    assert {values["uuid"] for values in terraform.state().values()} == {zone, cluster}
    assert cloud.only("zones", uuid=zone)["name"] == "made by hand"

    # Another place in the program: the resource is the same one.
    moved = PROGRAM.replace('Zone(stack, "zone"', 'Zone(stack, "region"') % 'zone.move_from_id("steppe_zone.zone")'
    bindings.synth(flavour, moved, tmp_path)
    assert terraform.plan() == {}
    shown = json.loads(terraform.run("show", "-json", "planned").output)["resource_changes"]
    assert ("steppe_zone.region", "steppe_zone.zone") in {
        (one["address"], one.get("previous_address")) for one in shown
    }
