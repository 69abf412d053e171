"""`python -m hostagent.netservice --state-dir DIR`: runs until told to stop; a second one for the same directory ends.

Listens on nothing but the Unix socket in DIR and the networks' own namespaces.
"""

import argparse
import asyncio
import fcntl
import logging
import os
import signal
import sys
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path

import uvloop

from hostagent.contract import HostError, Problem
from hostagent.netservice.service import Service
from hostagent.netservice.wire import SOCKET, Answer, Command, own_version

LOCK_TIMEOUT = 3.0  # seconds
LOG_BYTES, LOG_FILES = 8 << 20, 2  # what guests can make it write is bounded

log = logging.getLogger(__name__)


async def handle(
    service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stop: asyncio.Event
) -> None:
    problem: Problem | None = None
    try:
        command = Command.model_validate_json(await reader.read())
        if command.do == "apply" and command.snapshot is not None:
            await service.apply(command.snapshot)
        elif command.do == "withdraw" and command.snapshot is not None:
            await service.withdraw(command.snapshot)
        elif command.do == "stop":
            await service.close()
            stop.set()
    except HostError as error:
        problem = error.problem
    except ValueError as error:
        problem = Problem(error_class="rejected", code="invalid_spec", message=f"not a command: {type(error).__name__}")
    except Exception as error:
        log.exception("a command failed")
        problem = Problem(
            error_class="broken", code="internal", message="the network service failed", detail=repr(error)
        )
    answer = Answer(version=own_version(), status=service.status(), problem=problem)
    writer.write(answer.model_dump_json().encode())
    await writer.drain()
    writer.close()


async def run(directory: Path) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    service = Service(directory)
    await service.restore()
    path = directory / SOCKET
    path.unlink(missing_ok=True)  # of a process that is gone: the lock is ours
    server = await asyncio.start_unix_server(
        lambda reader, writer: handle(service, reader, writer, stop), path=str(path), limit=1 << 20
    )
    log.info("serving from %s, generation %d", directory, service.status().generation)
    await stop.wait()
    path.unlink(missing_ok=True)
    server.close()
    await service.close()


def lock(path: Path) -> bool:
    """Hold `path` until the process ends; a predecessor that was told to stop is given time to do so."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + LOCK_TIMEOUT
    while time.monotonic() < deadline:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(0.02)
    return False


def main() -> int:
    parser = argparse.ArgumentParser(prog="hostagent.netservice", description=__doc__)
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING"))
    arguments = parser.parse_args()
    directory: Path = arguments.state_dir.absolute()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    os.umask(0o077)
    if not lock(directory / "lock"):
        print(f"another network service runs for {directory}", file=sys.stderr)
        return 1
    logging.basicConfig(
        level=arguments.log_level,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        handlers=[RotatingFileHandler(directory / "log", maxBytes=LOG_BYTES, backupCount=LOG_FILES)],
    )
    uvloop.run(run(directory))
    return 0


if __name__ == "__main__":
    sys.exit(main())
