"""A KV cache's block table, as values. Does no I/O.

A language model keeps, for every token it has read, two vectors in each layer: the KV cache. vLLM keeps them
in blocks of equal size, like the pages of an operating system; a request's table lists its blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """What one request holds."""

    blocks: tuple[int, ...]
    """Numbers of the physical blocks, in the order of its tokens."""
    tokens: int
    """Tokens that those blocks hold so far."""


@dataclass(frozen=True)
class BlockTable:
    """Who holds which block after a step of the engine."""

    block_size: int
    """Tokens in a block."""
    blocks: int
    """Physical blocks; number 0 is vLLM's own and is never given out."""
    requests: Mapping[str, Request]

    @property
    def free(self) -> int:
        """Blocks that nobody holds."""
        return self.blocks - 1 - sum(len(request.blocks) for request in self.requests.values())

    @property
    def wasted_tokens(self) -> int:
        """Room for tokens in blocks that are held and not full."""
        held = sum(len(request.blocks) for request in self.requests.values())
        return held * self.block_size - sum(request.tokens for request in self.requests.values())

    def __str__(self) -> str:
        """A line for each request, and one for what is free."""
        width = max(map(len, self.requests), default=0)
        lines = [
            f"{name:<{width}}  {request.tokens:4d} tokens in blocks {', '.join(map(str, request.blocks))}"
            for name, request in self.requests.items()
        ]
        return "\n".join([*lines, f"{self.free} of {self.blocks - 1} blocks are free"])
