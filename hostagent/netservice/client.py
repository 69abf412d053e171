"""The agent's end: starts the service process when none answers, and sends it commands.

The process is detached (own session, no inherited descriptors) so that it outlives the agent. One of another version is
told to stop and replaced; guests miss a fraction of a second.
"""

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

import hostagent
from hostagent.contract import HostError, SnapshotSpec
from hostagent.contract.error import broken
from hostagent.netservice.wire import SOCKET, Answer, Command, own_version

START_TIMEOUT = 20.0  # seconds
ANSWER_TIMEOUT = 60.0
LONGEST_PATH = 107  # sun_path, unix(7)


class NetserviceClient:
    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self._path = str(self.directory / SOCKET)
        if len(os.fsencode(self._path)) > LONGEST_PATH:
            raise ValueError(f"{self._path} is too long for a Unix socket: at most {LONGEST_PATH} bytes")
        self._lock = asyncio.Lock()
        self._child = 0

    async def apply(self, snapshot: SnapshotSpec) -> Answer:
        """Raises: HostError as the service says, or `internal` when it cannot be started."""
        await self.ensure_running()
        answer = await self.call(Command(do="apply", snapshot=snapshot))
        if answer.problem is not None:
            problem = answer.problem
            raise HostError(problem.error_class, problem.code, problem.message, problem.detail)
        return answer

    async def withdraw(self, snapshot: SnapshotSpec) -> Answer:
        """Addresses that have another owner in this snapshot are served to nobody until it is applied."""
        await self.ensure_running()
        return await self.call(Command(do="withdraw", snapshot=snapshot))

    async def status(self) -> Answer:
        await self.ensure_running()
        return await self.call(Command(do="status"))

    async def ensure_running(self) -> None:
        async with self._lock:
            answer = await self._try_status()
            if answer is not None and answer.version == own_version():
                return
            if answer is not None:
                await self.stop()
            await asyncio.to_thread(self._spawn)
            deadline = asyncio.get_running_loop().time() + START_TIMEOUT
            while await self._try_status() is None:
                if self._ended() or asyncio.get_running_loop().time() > deadline:
                    raise broken("internal", "the network service process does not start", self._last_words())
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """End the process, if one runs; its answer comes when it has closed the guests' sockets."""
        with suppress(OSError):
            await self.call(Command(do="stop"))
        self._ended()

    async def call(self, command: Command) -> Answer:
        """Raises: OSError when nobody answers."""
        async with asyncio.timeout(ANSWER_TIMEOUT):
            reader, writer = await asyncio.open_unix_connection(self._path)
            try:
                writer.write(command.model_dump_json().encode())
                writer.write_eof()
                return Answer.model_validate_json(await reader.read())
            finally:
                writer.close()

    async def _try_status(self) -> Answer | None:
        try:
            return await self.call(Command(do="status"))
        except (OSError, ValueError):
            return None

    def _spawn(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        source = str(Path(hostagent.__file__).parent.parent)
        path = os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))
        errors = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        self._child = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "hostagent.netservice", "--state-dir", str(self.directory)],
            os.environ | {"PYTHONPATH": path},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, str(self.directory / "stderr"), errors, 0o600),
            ],
            setsid=True,
        )

    def _ended(self) -> bool:
        """Whether the process that this agent started has ended; reaps it."""
        if not self._child:
            return False
        with suppress(ChildProcessError):
            if os.waitpid(self._child, os.WNOHANG)[0] == 0:
                return False
        self._child = 0
        return True

    def _last_words(self) -> str:
        with suppress(OSError):
            return (self.directory / "stderr").read_text(errors="replace")[-2000:]
        return ""
