"""Hostile requests over real sockets: refused early, with words, and the control plane goes on serving."""

import asyncio
import json

import httpx
import pytest
import uvicorn

from tests.controlplane.api.conftest import Api, control_plane

MIB = 1024**2
DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000


@pytest.fixture
async def port(tmp_path):
    """Of a control plane that listens; `port.session` is the administrator's."""
    async with control_plane(tmp_path) as (app, world, engine):
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="off"))
        running = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        number = server.servers[0].sockets[0].getsockname()[1]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{number}") as http:
            session = (await Api(http, world, engine).log_in()).json()["inventory"]["uuid"]
            http.headers["Authorization"] = f"OAuth {session}"
            yield Port(number, session, http)
        server.should_exit = True
        await running


class Port:
    def __init__(self, number, session, http):
        self.number, self.session, self.http = number, session, http

    async def send(self, head, chunks=()):
        """The answer's status line and the bytes sent until it came; the sender goes on until it is told to stop."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.number)
        writer.write(head)
        answer, sent = asyncio.ensure_future(reader.readline()), 0
        try:
            for chunk in chunks:
                if answer.done():
                    break
                writer.write(chunk)
                await writer.drain()
                sent += len(chunk)
        except ConnectionError:
            pass
        async with asyncio.timeout(20):
            status = await answer
        writer.close()
        return status.decode(), sent

    def head(self, path, *headers):
        lines = (f"POST {path} HTTP/1.1", "Host: steppe", f"Authorization: OAuth {self.session}", *headers)
        return ("\r\n".join((*lines, "Content-Type: application/json")) + "\r\n\r\n").encode()

    async def post(self, path, body):
        answer = await self.http.post(path, content=body)
        assert (await self.http.get("/healthz")).json() == {"status": "ok"}
        return answer

    async def zones(self):
        return (await self.http.get("/v1/zones")).json()["inventories"]


@pytest.mark.parametrize("path", ["/v1/zones", "/zstack/api"])
async def test_a_body_of_100_mib_is_refused_before_it_is_read(port, path):
    status, sent = await port.send(port.head(path, f"Content-Length: {100 * MIB}"))
    assert (status.split()[1], sent) == ("413" if path.startswith("/v1") else "500", 0)


@pytest.mark.parametrize("path", ["/v1/zones", "/zstack/api"])
async def test_a_body_that_does_not_tell_its_size_is_refused_at_the_limit(port, path):
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    head = port.head(path, "Transfer-Encoding: chunked")
    status, sent = await port.send(head, (chunk for _ in range(100 * MIB // 65536)))
    assert status.split()[1] == ("413" if path.startswith("/v1") else "500")
    assert sent < 30 * MIB  # the limit, and what sockets hold on their way
    assert await port.zones() == []


@pytest.mark.parametrize("text", [b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\\u0000", b"\\ud800", b"\x00"])
async def test_what_is_no_text(port, text):
    answer = await port.post("/v1/zones", b'{"params": {"name": "' + text + b'"}}')
    assert (answer.status_code, answer.json()["error"]["code"]) in ((400, "SYS.1007"), (503, "SYS.1007"))
    message = b'{"org.zstack.header.zone.APICreateZoneMsg": {"name": "%s", "session": {"uuid": "%s"}}}'
    answer = await port.post("/zstack/api", message % (text, port.session.encode()))
    refused = answer.status_code == 500 or json.loads(answer.json()["result"])
    assert refused is True or not next(iter(refused.values()))["success"]
    assert await port.zones() == []


@pytest.mark.parametrize("body", [DEEP, b"[" * 1_000_000, b'{"params":' + b"[" * 40 + b"]" * 40 + b"}"])
async def test_deep_json(port, body):
    answer = await port.post("/v1/zones", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "SYS.1007")
    assert (await port.post("/zstack/api", body)).status_code == 500


@pytest.mark.parametrize("number", [101, 10_000])
async def test_too_many_conditions(port, number):
    condition = {"name": "name", "op": "=", "value": "x"}
    message = {"conditions": [condition] * number, "session": {"uuid": port.session}}
    answer = await port.post("/zstack/api", json.dumps({"org.zstack.header.zone.APIQueryZoneMsg": message}))
    reply = json.loads(answer.json()["result"])["org.zstack.header.zone.APIQueryZoneReply"]
    assert (reply["success"], reply["error"]["code"]) == (False, "SYS.1007")
    assert len(answer.text) < 2000


async def test_too_many_values_of_one_condition(port):
    for number, code in ((10_000, None), (200_000, "SYS.1007")):
        condition = {"name": "name", "op": "in", "value": ",".join(str(n) for n in range(number))}
        message = {"conditions": [condition], "session": {"uuid": port.session}}
        answer = await port.post("/zstack/api", json.dumps({"org.zstack.header.zone.APIQueryZoneMsg": message}))
        reply = json.loads(answer.json()["result"])["org.zstack.header.zone.APIQueryZoneReply"]
        assert reply.get("error", {}).get("code") == code


async def test_headers_and_paths_that_are_none(port):
    for path in ("/v1/zones/" + "a" * 5000, "/v1/%00", "/v1/zones/%ff", "/v1/zones?q=%ff%fe=%00"):
        answer = await port.http.get(path)
        assert answer.status_code < 500 or answer.json()["error"]["code"] == "SYS.1007", path
    for value in ("OAuth", "ZStack", "ZStack x", "Bearer x", "OAuth " + "x" * 5000, "x"):
        answer = await port.http.get("/v1/zones", headers={"Authorization": value})
        assert answer.json()["error"]["code"] == "ID.1001", value
