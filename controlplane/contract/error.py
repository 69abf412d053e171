"""The error a caller sees, with the reference's codes (SYS.1006 …) and its cause."""

from typing import Any

from pydantic import BaseModel

DESCRIPTIONS = {
    "SYS.1000": "internal error",
    "SYS.1001": "timeout",
    "SYS.1003": "resource not found",
    "SYS.1006": "operation error",
    "SYS.1007": "invalid argument",
    "SYS.1012": "management node unavailable",
    "SYS.1013": "no capability",
    "ID.1000": "authentication failed",
    "ID.1001": "invalid or expired session",
    "ID.1002": "permission denied",
    "ID.1003": "quota exceeded",
    "VM.1001": "failed to start the VM",
    "VM.1002": "failed to stop the VM",
    "VM.1003": "failed to reboot the VM",
    "VM.1004": "failed to destroy the VM",
    "VM.1005": "failed to attach the volume",
    "VM.1006": "failed to detach the volume",
    "VM.1010": "the VM is not in a state that allows this",
    "HOST.1000": "failed to add the host",
    "HOST.1001": "failed to connect the host",
    "HOST_ALLOCATION.1000": "no host can run this VM",
    "L3.1000": "no available IP",
    "L2.1000": "physical interface problem",
    "IMG.1000": "image problem",
    "PS.1000": "primary storage problem",
    "BS.1000": "backup storage problem",
    "NWS.1000": "network service problem",
}


class ErrorCode(BaseModel):
    code: str
    description: str
    details: str
    cause: "ErrorCode | None" = None
    field: str | None = None  # the parameter to blame, as on the wire

    def wire(self) -> dict[str, Any]:
        return self.model_dump(exclude_none=True)


class ApiError(Exception):
    """Raised anywhere in the control plane; `status` files turn it into HTTP in one place (controlplane/api/status.py)."""

    def __init__(self, code: str, details: str, cause: "ErrorCode | None" = None, field: str | None = None) -> None:
        super().__init__(f"[{code}] {details}")
        description = DESCRIPTIONS.get(code, code)
        self.error = ErrorCode(code=code, description=description, details=details, cause=cause, field=field)


def invalid(details: str, field: str | None = None) -> ApiError:
    return ApiError("SYS.1007", details, field=field)


def not_found(details: str, field: str | None = None) -> ApiError:
    return ApiError("SYS.1003", details, field=field)


def refused(details: str, cause: ErrorCode | None = None) -> ApiError:
    return ApiError("SYS.1006", details, cause)


class Temporary(Exception):
    """The same step may succeed later: the engine retries it with back-off until the step's time-out."""
