"""The lab itself: hosts are separate, joined by their cables, and leave nothing behind."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from tools.lab import Lab, in_network_of, wait_until

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        lab.add_host("host-a")
        lab.add_host("host-b")
        yield lab


def test_each_host_has_its_own_name_libvirt_and_interfaces(lab: Lab) -> None:
    seen = set()
    for host in lab.hosts.values():
        connection = libvirt.openReadOnly(host.uri)
        seen.add(connection.getHostname())
        connection.close()
        links = host.inside.run("ls", "/sys/class/net").split()
        assert {"lo", "eth0", "eth1"} <= set(links)
        assert "mgmt" not in links
    assert seen == {"host-a", "host-b"}


def test_hosts_reach_each_other_and_the_seat(lab: Lab) -> None:
    inside = lab.hosts["host-a"].inside
    for address in (lab.hosts["host-b"].address, "10.99.0.254"):
        inside.run("ping", "-c1", "-W2", address)


def test_a_cut_cable_is_a_cut_cable(lab: Lab) -> None:
    host = lab.hosts["host-b"]
    host.cut("eth0")
    assert "1 received" not in lab.underlay.run("ping", "-c1", "-W1", host.address, check=False)
    host.mend("eth0")
    lab.underlay.run("ping", "-c1", "-W2", host.address)


def test_disk_survives_a_power_cut_and_run_does_not(lab: Lab) -> None:
    host = lab.hosts["host-b"]
    host.inside.run("touch", "/var/lib/steppe/kept", "/run/lost")
    host.crash()
    host.boot()
    host.inside.run("test", "-e", "/var/lib/steppe/kept")
    assert host.inside.run("ls", "/run/lost", check=False) == ""
    host.start_libvirtd()


def test_forward_leads_from_the_machine_into_the_underlay(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "hello").write_text("from the underlay")
    server = lab.underlay.start(sys.executable, "-m", "http.server", "8099", "--bind", "127.0.0.1", "-d", tmp_path)
    try:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        lab.forward(port, 8099)
        wait_until(
            lambda: in_network_of(
                lab.underlay.pid, lambda: socket.create_connection(("127.0.0.1", 8099)).close() is None
            ),
            "the server listens",
        )
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/hello")
        assert connection.getresponse().read() == b"from the underlay"
        connection.close()
    finally:
        server.stop()


def test_a_signal_reaches_the_program_behind_nsenter(lab: Lab) -> None:
    program = lab.hosts["host-a"].inside.start("sleep", "600")
    assert Path(f"/proc/{program.pid}/comm").read_text().strip() == "sleep"
    assert program.stop() != 0
    assert not program.alive


def test_kill_of_the_maker_leaves_no_process(tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import sys, time
        from pathlib import Path
        from tools.lab import Lab
        lab = Lab(Path({str(tmp_path / "lab")!r}))
        host = lab.add_host("host-a")
        host.inside.start("sleep", "7777")
        print(host.inside.pid, lab.underlay.pid, flush=True)
        time.sleep(600)
    """)
    root = Path(__file__).parents[2]
    maker = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=root)
    assert maker.stdout
    pids = [int(pid) for pid in maker.stdout.readline().split()]
    assert len(pids) == 2
    assert all(os.path.exists(f"/proc/{pid}") for pid in pids)
    namespace = os.readlink(f"/proc/{pids[0]}/ns/pid")
    os.kill(maker.pid, signal.SIGKILL)
    maker.wait()
    maker.stdout.close()
    wait_until(lambda: not _living_in(namespace), "every process of the host ends", 10)
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "the holders end", 10)


def _living_in(pid_namespace: str) -> list[str]:
    living = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                if os.readlink(f"/proc/{entry.name}/ns/pid") == pid_namespace:
                    living.append(entry.name)
            except OSError:
                continue
    return living
