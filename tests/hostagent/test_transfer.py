"""Files go from one agent to another over real mutual TLS: exact, and to nobody else."""

import asyncio
import os
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from controlplane.agents.authority import Authority
from hostagent.contract import HostError, ImportFile
from hostagent.drivers import peer_wire, sparse
from tests.hostagent.peer_files import agent_files
from tests.hostagent.transfer_pair import (
    BASE,
    DESTINATION,
    EXPORT,
    IMPORT,
    MIB,
    SECRET,
    STRANGER,
    VOLUME,
    Pair,
    sparse_file,
)


async def test_a_chain_goes_over_byte_for_byte_and_keeps_its_holes(pair: Pair) -> None:
    base, volume = pair.source.path(BASE), pair.source.path(VOLUME)
    base.parent.mkdir(parents=True)
    volume.parent.mkdir(parents=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", base, "64M"], check=True)
    subprocess.run(["qemu-io", "-c", "write -P 7 5M 9M", base], check=True, stdout=subprocess.DEVNULL)
    relative = os.path.relpath(base, volume.parent)
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", relative, volume, "64M"], check=True
    )
    subprocess.run(["qemu-io", "-c", "write -P 9 1M 3M", volume], check=True, stdout=subprocess.DEVNULL)

    exported = await pair.export()
    assert [(file.path, file.is_base, file.backing_path) for file in exported.files] == [
        (VOLUME, False, BASE),
        (BASE, True, None),
    ]
    files = [ImportFile(**file.model_dump(include={"path", "actual_size", "is_base"})) for file in exported.files]
    status = await pair.fetch(files)
    assert (status.state, status.error) == ("ready", "")
    assert status.bytes_done == status.bytes_total == sum(file.actual_size for file in exported.files)
    assert pair.same(VOLUME) and pair.same(BASE)
    assert pair.destination.files() == [BASE, VOLUME]
    subprocess.run(["qemu-img", "compare", "-q", volume, pair.destination.path(VOLUME)], check=True)

    await pair.destination.imports.delete(IMPORT, keep=False)
    assert pair.destination.files() == [BASE], "a whole base image stays, others may rest on it"


@pytest.mark.parametrize(("size", "islands"), [(1, 0), (3 * sparse.WINDOW, 0), (50 * MIB + 17, 40), (9 * MIB, 400)])
async def test_any_file(pair: Pair, size: int, islands: int) -> None:
    path = pair.source.path(VOLUME)
    if islands:
        sparse_file(path, size, islands)
    else:
        path.parent.mkdir(parents=True)
        with path.open("wb") as file:
            file.truncate(size)
    await pair.export()
    assert (await pair.fetch()).state == "ready"
    assert pair.same()


async def test_repeated_forgotten_and_absent_are_harmless(pair: Pair) -> None:
    sparse_file(pair.source.path(VOLUME), 9 * MIB, 9)
    for _ in range(2):
        await pair.export()
        assert (await pair.fetch()).state == "ready"
    await pair.destination.imports.delete(IMPORT, keep=True)
    await pair.destination.imports.delete(IMPORT, keep=False)
    assert pair.same(), "what was kept is no import's any more"
    await pair.source.exports.delete(EXPORT)
    await pair.source.exports.delete(EXPORT)
    assert (await pair.destination.imports.get(IMPORT)).state == "absent"


async def test_what_lies_at_the_place_is_never_taken_for_the_copy(pair: Pair) -> None:
    sparse_file(pair.source.path(VOLUME), 9 * MIB, 20)
    sparse_file(pair.destination.path(VOLUME), 9 * MIB, 20, seed=1)
    await pair.export()
    assert (await pair.fetch()).state == "ready"
    assert pair.same()


# -- trust -------------------------------------------------------------------------------------------------------


async def test_only_the_named_peer_with_the_secret_is_let_in(pair: Pair, tmp_path: Path) -> None:
    sparse_file(pair.source.path(VOLUME), 9 * MIB, 9)
    await pair.export()
    refused = await pair.fetch(secret="x" * 64)
    assert refused.error == "unreachable: the source serves no such export now"
    await pair.export(peer_agent_uuid=STRANGER)
    refused = await pair.fetch()
    assert refused.error == "unreachable: the source serves no such export now"

    elsewhere = Authority(tmp_path / "elsewhere", [])
    control = ssl.create_default_context(cadata=pair.authority.agent_ca)
    control.load_cert_chain(*(tmp_path / "authority" / name for name in ("client.pem", "client.key")))
    without = ssl.create_default_context(cadata=pair.authority.agent_ca)
    foreign = ssl.create_default_context(cadata=pair.authority.agent_ca)
    foreign.load_cert_chain(*agent_files(elsewhere, tmp_path / "foreign", DESTINATION, "127.0.0.1")[:2])
    for context in (control, without, foreign):
        with pytest.raises(OSError):
            await asyncio.to_thread(_hello, context, pair.source.port)


def _hello(context: ssl.SSLContext, port: int) -> None:
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        peer_wire.send(connection, {"export": EXPORT, "secret": SECRET})
        peer_wire.receive(connection)


async def test_only_exported_files_and_only_for_a_while(pair: Pair) -> None:
    sparse_file(pair.source.path(VOLUME), 9 * MIB, 9)
    other = "rootVolumes/other/other.qcow2"
    sparse_file(pair.source.path(other), 9 * MIB, 9)
    await pair.export()
    refused = await pair.fetch([ImportFile(path=other)])
    assert refused.error == "not_found: the export has no such file"
    await pair.destination.imports.delete(IMPORT, keep=False)
    with pytest.raises(HostError, match="must be relative"):
        await pair.export(paths=["../../etc/shadow"])

    await pair.source.exports.delete(EXPORT)
    refused = await pair.fetch()
    assert refused.error.startswith("unreachable: ")
    await pair.export(expires_in=1)
    await asyncio.sleep(1.8)
    refused = await pair.fetch()
    assert refused.error.startswith("unreachable: ")


async def test_the_import_checks_who_the_source_is(pair: Pair) -> None:
    sparse_file(pair.source.path(VOLUME), 9 * MIB, 9)
    await pair.export()
    refused = await pair.fetch(source_agent_uuid=STRANGER)
    assert "another host agent" in refused.error
