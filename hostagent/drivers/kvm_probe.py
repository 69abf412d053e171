"""Does KVM really run guests here? Boots a Linux kernel and waits for it to look for its root disk.

A machine may offer /dev/kvm, run real-mode code and hang in the first Linux (nested virtualisation does); only a
kernel tells. The finding is kept by kernel release, QEMU, CPU and probe kernel. Without a kernel at hand: emulation.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

import structlog

from hostagent.drivers.files import write_atomically
from hostagent.drivers.machine import cpu_model

DomainType = Literal["kvm", "qemu"]
LIMIT = 8.0  # seconds
QEMU = "qemu-system-x86_64"
ALIVE = re.compile(rb"Unable to mount root fs|Cannot open root device|Run /\S*init|No working init found")
log = structlog.get_logger("hostagent.kvm")


class KvmProbe:
    """`wish` other than auto is obeyed without a probe."""

    def __init__(self, cache: Path, wish: Literal["auto", "kvm", "qemu"], kernel: Path | None) -> None:
        self._cache = cache
        self._wish = wish
        self._kernel = kernel
        self._decision: asyncio.Task[tuple[DomainType, str]] | None = None

    async def decide(self) -> tuple[DomainType, str]:
        """(domain type, why not kvm). The first call may take as long as the probe; others share its answer."""
        if self._wish != "auto":
            return self._wish, "chosen by --domain-type" if self._wish == "qemu" else ""
        if self._decision is None:
            self._decision = asyncio.create_task(self._decide())
        return await asyncio.shield(self._decision)

    async def _decide(self) -> tuple[DomainType, str]:
        if not os.access("/dev/kvm", os.R_OK | os.W_OK):
            return "qemu", "/dev/kvm is missing or may not be opened"
        kernel = await asyncio.to_thread(find_kernel, self._kernel)
        if kernel is None:
            return "qemu", "no Linux kernel at hand to prove KVM with; name one by --probe-kernel"
        try:
            key = await self._key(kernel)
        except OSError as error:
            return "qemu", f"cannot probe: {error}"
        if known := await asyncio.to_thread(self._read, key):
            return known
        found = await probe(kernel)
        log.info("KVM was probed", domain_type=found[0], reason=found[1], kernel=str(kernel))
        document = json.dumps({"key": key, "domain_type": found[0], "reason": found[1]})
        await asyncio.to_thread(write_atomically, self._cache, document.encode())
        return found

    async def _key(self, kernel: Path) -> str:
        version = await asyncio.create_subprocess_exec(
            QEMU, "--version", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await version.communicate()
        digest = await asyncio.to_thread(lambda: hashlib.sha256(kernel.read_bytes()).hexdigest())
        return "\n".join((os.uname().release, output.decode(errors="replace").splitlines()[0], cpu_model(), digest))

    def _read(self, key: str) -> tuple[DomainType, str] | None:
        with contextlib.suppress(OSError, ValueError, KeyError):
            known = json.loads(self._cache.read_text())
            if known["key"] == key:
                return cast(DomainType, known["domain_type"]), known["reason"]
        return None


def find_kernel(named: Path | None, boot: Path = Path("/boot")) -> Path | None:
    """The kernel named, else the newest in /boot."""
    if named is not None:
        return named if named.is_file() else None
    candidates = sorted(boot.glob("vmlinuz*"), key=lambda path: path.stat().st_mtime)
    return candidates[-1] if candidates else None


async def probe(kernel: Path, limit: float = LIMIT, accelerator: str = "kvm") -> tuple[DomainType, str]:
    """Boot `kernel` without a root disk; alive is who complains about that. Source: qemu-system-x86_64(1)."""
    command: Sequence[str] = (
        *(QEMU, "-accel", accelerator, "-machine", "pc", "-m", "256", "-nodefaults", "-no-user-config", "-no-reboot"),
        *("-display", "none", "-serial", "stdio", "-kernel", str(kernel)),
        *("-append", "console=ttyS0 panic=-1"),
    )
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    seen = b""
    try:
        async with asyncio.timeout(limit):
            while chunk := await process.stdout.read(4096):
                seen = (seen + chunk)[-65536:]
                if ALIVE.search(seen):
                    return "kvm", ""
            complaint = (await process.stderr.read()).decode(errors="replace").strip()
            return "qemu", f"QEMU ended before Linux booted under KVM: {complaint[-300:] or 'no message'}"
    except TimeoutError:
        return "qemu", f"Linux did not boot under KVM within {limit:g} s"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
