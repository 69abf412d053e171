"""Arrivals and departures of running VMs, between the agents of two simulated hosts."""

import asyncio
from typing import Any

import pytest

from hostagent import sim
from hostagent.contract import ArrivalSpec, DepartureSpec, HostError, SnapshotSpec, StorageSpec, VmSpec, VolumeSpec
from hostagent.contract.error import broken, temporary
from hostagent.ensure.agent import Agent
from tests.hostagent import specs
from tests.hostagent.specs import STORAGE, VM, VOLUME

SECRET = "s" * 64


class Pair:
    def __init__(self) -> None:
        (self.source, self.here), (self.dest, self.there) = sim.agent("here"), sim.agent("there")

    async def furnish(self) -> None:
        for agent in (self.source, self.dest):
            await agent.storage.put(STORAGE, StorageSpec.model_validate(specs.storage()))
            await agent.network.put(SnapshotSpec.model_validate(specs.network()))
            await agent.volume.put(VOLUME, VolumeSpec.model_validate(specs.volume()))
        await self.source.vm.put(VM, VmSpec.model_validate(specs.vm()))

    async def door(self, **changed: Any) -> DepartureSpec:
        wish = {"vm": specs.vm(generation=2), "peer_agent_uuid": self.source.uuid, "secret": SECRET} | changed
        door = await self.dest.arrivals.put(VM, ArrivalSpec.model_validate(wish))
        return DepartureSpec(
            generation=2,
            dest_ip="127.0.0.1",
            dest_port=door.port,
            dest_agent_uuid=self.dest.uuid,
            secret=SECRET,
            directory=door.directory,
            serial_log=door.serial_log,
        )


@pytest.fixture
async def pair() -> Pair:
    made = Pair()
    await made.furnish()
    return made


async def state(agent: Agent) -> tuple[str, str]:
    status = await agent.vm.get(VM)
    return str(status.state), status.migration


async def test_it_stands_still_until_somebody_says_where_it_goes_on(pair: Pair) -> None:
    spec = await pair.door()
    assert await state(pair.dest) == ("stopped", "")
    assert (await pair.source.departures.put(VM, spec)).state == "left"
    assert (await state(pair.source), await state(pair.dest)) == (("stopped", "left"), ("paused", ""))
    assert (await pair.source.departures.put(VM, spec)).state == "left", "asked again it is the same"
    status = await pair.dest.vm.put(VM, VmSpec.model_validate(specs.vm(generation=2)))
    assert (status.state, status.boot_token) == ("running", "one")
    await pair.source.vm.delete(VM)
    await pair.dest.arrivals.delete(VM)
    assert pair.there.snapshot()["exports"] == []


async def test_that_it_left_is_remembered_over_a_restart(pair: Pair) -> None:
    await pair.source.departures.put(VM, await pair.door())
    pair.here.hypervisor.domains[VM].migration = ""  # libvirtd has forgotten, after its second restart
    again = pair.here.boot_agent(pair.source.uuid)
    assert await state(again) == ("stopped", "left")
    await again.vm.put(VM, VmSpec.model_validate(specs.vm(generation=3)))
    assert await state(again) == ("running", "")


async def test_one_that_does_not_run_does_not_leave(pair: Pair) -> None:
    spec = await pair.door()
    pair.here.guest_shuts_down(VM)
    status = await pair.source.departures.put(VM, spec)
    assert (status.state, status.error) == ("failed", "not_running: the VM is stopped")


async def test_an_older_wish_is_refused_once_it_moves(pair: Pair) -> None:
    spec = await pair.door()
    for agent in (pair.source, pair.dest):
        await pair.source.departures.put(VM, spec)
        with pytest.raises(HostError, match="generation"):
            await agent.vm.put(VM, VmSpec.model_validate(specs.vm(generation=1)))


async def test_the_secret_decides(pair: Pair) -> None:
    spec = await pair.door()
    status = await pair.source.departures.put(VM, spec.model_copy(update={"secret": "x" * 64}))
    assert status.error.startswith("unreachable: ")
    assert await state(pair.source) == ("running", "")


@pytest.mark.parametrize("error", [broken("libvirt", "no"), temporary("unreachable", "no")])
async def test_one_that_failed_is_begun_anew(pair: Pair, error: HostError) -> None:
    spec = await pair.door()
    pair.here.fail("hypervisor.migrate", error)
    assert (await pair.source.departures.put(VM, spec)).error == f"{error.problem.code}: no"
    assert await state(pair.source) == ("running", "")
    assert (await pair.source.departures.put(VM, spec)).state == "left"


async def test_a_lost_answer_of_the_hypervisor_is_found_out(pair: Pair) -> None:
    spec = await pair.door()
    pair.here.lose_reply("hypervisor.migrate")
    assert (await pair.source.departures.put(VM, spec)).state == "left"


async def test_given_up_it_stays(pair: Pair) -> None:
    spec = await pair.door()
    pair.here.delay("hypervisor.migrate", 60)
    assert (await pair.source.departures.put(VM, spec, 0.1)).state == "moving"
    async with asyncio.timeout(5):
        await pair.source.departures.delete(VM)
    assert await state(pair.source) == ("running", "")
    await pair.source.departures.delete(VM)  # absent is success


async def test_a_domain_that_is_coming_is_not_defined_anew(pair: Pair) -> None:
    await pair.source.departures.put(VM, await pair.door())
    await pair.door(vm=specs.vm(generation=2, name="renamed"))
    assert pair.there.hypervisor.domains[VM].defined.name == "vm1"
    assert await state(pair.dest) == ("paused", "")
