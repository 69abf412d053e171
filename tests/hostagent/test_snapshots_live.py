"""Snapshots of a running guest's disks, with what was in them proved by the guest's own checksums."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from hostagent.contract import HostError, VolumesSpec
from tests.hostagent import specs
from tests.hostagent.live import MIB, Guest, path_of
from tests.hostagent.specs import STORAGE, VM, VOLUME
from tests.hostagent.test_disks_live import guest, machine

__all__ = ["guest", "machine"]
pytestmark = [pytest.mark.host, pytest.mark.guest]
DATA, OTHER = "d7" * 16, "e8" * 16


def file_of(name: str, uuid: str = DATA) -> str:
    return f"volumes/{uuid}/snapshots/{name}.qcow2"


async def put(guest: Guest, path: str, below: list[str] | None = None, uuid: str = DATA, **changes: Any) -> list[str]:
    """The volume's chain then."""
    guest.generation += 1
    wish = {"generation": guest.generation, "path": path, "size": 0, "below": below, "vm_uuid": VM}
    spec = specs.volume(**(wish | changes))
    status = await guest.agent.volume.put(
        uuid, VolumesSpec.model_validate({"vm_uuid": VM, "volumes": {"x": spec}}).volumes["x"]
    )
    assert status.state == "ready"
    return [file.path for file in status.chain]


async def write(guest: Guest, disk: str = "vdb") -> str:
    """Fill the first 4 MiB anew; returns the checksum."""
    return await guest.run(
        f"dd if=/dev/urandom of=/dev/{disk} bs=1M count=4 conv=fsync 2>/dev/null; {SUM.format(disk)}"
    )


async def read(guest: Guest, disk: str = "vdb") -> str:
    return await guest.run(f"echo 3 >/proc/sys/vm/drop_caches; {SUM.format(disk)}")


SUM = "dd if=/dev/{} bs=1M count=4 2>/dev/null | md5sum | cut -d' ' -f1"


def live(guest: Guest, machine: Any) -> str:
    return str(machine.inside.run("virsh", "-c", "qemu:///system", "domblklist", VM))


def sum_of(guest: Guest, path: str) -> str:
    """Of the first 4 MiB read through a file that nobody writes to."""
    raw = guest.root / "raw"
    subprocess.run(["qemu-img", "convert", "-U", "-O", "raw", guest.root / path, raw], check=True)
    found = subprocess.run(
        f"head -c 4194304 {raw} | md5sum | cut -d' ' -f1", shell=True, capture_output=True, text=True
    )
    raw.unlink()
    return found.stdout.strip()


async def plug(guest: Guest, uuid: str = DATA) -> None:
    await guest.volume(uuid, size=16 * MIB)
    guest.disks[uuid] = path_of(uuid)
    await guest.put()


async def test_frozen_reverted_merged_and_nothing_is_lost(guest: Guest, machine: Any) -> None:
    await plug(guest)
    base = path_of(DATA)
    first = await write(guest)
    chain = [base, file_of("one")]
    for _ in range(2):  # repeating it freezes nothing more
        assert await put(guest, chain[-1], chain[:-1]) == chain
    guest.disks[DATA] = chain[-1]
    assert file_of("one") in live(guest, machine)
    assert await read(guest) == first
    second = await write(guest)
    assert second != first
    assert sum_of(guest, base) == first, "what is frozen is what was there"

    chain.append(file_of("two"))
    assert await put(guest, chain[-1], chain[:-1]) == chain
    guest.disks[DATA] = chain[-1]
    third = await write(guest)
    assert sum_of(guest, file_of("one")) == second

    # the middle one goes while the guest runs: its child is the guest's own file
    assert await put(guest, chain[-1], [base]) == [base, file_of("two")]
    await guest.agent.volume.delete("1e" * 16, STORAGE, file_of("one"))
    assert await read(guest) == third
    listing = subprocess.run(
        ["qemu-img", "info", "-U", guest.root / file_of("two")], check=True, capture_output=True, text=True
    ).stdout
    assert f"backing file: ../{DATA}.qcow2" in listing, "relative, so that the chain can be moved"

    # an undone snapshot: what the guest wrote since goes down into the file that was frozen
    assert await put(guest, file_of("three"), [base, file_of("two")]) == [base, file_of("two"), file_of("three")]
    fourth = await write(guest)
    assert await put(guest, file_of("two"), None, fold=file_of("three")) == [base, file_of("two")]
    assert not (guest.root / file_of("three")).exists()
    assert await read(guest) == fourth
    assert file_of("two") in live(guest, machine)

    # back to the first, on a stopped VM
    await guest.stop()
    assert await put(guest, file_of("back"), [base]) == [base, file_of("back")]
    guest.disks[DATA] = file_of("back")
    await guest.start()
    assert await read(guest) == first
    fifth = await write(guest)
    # … and the last snapshot goes: the guest's file stands alone
    assert await put(guest, file_of("back"), []) == [file_of("back")]
    await guest.agent.volume.delete("1f" * 16, STORAGE, base)
    assert await read(guest) == fifth


async def test_merging_without_a_guest_and_taking_it_back(guest: Guest) -> None:
    await plug(guest)
    base, one, two = path_of(DATA), file_of("one"), file_of("two")
    await write(guest)
    await put(guest, one, [base])
    guest.disks[DATA] = one
    second = await write(guest)
    await guest.stop()
    await put(guest, two, [base, one])
    assert await put(guest, two, [base]) == [base, two]
    assert sum_of(guest, two) == second
    assert await put(guest, two, [base, one]) == [base, one, two], "undone"
    assert sum_of(guest, two) == second
    assert await put(guest, one, [base], fold=two) == [base, one]
    assert sum_of(guest, one) == second
    with pytest.raises(HostError, match="no file"):
        await put(guest, file_of("x"), ["volumes/none.qcow2"])
    copy = await put(guest, "volumes/copy.qcow2", uuid=OTHER, copy_of=one)
    assert copy == ["volumes/copy.qcow2"]
    assert sum_of(guest, "volumes/copy.qcow2") == second


async def test_the_root_disk_keeps_its_image(guest: Guest) -> None:
    await put(guest, file_of("one", VOLUME), [path_of(VOLUME)], uuid=VOLUME)
    guest.disks[VOLUME] = file_of("one", VOLUME)
    await guest.run("echo kept >/data/file; sync")
    assert await put(guest, file_of("one", VOLUME), [], uuid=VOLUME) == [file_of("one", VOLUME)]
    await guest.agent.volume.delete("1e" * 16, STORAGE, path_of(VOLUME))
    await guest.stop()
    info = subprocess.run(
        ["qemu-img", "info", "--backing-chain", guest.root / file_of("one", VOLUME)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert info.count("backing file:") == 1
    assert "imagecache/template" in info
    await guest.start()
    assert await guest.run("cat /data/file") == "kept"


async def test_two_disks_are_frozen_at_one_instant(guest: Guest) -> None:
    """A writer counts up on one disk and then on the other: in the snapshots the second is never ahead."""
    await plug(guest)
    await plug(guest, OTHER)
    script = """
(i=0; while [ $i -lt 99999 ]; do i=$((i+1)); for d in vdb vdc; do
  printf '%08d' $i | dd of=/dev/$d bs=512 conv=sync,fsync 2>/dev/null; done; done) >/dev/null 2>&1 &"""
    await guest.run(script)
    guest.generation += 1
    volumes = {
        uuid: specs.volume(
            generation=guest.generation, path=file_of("s", uuid), size=0, below=[path_of(uuid)], vm_uuid=VM
        )
        for uuid in (DATA, OTHER)
    }
    await guest.agent.volume.put_together(VolumesSpec.model_validate({"vm_uuid": VM, "volumes": volumes}))
    counts = [int(head(guest, path_of(uuid))[:8]) for uuid in (DATA, OTHER)]
    assert 0 <= counts[0] - counts[1] <= 1
    assert int(await guest.run("head -c8 /dev/vdb; echo")) > counts[0], "the writer was still at it"


def head(guest: Guest, path: str) -> bytes:
    raw = guest.root / "raw"
    subprocess.run(["qemu-img", "convert", "-U", "-O", "raw", guest.root / path, raw], check=True)
    with Path(raw).open("rb") as file:
        return file.read(512)
