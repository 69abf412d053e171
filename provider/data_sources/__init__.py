"""Data sources: every resource can be looked up, by uuid or by name."""

from provider.data_sources.lookup import Lookup

__all__ = ["Lookup"]
