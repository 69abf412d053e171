"""`steppe-hostagent`: enrols a host, runs its agent, or runs simulated hosts. Chooses the ports and wires them.

steppe-hostagent enroll --server https://cp:8443 --ca-file ca.pem --token-file token --management-ip 10.0.0.2
steppe-hostagent run
python -m hostagent.main --sim --count 3 --server https://cp:8443 --ca-file ca.pem --token-file tokens
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

import structlog
import uvloop

from hostagent import log, sim
from hostagent.api.app import create_app
from hostagent.api.server import AgentServer
from hostagent.enroll import EnrolmentError, Identity, enroll
from hostagent.ensure.agent import Agent

STATE = Path("/var/lib/steppe")
PORT = 7070
logger = structlog.get_logger("hostagent")


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0 after an orderly end (SIGTERM, SIGINT), 1 with a sentence on stderr when it could not be done."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.sim and options.command is None:
        parser.error("one of enroll, run, --sim is needed")
    log.configure()
    try:
        if options.sim:
            agents = _simulated(options)
        elif options.command == "enroll":
            [token] = _tokens(options.token_file, 1)
            identity = _enroll(options, token, options.management_ip, options.state_dir)
            print(f"enrolled as host agent {identity.host_agent_uuid}; start it with: steppe-hostagent run")
            return 0
        else:
            agents = [_real(options)]
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(agents))
    except (EnrolmentError, OSError, ValueError) as error:
        print(f"steppe-hostagent: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(agents: list[tuple[Identity, Agent]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with asyncio.TaskGroup() as group:
        for identity, agent in agents:
            server = AgentServer(
                create_app(agent),
                identity.management_ip,
                identity.port,
                key=identity.key_file,
                certificate=identity.certificate_file,
                control_ca=identity.control_ca_file,
            )
            group.create_task(server.run_until(stop, agent.events.release))
            logger.info("serving", ip=identity.management_ip, port=identity.port, uuid=identity.host_agent_uuid)


def _real(options: argparse.Namespace) -> tuple[Identity, Agent]:
    identity = Identity.load(options.state_dir)
    if identity is None:
        raise EnrolmentError(f"{options.state_dir} holds no identity: run `steppe-hostagent enroll` first")
    # here, not above: simulated hosts run where libvirt and netlink are not installed
    from hostagent.real import Choices, real_agent

    choices = Choices(
        state_dir=options.state_dir,
        libvirt_uri=options.libvirt_uri,
        domain_type=options.domain_type,
        probe_kernel=options.probe_kernel,
        serial_directory=options.serial_dir,
    )
    return identity, real_agent(identity, choices)


def _simulated(options: argparse.Namespace) -> list[tuple[Identity, Agent]]:
    """`count` hosts at consecutive addresses; those that a state directory knows are not enrolled again."""
    if not options.server or not options.token_file:
        raise ValueError("--sim needs --server and --token-file")
    first = ip_address(options.base_ip)
    known: dict[str, Identity | None] = {}
    for number in range(options.count):
        ip = str(first + number)
        known[ip] = Identity.load(options.state_dir / ip)
    tokens = iter(_tokens(options.token_file, sum(one is None for one in known.values())))
    agents = []
    for number, (ip, found) in enumerate(known.items(), 1):
        identity = found or _enroll(options, next(tokens), ip, options.state_dir / ip)
        agent, _ = sim.agent(f"sim-{number}", uuid=identity.host_agent_uuid)
        agents.append((identity, agent))
    return agents


def _enroll(options: argparse.Namespace, token: str, ip: str, directory: Path) -> Identity:
    return enroll(
        server=options.server,
        ca_file=options.ca_file,
        token=token,
        management_ip=ip,
        port=options.port,
        directory=directory,
    )


def _tokens(path: Path, count: int) -> list[str]:
    tokens = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    if len(tokens) < count:
        raise ValueError(f"{path} holds {len(tokens)} token(s), one a line; {count} are needed")
    return tokens[:count]


def _address(text: str) -> str:
    return str(ip_address(text))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="steppe-hostagent", description="The agent of one KVM host.")
    parser.add_argument("--sim", action="store_true", help="run simulated hosts")
    parser.add_argument("--count", type=int, default=1, help="how many simulated hosts")
    parser.add_argument("--base-ip", default="127.0.1.1", type=_address, help="address of the first simulated host")
    _common(parser)
    _enrolment(parser, required=False)
    commands = parser.add_subparsers(dest="command")
    command = commands.add_parser("enroll", help="get this host's certificate with a one-time token")
    _common(command)
    _enrolment(command, required=True)
    command.add_argument("--management-ip", required=True, type=_address, help="where the control plane reaches us")
    command = commands.add_parser("run", help="run the agent of this host")
    _common(command)
    command.add_argument("--libvirt-uri", default="qemu:///system")
    command.add_argument("--domain-type", choices=["auto", "kvm", "qemu"], default="auto")
    command.add_argument("--probe-kernel", type=Path, help="Linux kernel that the KVM probe boots (auto: /boot)")
    command.add_argument("--serial-dir", type=Path, default=Path("/var/log/libvirt/steppe"))
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state-dir", type=Path, default=STATE)


def _enrolment(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument("--server", required=required, help="https:// address of the control plane")
    parser.add_argument("--ca-file", type=Path, help="the control plane's ca.pem")
    parser.add_argument("--token-file", type=Path, required=required, help="file with one token a line")
    parser.add_argument("--port", type=int, default=PORT, help="port the agent listens on")


if __name__ == "__main__":
    raise SystemExit(main())
