"""The build of the bindings: the same bytes each time, every resource has its class, and types hold."""

import os
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_string
from pathlib import Path
from typing import Any

import pytest

from provider.framework.schema import Attr, Schema, optional
from provider.framework.types import STRING
from provider.framework.validate import choices
from provider.main import Steppe
from tests.bindings.conftest import FLAVOURS, ROOT, Bindings
from tools.build_bindings import generate
from tools.build_bindings.__main__ import build


def test_two_builds_give_the_same_bytes(bindings: Bindings, tmp_path: Path) -> None:
    again = build(tmp_path / "again")
    assert again.keys() == bindings.wheels.keys() == set(FLAVOURS)
    for flavour, wheel in again.items():
        assert wheel.read_bytes() == bindings.wheels[flavour].read_bytes()


def test_a_wheel_says_what_it_needs_and_holds_no_word_of_the_other_kit(bindings: Bindings) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for flavour, other in (FLAVOURS, FLAVOURS[::-1]):
        with zipfile.ZipFile(bindings.wheels[flavour]) as archive:
            texts = {name: archive.read(name).decode() for name in archive.namelist()}
        about = message_from_string(texts[f"steppe_{flavour}-{version}.dist-info/METADATA"])
        assert about["Version"] == version
        needs = [one.split(">")[0] for one in about.get_all("Requires-Dist", [])]
        assert needs == [flavour, "constructs", "pyyaml"]
        assert f"steppe_{flavour}/py.typed" in texts
        code = {name: text for name, text in texts.items() if name.endswith(".py")}
        assert not [name for name, text in code.items() if f"import {other}" in text]


def test_every_resource_and_data_source_has_its_class_with_all_attributes(steppe: Any) -> None:
    provider = Steppe()
    declared = steppe._attributes.declared
    for module, prefix, all_of_them in (
        (steppe.resources, "", provider.resources),
        (steppe.data_sources, "Data", provider.data_sources),
        (steppe.ephemeral_resources, "Ephemeral", provider.ephemeral_resources),
    ):
        for one in all_of_them:
            made = getattr(module, prefix + generate.class_name(one.type_name))
            assert made.type_name == one.type_name
            _agree(declared, made, one.schema.attributes)
    _agree(declared, steppe.SteppeProvider, provider.schema.attributes)


def _agree(declared: Any, made: type, attributes: dict[str, Attr]) -> None:
    found = declared(made)
    assert found.keys() == attributes.keys()
    for name, attribute in attributes.items():
        fact = found[name]
        assert (type(fact).__name__ == "Wish") == (attribute.required or attribute.optional), (made, name)
        assert fact.required == attribute.required
        assert not fact.choices or fact.choices == choices(attribute)
        if attribute.nested is not None:
            _agree(declared, fact.view, attribute.nested.attributes)


def test_no_attribute_hides_something_of_the_kit(steppe: Any) -> None:
    kit = steppe._flavour.kit
    for module, base in ((steppe.resources, kit.TerraformResource), (steppe.data_sources, kit.TerraformDataSource)):
        classes = [one for one in vars(module).values() if isinstance(one, type) and issubclass(one, base)]
        assert len(classes) > 10
        for one in classes:
            assert not [name for name in steppe._attributes.declared(one) if hasattr(base, name)], one


@pytest.mark.parametrize("name", ["count", "class", "node"])
def test_a_schema_with_a_name_that_is_taken_is_refused(name: str) -> None:
    with pytest.raises(SystemExit, match=rf"steppe_thing\.{name}: the name means something else in Python"):
        generate._class("Thing", "Resource", "steppe_thing", Schema({name: optional(STRING, "Any.")}))


PROGRAM = """
from cdktf import App, TerraformStack
from steppe_cdktf import CloudConfig, VirtualMachine
from steppe_cdktf.resources import Vm, Zone

stack = TerraformStack(App(), "s")
zone = Zone(stack, "zone", name="zone", timeouts={"create": "1m"})
uuid: str = zone.uuid
vm = Vm(stack, "vm", name="vm", image_uuid="a", instance_offering_uuid="b", network_uuids=["c"])
address: str = vm.nics[0].ip
VirtualMachine(stack, "web", image="a", offering="b", network=[zone], user_data={"packages": ["nginx"]})
Zone(stack, "bad")  # name is missing
Vm(stack, "bad", name=1, image_uuid="a", instance_offering_uuid="b")
Vm(stack, "bad", name="vm", imageUuid="a", instance_offering_uuid="b")
CloudConfig(users=[1])
"""


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_types_are_checked_strictly(bindings: Bindings, flavour: str, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(PROGRAM.replace("cdktf", flavour))
    environment = os.environ | {"MYPYPATH": str(bindings.installed[flavour])}
    cache = ["--cache-dir", str(ROOT / ".mypy_cache" / "bindings")]
    for words, complaints in ((["-p", f"steppe_{flavour}"], 0), (["main.py"], 4)):
        command = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull, *cache, *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        lines = {line.split(":")[1] for line in done.stdout.splitlines() if ": error: " in line}
        first = PROGRAM[: PROGRAM.index('Zone(stack, "bad")')].count("\n") + 1
        assert lines == {str(first + n) for n in range(complaints)}, done.stdout
