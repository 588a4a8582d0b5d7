"""The ASGI application: what stands in front of every request."""
