"""System tags: which there are for a type of resource, and what each must look like (pure).

Only what stands before the first `::` decides which tag it is, so that the rest may contain `::` itself. Rules that
need the database (a free static address, a host name that is unique) are checked where the tag is stored. An inherent
tag is the system's own: callers read it, and change it by the API that is named here.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from controlplane.contract.error import ApiError, invalid, refused
from controlplane.rules import ssh_key, user_data, user_data_check
from controlplane.rules.ipv4 import address, is_hostname
from controlplane.rules.yaml_text import Unreadable

LIMIT = 64 * 1024  # bytes of one tag
_TOKENS = (
    "metadataTokens::required: a guest that asks without a token gets 401; cloud-init's CloudStack source asks so, and its "
    "Ec2 source fetches tokens only on a machine it takes for Amazon's"
)
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


def _user_data(tag: str) -> None:
    if not value(tag).strip():
        raise invalid("system tag userdata:: is empty", "systemTags")
    try:
        user_data_check.warnings(value(tag))
    except Unreadable as error:
        raise invalid(f"user data that cloud-init cannot read: {error}", "systemTags") from None


def _ssh_key(tag: str) -> None:
    lines = user_data.key_lines([value(tag)])
    if not lines:
        raise invalid("system tag sshkey:: is empty; it holds public keys, one a line", "systemTags")
    for number, line in enumerate(lines, 1):
        try:
            ssh_key.mended(line)
        except ValueError as error:
            where = f"key {number} of {len(lines)}: " if len(lines) > 1 else ""
            raise invalid(f"system tag sshkey:: is no public key: {where}{error}", "systemTags") from None


def _hostname(tag: str) -> None:
    if not is_hostname(value(tag)):
        raise invalid(
            f"system tag {tag!r}: a host name has letters, digits and hyphens, at most 63 in a label", "systemTags"
        )


def _static_ip(tag: str) -> None:
    static_ip(tag)


def host_wish(tag: str) -> str:
    """`localStorage::hostUuid::<uuid>` → the host on which a new volume is to lie."""
    word, separator, uuid = value(tag).partition("::")
    if word != "hostUuid" or not separator or not _UUID.fullmatch(uuid):
        raise invalid(f"system tag {tag!r} must be localStorage::hostUuid::<uuid of a host>", "systemTags")
    return uuid


def _host_wish(tag: str) -> None:
    host_wish(tag)


def _password(tag: str) -> None:
    """A password or the hash of one (`$6$…`); nothing of it is in the message."""
    if not value(tag) or not value(tag).isprintable() or len(value(tag)) > 255:
        raise invalid("system tag rootPassword:: takes 1 to 255 printable characters in one line", "systemTags")


def _one_of(*allowed: str) -> Callable[[str], None]:
    def check(tag: str) -> None:
        if value(tag) not in allowed:
            raise invalid(
                f"system tag {prefix(tag)}:: is one of {', '.join(allowed)}, not {value(tag)[:60]!r}", "systemTags"
            )

    return check


@dataclass(frozen=True)
class Kind:
    """`several`: a resource may have more than one; `inherent`: the API by which callers change it; `served`: what the
    guest is told depends on it."""

    check: Callable[[str], None] = lambda _tag: None
    several: bool = False
    inherent: str = ""
    served: bool = False


# resource type → prefix → what is known of the tag
_TAGS: dict[str, dict[str, Kind]] = {
    "VmInstanceVO": {
        "userdata": Kind(_user_data, served=True),
        "sshkey": Kind(_ssh_key, several=True, served=True),
        "rootPassword": Kind(_password, served=True),
        "hostname": Kind(_hostname, served=True),
        "metadataTokens": Kind(_one_of("optional", "required"), served=True),
        "staticIp": Kind(_static_ip, several=True),
        "cdRoms": Kind(_one_of("1", "2", "3")),
        "cpuMode": Kind(_one_of("none", "host-model", "host-passthrough")),
        "consoleMode": Kind(_one_of("vnc", "spice", "vncAndSpice")),
        "bootOrder": Kind(inherent="SetVmBootOrder"),
        "iso": Kind(several=True, inherent="AttachIsoToVmInstance"),
    },
    "VolumeVO": {"localStorage": Kind(_host_wish)},
}
_WISHES = frozenset({("VolumeVO", "localStorage")})  # say how a resource is made, and are not kept


def kept(resource_type: str, tags: Iterable[str]) -> list[str]:
    """Without those that only tell how the resource is to be made."""
    return [tag for tag in tags if (resource_type, prefix(tag)) not in _WISHES]


def known(resource_type: str) -> frozenset[str]:
    return frozenset(_TAGS.get(resource_type, ()))


def is_served(resource_type: str, tag: str) -> bool:
    kind = _TAGS.get(resource_type, {}).get(prefix(tag))
    return kind is not None and kind.served


def joined(resource_type: str, tags: Iterable[str]) -> list[str]:
    """Undo what a client does that splits lists at every comma: a piece that begins no tag belongs to the one before."""
    whole: list[str] = []
    for piece in tags:
        if whole and prefix(piece) not in known(resource_type) and not _PREFIX.match(piece):
            whole[-1] += "," + piece
        else:
            whole.append(piece)
    return whole


def warnings(resource_type: str, tags: Iterable[str]) -> list[tuple[str, str]]:
    """What should be looked at and does not stand in the way: the tag's prefix, and what is odd. The tags are valid."""
    found: list[tuple[str, str]] = []
    for tag in tags if resource_type == "VmInstanceVO" else ():
        if prefix(tag) == "userdata":
            found += [("userdata", f"user data, {problem}") for problem in user_data_check.warnings(value(tag))]
        elif tag == "metadataTokens::required":
            found.append(("metadataTokens", _TOKENS))
    return found


def must_be_valid(resource_type: str, tag: str) -> None:
    """One tag by itself, from a caller; raises SYS.1007, and SYS.1006 for an inherent one."""
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
        words = ", ".join(f"{name}::" for name, kind in sorted(kinds.items()) if not kind.inherent) or "none"
        raise invalid(f"no system tag matches {shown!r}; {resource_type} knows {words}", "systemTags")
    if found.inherent:
        raise inherent(resource_type, tag)
    found.check(tag)


def inherent(resource_type: str, tag: str) -> ApiError:
    """The refusal to touch a tag of the system's own."""
    kind = _TAGS.get(resource_type, {}).get(prefix(tag))
    hint = f"; {kind.inherent} changes it" if kind and kind.inherent else " as long as its resource is there"
    return refused(f"system tag {prefix(tag)[:32]}:: is inherent, the system keeps it{hint}")


def must_be_single(resource_type: str, tags: Iterable[str]) -> None:
    """All tags of one resource together."""
    kinds, seen = _TAGS.get(resource_type, {}), set()
    for tag in tags:
        name = prefix(tag)
        key = (name, static_ip(tag)[0]) if name == "staticIp" else (name, "")
        if key in seen and (name == "staticIp" or (name in kinds and not kinds[name].several)):
            raise invalid(f"a resource has at most one system tag {name}::", "systemTags")
        seen.add(key)
