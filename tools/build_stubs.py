"""Generate provider/wire/tfplugin6_pb2.py (and its types) from tfplugin6.proto."""

import sys
from pathlib import Path

from grpc_tools import protoc

WIRE = Path(__file__).resolve().parent.parent / "provider" / "wire"


def main() -> int:
    exit_status: int = protoc.main(
        ["protoc", f"-I{WIRE}", f"--python_out={WIRE}", f"--pyi_out={WIRE}", str(WIRE / "tfplugin6.proto")]
    )
    if exit_status == 0:
        types = WIRE / "tfplugin6_pb2.pyi"
        types.write_text(
            types.read_text().replace("_Mapping]", "_Mapping[str, object]]")
        )  # mypy --strict wants it whole
    return exit_status


if __name__ == "__main__":
    sys.exit(main())
