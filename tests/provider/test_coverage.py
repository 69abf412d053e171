"""Every API of the control plane has its place in Terraform, or a word on why it has none."""

import re

import pytest

from controlplane.contract.registry import apis
from provider.main import Steppe
from tools import build_api_table
from tools.build_api_table import KINDS, TABLE, Uncovered, table


def test_the_table_is_that_of_the_contract_and_the_provider():
    assert TABLE.read_text() == table(), "run python -m tools.build_api_table"
    _head, *lines = re.findall(r"^\| (\w+) \| (.+) \|$", TABLE.read_text(), re.MULTILINE)
    rows = dict(lines)
    assert rows.keys() == apis.keys()
    known = {one.type_name for kind in KINDS for one in getattr(Steppe, kind, ())}
    assert {name for row in rows.values() for name in re.findall(r"`(steppe_\w+)`", row)} <= known
    assert rows["AddIpRange"] == "resource `steppe_network`", "named by the resource"
    assert rows["RerunCloudInit"] == "action `steppe_vm_rerun_cloud_init`, resource `steppe_vm`", "named as an action"
    reading = ("data source `steppe_vm`", "data source `steppe_vms`", "list resource `steppe_vm`")
    assert rows["QueryVmInstance"] == ", ".join(reading)


def test_an_api_without_a_row_is_an_error(monkeypatch):
    monkeypatch.setitem(apis, "PaintVm", apis["CreateZone"])
    with pytest.raises(Uncovered, match=r"no place in Terraform: PaintVm; use them in the provider, or say why not"):
        build_api_table.table()
