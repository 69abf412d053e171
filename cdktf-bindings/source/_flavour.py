"""The kit that this package stands on. The build writes the name of the package's own flavour here, and only here."""

import cdktf as kit

__all__ = ["kit"]
