"""The provider's functions, one module each; `ALL` is what it offers."""

from provider.framework.function import Function
from provider.functions.cloud_config import CloudConfig
from provider.functions.minify import Minify

ALL: tuple[Function, ...] = (CloudConfig(), Minify())
