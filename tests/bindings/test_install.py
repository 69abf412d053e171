"""A VM that installs itself from an ISO, declared in Python: its drive, its boot order, and the empty drive afterwards."""

from pathlib import Path

import pytest

from tests.bindings.conftest import Bindings, Stacks
from tests.provider.cloud import Cloud

PROGRAM = """
import os
from cdktf import App, TerraformStack
from steppe_cdktf import FlatNetwork, InstallFromIso, KvmCluster, SteppeProvider, instance_offering

app = App()
stack = TerraformStack(app, "install")
SteppeProvider(stack, "steppe")
cluster = KvmCluster(stack, "cluster", hosts={"only": os.environ["HOST_IP"]})
vm = InstallFromIso(
    stack, "fresh",
    iso=cluster.image("installer", url=os.environ["ISO_URL"], format="iso"),
    disk="1 GiB",
    offering=instance_offering(stack, "small", cpus=1, memory="256 MiB"),
    network=FlatNetwork(stack, "flat", cluster=cluster, interface="eth1", cidr="10.7.0.0/24"),
)
app.synth()
"""


@pytest.mark.terraform
def test_it_boots_the_iso_first_and_gives_it_back(
    bindings: Bindings, cloud: Cloud, stacks: Stacks, tmp_path: Path
) -> None:
    inputs = {"HOST_IP": cloud.addresses[0], "ISO_URL": f"file://{cloud.images}/guest.iso"}
    bindings.synth("cdktn", PROGRAM, tmp_path, **inputs)
    terraform = stacks.applied(tmp_path / "out" / "stacks" / "install")
    assert terraform.plan() == {}
    vm = cloud.only("vm-instances", name="fresh")
    (root,) = (one for one in vm["allVolumes"] if one["type"] == "Root")
    assert (vm["state"], root["size"]) == ("Running", 2**30)
    assert cloud.client.get(f"/vm-instances/{vm['uuid']}/boot-orders")["order"] == ["CdRom", "HardDisk"]

    bindings.synth("cdktn", PROGRAM.replace("app.synth()", "vm.eject()\napp.synth()"), tmp_path, **inputs)
    assert list(terraform.plan().values()) == [["update"]]
    terraform.must_apply()
    assert terraform.plan() == {}
    tags = [one["tag"] for one in cloud.client.query("system-tags", resourceUuid=vm["uuid"])]
    assert not [tag for tag in tags if tag.startswith("iso::")]
