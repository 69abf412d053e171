"""The process that Terraform starts: go-plugin's handshake, then gRPC on a Unix socket until it says Shutdown.

The socket lives in a directory of mode 0700 and is encrypted with a certificate that the handshake hands over.
Terraform offers a client certificate on curve P-521, which gRPC's TLS refuses: hence no client check, only the directory.
"""

import base64
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from provider.framework.resource import Provider
from provider.wire import tfplugin6_pb2 as pb
from provider.wire.certificate import key_and_certificate
from provider.wire.servicer import Servicer
from provider.wire.sync_grpc import grpc

COOKIE = ("TF_PLUGIN_MAGIC_COOKIE", "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2")
THREADS = 64  # StopProvider must never queue behind resources at work
LIMIT = 256 << 20  # bytes of one message; Terraform's own limit
ORPHAN_PATIENCE = 150.0  # seconds for running changes to be undone after Terraform died
log = logging.getLogger("provider.wire")
NOT_A_PROGRAM = """\
This program is a plug-in: Terraform starts it. Put it where `terraform init` looks for providers (a filesystem mirror
or a dev override), and name it in `required_providers`.

For people it has one command: `imports [TYPE ...]` writes an import block for everything that exists.
"""


def serve(provider: Provider) -> int:
    """Run until Terraform says Shutdown. Returns the exit status."""
    if os.environ.get(COOKIE[0]) != COOKIE[1]:
        sys.stderr.write(NOT_A_PROGRAM)
        return 1
    if "6" not in os.environ.get("PLUGIN_PROTOCOL_VERSIONS", "6").split(","):
        sys.stderr.write("This provider speaks plug-in protocol 6: Terraform 1.0 or newer is needed.\n")
        return 1
    terraform = os.getppid()  # before it is told anything: it may die at once
    log_to_stderr()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; Terraform tells us what it means
    key, certificate = key_and_certificate()
    directory = Path(tempfile.mkdtemp(prefix="steppe-provider-"))
    try:
        served = Served(provider, f"unix:{directory}/socket", grpc.ssl_server_credentials([(key, certificate)]))
        der = base64.b64encode(_der(certificate)).decode().rstrip("=")
        sys.stdout.write(f"1|6|unix|{directory}/socket|grpc|{der}\n")
        sys.stdout.flush()
        served.close(in_good_order=_wait_for_end(served, terraform))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return 0


class Served:
    """A provider behind a listening socket; `credentials` None means no encryption (tests: TF_REATTACH_PROVIDERS)."""

    def __init__(self, provider: Provider, address: str, credentials: Any = None) -> None:
        self.servicer = Servicer(provider)
        self.shut = threading.Event()
        options = [("grpc.max_receive_message_length", LIMIT), ("grpc.max_send_message_length", LIMIT)]
        self.server = grpc.server(ThreadPoolExecutor(THREADS + 1), options=options)
        self.server.add_generic_rpc_handlers((self._provider(), self._controller(), self._stdio()))
        if credentials is None:
            self.server.add_insecure_port(address)
        else:
            self.server.add_secure_port(address, credentials)
        self.server.start()

    def close(self, *, in_good_order: bool = True) -> None:
        self.shut.set()
        self.server.stop(grace=0.5).wait()
        self.servicer.session.provider.release(self.servicer.session.client, in_good_order=in_good_order)

    def _provider(self) -> Any:
        calls = {name: _unary(call, request) for name, (call, request) in self.servicer.handlers().items()}
        calls |= {name: _stream(call, request) for name, (call, request) in self.servicer.streams().items()}
        return grpc.method_handlers_generic_handler("tfplugin6.Provider", calls)

    def _controller(self) -> Any:
        def shutdown(_request: Any) -> Any:
            self.shut.set()
            return pb.Nothing()

        return grpc.method_handlers_generic_handler("plugin.GRPCController", {"Shutdown": _unary(shutdown, pb.Nothing)})

    def _stdio(self) -> Any:
        """Terraform subscribes to our output; there is none, and the stream ends with the process."""

        def stream(_request: Any, _context: Any) -> Iterator[Any]:
            self.shut.wait()
            yield from ()

        handler = grpc.unary_stream_rpc_method_handler(stream, pb.Nothing.FromString, lambda message: b"")
        return grpc.method_handlers_generic_handler("plugin.GRPCStdio", {"StreamStdio": handler})


def _wait_for_end(served: Served, terraform: int) -> bool:
    """True at Shutdown; False when Terraform died without a word: then running changes are cancelled like at Ctrl-C.

    False after a Ctrl-C too: at the second one Terraform says Shutdown and forgets what still runs.
    """
    session = served.servicer.session
    while not served.shut.wait(1.0):
        if os.getppid() != terraform:
            log.warning("Terraform has died: cancelling what runs")
            session.stop.set()
            session.idle.wait(ORPHAN_PATIENCE)
            return False
    return session.idle.is_set() and not session.stop.is_set()


def _unary(call: Any, request_type: Any) -> Any:
    return grpc.unary_unary_rpc_method_handler(
        lambda request, _context: call(request), request_type.FromString, lambda message: message.SerializeToString()
    )


def _stream(call: Any, request_type: Any) -> Any:
    return grpc.unary_stream_rpc_method_handler(
        lambda request, _context: call(request), request_type.FromString, lambda message: message.SerializeToString()
    )


def _der(pem: bytes) -> bytes:
    return base64.b64decode(b"".join(line for line in pem.splitlines() if not line.startswith(b"-----")))


class _HclogFormatter(logging.Formatter):
    """Lines that Terraform's log (TF_LOG) understands, with their level."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "@level": {"WARNING": "warn", "CRITICAL": "error"}.get(record.levelname, record.levelname.lower()),
            "@message": record.getMessage(),
            "@module": record.name,
            "@timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_HclogFormatter())
    logging.basicConfig(handlers=[handler], level=logging.DEBUG)
    logging.getLogger("grpc").setLevel(logging.WARNING)
