"""Runs nftables commands in this process through libnftables (libnftables.h): the only home of that library.

One call is one transaction of the kernel: all of its commands take effect, or none. No program is started, no shell.
The caller's thread decides in which network namespace it happens.
"""

import ctypes
from functools import cache

from hostagent.contract.error import broken


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libnftables.so.1")
    except OSError as error:
        raise broken("internal", "libnftables.so.1 is missing: install the package libnftables1", str(error)) from error
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
        getattr(library, name).restype = ctypes.c_char_p
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    library.nft_ctx_free.argtypes = [ctypes.c_void_p]
    library.nft_ctx_free.restype = None
    return library


def run(commands: str) -> str:
    """Output of `commands` (nft(8) language). Raises: HostError `internal` with what nftables said."""
    library = _library()
    context = library.nft_ctx_new(0)
    try:
        library.nft_ctx_buffer_output(context)
        library.nft_ctx_buffer_error(context)
        failed = library.nft_run_cmd_from_buffer(context, commands.encode())
        output: bytes = library.nft_ctx_get_output_buffer(context) or b""
        if failed:
            said: bytes = library.nft_ctx_get_error_buffer(context) or b""
            raise broken("internal", "nftables refused the rules", said.decode(errors="replace"))
        return output.decode()
    finally:
        library.nft_ctx_free(context)
