"""A Linux guest sees its media change, and keeps the tray locked while it uses one."""

import asyncio
import hashlib
import os
import shutil
import socket
from pathlib import Path

import pytest

from hostagent.contract import HostError, VolumeSpec
from hostagent.ensure.agent import Agent
from hostagent.ensure.image import image_path
from tests.hostagent import specs
from tests.hostagent.real_agent import put
from tests.hostagent.specs import STORAGE, VM
from tests.hostagent.test_boot_and_media import cached_iso
from tools.guests import nano, tiny
from tools.guests.cache import image
from tools.lab import Host

pytestmark = [pytest.mark.host, pytest.mark.guest]


class Shell:
    """The guest's shell on its serial line."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._line.setblocking(False)
        self._heard = b""

    async def until(self, text: str, seconds: float = 120) -> str:
        """What was said up to and with `text`."""
        async with asyncio.timeout(seconds):
            while text.encode() not in self._heard:
                self._heard += await asyncio.get_running_loop().sock_recv(self._line, 65536)
        before, _, self._heard = self._heard.partition(text.encode())
        return before.decode(errors="replace")

    async def run(self, command: str) -> str:
        await asyncio.get_running_loop().sock_sendall(self._line, f"{command}; echo en''d\n".encode())
        return (await self.until("\nend")).partition("en''d")[2]


async def test_media_change_inside_the_guest_and_a_tray_in_use_is_locked(agent: Agent, machine: Host) -> None:
    uuid, path = "6" * 32, f"volumes/{'6' * 32}.qcow2"
    cached = Path(image_path(str(machine.directory / "srv/ps"), uuid, "qcow2"))
    cached.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(image(tiny.DISK), cached)
    await agent.volume.put(uuid, VolumeSpec.model_validate(specs.volume(base_image_uuid=uuid, size=0, path=path)))
    wish = {
        "memory_bytes": 256 << 20,
        "disks": [{"volume_uuid": uuid, "storage_uuid": STORAGE, "path": path, "device_id": 0}],
        "nics": [],
    }
    await put(agent, isos=[{"image_uuid": None}], **wish)
    line = await agent.vm.open_console(VM, "serial")
    try:
        shell = Shell(line)
        await shell.until("TINY READY")
        for generation, made in enumerate((nano.ISO, nano.REBOOTING_ISO), 2):
            await put(agent, generation=generation, isos=[cached_iso(machine, made, str(generation) * 32)], **wish)
            wanted = hashlib.sha256(image(made).read_bytes()).hexdigest()
            assert wanted in await shell.run(
                "sha256sum /dev/sr0 || sha256sum /dev/sr0"
            )  # the first read tells of the change
        await shell.run("mkdir -p /mnt; mount -t iso9660 /dev/sr0 /mnt")
        assert "BOOT.BIN" in (await shell.run("ls /mnt")).upper()
        with pytest.raises(HostError) as refused:
            await put(agent, generation=4, isos=[{"image_uuid": None}], **wish)
        assert refused.value.problem.code == "tray_locked"
        assert "unmount it in the guest, or use force" in refused.value.problem.message
        await put(agent, generation=5, isos=[{"image_uuid": None}], force_eject=True, **wish)
        drives = machine.inside.run("virsh", "-c", "qemu:///system", "domblklist", "--details", VM)
        assert os.path.basename(str(cached_iso(machine, nano.REBOOTING_ISO, "3" * 32)["path"])) not in drives
    finally:
        line.close()
        await agent.vm.delete(VM)
        await agent.volume.delete(uuid, STORAGE, path)
