"""Middleware for web applications: plain ASGI, for any framework."""

from sojourn.surfaces.http.csrf import CSRF

__all__ = ["CSRF"]
