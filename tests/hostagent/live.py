"""A tiny guest on a real QEMU that tells on its console what disks it has, and runs scripts that are plugged in as disks."""

import asyncio
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from hostagent.contract import VmSpec, VmStatus, VolumeSpec
from hostagent.ensure.agent import Agent
from hostagent.ensure.image import image_path
from tests.hostagent import specs
from tests.hostagent.specs import STORAGE, VM, VOLUME
from tools.guests import tiny
from tools.guests.cache import image

MIB = 1 << 20
TINY = "6" * 32  # the image
PATIENCE = 90  # seconds for a guest on a busy machine


class Guest:
    """`disks`: uuid → path, the root volume first; `put` tells the agent all of them."""

    def __init__(self, agent: Agent, root: Path) -> None:
        self.agent = agent
        self.root = root
        self.generation = 0
        self.disks: dict[str, str] = {}
        self.nics: list[dict[str, Any]] = []
        self.scripts = 0
        self.log = Path()

    async def boot(self) -> None:
        cached = Path(image_path(str(self.root), TINY, "qcow2"))
        cached.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(image(tiny.DISK), cached)
        await self.volume(VOLUME, base_image_uuid=TINY, size=0)
        self.disks = {VOLUME: path_of(VOLUME)}
        await self.start()

    async def start(self) -> None:
        status = await self.put(power="running", boot_token=f"boot {self.generation}")
        self.log = Path(status.serial_log)
        await self.says("BOOTED FROM DISK")

    async def stop(self) -> None:
        await self.put(power="stopped", stop_timeout=0)

    async def volume(self, uuid: str, **changes: Any) -> Any:
        spec = specs.volume(path=path_of(uuid), **changes)
        return await self.agent.volume.put(uuid, VolumeSpec.model_validate(spec))

    async def put(self, power: str = "unchanged", **changes: Any) -> VmStatus:
        self.generation += 1
        disks = [
            {"volume_uuid": uuid, "storage_uuid": STORAGE, "path": path, "device_id": number}
            for number, (uuid, path) in enumerate(self.disks.items())
        ]
        spec = specs.vm(generation=self.generation, disks=disks, memory_bytes=256 * MIB, nics=self.nics, power=power)
        return await self.agent.vm.put(VM, VmSpec.model_validate(spec | {"boot_token": ""} | changes))

    async def says(self, pattern: str, after: int = 0) -> re.Match[str]:
        """The first line of its console from byte `after` on that matches."""
        text, end = "", time.monotonic() + PATIENCE
        while time.monotonic() < end:
            text = self.log.read_bytes()[after:].decode(errors="replace").replace("\r", "")
            if found := re.search(pattern, text):
                return found
            await asyncio.sleep(0.1)
        raise AssertionError(f"the guest does not say {pattern!r}: {text[-3000:]}")

    async def run(self, script: str) -> str:
        """What a shell script says, to its last line `done`."""
        self.scripts += 1
        uuid = f"{self.scripts:04x}" * 8
        await self.volume(uuid, size=MIB)
        text = f"#!/bin/sh\n{script}\necho done\n"
        raw = self.root / "script"
        raw.write_bytes(text.encode().ljust(4096, b"\0"))
        file = self.root / path_of(uuid)
        subprocess.run(["qemu-img", "convert", "-n", "-O", "qcow2", raw, file], check=True)
        raw.unlink()
        after = self.log.stat().st_size
        self.disks[uuid] = path_of(uuid)
        await self.put()
        found = await self.says(r"(?s)(.*)SCRIPT: done\n", after)
        del self.disks[uuid]
        await self.put()
        await self.agent.volume.delete(uuid, STORAGE, path_of(uuid))
        return "\n".join(re.findall(r"SCRIPT: (.*)", found[1]))


def path_of(uuid: str) -> str:
    return f"volumes/{uuid}/{uuid}.qcow2"
