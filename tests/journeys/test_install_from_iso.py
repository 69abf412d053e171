"""examples/install-from-iso on a real host: terraform makes a VM from an ISO with an empty disk, the guest installs itself and
reboots itself, and comes up from its disk; no plan ever wants anything that the configuration does not."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import build_provider
from tools.demo.footprint import footprint
from tools.demo.journey import STORAGE
from tools.demo.terraform import ROOT, Stack
from tools.guests.cache import image
from tools.guests.installer import INSTALLED, INSTALLING, ISO
from tools.guests.kernel import KERNEL
from tools.lab import Lab
from tools.lab.cloud import Cloud

pytestmark = [pytest.mark.host, pytest.mark.guest, pytest.mark.terraform, pytest.mark.timeout(900)]
DISK_GIB = 1
BOOTED = "NANO BOOTED FROM DISK"


class Scene:
    """One host, one control plane, and the example with the installer's ISO."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        assert build_provider.main() == 0
        self.lab = lab
        images = folder / "images"
        images.mkdir()
        shutil.copyfile(image(ISO), images / "installer.iso")
        self.cloud = Cloud(lab, images, probe_kernel=image(KERNEL))
        (self.host,) = self.cloud.add_hosts("host-a")
        self.before = footprint(self.host, STORAGE)
        variables = {
            "host_ip": self.host.address,
            "iso_url": f"file://{images}/installer.iso",
            "disk_gib": DISK_GIB,
            "memory_mib": 128,
            "storage_path": STORAGE,
        }
        example = ROOT / "examples/install-from-iso"
        self.stack = Stack(example, folder / "stack", self.cloud.endpoint, self.cloud.password, variables)
        self.stack.init(print)

    def serial(self) -> list[str]:
        """What the guest has said on its serial console since it was made."""
        uuid = self.cloud.api.query("vm-instances")[0]["uuid"]
        text = (self.host.directory / f"log/steppe/{uuid}.log").read_text(errors="replace")
        return [line.strip() for line in text.splitlines() if line.strip()]

    def waits_for(self, line: str, seconds: float = 480) -> list[str]:
        end = time.monotonic() + seconds
        while line not in self.serial():
            assert time.monotonic() < end, f"the guest never says {line!r}, only {self.serial()[-10:]}"
            time.sleep(0.5)
        return self.serial()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with Lab(tmp_path / "lab") as lab:
        yield Scene(lab, tmp_path)


def test_it_installs_reboots_and_boots_from_its_disk(scene: Scene) -> None:
    stack = scene.stack
    stack.apply(print)
    assert not stack.plan(), "a plan during the installation is empty"
    said = scene.waits_for(BOOTED)
    order = [line for line in said if any(word in line for word in (INSTALLING, INSTALLED, BOOTED))]
    assert [word in line for word, line in zip((INSTALLING, INSTALLED, BOOTED), order, strict=True)] == [True] * 3
    assert f"of {DISK_GIB << 30} bytes" in order[0], "the disk has the size that was declared"
    assert "bf619eac0cdf3f68d496ea9344137e8b" in order[0], "its first sector was empty"  # the MD5 of 512 zeros

    end = time.monotonic() + 60
    while (shown := settings(scene))["nextBootOrder"] != ["HardDisk"]:
        assert time.monotonic() < end, shown
        time.sleep(0.5)
    assert "bootOrder" not in shown, "nobody set an order"
    assert not stack.plan(), "that it boots from its disk now is no drift"
    stack.apply(print)
    out = stack.outputs()["vm"]
    assert len(out["media"]) == 1
    assert out["console"].startswith(f"vnc://{scene.host.address}:") and out["cpu"].startswith("host-model (")

    domain = scene.host.inside.run("virsh", "-c", "qemu:///system", "domblklist", out["uuid"])
    assert ".iso" in domain
    curl = ("curl", "-sSk", "--noproxy", "'*'", "-o", "/dev/null", "-w", "'%{http_code}'", '"$URL"')
    stack.change(installed=True, open_console=" ".join((*scene.lab.underlay.command(*curl), ">said")))
    assert stack.plan()
    stack.apply(print)
    assert not stack.plan(), "a plan after the ISO was taken out is empty"
    assert ".iso" not in scene.host.inside.run("virsh", "-c", "qemu:///system", "domblklist", out["uuid"])
    assert (stack.folder / "said").read_text() == "303", "the ticket opens the console's page"
    assert scene.serial() == said, "nothing restarted the guest"

    path = f"/vm-instances/{out['uuid']}"
    scene.cloud.api.action(path, "stopVmInstance", {"type": "cold"}, timeout=60)
    scene.cloud.api.action(path, "startVmInstance", {}, timeout=120)
    assert scene.waits_for(BOOTED) == [BOOTED], "a start begins a new log, and boots from the disk at once"
    assert not stack.plan()
    stack.destroy(print)
    assert footprint(scene.host, STORAGE).left_since(scene.before) == []


def settings(scene: Scene) -> dict[str, object]:
    uuid = scene.cloud.api.query("vm-instances")[0]["uuid"]
    return scene.cloud.api.get(f"/vm-instances/{uuid}/start-settings")
