"""`make dev`'s program as somebody uses it: started, pointed at with the command line, interrupted; nothing is left."""

import json
import os
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PASSWORD = "a 'quoted' pass\"word"


def start(folder: Path, *options: str) -> "subprocess.Popen[str]":
    environment = os.environ | {"ADMIN_PASSWORD": PASSWORD, "TMPDIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-m", "tools.dev", *options],
        cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def children(pid: int) -> dict[int, str]:
    """Of a process: pid → command line."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(one): Path(f"/proc/{one}/cmdline").read_text().replace("\0", " ") for one in found}


def ready(process: "subprocess.Popen[str]") -> str:
    """What it says until the cloud is ready."""
    said = ""
    assert process.stdout
    for line in process.stdout:
        said += line
        if line.startswith("Ctrl-C"):
            return said
    raise AssertionError(f"{said}{process.communicate()[1]}")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "scratch"
    made.mkdir()
    yield made


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=lambda how: how.name)
def test_a_vm_is_created_with_the_printed_words_and_nothing_is_left(
    tmp_path: Path, folder: Path, how: signal.Signals
) -> None:
    process = start(folder, "--hosts", "3", "--port", "0")
    try:
        said = ready(process)
        [server] = re.findall(r"STEPPE_SERVER=(\S+)", said)
        [create] = re.findall(r"steppe (CreateVmInstance .*)", said)

        def steppe(*words: str) -> dict[str, object]:
            environment = os.environ | {"HOME": str(tmp_path), "STEPPE_SERVER": server}
            command = [sys.executable, "-m", "cli.main", *words]
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            answer: dict[str, object] = json.loads(done.stdout)
            return answer

        secret = tmp_path / "password"
        secret.write_text(PASSWORD)
        steppe("LogInByAccount", "accountName=admin", f"password=@{secret}")
        inventory = steppe(*shlex.split(create))["inventory"]
        assert isinstance(inventory, dict)
        assert inventory["state"] == "Running"
        assert inventory["vmNics"][0]["ip"].startswith("10.0.")
        hosts = steppe("QueryHost", "cluster.name=dev", "zone.name=dev")["inventories"]
        assert isinstance(hosts, list)
        assert [one["status"] for one in hosts] == ["Connected"] * 3
        medias = steppe("QueryImage", "fields=mediaType")["inventories"]
        assert isinstance(medias, list)
        assert sorted(one["mediaType"] for one in medias) == ["ISO", "RootVolumeTemplate"]

        below = children(process.pid)
        assert len(below) == 2
        assert PASSWORD not in "".join(below.values())
        process.send_signal(how)
        _, complaints = process.communicate(timeout=60)
        assert (process.returncode, complaints) == (0, "")
        assert not [pid for pid in below if Path(f"/proc/{pid}").exists()]
        assert list(folder.iterdir()) == []
    finally:
        process.kill()
        process.communicate()


def test_its_processes_end_when_it_is_killed(folder: Path) -> None:
    process = start(folder, "--hosts", "1", "--port", "0")
    ready(process)
    pidfds = [os.pidfd_open(pid) for pid in children(process.pid)]
    process.kill()
    process.communicate()
    for pidfd in pidfds:
        assert select.select([pidfd], [], [], 60)[0], "it still runs"
        os.close(pidfd)


def test_a_port_that_is_taken_is_said(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(folder, "--port", str(port))
        said, complaint = process.communicate(timeout=60)
    assert (process.returncode, said) == (1, "")
    assert complaint == f"dev: 127.0.0.1:{port} cannot be listened on (Address already in use): choose another port\n"
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("option", "value"), [("--hosts", "many"), ("--port", "70000"), ("--hosts", "-1")])
def test_numbers_that_make_no_sense_are_said(folder: Path, option: str, value: str) -> None:
    process = start(folder, f"{option}={value}")
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 2
    assert f"{option[2:].upper()}='{value}' must be a number from 0 to" in complaint
