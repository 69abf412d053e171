"""What a failed operation tells its caller: an error code, never an exception's text of which nobody knows what it holds."""

import json
from typing import Any

from controlplane.contract.error import ApiError, Temporary


class Lost(ApiError):
    """A step did not get ready in time."""

    def __init__(self, step: str, seconds: float, last: Temporary | None) -> None:
        why = f"; the last try said: {last}" if last else ""
        super().__init__("SYS.1001", f"step '{step}' was not done after {seconds:g} seconds{why}")


def describe(error: BaseException) -> str:
    """JSON of the error code: an ApiError's own, else SYS.1000 with the name of the class only (detail is in the log)."""
    own: Any = getattr(error, "error", None)
    if hasattr(own, "model_dump"):
        return json.dumps(own.model_dump(mode="json", exclude_none=True))
    if isinstance(error, Temporary):
        return describe(ApiError("SYS.1001", str(error)))
    return describe(
        ApiError("SYS.1000", f"internal error ({type(error).__name__}); the log of the control plane says more")
    )


CANCELLED = describe(ApiError("SYS.1006", "the operation was cancelled"))
