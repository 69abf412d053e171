"""The smallest qcow2 file of a size: a header, a table of references and an empty first table.

Source: https://www.qemu.org/docs/master/interop/qcow2.html
"""

import struct

_CLUSTER = 1 << 16


def blank(size: int) -> bytes:
    """Version 3, clusters of 64 KiB: header, L1 table, reference table, one block of references."""
    covered = _CLUSTER * (_CLUSTER // 8)  # bytes of one L1 entry
    entries = max(-(-size // covered), 1)
    tables = -(-entries * 8 // _CLUSTER)  # clusters of the L1 table
    refs = 1 + tables  # where the reference table lies
    head = struct.pack(
        ">4sIQIIQIIQQIIQQQQII",
        b"QFI\xfb",
        3,
        0,
        0,
        16,
        size,
        0,
        entries,
        _CLUSTER,
        refs * _CLUSTER,
        1,
        0,
        0,
        0,
        0,
        0,
        4,
        104,
    )
    table = struct.pack(">Q", (refs + 1) * _CLUSTER)
    used = struct.pack(f">{refs + 2}H", *[1] * (refs + 2))
    parts = [head, b"\0" * tables * _CLUSTER, table, used]
    return b"".join(part.ljust(-(-len(part) // _CLUSTER) * _CLUSTER, b"\0") for part in parts)
