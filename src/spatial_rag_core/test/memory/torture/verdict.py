"""How a broken promise is told."""


class TortureError(Exception):
    """The memory broke its word."""
