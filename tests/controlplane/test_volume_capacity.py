"""Capacity stays right to the byte: random operations, then everything is counted again from hosts and rows."""

import asyncio
import contextlib
import random
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from controlplane.contract.error import ApiError
from hostagent.contract.error import broken
from tests.controlplane.cloud import cloud

GIB = 1 << 30
FAULTS = ("volume.put", "hypervisor.plug", "hypervisor.start", "hypervisor.snapshot", "disks.rebase")


async def recount(made):
    """Each host's part: what is claimed by rows is what is taken; each file has its row and each row its file."""
    refs = await made.find("LocalStorageResourceRefVO")
    volumes = {row["uuid"]: row for row in await made.find("VolumeVO")}
    snapshots = {row["uuid"]: row["primary_storage_install_path"] for row in await made.find("VolumeSnapshotVO")}
    paths = {uuid: row["install_path"] for uuid, row in volumes.items()} | snapshots
    total = 0
    for part in await made.find("LocalStorageHostRefVO"):
        claimed = [ref for ref in refs if ref["host_uuid"] == part["host_uuid"]]
        taken = part["total_capacity"] - part["system_used_capacity"] - part["available_capacity"]
        assert taken == sum(ref["size"] for ref in claimed)
        total += part["available_capacity"]
        seen = made.sims[part["host_uuid"]].snapshot()
        assert sorted(seen["volumes"]) == sorted(paths[ref["resource_uuid"]] for ref in claimed)
        for ref in claimed:
            file = made.sims[part["host_uuid"]].disks.files[paths[ref["resource_uuid"]]]
            assert ref["size"] == (file.actual_size if ref["resource_uuid"] in snapshots else file.size)
        for uuid, domain in seen["vms"].items():
            attached = [row for row in volumes.values() if row["vm_instance_uuid"] == uuid]
            attached.sort(key=lambda row: row["device_id"])
            assert domain["plugged"] == [row["install_path"] for row in attached]
    sizes = {ref["resource_uuid"]: ref["size"] for ref in refs if ref["resource_type"] == "VolumeVO"}
    assert sizes == {uuid: row["size"] for uuid, row in volumes.items() if row["install_path"]}
    (storage,) = await made.find("PrimaryStorageVO")
    assert storage["available_capacity"] == total
    assert {row["status"] for row in volumes.values()} <= {"Ready", "NotInstantiated", "Deleted"}


class Disks(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stack = contextlib.AsyncExitStack()
        folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        # small hosts, so that some wishes do not fit
        entering = self.stack.enter_async_context(cloud(Path(folder), storage_bytes=40 * GIB))
        self.cloud = self.loop.run_until_complete(entering)

    def teardown(self) -> None:
        self.loop.run_until_complete(self.stack.aclose())
        self.loop.close()

    def call(self, api: str, **parameters: object) -> None:
        """Refusals are as good as successes: the count must be right after both."""
        with contextlib.suppress(ApiError):
            self.loop.run_until_complete(self.cloud.call(api, **parameters))

    def rows(self, resource: str, **where: str) -> list[str]:
        found = self.loop.run_until_complete(self.cloud.find(resource, **where))
        return [row["uuid"] for row in sorted(found, key=lambda row: row["create_date"])]

    def pick(self, resource: str, number: int, **where: str) -> str:
        uuids = self.rows(resource, **where)
        return uuids[number % len(uuids)] if uuids else "f" * 32

    @initialize()
    def furnish(self):
        """So that most rules find something to work on."""
        for host in self.cloud.hosts:
            made = self.cloud.vm(hostUuid=host, dataDiskSizes=[GIB])
            self.loop.run_until_complete(made)
            self.call("CreateDataVolume", name="d", diskSize=GIB, primaryStorageUuid=self.cloud.storage, hostUuid=host)
        for volume in self.rows("VolumeVO"):
            self.call("CreateVolumeSnapshot", volumeUuid=volume, name="first")

    some = st.integers(0, 99)
    size = st.integers(1, 6 * GIB)

    @rule(size=size, stopped=st.booleans())
    def make_vm(self, size, stopped):
        if len(self.rows("VmInstanceVO")) < 4:
            with contextlib.suppress(ApiError):
                strategy = "CreateStopped" if stopped else "InstantStart"
                made = self.cloud.vm(rootDiskSize=GIB + size, dataDiskSizes=[size], strategy=strategy)
                self.loop.run_until_complete(made)

    @rule(number=some, api=st.sampled_from(["Start", "Stop", "Start", "Stop", "Destroy", "Recover", "Expunge"]))
    def change_vm(self, number, api):
        self.call(f"{api}VmInstance", uuid=self.pick("VmInstanceVO", number))

    @rule(size=size, number=st.none() | some)
    def make_volume(self, size, number):
        host = self.cloud.hosts[(number or 0) % 2]
        place = {} if number is None else {"primaryStorageUuid": self.cloud.storage, "hostUuid": host}
        self.call("CreateDataVolume", name="data", diskSize=size, **place)

    @rule(number=some, other=some)
    def attach(self, number, other):
        pair = {
            "volumeUuid": self.pick("VolumeVO", number, type="Data"),
            "vmInstanceUuid": self.pick("VmInstanceVO", other),
        }
        self.call("AttachDataVolumeToVm", **pair)

    @rule(number=some, api=st.sampled_from(["DetachDataVolumeFromVm", "DeleteDataVolume", "RecoverDataVolume"]))
    def change_volume(self, number, api):
        self.call(api, uuid=self.pick("VolumeVO", number, type="Data"))

    @rule(number=some)
    def expunge_volume(self, number):
        self.call("ExpungeDataVolume", uuid=self.pick("VolumeVO", number, status="Deleted"))

    @rule(number=some, size=size, api=st.sampled_from(["ResizeRootVolume", "ResizeDataVolume"]))
    def resize(self, number, size, api):
        kind = "Root" if api == "ResizeRootVolume" else "Data"
        self.call(api, uuid=self.pick("VolumeVO", number, type=kind), size=GIB + size)

    @rule(number=some)
    def snapshot(self, number):
        self.call("CreateVolumeSnapshot", volumeUuid=self.pick("VolumeVO", number), name="snapshot")

    @rule(number=some)
    def snapshot_all(self, number):
        self.call("CreateVolumeSnapshotGroup", rootVolumeUuid=self.pick("VolumeVO", number, type="Root"), name="group")

    @rule(number=some, api=st.sampled_from(["RevertVolumeFromSnapshot", "DeleteVolumeSnapshot"]))
    def change_snapshot(self, number, api):
        self.call(api, uuid=self.pick("VolumeSnapshotVO", number))

    @rule(number=some)
    def copy_snapshot(self, number):
        parameters = {"volumeSnapshotUuid": self.pick("VolumeSnapshotVO", number), "name": "copy"}
        self.call("CreateDataVolumeFromVolumeSnapshot", **parameters)

    @precondition(lambda self: len(self.rows("VmInstanceVO")) > 1)
    @rule(seed=some)
    def several_at_once(self, seed):
        dice = random.Random(seed)
        volumes, vms = self.rows("VolumeVO"), self.rows("VmInstanceVO")
        calls = [
            ("AttachDataVolumeToVm", {"volumeUuid": dice.choice(volumes), "vmInstanceUuid": dice.choice(vms)}),
            ("DetachDataVolumeFromVm", {"uuid": dice.choice(volumes)}),
            ("DeleteDataVolume", {"uuid": dice.choice(volumes)}),
            ("StopVmInstance", {"uuid": dice.choice(vms)}),
            ("ResizeDataVolume", {"uuid": dice.choice(volumes), "size": dice.randrange(1, 6 * GIB)}),
        ]

        async def all_of_them():
            await asyncio.gather(*(self.cloud.call(api, **of) for api, of in calls), return_exceptions=True)

        self.loop.run_until_complete(all_of_them())

    @rule(fault=st.sampled_from(FAULTS), number=some)
    def the_host_will_fail(self, fault, number):
        sim = self.cloud.sims[self.cloud.hosts[number % 2]]
        sim.fail(fault, broken("internal", "made to fail"))

    @invariant()
    def everything_adds_up(self):
        self.loop.run_until_complete(recount(self.cloud))


TestDisks = Disks.TestCase
TestDisks.settings = settings(
    max_examples=10, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
