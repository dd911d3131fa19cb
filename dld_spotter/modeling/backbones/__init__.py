"""Backbones of the spotters."""
