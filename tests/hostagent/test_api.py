"""The whole contract over HTTP, on a simulated host."""

import asyncio
import time
from typing import Any

import httpx
import pytest

from hostagent.contract.error import broken, temporary
from hostagent.contract.vm import VmState
from hostagent.ensure import vm
from hostagent.sim import SimHost
from tests.hostagent import specs
from tests.hostagent.specs import IMAGE, STORAGE, VM, VOLUME


async def put(api: httpx.AsyncClient, path: str, spec: dict[str, Any], **headers: str) -> Any:
    answer = await api.put(path, json=spec, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def prepare(api: httpx.AsyncClient) -> None:
    await put(api, f"/v1/storages/{STORAGE}", specs.storage())
    await put(api, f"/v1/volumes/{VOLUME}", specs.volume())
    await put(api, "/v1/network", specs.network())


async def test_life_of_a_vm(api: httpx.AsyncClient, host: SimHost) -> None:
    await put(api, f"/v1/storages/{STORAGE}", specs.storage())
    await put(api, "/v1/network", specs.network())
    ready = await put(api, f"/v1/images/{IMAGE}", specs.image())
    assert ready["state"] == "ready"
    before = host.snapshot()
    overlay = await put(api, f"/v1/volumes/{VOLUME}", specs.volume(base_image_uuid=IMAGE, size=0))
    assert overlay["size"] == specs.GIB
    status = await put(api, f"/v1/vms/{VM}", specs.vm())
    assert (status["state"], status["generation"], status["boot_token"]) == ("running", 1, "one")
    again = await put(api, f"/v1/vms/{VM}", specs.vm())
    assert again == status
    status = await put(api, f"/v1/vms/{VM}", specs.vm(generation=2, power="stopped"))
    assert (status["state"], status["boot_token"]) == ("stopped", "")
    assert [one["uuid"] for one in (await api.get("/v1/vms")).json()] == [VM]

    in_use = await api.delete(f"/v1/images/{IMAGE}", params={"storage_uuid": STORAGE})
    assert in_use.json()["code"] == "in_use"
    for _ in range(2):  # absent is success
        assert (await api.delete(f"/v1/vms/{VM}")).status_code == 204
        gone = await api.delete(f"/v1/volumes/{VOLUME}", params={"storage_uuid": STORAGE, "path": overlay["path"]})
        assert gone.status_code == 204
    assert host.snapshot() == before
    assert (await api.delete(f"/v1/images/{IMAGE}", params={"storage_uuid": STORAGE})).status_code == 204
    assert host.snapshot()["images"] == {}


async def test_a_new_boot_token_reboots_once(api: httpx.AsyncClient) -> None:
    await prepare(api)
    await put(api, f"/v1/vms/{VM}", specs.vm())
    start = (await api.get("/v1/events")).json()["last_sequence"]
    for _ in range(2):
        status = await put(api, f"/v1/vms/{VM}", specs.vm(generation=2, boot_token="two"))
        assert (status["state"], status["boot_token"]) == ("running", "two")
    assert (await api.get("/v1/events")).json()["last_sequence"] == start + 2  # one stop, one start


async def test_a_guest_that_ignores_the_power_button_is_pulled(api: httpx.AsyncClient, host: SimHost) -> None:
    await prepare(api)
    await put(api, f"/v1/vms/{VM}", specs.vm())
    host.hypervisor.deaf.add(VM)
    began = time.monotonic()
    status = await put(api, f"/v1/vms/{VM}", specs.vm(generation=2, power="stopped", stop_timeout=1))
    assert status["state"] == "stopped"
    assert 0.9 < time.monotonic() - began < 3


async def test_a_guest_that_went_off_is_not_waited_for(
    api: httpx.AsyncClient, host: SimHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its host says so; nobody has to look again."""
    await prepare(api)
    await put(api, f"/v1/vms/{VM}", specs.vm())
    pressed = asyncio.Event()

    async def shutdown(_: str) -> None:
        pressed.set()

    monkeypatch.setattr(host.hypervisor, "shutdown", shutdown)
    monkeypatch.setattr(vm, "POLL", 3600)
    stopping = asyncio.create_task(put(api, f"/v1/vms/{VM}", specs.vm(generation=2, power="stopped")))
    await pressed.wait()
    host.hypervisor.happen(VM, VmState.stopped, "shutdown")
    assert (await stopping)["state"] == "stopped"


async def test_a_newer_wish_overtakes_a_patient_stop(api: httpx.AsyncClient, host: SimHost) -> None:
    await prepare(api)
    await put(api, f"/v1/vms/{VM}", specs.vm())
    host.hypervisor.deaf.add(VM)
    patient = asyncio.create_task(api.put(f"/v1/vms/{VM}", json=specs.vm(generation=2, power="stopped")))
    await asyncio.sleep(0.1)
    status = await put(api, f"/v1/vms/{VM}", specs.vm(generation=3, power="stopped", stop_timeout=0))
    assert status["state"] == "stopped"
    assert (await patient).json()["code"] == "stale_generation"


@pytest.mark.parametrize(
    ("path", "spec"),
    [
        (f"/v1/storages/{STORAGE}", specs.storage),
        (f"/v1/volumes/{VOLUME}", specs.volume),
        (f"/v1/images/{IMAGE}", specs.image),
        (f"/v1/vms/{VM}", specs.vm),
        ("/v1/network", specs.network),
    ],
)
async def test_an_older_generation_is_refused(api: httpx.AsyncClient, path: str, spec: Any) -> None:
    await prepare(api)
    await put(api, path, spec(generation=7))
    answer = await api.put(path, json=spec(generation=6))
    assert (answer.status_code, answer.json()["code"]) == (422, "stale_generation")
    await put(api, path, spec(generation=7))


async def test_a_replaced_node_is_refused(api: httpx.AsyncClient) -> None:
    path, own, oldest = f"/v1/storages/{STORAGE}", "X-Steppe-Node-Generation", "X-Steppe-Oldest-Node-Generation"
    await put(api, path, specs.storage(), **{own: "4"})
    await put(api, path, specs.storage(), **{own: "6", oldest: "4"})  # two nodes alive
    await put(api, path, specs.storage(), **{own: "4"})
    await put(api, path, specs.storage(), **{own: "6"})
    for call in (api.put(path, json=specs.storage(), headers={own: "4"}), api.delete(path, headers={own: "4"})):
        assert (await call).json()["code"] == "stale_generation"


async def test_an_agent_that_restarts_remembers(api: httpx.AsyncClient, host: SimHost) -> None:
    await prepare(api)
    await put(api, f"/v1/vms/{VM}", specs.vm(generation=5))
    agent = host.boot_agent("f" * 32)
    await agent.open()
    [status] = await agent.vm.list()
    assert (status.generation, status.state, status.boot_token) == (5, "running", "one")
    with pytest.raises(Exception, match="older"):
        agent.generations.accept("vm", VM, 4)


async def test_events_wake_a_reader_and_a_crash_is_told(api: httpx.AsyncClient, host: SimHost) -> None:
    await prepare(api)
    await put(api, f"/v1/vms/{VM}", specs.vm())
    page = (await api.get("/v1/events")).json()
    reader = asyncio.create_task(api.get("/v1/events", params={"after": page["last_sequence"], "wait": 10}))
    await asyncio.sleep(0.05)
    host.guest_crashes(VM)
    [event] = (await reader).json()["events"]
    assert (event["vm_uuid"], event["state"]) == (VM, "crashed")
    assert (await api.get(f"/v1/vms/{VM}")).json()["state"] == "crashed"
    stopped = await put(api, f"/v1/vms/{VM}", specs.vm(generation=2, power="stopped"))
    assert stopped["state"] == "stopped"
    silent = await api.get("/v1/events", params={"after": event["sequence"], "wait": 0.1})
    assert silent.json()["events"] == []


@pytest.mark.parametrize(
    ("path", "spec", "says"),
    [
        (f"/v1/volumes/{VOLUME}", specs.volume(path="../etc/shadow"), "../etc/shadow"),
        (f"/v1/volumes/{VOLUME}", specs.volume(path="/etc/shadow"), "relative"),
        (f"/v1/volumes/{VOLUME}", specs.volume(size=0), "size"),
        (f"/v1/volumes/{VOLUME}", specs.volume(base_image_uuid=IMAGE), IMAGE),
        (f"/v1/volumes/{VOLUME}", specs.volume(storage_uuid="9" * 32), "9" * 32),
        (f"/v1/volumes/{VOLUME}", {"generation": 1}, "storage_uuid: Field required"),
        (f"/v1/storages/{STORAGE[::-1].replace('1', '8')}", specs.storage(path="/steppe_ps/inner"), "overlaps"),
        (f"/v1/storages/{STORAGE}", specs.storage(path="relative"), "absolute"),
        (f"/v1/vms/{VM}", specs.vm(power="hibernated"), "power"),
        ("/v1/vms/not-a-uuid", specs.vm(), "32 lower-case hex"),
        ("/v1/network", specs.network(bridges=[{"l2_uuid": "b", "name": "b", "physical_interface": "eth9"}]), "eth9"),
    ],
)
async def test_bad_wishes_name_what_is_wrong(
    api: httpx.AsyncClient, host: SimHost, path: str, spec: dict[str, Any], says: str
) -> None:
    await put(api, f"/v1/storages/{STORAGE}", specs.storage())
    before = host.snapshot()
    answer = await api.put(path, json=spec)
    assert answer.status_code == 422
    assert says in answer.json()["message"]
    assert host.snapshot() == before


async def test_faults(api: httpx.AsyncClient, host: SimHost) -> None:
    await prepare(api)
    host.fail("vm.put", temporary("libvirt", "gone"))
    assert (await api.put(f"/v1/vms/{VM}", json=specs.vm())).status_code == 503
    assert host.snapshot()["vms"] == {}
    host.lose_reply("vm.*")
    assert (await api.put(f"/v1/vms/{VM}", json=specs.vm())).json()["code"] == "unreachable"
    assert host.snapshot()["vms"][VM]["state"] == "running"
    host.fail("hypervisor.start", broken("libvirt", "no"), times=None)
    assert (await api.put(f"/v1/vms/{VM}", json=specs.vm(generation=2, boot_token="x"))).status_code == 500
    host.heal()
    assert (await put(api, f"/v1/vms/{VM}", specs.vm(generation=2, boot_token="x")))["boot_token"] == "x"


async def test_a_start_needs_its_disk_and_its_bridge(api: httpx.AsyncClient) -> None:
    await put(api, f"/v1/storages/{STORAGE}", specs.storage())
    answer = await api.put(f"/v1/vms/{VM}", json=specs.vm())
    assert "volumes" in answer.json()["message"]
    await put(api, f"/v1/volumes/{VOLUME}", specs.volume())
    answer = await api.put(f"/v1/vms/{VM}", json=specs.vm())
    assert "br_eth0" in answer.json()["message"]


async def test_host_facts(api: httpx.AsyncClient) -> None:
    facts = (await api.get("/v1/host")).json()
    assert facts["simulated"] is True
    assert facts["agent_boot_id"] == (await api.get("/v1/events")).json()["agent_boot_id"]
    assert "eth0" in [interface["name"] for interface in facts["interfaces"]]
