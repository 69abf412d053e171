"""Domain definitions as files: what changes in one of them is seen in its diff, and a real libvirt takes each.

`STEPPE_WRITE_GOLDEN=1 pytest tests/hostagent/test_golden_domains.py` writes them anew.
"""

import os
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from hostagent.drivers.domain_xml import build
from tests.hostagent.test_domain_xml import domain
from tools.lab import Host

FOLDER = Path(__file__).parent / "golden"
KINDS: dict[str, tuple[str | None, dict[str, object]]] = {
    "plain": (None, {}),
    "installs-from-iso": (None, {"cds": ("/ps/iso",), "boot_once": ("CdRom", "HardDisk")}),
    "three-drives-network-first": (
        None,
        {"cds": ("/ps/a", None, "/ps/b"), "boot_order": ("Network", "CdRom", "HardDisk")},
    ),
    "spice-host-model": ("host-model", {"console_mode": "spice", "cpu_mode": "host-model"}),
    "both-consoles-on-management": ("maximum", {"console_mode": "vncAndSpice", "console_listen": "10.0.0.5"}),
}


def written(name: str) -> str:
    cpu, changes = KINDS[name]
    text = build(domain(console_password="password", **changes), domain_type="qemu", cpu=cpu, serial_log="/log/a.log")
    root = ET.fromstring(text)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


@pytest.mark.parametrize("name", KINDS)
def test_the_definition_is_as_it_was(name: str) -> None:
    file = FOLDER / f"{name}.xml"
    if os.environ.get("STEPPE_WRITE_GOLDEN"):
        file.write_text(written(name))
    assert file.read_text() == written(name)


def test_there_are_no_others() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == set(KINDS)


@pytest.mark.host
@pytest.mark.parametrize("name", KINDS)
def test_libvirt_takes_it(machine: Host, name: str) -> None:
    virsh = ("virsh", "-c", "qemu:///system")
    machine.inside.run(*virsh, "define", "--validate", str(FOLDER / f"{name}.xml"))
    machine.inside.run(*virsh, "undefine", "a" * 32)
