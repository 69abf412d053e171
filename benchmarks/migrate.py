"""A volume goes from one host to another: our copy between two agents beside the plain tools, on the same bytes.

    python -m benchmarks.migrate [--runs 10] [--directory /var/tmp]

A 2 GiB qcow2, 30 % full of random data, page cache warm, no bandwidth limit. Ours is mutual TLS 1.3 with every byte
stored checked against the source's digest; of the plain tools only nbdcopy encrypts and none checks. All are timed twice:
to the last byte written, and to the end of an fsync of the copy. Prints throughput, ratios and the bytes on the wire. All
sides go before other work of the machine, and find memory that the machine has for certain: a hypervisor that takes back what
is free, and gives it again page by page, would be most of what is measured.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.priority import ahead
from controlplane.agents.authority import Authority
from hostagent.drivers.peers import TlsPeers
from hostagent.ports.peers import Gauge, Grant, Source
from tests.hostagent.peer_files import Files, agent_files

SIZE, FULL = 2 << 30, 0.3
ENDS = {"source": "127.0.0.1", "destination": "127.0.0.2"}
SECRET = "0" * 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"))
    options = parser.parse_args()
    ahead()
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        folder = Path(name)
        disk, copy = folder / "disk.qcow2", folder / "copy.qcow2"
        allocated = _fill(disk)
        print(f"{allocated >> 20} MiB allocated of {SIZE >> 20} MiB; {os.cpu_count()} cores; best of {options.runs}")
        with contextlib.ExitStack() as stack:
            ways = {"ours": _ours(stack, folder, disk, copy)} | _plain(stack, folder, disk, copy)
            best = dict.fromkeys(ways, (float("inf"), float("inf")))
            for _ in range(options.runs):  # in turn, so that a busy moment of the machine meets all of them
                for name, way in ways.items():
                    best[name] = _least(best[name], _timed(way, copy))
            wire = _wire(ways["ours"], copy)
            assert disk.read_bytes() == copy.read_bytes(), "the copy differs"
            assert copy.stat().st_blocks <= disk.stat().st_blocks + 64, "holes were filled"
    for end, what in enumerate(("to the last byte", "to the end of an fsync")):
        _say(what, allocated, {name: seconds[end] for name, seconds in best.items()})
    print(f"bytes on the wire / allocated: {wire / allocated:.4f}")


def _say(what: str, allocated: int, best: dict[str, float]) -> None:
    print(what)
    for name, seconds in sorted(best.items(), key=lambda item: item[1]):
        print(f"  {name:28} {allocated / seconds / (1 << 20):6.0f} MiB/s   ours / it: {seconds / best['ours']:.2f}")
    fastest = min(seconds for name, seconds in best.items() if name != "ours")
    print(f"  ours / fastest plain tool: {fastest / best['ours']:.2f}")


def _least(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    return min(one[0], other[0]), min(one[1], other[1])


def _fill(disk: Path) -> int:
    _run("qemu-img", "create", "-q", "-f", "qcow2", disk, str(SIZE))
    with tempfile.NamedTemporaryFile(dir=disk.parent) as raw:
        for _ in range(int(SIZE * FULL) >> 20):
            raw.write(os.urandom(1 << 20))
        raw.truncate(SIZE)
        raw.flush()
        _run("qemu-img", "convert", "-q", "-n", "-f", "raw", "-O", "qcow2", raw.name, disk)
    disk.read_bytes()
    return disk.stat().st_blocks * 512


def _ours(stack: contextlib.ExitStack, folder: Path, disk: Path, copy: Path) -> Callable[[], None]:
    files = _identities(folder)
    ready = multiprocessing.get_context("spawn").Event()
    server = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(files["source"], str(disk), ready), daemon=True
    )
    server.start()
    stack.callback(server.kill)
    assert ready.wait(30)
    source = Source(ENDS["source"], _PORT, "source", "export", SECRET)

    def pull() -> None:
        async def run() -> None:
            peers = TlsPeers(ENDS["destination"], _PORT, files["destination"])
            await peers.pull(source, "disk", str(copy), Gauge(total=1 << 40))

        asyncio.run(run())

    return pull


_PORT = 17171


def _serve(files: Files, disk: str, ready: "multiprocessing.synchronize.Event") -> None:
    async def run() -> None:
        peers = TlsPeers(ENDS["source"], _PORT, files)
        await peers.serve(Grant("export", "destination", {"disk": disk}, SECRET, 3600))
        ready.set()
        await asyncio.Event().wait()

    asyncio.run(run())


def _identities(folder: Path) -> dict[str, Files]:
    authority = Authority(folder / "pki", [])
    return {name: agent_files(authority, folder, name, ip) for name, ip in ENDS.items()}


def _plain(stack: contextlib.ExitStack, folder: Path, disk: Path, copy: Path) -> dict[str, Callable[[], None]]:
    ways: dict[str, Callable[[], None]] = {}
    nbd = 17172
    _background(stack, nbd, "qemu-nbd", "-r", "-t", "-e", "16", "-f", "qcow2", "-b", "127.0.0.1", "-p", str(nbd), disk)
    url = f"nbd://127.0.0.1:{nbd}"
    ways["qemu-img over NBD, plain"] = lambda: _run(
        *("qemu-img", "convert", "-W", "-m", "16", "-f", "raw", "-O", "qcow2", url, copy)
    )
    if shutil.which("rsync"):
        rsync, config = 17173, folder / "rsyncd.conf"
        config.write_text(f"use chroot = no\n[disks]\npath = {folder}\nuid = 0\ngid = 0\n")
        _background(
            stack,
            rsync,
            "rsync",
            "--daemon",
            "--no-detach",
            "--config",
            config,
            "--port",
            str(rsync),
            "--address=127.0.0.1",
        )
        ways["rsync daemon, plain"] = lambda: _run(
            "rsync", "--whole-file", f"rsync://127.0.0.1:{rsync}/disks/{disk.name}", copy
        )
    if shutil.which("nbdcopy"):
        tls = 17174
        pki = _nbd_pki(folder)
        _background(
            stack, tls, "qemu-nbd", "-r", "-t", "-e", "16", "-f", "raw", "-b", "127.0.0.1", "-p", str(tls),
            "--object", f"tls-creds-x509,id=tls0,endpoint=server,dir={pki},verify-peer=yes", "--tls-creds", "tls0", disk,
        )  # fmt: skip
        ways["nbdcopy over NBD, TLS"] = lambda: _run("nbdcopy", f"nbds://127.0.0.1:{tls}/?tls-certificates={pki}", copy)
    return ways


def _nbd_pki(folder: Path) -> Path:
    pki = folder / "nbd"
    pki.mkdir()
    for name, original in (
        ("ca-cert.pem", "source-ca.pem"), ("server-cert.pem", "source.pem"), ("server-key.pem", "source.key"),
        ("client-cert.pem", "destination.pem"), ("client-key.pem", "destination.key"),
    ):  # fmt: skip
        shutil.copy(folder / original, pki / name)
    return pki


def _background(stack: contextlib.ExitStack, port: int, *command: str | Path) -> None:
    process = subprocess.Popen([str(word) for word in command])
    stack.callback(process.wait)
    stack.callback(process.terminate)
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise RuntimeError(f"{command[0]} does not listen")


def _timed(way: Callable[[], None], copy: Path) -> tuple[float, float]:
    """Seconds to the last byte written, and until it would survive a power cut."""
    copy.unlink(missing_ok=True)
    os.sync()
    _own_memory(copy)
    began = time.perf_counter()
    way()
    written = time.perf_counter()
    with copy.open("rb") as file:
        os.fsync(file.fileno())
    return written - began, time.perf_counter() - began


def _own_memory(scratch: Path) -> None:
    """What the next file takes in the page cache is memory that this one had a moment ago."""
    with scratch.open("wb") as file:
        for _ in range(int(SIZE * FULL * 1.5) >> 20):
            file.write(bytes(1 << 20))
    scratch.unlink()


def _wire(way: Callable[[], None], copy: Path) -> int:
    """What the loopback device carried, acknowledgements included."""
    copy.unlink(missing_ok=True)
    before = _loopback()
    way()
    return _loopback() - before


def _loopback() -> int:
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, counters = line.partition(":")
        if name.strip() == "lo":
            return int(counters.split()[0])
    raise RuntimeError("no loopback device")


def _run(*command: str | Path) -> None:
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
