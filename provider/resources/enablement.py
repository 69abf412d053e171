"""`state`, of everything that can be enabled and disabled: an optional attribute, changed in place by Change…State.

Left out, it stays what it is: what an operator disabled is not enabled behind their back.
"""

from provider.framework import validate
from provider.framework.plan import Object
from provider.framework.schema import Attr, optional
from provider.framework.types import STRING, UNKNOWN

EVENTS = {"Enabled": "enable", "Disabled": "disable", "Maintenance": "maintain"}


def state(effect: str, *, maintenance: bool = False) -> dict[str, Attr]:
    """`effect`: what is different while it is not enabled."""
    known = list(EVENTS) if maintenance else ["Enabled", "Disabled"]
    spelled = " or ".join(filter(None, (", ".join(f"`{one}`" for one in known[:-1]), f"`{known[-1]}`")))
    return {
        "state": optional(
            STRING,
            f"{spelled}, changed in place; left out, it stays as it is. {effect}",
            computed=True,
            keep=True,
            validators=(validate.one_of(*known),),
        )
    }


def wished(planned: Object, now: str | None) -> str | None:
    """The event that makes the state what is planned; None when it is that already."""
    want = planned.get("state")
    return None if want is UNKNOWN or want is None or want == now else EVENTS[want]
