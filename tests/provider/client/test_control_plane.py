"""The client against a server that loses answers, forgets sessions and takes its time, over real sockets."""

import http.server
import json
import threading
import time
from typing import Any

import pytest

from provider.actions.call import spelled_progress
from provider.client import control_plane
from provider.client.control_plane import ControlPlane
from provider.client.errors import ApiFailure, Stopped, TimedOut, Unreachable, explain
from provider.client.transport import Transport
from provider.resources import Network, Vm, Zone


class Server(http.server.ThreadingHTTPServer):
    """Sessions and jobs as the REST wire has them; `lose` says which answers never arrive."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.sessions: list[str] = []
        self.valid: set[str] = set()
        self.jobs: dict[str, tuple[int, Any]] = {}
        self.created: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.lose: list[str] = []  # "before" | "after" the request took effect
        self.finish_at_once = True
        self.done_despite_cancel = False
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def client(self, stop: threading.Event | None = None) -> ControlPlane:
        transport = Transport(f"http://127.0.0.1:{self.server_port}", None)
        return ControlPlane(transport, "admin", "password", stop or threading.Event())


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: Any) -> None: ...

    def answer(self, status: int, body: Any) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def handle_any(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.loads(raw) if raw else {}
        path, server = self.path.removeprefix("/v1"), self.server
        server.requests.append(f"{self.command} {path.partition('?')[0]}")
        if path == "/accounts/login":
            if body["logInByAccount"]["password"][:4] != "b109":  # SHA-512 of "password"
                return self.answer(503, {"error": {"code": "ID.1000", "description": "d", "details": "wrong"}})
            session = f"s{len(server.sessions)}"
            server.sessions.append(session)
            server.valid.add(session)
            return self.answer(200, {"inventory": {"uuid": session}})
        if self.headers.get("Authorization", "").removeprefix("OAuth ") not in server.valid:
            return self.answer(503, {"error": {"code": "ID.1001", "description": "d", "details": "expired"}})
        if path.startswith("/api-jobs/"):
            return self.job(path.removeprefix("/api-jobs/"))
        return self.change(body)

    def job(self, rest: str) -> None:
        uuid, _, query = rest.partition("?wait=")
        if uuid not in self.server.jobs:
            return self.answer(404, {})
        if self.command == "DELETE":
            inventory = {"inventory": {"uuid": "x"}}
            ended = (200, inventory) if self.server.done_despite_cancel else (503, {"error": {"code": "SYS.1001"}})
            self.server.jobs[uuid] = ended
            return self.answer(202, {})
        deadline = time.monotonic() + float(query or 0)
        while self.server.jobs[uuid][0] == 202 and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.answer(*self.server.jobs[uuid])

    def change(self, body: Any) -> None:
        fate = self.server.lose.pop(0) if self.server.lose else ""
        job = self.headers["X-Job-UUID"]
        if fate != "before":
            if job in self.server.jobs:
                return self.answer(400, {"error": {"code": "SYS.1007", "details": "duplicate job"}})
            self.server.created.append(body)
            result = {"inventory": {"uuid": "x"}}
            self.server.jobs[job] = (200, result) if self.server.finish_at_once else (202, {})
        if fate:
            self.close_connection = True
            return None
        return self.answer(202, {"location": f"http://elsewhere/v1/api-jobs/{job}"})

    do_GET = do_POST = do_PUT = do_DELETE = handle_any


@pytest.fixture
def server():
    running = Server()
    yield running
    running.shutdown()
    running.server_close()


def create(client: ControlPlane, timeout: float = 20.0, job: str | None = None) -> Any:
    return client.create("CreateZone", "/zones", {"name": "z", "description": None}, job=job, timeout=timeout)


def test_a_change_is_a_job_and_null_is_left_out(server):
    assert create(server.client()) == {"uuid": "x"}
    assert server.created == [{"params": {"name": "z"}}]


def test_an_expired_session_is_renewed_once_for_all_threads(server):
    client = server.client()
    create(client)
    server.valid.clear()
    threads = [threading.Thread(target=create, args=(client,)) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(server.created) == 9 and len(server.sessions) == 2


@pytest.mark.parametrize("fates", [["before"], ["after"], ["before", "after"], ["before", "before", "before"]])
def test_a_lost_answer_makes_neither_none_nor_two(server, fates):
    server.lose = fates
    assert create(server.client()) == {"uuid": "x"}
    assert len(server.created) == 1


def test_the_same_job_again_gets_the_first_result(server):
    client = server.client()
    create(client, job="1" * 32)
    assert create(client, job="1" * 32) == {"uuid": "x"}
    assert len(server.created) == 1


def test_who_listens_is_told_how_far_a_job_is(server, monkeypatch):
    monkeypatch.setattr(control_plane, "STEP", 0)
    server.finish_at_once = False
    client, told, half = (
        server.client(),
        [],
        {"done": 1 << 30, "total": 4 << 30, "text": "copying root", "remaining": 30},
    )
    job = "2" * 32

    def tell(progress: Any) -> None:
        told.append(spelled_progress(progress))
        server.jobs[job] = (200, {"inventory": {"uuid": "x"}}) if len(told) == 2 else (202, {"progress": half})

    starter = threading.Timer(
        0.3, lambda: server.jobs.update({job: (202, {"progress": {"done": 0, "total": 4 << 30}})})
    )
    starter.start()
    with client.telling(tell):
        assert create(client, job=job) == {"uuid": "x"}
    starter.join()
    assert told == ["working: 0.0 MiB of 4.0 GiB", "copying root: 1.0 GiB of 4.0 GiB, 30 s left"]
    server.finish_at_once = True
    create(client)
    assert len(told) == 2, "nobody listens any more"


def test_ctrl_c_cancels_at_the_control_plane_at_once(server):
    server.finish_at_once = False
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    started = time.monotonic()
    with pytest.raises(Stopped, match="undid"):
        create(server.client(stop))
    assert time.monotonic() - started < 2.0
    assert [one.split("/")[0] for one in server.requests].count("DELETE ") == 1


def test_what_was_done_before_the_cancel_arrived_is_not_forgotten(server):
    server.finish_at_once, server.done_despite_cancel = False, True
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    assert create(server.client(stop)) == {"uuid": "x"}


def test_nothing_is_started_after_ctrl_c(server):
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped, match="not started"):
        create(server.client(stop))
    assert server.created == []


def test_a_time_out_cancels_too(server):
    server.finish_at_once = False
    with pytest.raises(TimedOut, match="did not end within 1 s"):
        create(server.client(), timeout=1.0)


def test_logging_out_gives_the_session_back(server):
    client = server.client()
    client.log_in()
    client.log_out()
    assert server.requests[-1] == "DELETE /accounts/sessions/s0"


def test_a_wrong_password_and_a_wrong_address(server):
    transport = Transport(f"http://127.0.0.1:{server.server_port}", None)
    with pytest.raises(ApiFailure, match=r"ID\.1000"):
        ControlPlane(transport, "admin", "wrong", threading.Event()).log_in()
    started = time.monotonic()
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"):
        ControlPlane(Transport("http://127.0.0.1:1", None), "admin", "p", threading.Event()).log_in()
    assert time.monotonic() - started < 8.0


def test_a_refused_idle_connection_is_replaced(server):
    client = server.client()
    create(client)
    server.lose = ["after"]
    assert create(client) == {"uuid": "x"}


@pytest.mark.parametrize(
    ("error", "resource", "attribute"),
    [
        ({"code": "SYS.1007", "details": "bad", "field": "name"}, Zone, "name"),
        (
            {"code": "SYS.1003", "details": "invalid field[l2NetworkUuid], resource[uuid:x] not found"},
            Network,
            "l2_network_uuid",
        ),
        ({"code": "SYS.1007", "details": "field[startIp] of AddIpRange: no"}, Network, "ip_ranges"),
        ({"code": "SYS.1003", "details": "", "field": "l3NetworkUuids"}, Vm, "network_uuids"),
        ({"code": "SYS.1006", "details": "something"}, Zone, None),
    ],
)
def test_an_error_names_the_attribute(error, resource, attribute):
    (diagnostic,) = explain(ApiFailure("Call", error), resource.schema).items
    assert diagnostic.path == ((attribute,) if attribute else ())
    assert error["code"] in diagnostic.summary and error["details"] in diagnostic.detail


def test_an_error_tells_its_causes():
    cause = {"code": "HOST_ALLOCATION.1000", "details": "no room", "cause": {"code": "X.1", "details": "deep"}}
    failure = ApiFailure("CreateVmInstance", {"code": "SYS.1006", "details": "failed", "cause": cause})
    (diagnostic,) = explain(failure, Vm.schema).items
    assert diagnostic.detail.splitlines() == [
        "failed", "Caused by [HOST_ALLOCATION.1000] no room", "Caused by [X.1] deep"
    ]  # fmt: skip
