"""RAR archives written byte by byte."""

from support.rar_archives import make_rar, rar_entry

__all__ = ["make_rar", "rar_entry"]
