"""A private PostgreSQL server for one test session: own folder, own user, a socket and a free loopback port, nothing else."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg
import pytest

from tools.free_port import free_port

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
_numbers = count(1)


@dataclass(frozen=True)
class Server:
    port: int
    password: str

    def url(self, database: str, port: int | None = None) -> str:
        return f"postgresql://steppe:{self.password}@127.0.0.1:{port or self.port}/{database}"

    def create(self) -> str:
        """The URL of a new, empty database."""
        name = f"steppe_{next(_numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)


@contextlib.contextmanager
def server() -> Iterator[Server]:
    if not PROGRAMS:
        pytest.skip("the PostgreSQL server programs are not installed (apt-get install postgresql)")
    programs = PROGRAMS[-1]
    folder = Path(tempfile.mkdtemp(prefix="steppe-postgres-"))
    as_user: list[str] = []
    if os.geteuid() == 0:  # initdb refuses root
        user = next(name for name in ("postgres", "nobody") if name in {entry.pw_name for entry in pwd.getpwall()})
        shutil.chown(folder, user)
        as_user = ["setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups", "--"]
    port, password, data = free_port(), os.urandom(8).hex(), folder / "data"
    secret = folder / "password"
    secret.write_text(password)
    secret.chmod(0o644 if as_user else 0o600)  # the folder itself is closed to others
    init = [programs / "initdb", "-D", data, "-U", "steppe", "-A", "scram-sha-256", "--pwfile", secret, "-E", "UTF8"]
    subprocess.run([*as_user, *init, "--no-locale", "--no-sync"], check=True, capture_output=True, cwd=folder)
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c max_connections=60"
    control = [*as_user, programs / "pg_ctl", "-D", data, "-w", "-s"]
    subprocess.run([*control, "-l", folder / "log", "-o", options, "start"], check=True, cwd=folder)
    try:
        yield Server(port, password)
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=False, cwd=folder)
        shutil.rmtree(folder, ignore_errors=True)
