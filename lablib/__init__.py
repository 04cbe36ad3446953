"""Build and measure an AI platform: GPUs, schedulers, training, serving, tenants.

Policies are pure functions of a snapshot; only modules whose docstring says so do I/O.
docs/architecture.md has the map.
"""

__version__ = "0.1.0"
