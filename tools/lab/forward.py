"""Carries TCP connections from the machine's loopback into another network namespace.

Run as a program: `forward.py PORT PID TARGET TARGET_PORT`. The listening socket is made before the process moves into the
namespace of PID and so stays outside; connections to the target are made after it. Ends when its standard input does.
"""

import asyncio
import contextlib
import ctypes
import os
import socket
import sys


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the end of file, then pass the end of file on."""
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


async def serve(listening: socket.socket, target: str, port: int) -> None:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(target, port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
        for stream in (writer, far_writer):
            stream.close()

    server = await asyncio.start_server(carry, sock=listening)
    end = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(end), sys.stdin)
    print("listening", flush=True)
    await end.read()
    server.close()


def main(port: int, pid: int, target: str, target_port: int) -> None:
    listening = socket.create_server(("127.0.0.1", port))
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, 0x40000000):  # CLONE_NEWNET; os.setns is Python 3.12
        raise OSError(ctypes.get_errno(), "setns")
    asyncio.run(serve(listening, target, target_port))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
