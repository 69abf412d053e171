"""Whether a guest that runs can go on on another host's CPU (pure)."""

from dataclasses import dataclass

SHOWN = 8  # features named in a refusal


@dataclass(frozen=True, slots=True)
class GuestCpu:
    """What a host's guests get. `features`: of its CPU model, as far as its hypervisor can give them."""

    host: str
    model: str
    features: frozenset[str]
    domain_type: str
    qemu_version: str


def difference(mode: str, source: GuestCpu, dest: GuestCpu) -> str | None:
    """Why a guest with that effective CPU mode cannot go from one to the other, or None."""
    if source.domain_type != dest.domain_type:
        return f"{source.host} runs guests by {source.domain_type}, {dest.host} by {dest.domain_type}"
    if _version(dest.qemu_version) < _version(source.qemu_version):
        return f"{dest.host} has QEMU {dest.qemu_version}, older than {source.qemu_version} of {source.host}"
    if mode not in ("host-model", "host-passthrough", "maximum"):
        return None  # QEMU's own CPU, the same everywhere
    if mode == "host-passthrough" and source.model != dest.model:
        return f"the guest sees the CPU of {source.host}, {source.model}; {dest.host} has {dest.model}"
    if missing := sorted(source.features - dest.features):
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        return f"the CPU of {dest.host} lacks {', '.join(missing[:SHOWN])}{more}, which {source.host} gives its guests"
    if mode != "host-model" and (extra := sorted(dest.features - source.features)):
        return (
            f"the guest sees all of its host's CPU; {dest.host} has {', '.join(extra[:SHOWN])} on top of {source.host}"
        )
    return None


def _version(text: str) -> tuple[int, ...]:
    """Of `7.2.18`: a later fix of the same release makes no difference."""
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
