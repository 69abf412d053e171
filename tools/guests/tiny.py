"""The tiny guest: Debian's cloud kernel, busybox and dropbear in an initial RAM disk; 64 MiB, up in 7 s under emulation.

`files/tiny_init.sh` is its process 1: DHCP on every interface, metadata from the server that gave the address, public keys
for root, user data that starts with `#!`, ssh on port 22, the power button. It says on the serial line what it found.
"""

import shutil
from pathlib import Path

from tools.guests import disk, kernel, packages
from tools.guests.cache import Image
from tools.guests.program import run

_FILES = Path(__file__).parent / "files"
_LIBRARIES = ("libc6", "libcrypt1", "libtomcrypt1", "libtommath1", "libgmp10", "zlib1g")
_PACKAGES = ("busybox-static", "dropbear-bin", *_LIBRARIES)
_MODULES = (
    *("virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "virtio_rng", "virtio_balloon"),
    *("button", "evdev", "ata_piix", "virtio_scsi", "sd_mod", "sr_mod", "isofs", "crc32c_generic"),
)
_OPTIONS = f"console=tty0 console=ttyS0,115200 panic=5 rdinit=/init {kernel.FAST}"


def _ram_disk(work: Path) -> tuple[kernel.Kernel, Path]:
    parts, root = work / "parts", work / "root"
    packages.unpack((packages.cloud_kernel(), *_PACKAGES), work / "debs", parts)
    for name in ("bin", "etc", "dev", "proc", "sys", "run", "tmp", "root", "lib64", "data"):
        (root / name).mkdir(parents=True)
    guest_kernel = kernel.Kernel(parts)
    guest_kernel.install_modules(_MODULES, root)
    shutil.copy(parts / "bin/busybox", root / "bin/busybox")
    (root / "bin/sh").symlink_to("busybox")
    for source, target in (
        ("tiny_init.sh", "init"),
        ("tiny_lease.sh", "etc/lease"),
        ("tiny_parts.awk", "etc/parts.awk"),
    ):
        shutil.copy(_FILES / source, root / target)
        (root / target).chmod(0o755)
    _install_dropbear(parts, root)
    ram_disk = work / "initrd"
    kernel.pack(root, ram_disk)
    return guest_kernel, ram_disk


def _install_dropbear(parts: Path, root: Path) -> None:
    """The daemon, its libraries, and a host key: making one in the guest costs seconds."""
    libraries = f"{parts}/lib/x86_64-linux-gnu:{parts}/usr/lib/x86_64-linux-gnu"
    loader = (parts / "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "--library-path", libraries)
    run(*loader, parts / "usr/bin/dropbearkey", "-t", "ed25519", "-f", root / "etc/dropbear_key")
    daemon = parts / "usr/sbin/dropbear"
    shutil.copy(daemon, root / "bin/dropbear")
    for word in run(*loader, "--list", daemon).decode().split():
        if word.startswith("/"):
            target = "lib64" if "ld-linux" in word else "lib"
            shutil.copy(Path(word).resolve(), root / target / Path(word).name)


def _build_disk(work: Path, out: Path) -> None:
    guest_kernel, ram_disk = _ram_disk(work)
    tree = work / "tree"
    (tree / "boot").mkdir(parents=True)
    shutil.copy(guest_kernel.image, tree / "boot/vmlinuz")
    shutil.copy(ram_disk, tree / "boot/initrd")
    disk.bootable(tree, "/boot/vmlinuz", "/boot/initrd", _OPTIONS, "tinyroot", 64, out)


def _build_iso(work: Path, out: Path) -> None:
    guest_kernel, ram_disk = _ram_disk(work)
    tree = work / "tree"
    (tree / "isolinux").mkdir(parents=True)
    shutil.copy(guest_kernel.image, tree / "vmlinuz")
    shutil.copy(ram_disk, tree / "initrd")
    shutil.copy("/usr/lib/ISOLINUX/isolinux.bin", tree / "isolinux")
    shutil.copy("/usr/lib/syslinux/modules/bios/ldlinux.c32", tree / "isolinux")
    (tree / "isolinux/isolinux.cfg").write_text(
        "SERIAL 0 115200\nDEFAULT tiny\nPROMPT 0\nTIMEOUT 0\n"
        f"LABEL tiny\n KERNEL /vmlinuz\n APPEND initrd=/initrd {_OPTIONS} tiny.cdrom\n"
    )
    run(
        *("xorriso", "-as", "mkisofs", "-quiet", "-V", "TINYCD", "-J", "-R", "-o", out, "-b", "isolinux/isolinux.bin"),
        *("-c", "isolinux/boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", tree),
    )


_SOURCES = ("tiny.py", "kernel.py", "disk.py", "files/tiny_init.sh", "files/tiny_lease.sh", "files/tiny_parts.awk")
_ALL = ("linux-image-cloud-amd64", *_PACKAGES)
DISK = Image("tiny", ".qcow2", _SOURCES, _ALL, _build_disk)
ISO = Image("tiny", ".iso", _SOURCES, _ALL, _build_iso)
