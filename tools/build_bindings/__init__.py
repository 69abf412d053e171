"""The Python bindings of the provider: generated classes, the constructs on them, and a wheel for each flavour of the kit."""
