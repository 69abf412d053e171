"""The result of a job is posted to whoever asked for it, also after a restart; and not to where it must not go."""

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest

from controlplane.reconcilers.web_hook import WebHooks
from controlplane.rules.web_hook import ATTEMPTS, allows
from controlplane.store import rows, tables

ZONE = {"params": {"name": "z"}}


@asynccontextmanager
async def receiver(status=200, headers=""):
    """A real HTTP server: `calls` are (request line, headers, body)."""
    calls = []

    async def serve(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in head[1:] if line}
        body = await reader.readexactly(int(fields.get("content-length", 0)))
        calls.append((head[0], fields, json.loads(body or b"null")))
        code = status(len(calls)) if callable(status) else status
        writer.write(f"HTTP/1.1 {code} X\r\nContent-Length: 0\r\nConnection: close\r\n{headers}\r\n".encode())
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        calls_at = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/done?x=1"
        yield calls, calls_at


@asynccontextmanager
async def telling(api, pause=0.01):
    task = asyncio.create_task(WebHooks(api.world, poll=0.01, pause=pause).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def _hooks(api):
    return await api.world.db.read(lambda tx: rows.find(tx, "WebHookVO"))


async def test_the_result_is_posted(api):
    async with receiver() as (calls, url), telling(api):
        job = uuid4().hex
        status, body = await api.run("POST", "/v1/zones", ZONE, **{"X-Web-Hook": url, "X-Job-UUID": job})
        assert status == 200
        await _until(lambda: calls)
        await asyncio.sleep(0.1)
        ((line, headers, posted),) = calls
        assert line == "POST /done?x=1 HTTP/1.1"
        assert (headers["x-job-uuid"], headers["x-job-success"]) == (job, "true")
        assert headers["content-type"].startswith("application/json")
        assert posted == body
        assert await _hooks(api) == []


async def test_a_failure_is_posted_too(api):
    zone = await api.create("/zones", name="z")
    await api.create("/clusters", name="c", zoneUuid=zone["uuid"], hypervisorType="KVM")
    async with receiver() as (calls, url), telling(api):
        error = await api.refusal("DELETE", f"/v1/zones/{zone['uuid']}", code="SYS.1006", **{"X-Web-Hook": url})
        await _until(lambda: calls)
        assert calls[0][1]["x-job-success"] == "false"
        assert calls[0][2] == {"error": error}


async def test_it_is_tried_fifteen_times_two_seconds_apart(api):
    async with receiver(status=500) as (calls, url):
        await api.run("POST", "/v1/zones", ZONE, **{"X-Web-Hook": url})
        hooks = WebHooks(api.world)
        async with httpx.AsyncClient() as client:
            for attempt in range(1, ATTEMPTS + 1):
                assert await hooks.once(client) == 1
                assert await hooks.once(client) == 0  # not yet
                for hook in await _hooks(api):
                    assert hook["attempts"] == attempt
                    wait = hook["due"] - tables.now()
                    assert timedelta(0) < wait <= timedelta(seconds=2)
                    await api.world.db.write(
                        lambda tx, id=hook["id"]: rows.update(tx, "WebHookVO", id, due=tables.now())
                    )
            assert (len(calls), await _hooks(api)) == (ATTEMPTS, [])


async def test_a_receiver_that_comes_late_is_told(api):
    async with receiver(status=lambda n: 200 if n == 3 else 503) as (calls, url), telling(api):
        await api.run("POST", "/v1/zones", ZONE, **{"X-Web-Hook": url})
        await _until(lambda: len(calls) == 3)
        async with asyncio.timeout(5):
            while await _hooks(api):
                await asyncio.sleep(0.01)
        assert len(calls) == 3


async def test_a_restart_forgets_nobody(api):
    async with receiver() as (calls, url):
        await api.run("POST", "/v1/zones", ZONE, **{"X-Web-Hook": url})
        assert len(await _hooks(api)) == 1  # nobody told yet, and the node ends
        async with telling(api):
            await _until(lambda: calls)


async def test_a_node_that_died_in_the_middle_is_followed_by_another(api):
    async with receiver() as (calls, url):
        await api.run("POST", "/v1/zones", ZONE, **{"X-Web-Hook": url})
        assert await api.world.db.write(WebHooks(api.world)._claim)  # it took the hook, and ended
        async with telling(api):
            await asyncio.sleep(0.2)
            assert calls == []
            (hook,) = await _hooks(api)
            await api.world.db.write(lambda tx: rows.update(tx, "WebHookVO", hook["id"], due=tables.now()))
            await _until(lambda: calls)


async def test_a_redirect_is_not_followed(api):
    async with receiver() as (secret, target), receiver(302, f"Location: {target}\r\n") as (calls, url), telling(api):
        await api.run("POST", "/v1/zones", ZONE, **{"X-Web-Hook": url})
        await _until(lambda: len(calls) > 2)
        assert secret == []


async def test_a_repeated_request_is_told_once(api):
    async with receiver() as (calls, url), telling(api):
        headers = {"X-Web-Hook": url, "X-Job-UUID": uuid4().hex}
        for _ in range(3):
            await api.run("POST", "/v1/zones", ZONE, **headers)
        await _until(lambda: calls)
        await asyncio.sleep(0.2)
        assert len(calls) == 1


@pytest.mark.parametrize(
    "url",
    ["ftp://h/", "h", "", "http://", "http://169.254.169.254/latest", "http://[fe80::1]/", "http://0.0.0.0/", "http://a b/",
     "http://[::ffff:169.254.169.254]/", "http://224.0.0.1/", "http://h:99999/", "http://u:p@h/", "http://" + "h" * 3000],
)  # fmt: skip
async def test_a_url_to_which_nothing_is_posted_is_refused(api, url):
    error = await api.refusal("POST", "/v1/zones", ZONE, **{"X-Web-Hook": url})
    assert error["details"].startswith("the header X-Web-Hook")
    assert (await api.http.get("/v1/zones")).json() == {"inventories": []}


async def test_only_a_caller_on_this_machine_reaches_it(api):
    for url in ("http://127.0.0.1:1/", "http://localhost/", "http://[::1]/", "http://127.9.9.9/"):
        transport = httpx.ASGITransport(api.http._transport.app, client=("192.0.2.9", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://steppe", headers=api.http.headers) as http:
            answer = await http.post("/v1/zones", json=ZONE, headers={"X-Web-Hook": url})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "SYS.1007"), url


async def test_a_name_that_leads_to_this_machine_is_found_out_when_it_is_looked_up(api, monkeypatch):
    async with receiver() as (calls, url):
        port = url.split(":")[2].split("/")[0]
        hook = {"url": f"http://steppe-hook.example:{port}/", "inward": False, "due": tables.now()}
        location = (await api.http.post("/v1/zones", json=ZONE)).json()["location"]
        await api.http.get(location, params={"wait": 5})
        job = location.rpartition("/")[2]
        await api.world.db.write(lambda tx: rows.insert(tx, "WebHookVO", operation_uuid=job, **hook))
        loop = asyncio.get_running_loop()

        async def resolve(host, port, **_):
            return [(2, 1, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(loop, "getaddrinfo", resolve, raising=False)
        async with httpx.AsyncClient() as client:
            assert await WebHooks(api.world).once(client) == 1
        assert calls == []
        assert (await _hooks(api))[0]["attempts"] == 1


def test_addresses():
    for address in ("10.0.0.1", "192.168.1.1", "203.0.113.1", "2001:db8::1", "fd00::1"):
        assert allows(address, inward=False), address
    for address in ("169.254.1.1", "fe80::1%eth0", "0.0.0.0", "::", "255.255.255.255", "ff02::1", "::ffff:169.254.0.1"):
        assert not allows(address, inward=True), address
    for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        assert (allows(address, inward=True), allows(address, inward=False)) == (True, False)
