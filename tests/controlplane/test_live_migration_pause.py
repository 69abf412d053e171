"""The pause in which a moving guest runs nowhere, on simulated hosts: whatever fails in it, the guest goes on, and once only."""

import pytest

from controlplane.contract.error import ApiError
from controlplane.store import rows
from controlplane.workflows import live_migration, migration_road
from controlplane.workflows.power_state import inventory
from hostagent.contract.error import broken, temporary
from hostagent.contract.vm import VmState
from tests.controlplane.moving import domains, files, lose, migrate, put


class Pause:
    """A VM on the first host; `at` is what happens when it has arrived, standing still, on the second."""

    def __init__(self, cloud, vm):
        self.cloud, self.vm = cloud, vm
        self.source, self.dest = (cloud.sims[uuid] for uuid in cloud.hosts)
        self.at = None
        original = self.source.hypervisor.migrate

        async def go(*given):
            await original(*given)
            assert self.dest.hypervisor.domains[vm["uuid"]].state is VmState.paused
            if self.at:
                await self.at()

        self.source.hypervisor.migrate = go

    async def leave_storage(self):
        """The flip will be refused, so that the move is taken back."""
        db, host = self.cloud.world.db, self.cloud.hosts[1]
        await db.write(lambda tx: rows.delete_where(tx, "LocalStorageHostRefVO", host_uuid=host))

    async def row(self):
        return await self.cloud.get("VmInstanceVO", self.vm["uuid"])

    async def lose_destination(self):
        self.dest.fail("*", temporary("unreachable", "silence"), times=None)
        await lose(self.cloud, self.cloud.hosts[1])

    async def find_destination(self):
        self.dest.heal()
        await put(self.cloud, "HostVO", self.cloud.hosts[1], status="Connected")
        await inventory(self.cloud.world, self.cloud.hosts[1])


@pytest.fixture
async def pause(live):
    return Pause(live, await live.vm(hostUuid=live.hosts[0]))


async def test_taken_back_the_guest_goes_on_where_it_was(pause):
    seen = pause.cloud.seen()
    pause.at, calls = pause.leave_storage, pause.source.record()
    with pytest.raises(ApiError, match="left primary storage"):
        await migrate(pause.cloud, pause.vm)
    assert pause.cloud.seen() == seen
    assert domains(pause.cloud) == [{pause.vm["uuid"]: "running"}, {}]
    assert "hypervisor.start" not in calls, "it came back as it went"
    assert (await pause.row())["host_uuid"] == pause.cloud.hosts[0]


@pytest.mark.parametrize(
    ("host", "call", "error"),
    [
        (0, "hypervisor.resume", temporary("unreachable", "the cable")),
        (0, "arrivals.put", temporary("unreachable", "the cable")),
        (1, "peers.open_tunnel", temporary("unreachable", "the cable")),
        (1, "hypervisor.migrate", temporary("unreachable", "the cable")),
    ],
)
async def test_a_way_back_that_is_interrupted_is_gone_again(pause, host, call, error):
    async def fail():
        await pause.leave_storage()
        pause.cloud.sims[pause.cloud.hosts[host]].fail(call, error, times=2)

    pause.at, calls = fail, pause.source.record()
    with pytest.raises(ApiError, match="left primary storage"):
        await migrate(pause.cloud, pause.vm)
    assert domains(pause.cloud) == [{pause.vm["uuid"]: "running"}, {}]
    assert "hypervisor.start" not in calls, "it came back as it went"


@pytest.mark.parametrize("error", [broken("libvirt", "it cannot be loaded"), temporary("unreachable", "a wall")])
async def test_a_guest_that_cannot_come_back_starts_anew_from_its_disks(pause, monkeypatch, error):
    monkeypatch.setattr(migration_road, "_SILENT", 0.5)

    async def fail():
        await pause.leave_storage()
        pause.dest.fail("hypervisor.migrate", error, times=None)

    pause.at, calls = fail, pause.source.record()
    here = files(pause.cloud, 0)
    with pytest.raises(ApiError, match="left primary storage"):
        await migrate(pause.cloud, pause.vm)
    assert domains(pause.cloud) == [{pause.vm["uuid"]: "running"}, {}]
    assert calls["hypervisor.start"] == 1
    assert (files(pause.cloud, 0), files(pause.cloud, 1)) == (here, set())


async def test_a_destination_that_is_lost_in_the_pause_never_runs_it(pause):
    pause.at = pause.lose_destination
    with pytest.raises(ApiError, match="was lost"):
        await migrate(pause.cloud, pause.vm)
    uuid = pause.vm["uuid"]
    assert domains(pause.cloud) == [{uuid: "running"}, {uuid: "paused"}]
    assert ((await pause.row())["state"], (await pause.row())["host_uuid"]) == ("Running", pause.cloud.hosts[0])
    pause.dest.heal()
    pause.dest.fail("hypervisor.destroy", broken("libvirt", "it does not end"))
    await inventory(pause.cloud.world, pause.cloud.hosts[1])
    assert domains(pause.cloud) == [{uuid: "running"}, {uuid: "paused"}], "which harms nothing else"
    await pause.find_destination()
    assert domains(pause.cloud) == [{uuid: "running"}, {}], "what waits over there ends"
    pause.at = None
    assert (await migrate(pause.cloud, pause.vm))["hostUuid"] == pause.cloud.hosts[1]
    assert domains(pause.cloud) == [{}, {uuid: "running"}]


async def test_a_destination_that_falls_silent_after_the_flip_lets_it_go_on_when_it_is_back(pause, monkeypatch):
    monkeypatch.setattr(live_migration, "_CALL", 0.5)
    pause.dest.fail("hypervisor.resume", temporary("unreachable", "silence"), times=None)
    moved = await migrate(pause.cloud, pause.vm)
    uuid, host = pause.vm["uuid"], pause.cloud.hosts[1]
    assert moved["hostUuid"] == host
    assert domains(pause.cloud) == [{}, {uuid: "paused"}]
    await inventory(pause.cloud.world, host)
    assert domains(pause.cloud)[1] == {uuid: "paused"}, "it is tried with each comparison, and harms nothing else"
    assert (await pause.row())["stands_still"]
    await pause.lose_destination()
    assert domains(pause.cloud)[0] == {}, "the source never runs it again"
    await pause.find_destination()
    assert domains(pause.cloud) == [{}, {uuid: "running"}]
    row = await pause.row()
    assert (row["state"], row["stands_still"]) == ("Running", False)


async def test_a_guest_that_somebody_suspends_later_is_left_alone(pause):
    await migrate(pause.cloud, pause.vm)
    await pause.dest.hypervisor.suspend(pause.vm["uuid"])
    await inventory(pause.cloud.world, pause.cloud.hosts[1])
    assert domains(pause.cloud) == [{}, {pause.vm["uuid"]: "paused"}]


async def test_a_vm_that_is_stopped_before_it_could_go_on_stays_off(pause, monkeypatch):
    monkeypatch.setattr(live_migration, "_CALL", 0.5)
    pause.dest.fail("hypervisor.resume", temporary("unreachable", "silence"), times=None)
    await migrate(pause.cloud, pause.vm)
    await pause.cloud.call("StopVmInstance", uuid=pause.vm["uuid"])
    pause.dest.heal()
    await inventory(pause.cloud.world, pause.cloud.hosts[1])
    assert domains(pause.cloud) == [{}, {}]
    assert ((await pause.row())["state"], (await pause.row())["stands_still"]) == ("Stopped", False)
