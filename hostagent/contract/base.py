"""The base of every model on the wire between control plane and host agent."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Immutable; unknown members are ignored, so that either side may be newer."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Specified(Model):
    """A wish: `generation` grows with each change made by the control plane; an older one is refused."""

    generation: int
