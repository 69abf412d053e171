"""Jobs that take their time: watched, cancelled, given up when the caller's time is up."""

import asyncio
import time
from uuid import uuid4

import pytest

from controlplane.api.call import _told
from controlplane.operations.journal import Progress


@pytest.fixture
def slow(api):
    """Starts an operation that reports progress and does not end by itself; `undone` tells its end."""
    undone = asyncio.Event()

    async def run(op, _arguments):
        async def work():
            await op.progress(1, 4, "working")
            await asyncio.sleep(60)

        async def undo():
            undone.set()

        await op.step("work", work, undo)

    api.engine._registry.add("Slow", run)

    async def start(queue=None):
        return await api.engine.submit("Slow", {}, queue=queue)

    start.undone = undone
    return start


def test_progress_with_a_rate_tells_the_time_that_remains():
    assert _told(Progress(25, 100, "copying", 10)) == {
        "done": 25,
        "total": 100,
        "text": "copying",
        "rate": 10,
        "remaining": 8,
    }


async def test_a_running_job_shows_its_progress(api, slow):
    job = await slow()
    while "progress" not in (body := (await api.http.get(f"/v1/api-jobs/{job}", params={"wait": 0.05})).json()):
        pass
    assert body == {"state": "running", "progress": {"done": 1, "total": 4, "text": "working"}}


async def test_a_long_poll_ends_with_the_job(api, slow):
    job = await slow()
    begun = time.monotonic()
    waiting = asyncio.create_task(api.http.get(f"/v1/api-jobs/{job}", params={"wait": 30}))
    await asyncio.sleep(0.1)
    assert (await api.http.delete(f"/v1/api-jobs/{job}")).status_code == 202
    answer = await waiting
    assert time.monotonic() - begun < 10
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "SYS.1006")
    assert slow.undone.is_set()


async def test_a_call_ends_when_its_time_is_up(api, slow):
    zone = await api.create("/zones", name="before")
    await slow(queue=f"ZoneVO:{zone['uuid']}")
    body = {"updateZone": {"name": "after"}}
    path = f"/v1/zones/{zone['uuid']}"
    error = await api.refusal("PUT", f"{path}/actions", body, code="SYS.1006", **{"X-API-Timeout": "0.1"})
    assert "cancelled" in error["details"]
    assert (await api.http.get(path)).json()["inventories"] == [zone]


async def test_a_timeout_that_is_no_number_is_a_bad_request(api):
    answer = await api.http.post("/v1/zones", json={"params": {"name": "z"}}, headers={"X-API-Timeout": "soon"})
    assert answer.status_code == 400
    assert "X-API-Timeout" in answer.json()["error"]["details"]


async def test_who_prefers_to_wait_gets_the_result_at_once(api, slow):
    async def post(prefer, **parameters):
        return await api.http.post("/v1/zones", json={"params": parameters}, headers={"Prefer": prefer})

    answer = await post("respond-async, wait=30", name="z")
    assert (answer.status_code, answer.json()["inventory"]["name"]) == (200, "z")
    for not_understood in ("wait=soon", "wait=-1", "await=30", "return=minimal"):
        answer = await post(not_understood, name="z")
        assert answer.status_code == 202 and "location" in answer.json()
    zone = await api.create("/zones", name="busy")
    await slow(queue=f"ZoneVO:{zone['uuid']}")
    body = {"updateZone": {"name": "after"}}
    path = f"/v1/zones/{zone['uuid']}/actions"
    answer = await api.http.put(path, json=body, headers={"Prefer": "wait=1"})
    assert answer.status_code == 202, "the wait is over before the job"
    answer = await api.http.put(path, json=body, headers={"Prefer": "wait=30", "X-API-Timeout": "0.1"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "SYS.1006")


async def test_a_job_forgotten_or_never_known_is_404(api, slow):
    assert (await api.http.get(f"/v1/api-jobs/{uuid4().hex}", params={"wait": 5})).status_code == 404
