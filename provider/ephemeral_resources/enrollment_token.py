"""steppe_host_enrollment_token: the secret with which one host's agent gets its certificate. It ends by itself."""

from provider.framework import validate
from provider.framework.plan import Object
from provider.framework.resource import Context
from provider.framework.schema import Schema, computed, optional
from provider.framework.types import NUMBER, STRING

LIMIT = 60.0  # seconds
LIFETIME = 86400  # seconds, unless the user says otherwise


class EnrollmentToken:
    type_name = "steppe_host_enrollment_token"
    schema = Schema(
        {
            "management_ip": optional(
                STRING,
                "Address of the host; then the token is good for that one only.",
                validators=(validate.length(1, 255),),
            ),
            "lifetime": optional(
                NUMBER,
                f"Seconds until it ends, 60 to 604800; {LIFETIME} when left out.",
                validators=(validate.between(60, 7 * 86400),),
            ),
            "token": computed(STRING, "The token, good for one host.", sensitive=True),
            "command": computed(
                STRING, "What to run on the host, where the files `token` and `ca.pem` hold the other two."
            ),
            "ca": computed(STRING, "Certificate by which the host knows the control plane (PEM)."),
            "url": computed(STRING, "Where the host enrols."),
            "expires": computed(STRING, "When the token ends."),
        },
        "A token with which a host's agent enrols, made anew by every command that needs it; in no state and in no plan "
        "(Terraform 1.10). A provisioner may bring it to the new host and run `command` there.",
    )

    def open(self, context: Context, config: Object) -> Object:
        parameters = {"managementIp": config["management_ip"], "lifetime": config["lifetime"]}
        made = context.client.create("CreateHostEnrollmentToken", "/hosts/enrollment-tokens", parameters, timeout=LIMIT)
        told = {name: made[name] for name in ("token", "command", "ca", "url")}
        return config | told | {"expires": made["expiresDate"]}

    def close(self, context: Context) -> None:
        """The host may enrol later: the token ends by itself."""
