"""The command as a user runs it: the real entry point against a real server on loopback."""

import asyncio
import json
import os
import stat
import subprocess
import sys
import threading
import time

import pytest
import uvicorn

from cli.main import main
from tests.controlplane.api.conftest import PASSWORD, control_plane


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a control plane in a thread of its own."""
    address, stop = [], threading.Event()

    async def serve():
        async with control_plane(tmp_path_factory.mktemp("state")) as (app, _world, _engine):
            server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off"))
            running = asyncio.create_task(server.serve())
            while not server.started:
                await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            address.append(f"http://127.0.0.1:{port}")
            while not stop.is_set():
                await asyncio.sleep(0.02)
            server.should_exit = True
            await running

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    while not address and thread.is_alive():
        time.sleep(0.01)
    yield address[0]
    stop.set()
    thread.join(10)


@pytest.fixture
def steppe(server, tmp_path, monkeypatch, capsys):
    """Runs a command; returns (exit status, output as JSON or text, error text)."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("STEPPE_SERVER", server)
    monkeypatch.delenv("STEPPE_CA_FILE", raising=False)

    def run(*words):
        status = main(list(words))
        captured = capsys.readouterr()
        try:
            return status, json.loads(captured.out), captured.err
        except ValueError:
            return status, captured.out, captured.err

    return run


@pytest.fixture
def logged_in(steppe):
    assert steppe("LogInByAccount", "accountName=admin", f"password={PASSWORD}")[0] == 0
    return steppe


def test_a_session_is_kept_for_its_owner_only(logged_in, tmp_path):
    file = tmp_path / ".steppe" / "session"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert logged_in("QueryZone")[0] == 0
    assert logged_in("LogOut")[0] == 0
    status, _, err = logged_in("QueryZone")
    assert status == 1
    assert "log in" in err


def test_a_wrong_password_is_refused(steppe):
    status, _, err = steppe("LogInByAccount", "accountName=admin", "password=wrong")
    assert status == 3
    assert err.startswith("API call[LogInByAccount] failed because [code: ID.1000, description: authentication failed")


def test_an_expired_session_gets_a_hint(logged_in, tmp_path, server):
    (tmp_path / ".steppe" / "session").write_text(json.dumps({server: "0" * 32}))
    status, _, err = logged_in("QueryZone")
    assert status == 3
    assert "ID.1001" in err
    assert "please log in" in err


def test_a_zone_by_command_line(logged_in, capsys):
    status, answer, err = logged_in("CreateZone", "name=by cli", "description=ein Gerät, x=y")
    assert (status, err, answer["success"]) == (0, "", True)
    assert answer["inventory"]["description"] == "ein Gerät, x=y"
    uuid = answer["inventory"]["uuid"]
    status, answer, _ = logged_in("QueryZone", "name~=cli", "description!=null", "sortBy=name", "fields=uuid")
    assert answer["inventories"] == [{"uuid": uuid}]
    assert logged_in("DeleteZone", f"uuid={uuid}")[1] == {"success": True}


def test_the_output_is_sorted_and_indented(logged_in, capsys):
    assert main(["QueryAccount", "name=admin"]) == 0
    out = capsys.readouterr().out
    assert out.endswith("\n\n")
    assert out == json.dumps(json.loads(out), sort_keys=True, indent=4) + "\n\n"


def test_a_refusal_is_status_3_and_a_local_problem_1(logged_in):
    status, out, err = logged_in("CreateZone", f"name={'x' * 256}")
    assert (status, out) == (3, "")
    assert "SYS.1007" in err
    assert logged_in("CreateZone", "nme=x")[0] == 1
    assert logged_in("NoSuchApi")[0] == 1


def test_one_word_may_hold_the_whole_command(logged_in):
    status, answer, _ = logged_in("QueryAccount name='admin'")
    assert (status, len(answer["inventories"])) == (0, 1)


def test_an_unreachable_server_is_a_local_problem(steppe):
    status, _, err = steppe("--server", "http://127.0.0.1:1", "LogInByAccount", "accountName=a", "password=b")
    assert status == 1
    assert "cannot reach http://127.0.0.1:1" in err


@pytest.mark.parametrize("url", ["ftp://x", "localhost:8080", "http://"])
def test_a_malformed_server_is_a_local_problem(steppe, url):
    status, _, err = steppe(f"--server={url}", "LogInByAccount", "accountName=a", "password=b")
    assert status == 1
    assert "http(s)://" in err


def test_help(steppe):
    assert "CreateZone" in steppe("help")[1]
    status, text, _ = steppe("help", "CreateInstanceOffering")
    assert status == 0
    assert "cpuNum: integer (≥ 1, ≤ 1024)" in text
    assert steppe("help", "Nothing")[0] == 1


def test_it_starts_fast(tmp_path):
    def run():
        begun = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "cli.main", "help"], check=True, stdout=subprocess.DEVNULL, env=os.environ
        )
        return time.perf_counter() - begun

    def bare():
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import pydantic, http.client, json, ssl"], check=True)
        return time.perf_counter() - begun

    # A ratio, as the machine may be busy: the command costs little more than Python with its libraries.
    assert min(run() for _ in range(3)) < 3 * min(bare() for _ in range(3))


def test_the_notes_commands_for_the_global_configuration(logged_in):
    for name, value in (("vm.cpuMode", "host-model"), ("vm.consoleMode", "spice")):
        status, answer, _ = logged_in("UpdateGlobalConfig", "category=kvm", f"name={name}", f"value={value}")
        assert (status, answer["inventory"]["value"], answer["success"]) == (0, value, True)
        status, answer, _ = logged_in("QueryGlobalConfig", "category=kvm", f"name={name}")
        assert answer["inventories"] == [logged_in("GetGlobalConfig", "category=kvm", f"name={name}")[1]["inventory"]]
        assert logged_in("ResetGlobalConfig", "category=kvm", f"name={name}")[0] == 0
    status, _, err = logged_in("UpdateGlobalConfig", "category=kvm", "name=vm.cpuMode", "value=fast")
    assert status == 3
    assert "code: SYS.1007" in err
    assert "one of none, host-model, host-passthrough" in err
