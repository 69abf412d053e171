"""The program: simulated hosts, a real host in a lab, and what it says when something is missing."""

import asyncio
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from controlplane.agents.authority import Authority
from hostagent.enroll import enroll
from hostagent.main import main
from tools.free_port import free_port
from tools.lab import Host, Lab, in_network_of, wait_until

PROGRAM = (sys.executable, "-m", "hostagent.main")


async def until_answer(client: httpx.AsyncClient, url: str, process: asyncio.subprocess.Process) -> httpx.Response:
    async with asyncio.timeout(15):
        while True:
            assert process.returncode is None
            try:
                return await client.get(url)
            except httpx.TransportError:
                await asyncio.sleep(0.05)


async def test_simulated_hosts_enrol_once_and_serve(server: str, authority: Authority, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("right-1\nright-2\n")
    port = free_port()
    command = (
        *(*PROGRAM, "--sim", "--count", "2", "--base-ip", "127.0.77.1", "--port", str(port), "--server", server),
        *("--ca-file", str(authority.ca_file), "--token-file", str(tokens), "--state-dir", str(tmp_path / "state")),
    )
    for _ in range(2):
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
        async with httpx.AsyncClient(verify=authority.client_context(), trust_env=False) as client:
            for number in (1, 2):
                facts = await until_answer(client, f"https://127.0.77.{number}:{port}/v1/host", process)
                assert facts.json()["hostname"] == f"sim-{number}"
            reader = asyncio.create_task(client.get(f"https://127.0.77.1:{port}/v1/events?wait=30&after=0", timeout=40))
            await asyncio.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            _, output = await asyncio.wait_for(process.communicate(), 10)  # a waiting reader does not hold it up
            await asyncio.gather(reader, return_exceptions=True)
        assert process.returncode == 0, output.decode()
        assert b"right-" not in output
        tokens.write_text("")  # the state directory knows both: no token is needed


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--state-dir", "/nowhere"], "enroll"),
        (["--sim"], "--server"),
        (["--sim", "--server", "https://127.0.0.1:1", "--token-file", "/nowhere"], "/nowhere"),
    ],
)
def test_what_is_missing_is_said(arguments: list[str], says: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    assert says in capfd.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [[], ["enroll", "--server", "https://x"], ["--sim", "--base-ip", "no address"], ["run", "--domain-type", "xen"]],
)
def test_bad_words_are_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Host]:
    with Lab(tmp_path / "lab") as lab:
        yield lab.add_host("host-a")


@pytest.mark.host
async def test_a_real_host_runs_its_agent(server: str, authority: Authority, machine: Host, tmp_path: Path) -> None:
    await asyncio.to_thread(
        enroll,
        server=server,
        ca_file=authority.ca_file,
        token="right",
        management_ip=machine.address,
        port=7070,
        directory=machine.directory / "agent",
    )

    def call(method: str, path: str, **arguments: object) -> httpx.Response:
        def send() -> httpx.Response:
            with httpx.Client(verify=authority.client_context(), trust_env=False, timeout=20) as client:
                return client.request(method, f"https://{machine.address}:7070{path}", **arguments)  # type: ignore[arg-type]

        return in_network_of(machine.inside.pid, send)

    def up() -> bool:
        assert program.alive, (tmp_path / "agent.log").read_text()
        try:
            return call("GET", "/v1/host").is_success
        except httpx.TransportError:
            return False

    run = (*PROGRAM, "run", "--state-dir", "/var/lib/steppe", "--domain-type", "qemu")
    pids = set()
    for _ in range(2):
        program = machine.inside.start(*run, log=tmp_path / "agent.log")
        await asyncio.to_thread(wait_until, up, "the agent answers")
        facts = (await asyncio.to_thread(call, "GET", "/v1/host")).json()
        assert (facts["hostname"], facts["problems"], facts["simulated"]) == ("host-a", [], False)
        assert {"eth0", "eth1"} <= {interface["name"] for interface in facts["interfaces"]}
        snapshot = {
            "generation": 1,
            "bridges": [{"l2_uuid": "1" * 32, "name": "br_eth1", "physical_interface": "eth1"}],
        }
        answer = await asyncio.to_thread(call, "PUT", "/v1/network", json=snapshot)
        assert answer.json()["generation"] == 1, answer.text
        assert "eth1" in machine.inside.run("ls", "/sys/class/net/br_eth1/brif")
        pids.add(machine.inside.run("pgrep", "-f", "hostagent.netservice").strip())
        assert await asyncio.to_thread(program.stop) == 0, (tmp_path / "agent.log").read_text()
    assert len(pids) == 1  # the network service outlives the agent
