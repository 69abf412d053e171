"""The plug-in as Terraform starts it: handshake, encryption, shutdown, and what happens when Terraform just dies."""

import base64
import os
import signal
import ssl
import stat
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest

from provider.main import Steppe
from provider.wire import tfplugin6_pb2 as pb
from provider.wire.certificate import RENEW_AFTER, key_and_certificate
from provider.wire.server import COOKIE, NOT_A_PROGRAM

ROOT = Path(__file__).resolve().parents[3]


def start(home: Path, **environment: str) -> "subprocess.Popen[str]":
    settings = os.environ | {COOKIE[0]: COOKIE[1], "XDG_CACHE_HOME": str(home), "TMPDIR": str(home)} | environment
    return subprocess.Popen(
        [sys.executable, "-m", "provider.main"],
        cwd=ROOT, env=settings, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def channel(line: str) -> grpc.Channel:
    core, protocol, network, socket, kind, certificate = line.strip().split("|")
    assert (core, protocol, network, kind) == ("1", "6", "unix", "grpc") and not certificate.endswith("=")
    assert stat.S_IMODE(Path(socket).parent.stat().st_mode) == 0o700
    der = base64.b64decode(certificate + "=" * (-len(certificate) % 4))
    trust = grpc.ssl_channel_credentials(ssl.DER_cert_to_PEM_cert(der).encode())
    return grpc.secure_channel(f"unix:{socket}", trust, [("grpc.ssl_target_name_override", "localhost")])


def call(on: grpc.Channel, path: str, request, response):
    return on.unary_unary(path, type(request).SerializeToString, response.FromString)(request, timeout=10)


def test_handshake_call_and_shutdown_leave_nothing(tmp_path):
    process = start(tmp_path)
    with channel(process.stdout.readline()) as connected:
        request = pb.GetMetadata.Request()
        metadata = call(connected, "/tfplugin6.Provider/GetMetadata", request, pb.GetMetadata.Response)
        assert "steppe_vm" in {one.type_name for one in metadata.resources}
        plurals = {f"{one.type_name}s" for one in metadata.resources} - {
            "steppe_global_configs",
            "steppe_resource_shares",
        }
        assert plurals <= {one.type_name for one in metadata.data_sources}
        ephemeral = {one.type_name for one in metadata.ephemeral_resources}
        assert ephemeral == {one.type_name for one in Steppe.ephemeral_resources}
        call(connected, "/plugin.GRPCController/Shutdown", pb.Nothing(), pb.Nothing)
    assert process.wait(10) == 0
    assert [one.name for one in tmp_path.iterdir()] == ["steppe-provider"]


def test_started_by_hand_it_says_what_it_is(tmp_path):
    process = start(tmp_path, **{COOKIE[0]: "something"})
    output, complaint = process.communicate(timeout=10)
    assert (process.returncode, output, complaint) == (1, "", NOT_A_PROGRAM)


def test_another_protocol_is_refused(tmp_path):
    process = start(tmp_path, PLUGIN_PROTOCOL_VERSIONS="4,5")
    _, complaint = process.communicate(timeout=10)
    assert process.returncode == 1 and "protocol 6" in complaint


def test_it_ends_when_its_parent_dies(tmp_path):
    script = "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-m', 'provider.main']); print(p.pid, flush=True); time.sleep(60)"
    settings = os.environ | {COOKIE[0]: COOKIE[1], "XDG_CACHE_HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, env=settings, text=True, stdout=subprocess.PIPE)
    lines = {parent.stdout.readline().strip(), parent.stdout.readline().strip()}
    (child,) = [int(line) for line in lines if line.isdecimal()]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 10
    while lives(child) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not lives(child)


def lives(pid):
    """A zombie has ended: who adopted it reaps it in its own time."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_certificate_is_kept_for_the_user_alone(tmp_path):
    cache = tmp_path / "cache" / "plugin.pem"
    first = key_and_certificate(cache)
    assert stat.S_IMODE(cache.stat().st_mode) == 0o600 and stat.S_IMODE(cache.parent.stat().st_mode) == 0o700
    assert key_and_certificate(cache) == first


@pytest.mark.parametrize("spoil", ["readable", "old", "cut", "link"])
def test_a_doubtful_certificate_is_replaced(tmp_path, spoil):
    cache = tmp_path / "cache" / "plugin.pem"
    first = key_and_certificate(cache)
    match spoil:
        case "readable":
            cache.chmod(0o644)
        case "old":
            os.utime(cache, (0, time.time() - RENEW_AFTER - 60))
        case "cut":
            cache.write_bytes(cache.read_bytes()[:100])
        case "link":
            cache.rename(tmp_path / "elsewhere")
            cache.symlink_to(tmp_path / "elsewhere")
    assert key_and_certificate(cache) != first
    assert stat.S_IMODE(cache.lstat().st_mode) == 0o600
