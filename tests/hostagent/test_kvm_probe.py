"""The KVM probe: a kernel that boots, one that does not, none at hand, and what is remembered."""

import json
import os
import shutil
from pathlib import Path

import pytest

from hostagent.drivers import kvm_probe
from hostagent.drivers.kvm_probe import KvmProbe, find_kernel, probe
from tools.guests import packages
from tools.guests.cache import Image, image


def _unpack_kernel(work: Path, out: Path) -> None:
    packages.unpack((packages.cloud_kernel(),), work / "debs", work / "parts")
    shutil.copy(next((work / "parts/boot").glob("vmlinuz-*")), out)


@pytest.fixture(scope="session")
def kernel() -> Path:
    return image(Image("kernel", ".vmlinuz", ("packages.py",), (packages.cloud_kernel(),), _unpack_kernel))


@pytest.mark.guest
async def test_a_linux_that_boots_is_recognised(kernel: Path) -> None:
    """Under emulation, where it surely boots: the line waited for is really printed."""
    assert await probe(kernel, limit=60, accelerator="tcg") == ("kvm", "")


@pytest.mark.guest
async def test_the_finding_on_this_machine_is_kept(kernel: Path, tmp_path: Path) -> None:
    cache = tmp_path / "kvm.json"
    found = await KvmProbe(cache, "auto", kernel).decide()
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        assert found[0] == "qemu"
        return
    document = json.loads(cache.read_text())
    assert (document["domain_type"], document["reason"]) == found
    assert found[0] == "kvm" or found[1]
    cache.write_text(json.dumps(document | {"domain_type": "kvm", "reason": "remembered"}))
    assert await KvmProbe(cache, "auto", kernel).decide() == ("kvm", "remembered")
    cache.write_text("{damaged")
    assert (await KvmProbe(cache, "auto", kernel).decide())[0] == found[0]


async def test_what_is_no_kernel_is_no_proof(tmp_path: Path) -> None:
    nonsense = tmp_path / "vmlinuz"
    nonsense.write_bytes(b"nonsense")
    domain_type, reason = await probe(nonsense, limit=5, accelerator="tcg")
    assert domain_type == "qemu"
    assert "QEMU ended" in reason or "did not boot" in reason


@pytest.mark.parametrize("wish", ["kvm", "qemu"])
async def test_an_operators_choice_is_obeyed(tmp_path: Path, wish: str) -> None:
    assert (await KvmProbe(tmp_path / "kvm.json", wish, None).decide())[0] == wish  # type: ignore[arg-type]


async def test_without_a_kernel_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm_probe.os, "access", lambda *_: True)
    domain_type, reason = await KvmProbe(tmp_path / "kvm.json", "auto", tmp_path / "missing").decide()
    assert (domain_type, "--probe-kernel" in reason) == ("qemu", True)


def test_the_newest_kernel_of_boot_is_taken(tmp_path: Path) -> None:
    assert find_kernel(None, tmp_path) is None
    for age, name in enumerate(("vmlinuz-6.9", "vmlinuz-6.10")):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (age, age))
    assert find_kernel(None, tmp_path) == tmp_path / "vmlinuz-6.10"
