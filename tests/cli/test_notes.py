"""The release notes' commands for ISO, boot order, CPU mode and consoles, as printed, by the real program in a process of its
own; against a control plane with simulated hosts."""

import asyncio
import json
import os
import pty
import subprocess
import sys
import termios
import threading
import time

import pytest

from controlplane.agents.client import Address
from controlplane.api import console
from controlplane.api.app import create_app
from controlplane.services.account import ensure_admin
from hostagent.api.app import create_app as create_agent_app
from tests.controlplane.cloud import cloud
from tests.controlplane.test_console import listening

PASSWORD = "correct horse"


class Place:
    """What the commands name: filled in by the server's thread."""

    server = vm = iso = from_iso = host_ip = ""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    made, stop = Place(), threading.Event()

    async def serve():
        async with cloud(tmp_path_factory.mktemp("cloud")) as one:
            await one.world.db.write(lambda tx: ensure_admin(tx, PASSWORD))
            host = one.hosts[0]
            vm = await one.vm("vm", hostUuid=host)
            other = await one.vm("installs", hostUuid=host, imageUuid=one.iso, rootDiskOfferingUuid=one.disk)
            made.vm, made.iso, made.from_iso = vm["uuid"], one.iso, other["uuid"]
            app = create_app(one.world, one.engine, [console.router(one.world)])
            agent = one.sims[host].boot_agent(host)
            async with listening(app) as port, listening(create_agent_app(agent)) as agent_port:
                client = one.world.hosts.get(host)
                router = client._connection._http._transport
                router._apps["127.0.0.1"] = router._apps["10.9.0.1"]
                client._address = Address("127.0.0.1", agent_port)
                made.host_ip, made.server = "10.9.0.1", f"http://127.0.0.1:{port}"
                while not stop.is_set():
                    await asyncio.sleep(0.05)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    while not made.server and thread.is_alive():
        time.sleep(0.02)
    yield made
    stop.set()
    thread.join(20)


@pytest.fixture
def steppe(place, tmp_path):
    """Runs a command line; returns what it printed as JSON, or (exit status, error text)."""
    environment = os.environ | {"HOME": str(tmp_path), "STEPPE_SERVER": place.server}

    def run(*words):
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", *words],
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
        )
        if done.returncode:
            return done.returncode, done.stderr
        try:
            return json.loads(done.stdout)
        except ValueError:
            return done.stdout, done.stderr

    run("LogInByAccount", "accountName=admin", f"password={PASSWORD}")
    return run


def test_attach_and_detach_an_iso(steppe, place):
    answer = steppe("AttachIsoToVmInstance", f"vmInstanceUuid={place.vm}", f"isoUuid={place.iso}")
    assert (answer["success"], answer["inventory"]["uuid"]) == (True, place.vm)
    own = f"resourceUuid={place.vm}"
    assert [tag["tag"] for tag in steppe("QuerySystemTag", own)["inventories"]] == [f"iso::{place.iso}"]
    status, error = steppe("DeleteImage", f"uuid={place.iso}")
    assert (status, place.vm in error) == (3, True)
    assert steppe("DetachIsoFromVmInstance", f"vmInstanceUuid={place.vm}")["success"]
    assert steppe("QuerySystemTag", own)["inventories"] == []
    assert [
        iso["uuid"] for iso in steppe("GetCandidateIsoForAttachingVm", f"vmInstanceUuid={place.vm}")["inventories"]
    ] == [place.iso]


def test_get_and_set_the_boot_order(steppe, place):
    get = ("GetVmBootOrder", f"uuid={place.vm}")
    assert steppe(*get)["order"] == ["HardDisk"]
    assert steppe("SetVmBootOrder", f"uuid={place.vm}", "bootOrder=HardDisk,CdRom")["success"]
    assert steppe(*get) == {"order": ["HardDisk", "CdRom"], "orders": ["HardDisk", "CdRom"], "success": True}
    status, error = steppe("SetVmBootOrder", f"uuid={place.vm}", "bootOrder=Floppy")
    assert (status, "SYS.1007" in error) == (3, True)
    assert steppe("GetVmBootOrder", f"uuid={place.from_iso}")["order"] == ["CdRom", "HardDisk"]


def test_the_cpu_mode_is_taken_at_the_next_start(steppe, place):
    assert steppe("UpdateGlobalConfig", "category=kvm", "name=vm.cpuMode", "value=host-model")["success"]
    assert steppe("RebootVmInstance", f"uuid={place.vm}")["inventory"]["cpuMode"] == "host-model"


def test_spice_and_the_address_of_the_console(steppe, place):
    assert steppe("UpdateGlobalConfig", "category=kvm", "name=vm.consoleMode", "value=spice")["success"]
    steppe("RebootVmInstance", f"uuid={place.vm}")
    answer = steppe("GetVmConsoleAddress", f"uuid={place.vm}")
    assert answer == {"hostIp": place.host_ip, "port": 5901, "protocol": "spice", "success": True}
    assert list(answer) == ["hostIp", "port", "protocol", "success"]


def test_access_is_requested(steppe, place):
    access = steppe("RequestConsoleAccess", f"vmInstanceUuid={place.vm}")["inventory"]
    assert len(access["token"]) == 32
    assert steppe("GetVmScreenshot", f"uuid={place.vm}")["contentType"] == "image/png"


def test_the_serial_line_in_a_terminal(steppe, place, tmp_path):
    ours, theirs = pty.openpty()
    environment = os.environ | {"HOME": str(tmp_path), "STEPPE_SERVER": place.server}
    command = [sys.executable, "-m", "cli.main", "console", "vm"]
    program = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, text=True, env=environment)
    assert "serial line of VM vm" in program.stderr.readline()
    os.write(ours, b"\x03")  # Ctrl-C is for the guest, which says it back
    assert os.read(ours, 100).endswith(b"\x03")
    before = termios.tcgetattr(theirs)
    os.write(ours, b"\x1d")
    assert program.wait(20) == 0
    assert termios.tcgetattr(theirs)[3] & termios.ECHO  # the terminal is as it was
    assert not before[3] & termios.ECHO
    assert steppe("console", "nobody") == (1, "there is no VM nobody\n")
    assert steppe("console")[0] == 1
