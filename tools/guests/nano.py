"""The nano guest: 512 bytes of real-mode code that say on COM1 where they were booted from, and halt (or reset).

Runs under TCG in 0.2 s, and under hardware virtualisation too. It ignores the power button: nothing graceful here.
"""

from pathlib import Path

from tools.guests.cache import Image
from tools.guests.disk import to_qcow2
from tools.guests.program import run

_LOADED_AT = 0x7C00
_CODE = bytes.fromhex(
    "fa"  # cli
    "31c0 8ed8"  # ds = 0
    "fc be0000"  # si = message (filled in below)
    "ac 84c0 7411"  # next: al = *si++; when 0 go to halt
    "88c3 bafd03"  # bl = al; dx = line status register of COM1
    "ec a820 74fb"  # wait until the transmitter is empty
    "b2f8 88d8 ee"  # dx = data register; send
    "ebea"  # go to next
)
_RESET = bytes.fromhex("b0fe e664")  # the keyboard controller pulls the CPU's reset line
_HALT = bytes.fromhex("fb f4 ebfd")  # interrupts on, so that the machine stays manageable; hlt for ever


def boot_sector(message: str, end: bytes = _HALT) -> bytes:
    code = bytearray(_CODE + end)
    code[7:9] = (_LOADED_AT + len(code)).to_bytes(2, "little")
    sector = bytes(code) + message.encode("ascii") + b"\r\n\0"
    if len(sector) > 510:
        raise ValueError(f"the message is {len(sector) - 510} bytes too long for a boot sector")
    return sector.ljust(510, b"\0") + b"\x55\xaa"


def _build_disk(work: Path, out: Path) -> None:
    raw = work / "nano.raw"
    raw.write_bytes(boot_sector("NANO BOOTED FROM DISK").ljust(1 << 20, b"\0"))
    to_qcow2(raw, out)


def _build_iso(work: Path, out: Path, end: bytes = _HALT) -> None:
    (work / "boot.bin").write_bytes(boot_sector("NANO BOOTED FROM CDROM", end).ljust(2048, b"\0"))
    boot = ("-b", "boot.bin", "-no-emul-boot", "-boot-load-size", "4")
    run("xorriso", "-as", "mkisofs", "-quiet", "-o", out, *boot, work)


_SOURCES = ("nano.py", "disk.py")
DISK = Image("nano", ".qcow2", _SOURCES, (), _build_disk)
ISO = Image("nano", ".iso", _SOURCES, (), _build_iso)
REBOOTING_ISO = Image("nano-reboots", ".iso", _SOURCES, (), lambda work, out: _build_iso(work, out, _RESET + _HALT))
