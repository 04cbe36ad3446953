"""The memory of a language model: pages of its KV cache."""
