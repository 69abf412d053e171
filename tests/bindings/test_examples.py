"""The Python examples on a control plane with simulated hosts: applied, planned again, changed, destroyed."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.bindings.conftest import FLAVOURS, KEY, ROOT, Bindings, Stacks
from tests.provider.cloud import Cloud
from tests.provider.conftest import Terraform

FLAT = (ROOT / "examples" / "python-flat-network" / "main.py").read_text()
GUIDE = ROOT / "docs" / "guides" / "getting-started.md"
ONE = ROOT / "examples" / "python-one-vm"
# Names that the construct of the cluster derives from its own, and where examples/flat-network has others.
NAMES = {'"zone"\n}': '"cloud"\n}', '"cluster"\n  zone': '"cloud"\n  zone', '"local"\n  url': '"cloud-local"\n  url', '"images"\n  url': '"cloud-images"\n  url'}  # fmt: skip


def inputs(cloud: Cloud) -> dict[str, str]:
    image = f"file://{cloud.images}/guest.qcow2"
    return {"HOST_IPS": ",".join(cloud.addresses), "IMAGE_URL": image, "SSH_PUBLIC_KEY": KEY}


def flat_network(bindings: Bindings, flavour: str, cloud: Cloud, folder: Path, program: str = FLAT) -> Path:
    bindings.synth(flavour, program, folder, **inputs(cloud))
    return folder / "out" / "stacks" / "flat-network"


@pytest.mark.terraform
@pytest.mark.timeout(900)  # a dozen runs of Terraform
def test_the_flat_network_is_applied_changed_and_destroyed_beside_the_stacks_of_one_vm(
    bindings: Bindings, cloud: Cloud, stacks: Stacks, tmp_path: Path
) -> None:
    (tmp_path / "flat").mkdir()
    terraform = stacks.applied(flat_network(bindings, "cdktf", cloud, tmp_path / "flat"))
    assert terraform.plan() == {}
    vms = cloud.client.query("vm-instances")
    assert {one["name"]: one["state"] for one in vms} == {f"vm-{n}": "Running" for n in (1, 2, 3)}
    outputs = json.loads(terraform.run("output", "-json").output)
    ips = {one["name"]: one["vmNics"][0]["ip"] for one in vms}
    assert {name.replace("ip", "vm"): one["value"] for name, one in outputs.items()} == ips

    shutil.copytree(ONE, tmp_path / "one")
    bindings.synth("cdktf", (ONE / "main.py").read_text(), tmp_path / "one")
    passes_its_own_test(tmp_path / "one", stacks.environment)
    assert {one["name"] for one in cloud.client.query("vm-instances")} == set(ips), "what the test made is gone"
    one = stacks.applied(tmp_path / "one" / "out" / "stacks" / "one-vm")
    assert one.plan() == {}
    web = cloud.only("vm-instances", name="web")
    (stored,) = (tag["tag"] for tag in cloud.client.query("system-tags", resourceUuid=web["uuid"]))
    assert stored == "userdata::" + (ONE / "user-data.sh").read_text(), "the script's ${…} is not Terraform's"

    (tmp_path / "guide").mkdir()
    (tmp_path / "guide" / "key.pub").write_text(KEY + "\n")
    (program,) = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    bindings.synth("cdktn", program, tmp_path / "guide")
    first = stacks.applied(tmp_path / "guide" / "out" / "stacks" / "first")
    assert first.plan() == {}
    assert cloud.only("vm-instances", name="my-first")["state"] == "Running"

    moved = FLAT.replace(
        "            TerraformOutput(",
        "            vm.move_to(cluster.hosts[number % 3])\n            TerraformOutput(",
    )
    flat_network(bindings, "cdktf", cloud, tmp_path / "flat", moved)
    assert set(map(tuple, terraform.plan().values())) == {("update",)}
    before = {one["name"]: one["hostUuid"] for one in vms}
    terraform.must_apply()
    after = {one["name"]: one["hostUuid"] for one in cloud.client.query("vm-instances") if one["name"] in ips}
    assert after == {"vm-1": before["vm-2"], "vm-2": before["vm-3"], "vm-3": before["vm-1"]}
    assert terraform.plan() == {}

    with_data = FLAT.replace(
        "            TerraformOutput(",
        '            DataVolume(self, f"data-{number}", size="1 GiB").attach_to(vm.move_to(cluster.hosts[number % 3]))\n'
        "            TerraformOutput(",
    ).replace("    DEFAULT_USER,\n", "    DEFAULT_USER,\n    DataVolume,\n")
    flat_network(bindings, "cdktf", cloud, tmp_path / "flat", with_data)
    terraform.must_apply()
    assert terraform.plan() == {}
    volumes = cloud.client.query("volumes", type="Data")
    vms_by_uuid = {one["uuid"]: one["name"] for one in cloud.client.query("vm-instances")}
    found = {one["name"]: (vms_by_uuid[one["vmInstanceUuid"]], one["size"]) for one in volumes}
    assert found == {f"data-{n}": (f"vm-{n}", 2**30) for n in (1, 2, 3)}

    stacks.destroy()
    assert cloud.client.query("vm-instances") == cloud.client.query("zones") == []


def passes_its_own_test(folder: Path, environment: dict[str, str]) -> None:
    """The test that comes with the example, run by pytest-terraform as its users would."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tf-mod-dir", "out/stacks"]
    done = subprocess.run(
        [*command, "test_stack.py"],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.terraform
def test_the_same_stack_in_hcl_and_on_both_kits_gives_the_same_plan(
    bindings: Bindings, cloud: Cloud, stacks: Stacks, tmp_path: Path
) -> None:
    hcl = tmp_path / "hcl"
    hcl.mkdir()
    for file in (ROOT / "examples" / "flat-network").glob("*.tf"):
        text = file.read_text()
        for old, new in NAMES.items() if file.name == "main.tf" else ():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (hcl / file.name).write_text(text)
    given = inputs(cloud)
    variables = {"host_ips": cloud.addresses, "image_url": given["IMAGE_URL"], "ssh_public_key": KEY}
    (hcl / "given.auto.tfvars.json").write_text(json.dumps(variables))
    wanted = _planned(stacks.initialised(hcl))
    assert len(wanted) == 3 + 3 + 8, "hosts, VMs, and one each of the others"
    for flavour in FLAVOURS:
        (tmp_path / flavour).mkdir()
        found = _planned(stacks.initialised(flat_network(bindings, flavour, cloud, tmp_path / flavour)))
        assert found == wanted, flavour


def _planned(terraform: Terraform) -> list[Any]:
    """What is planned of each resource, by type and name; user data as what it says, not how it is written."""
    assert set(map(tuple, terraform.plan().values())) == {("create",)}
    shown = json.loads(terraform.run("show", "-json", "planned").output)
    found = []
    for one in shown["resource_changes"]:
        if one["mode"] != "managed":
            continue
        after = dict(one["change"]["after"])
        if after.get("user_data"):
            after["user_data"] = yaml.safe_load(after["user_data"])
        found.append((one["type"], after["name"], after, one["change"]["after_unknown"]))
    return sorted(found, key=lambda each: each[:2])
