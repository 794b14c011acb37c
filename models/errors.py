"""What can go wrong, as exceptions whose message says what to do about it."""

from __future__ import annotations


class SamColloidError(Exception):
    """Base of every error this package raises on purpose; ``str(error)`` is one clear sentence."""


class ImageError(SamColloidError):
    """A micrograph that cannot be read or analysed."""


class ModelError(SamColloidError):
    """A model that is missing, altered or does not obey its card."""


class SettingsError(SamColloidError):
    """A setting, or a combination of settings, that makes no sense."""


class OutputError(SamColloidError):
    """Results that cannot be written."""
