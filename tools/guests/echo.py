"""The echo guest: a boot sector on an ISO that writes every key it gets on its screen and on COM1."""

from pathlib import Path

from tools.guests.cache import Image
from tools.guests.program import run

_CODE = bytes.fromhex(
    "b401 b90020 cd10"  # the cursor is off: nothing changes on the screen but by a key
    "b400 cd16 50"  # again: wait for a key; keep it
    "b40e bb0700 cd10"  # write it on the screen
    "58 baf803 ee"  # and to COM1
    "ebed"  # go to again
)


def _build(work: Path, out: Path) -> None:
    (work / "boot.bin").write_bytes(_CODE.ljust(510, b"\0") + b"\x55\xaa" + bytes(1536))
    boot = ("-b", "boot.bin", "-no-emul-boot", "-boot-load-size", "4")
    run("xorriso", "-as", "mkisofs", "-quiet", "-o", out, *boot, work)


ISO = Image("echo", ".iso", ("echo.py",), (), _build)
