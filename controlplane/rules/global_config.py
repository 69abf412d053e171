"""The global configuration: every entry declared once, with its default, what it means and what it may be (pure).

Values are text, as on the wire. `check` refuses a bad one with what would be right; the readers (`whole`, `truth`, …) turn
a good one into what the code works with. An entry is here only when something reads it: `docs/global-configuration.md`
is made from this table.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from controlplane.contract.error import ApiError, invalid

_UNITS = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"([0-9]{1,20})\s*([BKMGT]?)", re.IGNORECASE)
TIB = 1 << 40


@dataclass(frozen=True)
class Kind:
    """What an entry may be: `words` for people, `good` decides."""

    words: str
    good: Callable[[str], bool]


@dataclass(frozen=True)
class Entry:
    category: str
    name: str
    default: str
    kind: Kind
    description: str

    @property
    def title(self) -> str:
        return f"{self.category}/{self.name}"


def whole(text: str) -> int:
    return int(text)


def truth(text: str) -> bool:
    return text == "true"


def size(text: str) -> int:
    """Bytes of `512M`, `1G`, `1073741824`."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError(text)
    return int(found[1]) * _UNITS[found[2].upper()]


def _number(least: int, most: int, of: str) -> Kind:
    return Kind(
        f"{of} from {least} to {most}",
        lambda text: bool(re.fullmatch(r"[0-9]{1,12}", text)) and least <= int(text) <= most,
    )


def _size(most: int) -> Kind:
    def good(text: str) -> bool:
        return bool(_SIZE.fullmatch(text.strip())) and size(text) <= most

    return Kind("a size in bytes, or with K, M, G or T, at most 1T", good)


def _one_of(*values: str) -> Kind:
    return Kind(f"one of {', '.join(values)}", values.__contains__)


_SECONDS = "a whole number of seconds"
_TRUTH = _one_of("true", "false")
_POLICY = _one_of("Direct", "Delay", "Never")

ENTRIES = (
    Entry(
        "kvm",
        "vm.cpuMode",
        "none",
        _one_of("none", "host-model", "host-passthrough"),
        "CPU that guests see: QEMU's default, the host's model, or the host's CPU itself (for nested virtualisation). A "
        "VM takes it at its next start or reboot; a system tag `cpuMode::` of the VM goes first. Where KVM cannot be used "
        "host-passthrough becomes the widest emulated CPU.",
    ),
    Entry(
        "kvm",
        "vm.consoleMode",
        "vnc",
        _one_of("vnc", "spice", "vncAndSpice"),
        "Protocol of the guests' screens. A VM takes it at its next start or reboot; a system tag `consoleMode::` of the VM "
        "goes first.",
    ),
    Entry(
        "kvm",
        "vm.consoleListen",
        "loopback",
        _one_of("loopback", "management"),
        "Where the guests' VNC and SPICE ports listen: on the host's loopback address only (the control plane's proxy is the "
        "way in), or on its management address too, for clients that connect to what GetVmConsoleAddress says with the "
        "password of GetVmConsolePassword. A VM takes it at its next start or reboot.",
    ),
    Entry(
        "kvm",
        "reservedMemory",
        "512M",
        _size(TIB),
        "Memory of each host that is kept for the host itself and given to no VM.",
    ),
    Entry(
        "vm",
        "cdRom.number",
        "1",
        _number(1, 3, "a whole number"),
        "How many CD drives a VM gets at its next start or reboot; a system tag `cdRoms::` of the VM goes first.",
    ),
    Entry(
        "vm",
        "deletionPolicy",
        "Delay",
        _POLICY,
        "What becomes of a destroyed VM: Direct deletes its disks at once, Delay after vm/expungePeriod, Never keeps them "
        "until somebody expunges it.",
    ),
    Entry(
        "vm",
        "expungePeriod",
        "86400",
        _number(1, 315_360_000, _SECONDS),
        "How long a destroyed VM can be recovered when vm/deletionPolicy is Delay.",
    ),
    Entry(
        "vm",
        "expungeInterval",
        "3600",
        _number(1, 86_400, _SECONDS),
        "How often destroyed VMs, deleted volumes and deleted images are looked through for those whose time has come.",
    ),
    Entry(
        "vm",
        "dataVolume.deleteOnVmDestroy",
        "false",
        _TRUTH,
        "Whether data volumes go with the VM they are attached to when it is destroyed; else they are detached.",
    ),
    Entry(
        "volume",
        "deletionPolicy",
        "Delay",
        _POLICY,
        "What becomes of a deleted data volume: Direct deletes its file at once, Delay after volume/expungePeriod, Never "
        "keeps it until somebody expunges it.",
    ),
    Entry(
        "volume",
        "expungePeriod",
        "86400",
        _number(1, 315_360_000, _SECONDS),
        "How long a deleted data volume can be recovered when volume/deletionPolicy is Delay.",
    ),
    Entry(
        "image",
        "deletionPolicy",
        "Delay",
        _POLICY,
        "What becomes of a deleted image: Direct deletes its file at once, Delay after image/expungePeriod, Never keeps it "
        "until somebody expunges it.",
    ),
    Entry(
        "image",
        "expungePeriod",
        "86400",
        _number(1, 315_360_000, _SECONDS),
        "How long a deleted image can be recovered when image/deletionPolicy is Delay.",
    ),
    Entry(
        "localStoragePrimaryStorage",
        "liveMigrationWithStorage.allow",
        "false",
        _TRUTH,
        "Whether MigrateVm may move a VM while it runs, copying its local disks meanwhile.",
    ),
    Entry(
        "identity",
        "session.timeout",
        "7200",
        _number(10, 31_536_000, _SECONDS),
        "How long a session lasts from its log-in; sessions that are open keep the end they have.",
    ),
    Entry(
        "identity",
        "session.maxConcurrent",
        "500",
        _number(1, 100_000, "a whole number"),
        "How many sessions an account may have at a time.",
    ),
    Entry(
        "audit",
        "retention.days",
        "90",
        _number(1, 36_500, "a whole number of days"),
        "How long the record of who did what is kept.",
    ),
    Entry(
        "audit",
        "retention.records",
        "1000000",
        _number(1000, 100_000_000, "a whole number"),
        "How many records of who did what are kept; the oldest go first.",
    ),
    Entry(
        "console",
        "proxy.idleTimeout",
        "600",
        _number(5, 86_400, _SECONDS),
        "How long a console may stay open while nothing moves in either direction, and how long the page of a console that "
        "is not connected may connect again.",
    ),
    Entry(
        "console",
        "token.lifetime",
        "60",
        _number(5, 3600, _SECONDS),
        "How long a token of RequestConsoleAccess waits for its use.",
    ),
    Entry(
        "host",
        "ping.interval",
        "10",
        _number(1, 60, _SECONDS),
        "Longest silence of a host that is well: each host is asked for news this often, which is its heart-beat.",
    ),
    Entry(
        "host",
        "ping.grace",
        "10",
        _number(1, 3600, _SECONDS),
        "How long a host may not answer until it counts as Disconnected and its VMs as Unknown.",
    ),
    Entry(
        "host",
        "move.patience",
        "60",
        _number(1, 3600, _SECONDS),
        "How long a move of a VM or volume waits for one of its hosts that is Disconnected, before it is taken back.",
    ),
    Entry(
        "host",
        "inventory.interval",
        "300",
        _number(5, 86_400, _SECONDS),
        "How often everything that runs on a host is compared with what should, besides following its events.",
    ),
)
BY_NAME = {(entry.category, entry.name): entry for entry in ENTRIES}
if len(BY_NAME) < len(ENTRIES):
    raise ValueError("an entry of the global configuration is declared twice")


def entry(category: str, name: str) -> Entry:
    """Raises SYS.1007 with what there is."""
    if found := BY_NAME.get((category, name)):
        return found
    names = [one.name for one in ENTRIES if one.category == category]
    if names:
        raise invalid(
            f"Unable to find GlobalConfig[category:{category}, name:{name}]; {category} has {', '.join(names)}"
        )
    raise unknown_category(category)


def unknown_category(category: str) -> ApiError:
    categories = ", ".join(dict.fromkeys(one.category for one in ENTRIES))
    return invalid(f"Unable to find GlobalConfig[category:{category}]; the categories are {categories}", "category")


def check(one: Entry, value: str | None) -> str:
    """The value to keep. Raises SYS.1007 that says what would be right."""
    if value is None or not one.kind.good(value):
        shown = "no value" if not value else repr(value[:80])
        raise invalid(f"GlobalConfig {one.title} cannot be {shown}: it must be {one.kind.words}", "value")
    return value
