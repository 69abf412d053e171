"""System tags: which there are for a type of resource, and what each must look like (pure).

Only what stands before the first `::` decides which tag it is, so that the rest may contain `::` itself. Rules that
need the database (a free static address, a host name that is unique) are checked where the tag is stored.
"""

import re
from collections.abc import Callable, Iterable

from controlplane.contract.error import invalid
from controlplane.rules.ipv4 import address, is_hostname

LIMIT = 64 * 1024  # bytes of one tag
_UUID = re.compile(r"[0-9a-f]{32}")
_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9]*::")


def value(tag: str) -> str:
    """What follows the first `::`."""
    return tag.partition("::")[2]


def prefix(tag: str) -> str:
    return tag.partition("::")[0]


def values(tags: Iterable[str], wanted: str) -> list[str]:
    return [value(tag) for tag in tags if prefix(tag) == wanted]


def static_ip(tag: str) -> tuple[str, str]:
    """`staticIp::<L3 uuid>::<address>` → (L3 uuid, address)."""
    l3_uuid, separator, ip = value(tag).partition("::")
    if not separator or not _UUID.fullmatch(l3_uuid):
        raise invalid(f"system tag {tag!r} must be staticIp::<uuid of an L3 network>::<IPv4 address>", "systemTags")
    return l3_uuid, str(address(ip, "systemTags"))


def _text(tag: str) -> None:
    if not value(tag).strip():
        raise invalid(f"system tag {prefix(tag)}:: is empty", "systemTags")


def _hostname(tag: str) -> None:
    if not is_hostname(value(tag)):
        raise invalid(
            f"system tag {tag!r}: a host name has letters, digits and hyphens, at most 63 in a label", "systemTags"
        )


def _static_ip(tag: str) -> None:
    static_ip(tag)


def _one_of(*allowed: str) -> Callable[[str], None]:
    def check(tag: str) -> None:
        if value(tag) not in allowed:
            raise invalid(f"system tag {tag[:60]!r}: the value must be one of {', '.join(allowed)}", "systemTags")

    return check


# resource type → prefix → (validator, may a resource have several?)
_TAGS: dict[str, dict[str, tuple[Callable[[str], None], bool]]] = {
    "VmInstanceVO": {
        "userdata": (_text, False),
        "sshkey": (_text, True),
        "hostname": (_hostname, False),
        "staticIp": (_static_ip, True),
        "cdRoms": (_one_of("1", "2", "3"), False),
        "cpuMode": (_one_of("none", "host-model", "host-passthrough"), False),
        "consoleMode": (_one_of("vnc", "spice", "vncAndSpice"), False),
    },
}


def known(resource_type: str) -> frozenset[str]:
    return frozenset(_TAGS.get(resource_type, ()))


def joined(resource_type: str, tags: Iterable[str]) -> list[str]:
    """Undo what a client does that splits lists at every comma: a piece that begins no tag belongs to the one before."""
    whole: list[str] = []
    for piece in tags:
        if whole and prefix(piece) not in known(resource_type) and not _PREFIX.match(piece):
            whole[-1] += "," + piece
        else:
            whole.append(piece)
    return whole


def must_be_valid(resource_type: str, tag: str) -> None:
    """One tag by itself; raises SYS.1007."""
    if len(tag.encode()) > LIMIT:
        raise invalid(
            f"system tag {prefix(tag)[:32]}:: has {len(tag.encode())} bytes, {LIMIT} are allowed", "systemTags"
        )
    if "\0" in tag:
        raise invalid(f"system tag {prefix(tag)[:32]}:: contains a NUL character", "systemTags")
    kinds = _TAGS.get(resource_type, {})
    found = kinds.get(prefix(tag)) if "::" in tag else None
    if found is None:
        shown = tag if len(tag) <= 60 else f"{tag[:60]}…"
        words = ", ".join(f"{name}::" for name in sorted(kinds)) or "none"
        raise invalid(f"no system tag matches {shown!r}; {resource_type} knows {words}", "systemTags")
    found[0](tag)


def must_be_single(resource_type: str, tags: Iterable[str]) -> None:
    """All tags of one resource together."""
    kinds, seen = _TAGS.get(resource_type, {}), set()
    for tag in tags:
        name = prefix(tag)
        key = (name, static_ip(tag)[0]) if name == "staticIp" else (name, "")
        if key in seen and (name == "staticIp" or (name in kinds and not kinds[name][1])):
            raise invalid(f"a resource has at most one system tag {name}::", "systemTags")
        seen.add(key)
