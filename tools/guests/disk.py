"""A bootable disk made without mounting anything: MBR, grub's core image behind it, one ext4 partition at 1 MiB."""

import struct
from pathlib import Path

from tools.guests.program import run

_GRUB = Path("/usr/lib/grub/i386-pc")
_FIRST = 2048  # sectors before the partition
# grub 2.06 cannot read the newer features, and a journal only costs time in a guest that is thrown away
_EXT4 = "^has_journal,^metadata_csum,^metadata_csum_seed,^orphan_file,^64bit"


def bootable(
    tree: Path, kernel: str, initrd: str, options: str, label: str, size_mib: int, out: Path, compress: bool = False
) -> None:
    """A qcow2 disk with the files of `tree`; `kernel` and `initrd` are paths in it. Owners and modes are kept."""
    raw = out.with_suffix(".raw")
    with raw.open("wb") as file:
        file.truncate(size_mib << 20)
    placement = f"offset={_FIRST * 512},root_owner=0:0"
    options_of_ext4 = ("-O", _EXT4, "-L", label, "-m", "0", "-E", placement)
    run("mke2fs", "-q", "-F", "-t", "ext4", *options_of_ext4, "-d", tree, raw, f"{size_mib - 1}M")
    core = _grub_core(kernel, initrd, options, out.with_suffix(".core"))
    with raw.open("r+b") as file:
        file.write(_master_boot_record(size_mib))
        file.write(core)  # the boot sector looks for it in sector 1
    to_qcow2(raw, out, compress)


def to_qcow2(raw: Path, out: Path, compress: bool = False) -> None:
    flags = ["-c", "-o", "compression_type=zstd"] if compress else []
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", *flags, raw, out)
    raw.unlink()


def _grub_core(kernel: str, initrd: str, options: str, scratch: Path) -> bytes:
    config = scratch.with_suffix(".cfg")
    config.write_text(f"set root=(hd0,msdos1)\nlinux {kernel} {options}\ninitrd {initrd}\nboot\n")
    modules = ("biosdisk", "part_msdos", "ext2", "linux", "boot", "minicmd")
    run("grub-mkimage", "-O", "i386-pc", "-o", scratch, "-c", config, "-p", "/boot/grub", *modules)
    core = scratch.read_bytes()
    if len(core) > (_FIRST - 1) * 512:
        raise ValueError("grub's core image does not fit before the partition")
    return core


def _master_boot_record(size_mib: int) -> bytes:
    sector = bytearray((_GRUB / "boot.img").read_bytes())
    # boot.img carries code for floppies where the partition table goes; left there, grub sees no partition
    sector[0x1BE:0x1FE] = bytes(64)
    active, linux, chs = 0x80, 0x83, b"\xfe\xff\xff"
    sector[0x1BE:0x1CE] = struct.pack("<B3sB3sII", active, chs, linux, chs, _FIRST, (size_mib - 1) * 2048)
    sector[0x1FE:0x200] = b"\x55\xaa"
    return bytes(sector)
