"""Terraform's plugin protocol 6 over gRPC: the only package that knows protobuf, msgpack and go-plugin."""
