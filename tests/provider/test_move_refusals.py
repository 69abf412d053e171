"""Every rule of a move is said by the plan: what the control plane would refuse of a VM's or a volume's other `host_uuid`.

One detached volume and one running VM, both wished elsewhere; each rule in turn is broken in the database, and mended.
"""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from tests.provider.test_vm import hcl
from tests.provider.test_volume import MIB, placed, said, volume  # noqa: F401 a fixture
from tools.lab.namespace import wait_until

pytestmark = pytest.mark.terraform


class Records:
    """The control plane's database, changed behind its back."""

    def __init__(self, cloud: Any) -> None:
        self.path = cloud.state / "steppe.db"

    def run(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self.path, timeout=30)) as database, database:
            return database.execute(statement, values).fetchall()

    @contextlib.contextmanager
    def changed(self, table: str, column: str, value: Any, **where: Any) -> Iterator[None]:
        """Meanwhile; every row must have had the same value."""
        condition = " AND ".join(f'"{name}" = ?' for name in where)
        ((before,),) = set(self.run(f'SELECT "{column}" FROM "{table}" WHERE {condition}', *where.values()))
        self.run(f'UPDATE "{table}" SET "{column}" = ? WHERE {condition}', value, *where.values())
        try:
            yield
        finally:
            where[column] = value
            condition = " AND ".join(f'"{name}" = ?' for name in where)
            self.run(f'UPDATE "{table}" SET "{column}" = ? WHERE {condition}', before, *where.values())


def test_each_rule_is_said_by_the_plan(steppe, cloud, land, base, placed):  # noqa: F811
    here, there, storage = (land[f"steppe_{name}"] for name in ("host.a", "host.b", "local_storage.a"))
    vm = base | {"host_uuid": here, "allow_restart": True}
    steppe.write(volume(placed) + hcl(vm))
    steppe.must_apply()
    records = Records(cloud)
    part = {"host_uuid": there, "primary_storage_uuid": storage}

    def plan(host: str = there, **more: Any) -> str:
        steppe.write(volume(placed | {"host_uuid": host}) + hcl(vm | {"host_uuid": host} | more))
        return said(steppe.run("plan", "-no-color", "-input=false"))

    def refused(words: str, *, who: tuple[str, ...] = ("Volume data", "VM vm"), **more: Any) -> None:
        text = plan(**more)
        for one in who:
            assert f"{one} cannot be moved to host {there}" in text, text
        assert text.count(words) >= len(who), text

    assert plan("0" * 32).count("there is no HostVO") == 2
    with records.changed("LocalStorageHostRefVO", "host_uuid", "f" * 32, **part):
        refused("has no part of primary storage")
    with records.changed("VolumeVO", "status", "Creating", primary_storage_uuid=storage):
        refused("is Creating, it must be Ready")
    with records.changed("PrimaryStorageVO", "state", "Disabled", uuid=storage):
        refused("is Disabled, it must be Enabled")
    with records.changed("HostVO", "state", "Disabled", uuid=there):
        refused("is Disabled, it must be Enabled")
    with cloud.frozen_hosts(), records.changed("HostVO", "status", "Connecting", uuid=there):
        refused("it must be Connected")
    wait_until(lambda: cloud.client.query("hosts", status="Connected", uuid=there) != [], "the host is back", 60)
    with records.changed("LocalStorageHostRefVO", "available_capacity", 1, **part):
        refused("has 1 bytes available")
    with records.changed("HostVO", "available_memory_capacity", 1, uuid=there):
        refused("could not run there", who=("VM vm",))
    refused("liveMigrationWithStorage.allow", who=("VM vm",), migrate_running=True)
    config = {"category": "localStoragePrimaryStorage", "name": "liveMigrationWithStorage.allow"}
    facts = json.loads(records.run('SELECT facts FROM "HostVO" WHERE uuid = ?', there)[0][0])
    unlike = json.dumps(facts | {"domain_type": "kvm" if facts["domain_type"] == "qemu" else "qemu"})
    path = f"/global-configurations/{config['category']}/{config['name']}"
    cloud.client.action(path, "updateGlobalConfig", {"value": "true"}, timeout=30)
    try:
        with records.changed("HostVO", "facts", unlike, uuid=there):
            refused("cannot go on on host", who=("VM vm",), migrate_running=True)
    finally:
        cloud.client.action(path, "updateGlobalConfig", {"value": "false"}, timeout=30)
    steppe.write(volume(placed | {"host_uuid": there}) + hcl(vm | {"host_uuid": there}))
    assert steppe.plan() == {"steppe_volume.a": ["update"], "steppe_vm.a": ["update"]}, "all is mended"
    steppe.write(volume(placed) + hcl(vm))
