"""A real HTTP server that misbehaves on request."""

from support.misbehaving_server import server

__all__ = ["server"]
