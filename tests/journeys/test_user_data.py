"""A real Debian guest obeys its tags: created with user data and a key, given more, something taken away, each with a
rerun and a reboot and nothing deleted in the guest; the last boot by cloud-init's Ec2 source instead of CloudStack's.

One VM, three boots. Log-ins are real: ssh from the guests' own network.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.declarations import load
from cli.request import request_for
from tools.demo.guest import DEBIAN
from tools.demo.journey import GATEWAY, STORAGE
from tools.demo.proof import ssh
from tools.guests.cache import image
from tools.guests.kernel import KERNEL
from tools.lab import Lab
from tools.lab.cloud import Cloud

pytestmark = [pytest.mark.host, pytest.mark.guest, pytest.mark.timeout(1200)]

FIRST = """\
groups:
  - ubuntu: [foo,bar]
  - cloud-users
users:
  - default
  - name: foobar
    groups: users, cloud-users
"""
# The guest's own list of modules is short.
CALLS = """\
cloud_final_modules: [scripts-user, phone-home, final-message]
phone_home: {url: "http://169.254.169.254/phone-home", post: [instance_id]}
"""
SECOND = FIRST + "  - name: newbie\n    groups: users\n"
USE_EC2 = """\
echo 'datasource_list: [ Ec2 ]' | sudo tee /etc/cloud/cloud.cfg.d/90_dpkg.cfg
printf 'policy: enabled\\ndatasource: Ec2\\n' | sudo tee /etc/cloud/ds-identify.cfg
sync
"""
ASK = """\
import urllib.error, urllib.request as r
base = "http://169.254.169.254/latest"
def ask(path, **extra):
    try:
        return r.urlopen(r.Request(base + path, **extra), timeout=10).read().decode()
    except urllib.error.HTTPError as error:
        return str(error.code)
print(ask("/meta-data/instance-id"))
token = ask("/api/token", method="PUT", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"})
print(ask("/meta-data/instance-id", headers={"X-aws-ec2-metadata-token": token}))
"""


class Walk:
    """A cloud of one host with one VM. `call` runs an API by its name."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        images = folder / "images"
        images.mkdir()
        shutil.copyfile(image(DEBIAN.image), images / "debian.qcow2")
        self.keys = {name: self._key(folder / name) for name in ("first", "second")}
        self.cloud = Cloud(lab, images, probe_kernel=image(KERNEL))
        (host,) = self.cloud.add_hosts("host-a")
        self.host = host
        zone = self.make("CreateZone", name="zone")
        cluster = self.make("CreateCluster", name="cluster", zoneUuid=zone, hypervisorType="KVM")
        self.make("AddKVMHost", name="host", managementIp=host.address, clusterUuid=cluster)
        storage = self.make("AddLocalPrimaryStorage", name="local", url=STORAGE, zoneUuid=zone)
        self.call("AttachPrimaryStorageToCluster", clusterUuid=cluster, primaryStorageUuid=storage)
        store = self.make("AddImageStoreBackupStorage", name="images", url="/images")
        self.call("AttachBackupStorageToZone", backupStorageUuid=store, zoneUuid=zone)
        self.image = self.make(
            "AddImage", name="debian", url=f"file://{images}/debian.qcow2", format="qcow2", backupStorageUuids=[store]
        )
        self.offering = self.make("CreateInstanceOffering", name="small", cpuNum=1, memorySize=512 << 20)
        l2 = self.make("CreateL2NoVlanNetwork", name="l2", zoneUuid=zone, physicalInterface="eth1")
        self.call("AttachL2NetworkToCluster", l2NetworkUuid=l2, clusterUuid=cluster)
        self.l3 = self.make("CreateL3Network", name="l3", l2NetworkUuid=l2)
        self.call("AddIpRangeByNetworkCidr", name="range", l3NetworkUuid=self.l3, networkCidr="10.20.0.0/24")
        flat = self.call("QueryNetworkServiceProvider")["inventories"][0]["uuid"]
        services = {flat: ["DHCP", "Userdata"]}
        self.call("AttachNetworkServiceToL3Network", l3NetworkUuid=self.l3, networkServices=services)

    def _key(self, path: Path) -> str:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", path], check=True)
        return path.with_suffix(".pub").read_text().strip()

    def call(self, api: str, **parameters: Any) -> Any:
        request = request_for(load().apis[api], parameters)
        if request.method == "GET":
            return self.cloud.api.get(request.target)
        return self.cloud.api._run(api, request.method, request.target, request.body, os.urandom(16).hex(), 300)

    def make(self, api: str, **parameters: Any) -> str:
        return str(self.call(api, **parameters)["inventory"]["uuid"])

    def create(self, *tags: str) -> None:
        vm = self.call(
            "CreateVmInstance", name="vm", imageUuid=self.image, instanceOfferingUuid=self.offering,
            l3NetworkUuids=[self.l3], systemTags=list(tags),
        )["inventory"]  # fmt: skip
        self.uuid, self.ip = vm["uuid"], vm["vmNics"][0]["ip"]

    def tag(self, text: str) -> str:
        return self.make("CreateSystemTag", resourceType="VmInstanceVO", resourceUuid=self.uuid, tag=text)

    def tags(self, prefix: str) -> dict[str, str]:
        found = self.call("QuerySystemTag", conditions=[f"resourceUuid={self.uuid}"])
        return {one["tag"]: one["uuid"] for one in found["inventories"] if one["tag"].startswith(f"{prefix}::")}

    def inside(self, command: str, key: str, timeout: float = 60) -> str:
        """As the default user, or RuntimeError."""
        return ssh(self.lab.underlay, self.cloud.lab.root.parent / key, f"debian@{self.ip}", command, timeout)

    def booted(self, instance_id: str, key: str) -> None:
        """cloud-init has run as this instance. A log-in that is not possible yet is tried again."""
        end = time.monotonic() + DEBIAN.boot
        said = ""
        while time.monotonic() < end:
            try:
                said = self.inside("cat /var/lib/cloud/data/instance-id && cloud-init status --wait", key, 120)
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                said = str(error)
            else:
                if said.split()[0] == instance_id:
                    return
            time.sleep(1)
        logs = [path.read_text(errors="replace")[-3000:] for path in self.host.directory.rglob(f"*{self.uuid}*.log")]
        pytest.fail(f"the guest is not up as {instance_id}; last: {said}\n{''.join(logs)}")

    def rerun(self, number: int, key: str) -> None:
        self.call("RerunCloudInit", uuid=self.uuid)
        self.call("RebootVmInstance", uuid=self.uuid)
        self.booted(f"{self.uuid}-{number}", key)


@pytest.fixture
def walk(tmp_path: Path) -> Iterator[Walk]:
    with Lab(tmp_path / "lab") as lab:
        lab.sit_on_guest_network(GATEWAY)
        yield Walk(lab, tmp_path)


@pytest.fixture
def step() -> Callable[[str], None]:
    began = time.monotonic()
    return lambda text: print(f"[{time.monotonic() - began:5.0f} s] {text}", flush=True)


def test_create_add_update_remove_rerun(walk: Walk, step: Callable[[str], None]) -> None:
    walk.create("userdata::" + (CALLS + FIRST).replace("\n", "\\n"), f"sshkey::{walk.keys['first']}")
    walk.booted(walk.uuid, "first")
    assert "cloud-users" in walk.inside("id -Gn foobar", "first").split()
    assert walk.inside("getent group ubuntu || true", "first").startswith("ubuntu:")
    seen = walk.call("GetVmBootProgress", uuid=walk.uuid)
    assert seen["dhcpAcks"] >= 1 and seen["metadataReads"] >= 1 and seen["phoneHomes"] == 1, seen
    step("created: the user, the groups and the key of the notes are there")

    walk.tag(f"sshkey::{walk.keys['second']}")
    (written,) = walk.tags("userdata").values()
    walk.call("UpdateSystemTag", uuid=written, tag=f"userdata::{SECOND}")
    walk.rerun(1, "second")
    assert walk.inside("id -un newbie", "second").strip() == "newbie"
    assert walk.inside("true", "first") == "", "both keys are accepted"
    step("a key added, user data updated, rerun: the new key logs in, the new user is there")

    walk.call("DeleteTag", uuid=walk.tags("sshkey")[f"sshkey::{walk.keys['first']}"])
    walk.inside(USE_EC2, "second")
    walk.rerun(2, "second")
    with pytest.raises(RuntimeError, match="Permission denied"):
        walk.inside("true", "first")
    assert "DataSourceEc2" in walk.inside("cat /run/cloud-init/result.json", "second")
    step("a key removed, rerun with the Ec2 source: the old key is refused, the other is not")

    walk.tag("metadataTokens::required")
    assert walk.inside(f"python3 -c '{ASK}'", "second").split() == ["401", f"{walk.uuid}-2"]
    step("tokens required: at once, and a token opens")
