"""Units, as they appear in names: `_milli`, `_mib`, `_bytes`, `_watts`, `_celsius`, `_seconds`.

A GPU has 1000 GPU-milli, a core 1000 CPU-milli. Memory of nodes and GPUs is counted in MiB.
"""

from __future__ import annotations

from typing import Final

GPU_MILLI: Final = 1000
"""GPU-milli in one whole GPU."""

MIB: Final = 1024 * 1024
"""Bytes in one MiB."""

GIB: Final = 1024 * MIB
"""Bytes in one GiB."""
