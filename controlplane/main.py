"""`steppe-controlplane`: one node of the control plane. Chooses database, certificates and ports, and wires them.

The state directory (mode 0700; stop the node before you delete anything in it):
  steppe.db        the database, unless --database-url names another
  node-id          who this node is among those that share a database
  pki/             certificate authorities and keys; `ca.pem` is for agents and clients. Losing it means enrolling anew
  images/          image stores: <store>/<image uuid>/
  access-key.key   under which the secrets of access keys are encrypted; nodes that share a database need the same one
  import/          where file:// images may come from; emptied by nobody but you
  admin-password   made at the first start when --admin-password-file is not given
"""

import argparse
import asyncio
import contextlib
import fcntl
import gc
import importlib
import ipaddress
import os
import pkgutil
import resource
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit
from uuid import uuid4

import structlog
import uvicorn
import uvloop
from fastapi import FastAPI

import controlplane.contract
import controlplane.services
import controlplane.workflows
from controlplane import log
from controlplane.agents.authority import Authority
from controlplane.agents.client import HostClients
from controlplane.agents.connection import over_tls
from controlplane.api import console, enrollment, image_files, provider_mirror, provider_registry
from controlplane.api.app import create_app
from controlplane.operations.engine import Engine
from controlplane.reconcilers.audit import AuditPruner
from controlplane.reconcilers.expunge import Expunger
from controlplane.reconcilers.host import HostReconciler
from controlplane.reconcilers.web_hook import WebHooks
from controlplane.services.account import ensure_admin
from controlplane.store import schema
from controlplane.store.database import Database
from controlplane.store.journal import StoreJournal
from controlplane.workflows import global_config, network_service
from controlplane.workflows.host_connection import address_of
from controlplane.workflows.network_sync import NetworkSync
from controlplane.workflows.registration import engine_registry
from controlplane.workflows.world import Settings, World

GRACE = 5  # seconds for calls under way when the node ends
_RENEW = 12 * 3600.0  # seconds between two looks at the certificates
logger = structlog.get_logger("steppe")


class StartError(Exception):
    """Says why the node cannot start and what to do; holds no secret."""


@dataclass(frozen=True)
class Endpoint:
    """`host` is an IP address."""

    host: str
    port: int

    @property
    def authority(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0 after an orderly end (SIGTERM, SIGINT), 1 with a sentence on stderr when it could not start."""
    options = _parser().parse_args(arguments)
    log.configure()
    _raise_file_limit()
    try:
        if not ipaddress.ip_address(options.listen.host).is_loopback:
            raise StartError(
                f"--listen {options.listen.authority}: plain HTTP is for loopback addresses only, since passwords and "
                "sessions travel over it; use --tls-listen for others"
            )
        with _alone(options.state_dir), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(options))
    except (StartError, OSError) as error:
        print(f"steppe-controlplane: {error}", file=sys.stderr)
        return 1
    return 0


async def _run(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    authority = Authority(options.state_dir / "pki", _names(options))
    settings = Settings(
        state_dir=options.state_dir,
        public_url=_public_url(options),
        file_image_dirs=(options.state_dir / "import", *(path.resolve() for path in options.allow_file_images)),
        provider_mirror=options.provider_mirror,
    )
    url = options.database_url or f"sqlite:///{options.state_dir / 'steppe.db'}"
    async with node(url, settings, authority, options.admin_password_file) as app:
        servers = [_Server(app, options.listen)]
        if options.tls_listen:
            servers.append(_Server(app, options.tls_listen, authority))
        _spare_the_collector()
        logger.info("serving", http=options.listen.authority, public_url=settings.public_url)
        async with asyncio.TaskGroup() as group:
            for server in servers:
                group.create_task(server.run_until(stop))


@contextlib.asynccontextmanager
async def node(
    database_url: str, settings: Settings, authority: Authority, admin_password_file: Path | None = None
) -> AsyncIterator[FastAPI]:
    """A running node without a listener: database at the current schema, engine and reconcilers at work."""
    import_all()
    db = Database(database_url)
    try:
        await asyncio.to_thread(schema.upgrade, db)
        await _first_start(db, settings.state_dir, admin_password_file)
        hosts = HostClients(
            over_tls(authority.client_context),
            lambda uuid: address_of(db, uuid),
            lambda: max(engine.epoch, 1),
            authority.client_context,
        )
        network = NetworkSync(db, hosts)
        world = World(db, hosts, network, settings, authority)
        engine = world.engine = Engine(StoreJournal(db), engine_registry(), world, _node_id(settings.state_dir))
        await engine.start()
        tasks = [
            asyncio.create_task(HostReconciler(world).run(), name="hosts"),
            asyncio.create_task(Expunger(world, engine).run(), name="expunge"),
            asyncio.create_task(WebHooks(world).run(), name="web hooks"),
            asyncio.create_task(AuditPruner(world).run(), name="audit"),
        ]
        providers = settings.provider_mirror or settings.state_dir / "providers"
        try:
            yield create_app(
                world,
                engine,
                [
                    enrollment.router(world, engine),
                    image_files.router(world, engine),
                    console.router(world),
                    provider_mirror.router(providers),
                    provider_registry.router(providers),
                ],
            )
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await engine.stop()
            await network.close()
            await hosts.close()
    finally:
        db.close()


def import_all() -> None:
    """Every module of the contract, of the workflows and of the services registers what it has."""
    for package in (controlplane.contract, controlplane.workflows, controlplane.services):
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            importlib.import_module(module.name)


async def _first_start(db: Database, state_dir: Path, password_file: Path | None) -> None:
    for name in ("images", "import"):
        (state_dir / name).mkdir(exist_ok=True, mode=0o700)
    await db.write(lambda tx: network_service.seed(tx, uuid4().hex))
    await db.write(global_config.seed)
    made = state_dir / "admin-password"
    if password_file is None and not made.exists():
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(16) + "\n")
    password = (password_file or made).read_text().rstrip("\n")
    if not password:
        raise StartError(f"{password_file or made} is empty: its first line is the administrator's password")
    if await db.write(lambda tx: ensure_admin(tx, password)):
        logger.info("made the account admin", password_file=str(password_file or made))
    elif password_file is None:
        logger.info("the account admin exists", password_file=str(made))


def _node_id(state_dir: Path) -> str:
    path = state_dir / "node-id"
    if not path.exists():
        path.write_text(uuid4().hex + "\n")
    return path.read_text().strip()


class _Server(uvicorn.Server):
    """One listener; signals are the caller's. With an authority it speaks TLS and renews its certificate as it runs."""

    def __init__(self, app: FastAPI, endpoint: Endpoint, authority: Authority | None = None) -> None:
        certificate, key = authority.server_files if authority else (None, None)
        config = uvicorn.Config(
            app,
            host=endpoint.host,
            port=endpoint.port,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="websockets-sansio",
            ws_per_message_deflate=False,
            timeout_keep_alive=120,
            timeout_graceful_shutdown=GRACE,
            ssl_certfile=str(certificate) if certificate else None,
            ssl_keyfile=str(key) if key else None,
        )
        config.load()
        super().__init__(config)
        self._authority = authority

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def run_until(self, stop: asyncio.Event) -> None:
        serving = asyncio.create_task(self.serve())
        stopping = asyncio.create_task(stop.wait())
        renewing = asyncio.create_task(self._renew())
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        renewing.cancel()
        self.should_exit = True
        try:
            await serving
        except SystemExit as error:  # uvicorn's way to say that the address is taken
            raise StartError(f"cannot listen on {self.config.host}:{self.config.port}") from error

    async def _renew(self) -> None:
        while self._authority and self.config.ssl:
            await asyncio.sleep(_RENEW)
            if self._authority.renew():
                self.config.ssl.load_cert_chain(*self._authority.server_files)
                logger.info("renewed the certificates of this node")


# -- choices -----------------------------------------------------------------------------------------------------


def _public_url(options: argparse.Namespace) -> str:
    if options.public_url:
        return str(options.public_url).rstrip("/")
    if options.tls_listen:
        return f"https://{options.tls_listen.authority}"
    return f"http://{options.listen.authority}"


def _names(options: argparse.Namespace) -> list[str]:
    """By these the server's certificate is good."""
    names = {"127.0.0.1", "localhost", urlsplit(_public_url(options)).hostname or "localhost"}
    if options.tls_listen and not ipaddress.ip_address(options.tls_listen.host).is_unspecified:
        names.add(options.tls_listen.host)
    return sorted(names)


@contextlib.contextmanager
def _alone(state_dir: Path) -> Iterator[IO[str]]:
    """One process for each state directory."""
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (state_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError(f"another control plane runs on {state_dir}") from None
        yield lock


def _spare_the_collector() -> None:
    """What was loaded stays: Python need not look through it for garbage, nor through little garbage so often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(65_536, hard) if hard != resource.RLIM_INFINITY else 65_536
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def endpoint(text: str) -> Endpoint:
    """`127.0.0.1:8080` or `[::1]:8080`."""
    host, _, port = text.rpartition(":")
    try:
        return Endpoint(str(ipaddress.ip_address(host.strip("[]"))), int(port))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form IP:port, e.g. 127.0.0.1:8080") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="steppe-controlplane", description="One node of the control plane.")
    parser.add_argument("--state-dir", type=Path, default=Path("/var/lib/steppe-controlplane"))
    parser.add_argument("--listen", type=endpoint, default="127.0.0.1:8080", help="plain HTTP, loopback only")
    parser.add_argument("--tls-listen", type=endpoint, help="HTTPS for agents and clients, e.g. 10.0.0.1:8443")
    parser.add_argument("--public-url", help="how agents and clients reach this node (default: from --tls-listen)")
    parser.add_argument(
        "--database-url",
        default=os.environ.get("STEPPE_DATABASE_URL"),
        help="postgresql://…; with a password rather in the environment: STEPPE_DATABASE_URL (default: SQLite)",
    )
    parser.add_argument("--admin-password-file", type=Path, help="first line: admin's password at the first start")
    parser.add_argument("--allow-file-images", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument(
        "--provider-mirror",
        type=Path,
        metavar="DIR",
        help="providers for `terraform init` from this node (default: providers in the state directory)",
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
