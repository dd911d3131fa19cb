"""Errors of what is written, in a module that loads nothing."""


class OutputClosed(OSError):
    """Standard output takes no more, for another reason than that nobody listens."""
