"""A live vLLM engine on a tiny random model, with its block table laid open. Does I/O; runs in this process.

    with TinyEngine(blocks=24) as engine:
        for table in engine.steps({"a": [1, 2, 3]}, max_tokens=40):
            print(table)

The engine, its scheduler and its block manager are vLLM's own. The model has the shape of a language model
and random weights: it says nothing, at full speed, and needs no download.
"""

from __future__ import annotations

import gc
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from lablib.errors import LabError, SetupError
from lablib.noise import hushed
from lablib.paging.blocks import BlockTable, Request
from lablib.units import MIB

if TYPE_CHECKING:
    from vllm.v1.engine.llm_engine import LLMEngine

ENVIRONMENT: Final = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "OMP_NUM_THREADS": "1",
}
"""In this process, and on one thread: five times quicker for so small a model."""
MODEL: Final = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_act": "silu",
    "hidden_size": 64,
    "head_dim": 32,
    "intermediate_size": 128,
    "max_position_embeddings": 2048,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
    "torch_dtype": "float32",
    "vocab_size": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
MEMORY_SHARE: Final = 0.05
"""Of the machine's memory that has to be free at the start; vLLM's own default is 0.92."""
CACHE_BYTES: Final = 64 * MIB
"""Room for far more blocks than are used; without it vLLM takes MEMORY_SHARE for them."""
MOST_TOKENS: Final = 512
"""Of a prompt and its answer together."""


class TinyEngine:
    """A vLLM engine for the length of a `with`.

    Args:
        blocks: of its KV cache, vLLM's own number 0 included.
        block_size: tokens in a block; on a CPU a multiple of 32.
        requests: how many run at once at most.
        say: called with a line before each thing that takes seconds.

    Raises:
        SetupError: vLLM is not installed.
        LabError: the engine can't start with these settings; with what it said.
    """

    def __init__(
        self,
        blocks: int = 24,
        block_size: int = 32,
        requests: int = 8,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._blocks, self._block_size, self._requests, self._say = blocks, block_size, requests, say
        self._engine: Any = None

    def __enter__(self) -> Self:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        self._say("vLLM is imported and its engine starts: 5 to 30 s")
        try:
            with hushed():
                self._engine = self._start()
        except ImportError as error:
            raise SetupError(f"vLLM can't be imported: {error}", remedy="Run: make setup") from error
        except (ValueError, RuntimeError, AssertionError) as error:
            raise LabError(
                f"vLLM's engine can't start: {error}",
                where=f"{self._blocks} blocks of {self._block_size} tokens",
                remedy="Take a block size that is a multiple of 32, and at least 17 blocks of 32",
            ) from error
        return self

    def _start(self) -> LLMEngine:
        from vllm import LLM  # takes 10 to 20 s

        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "config.json").write_text(json.dumps(MODEL))
            llm = LLM(
                folder,
                load_format="dummy",
                skip_tokenizer_init=True,
                enforce_eager=True,
                dtype="float32",
                seed=0,
                block_size=self._block_size,
                num_gpu_blocks_override=self._blocks,
                gpu_memory_utilization=MEMORY_SHARE,
                kv_cache_memory_bytes=CACHE_BYTES,
                max_model_len=MOST_TOKENS,
                max_num_seqs=self._requests,
                enable_prefix_caching=False,
            )
        engine: LLMEngine = llm.llm_engine
        return engine

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with hushed():
            self._engine.engine_core.shutdown()
            self._engine = None
            gc.collect()

    def steps(self, prompts: Mapping[str, Sequence[int]], max_tokens: int) -> Iterator[BlockTable]:
        """Serve the prompts, all at once; after each step who holds which blocks.

        Args:
            prompts: token numbers, 0 to 511, by the request's name.
            max_tokens: that each answer has.

        Raises:
            LabError: a prompt is empty or too long.
        """
        from vllm import SamplingParams

        for name, tokens in prompts.items():
            if not 0 < len(tokens) <= MOST_TOKENS - max_tokens:
                raise LabError(
                    f"Prompt {name} has {len(tokens)} tokens",
                    remedy=f"Take 1 to {MOST_TOKENS - max_tokens}: with its answer at most {MOST_TOKENS}",
                )
            settings = SamplingParams(max_tokens=max_tokens, temperature=0, ignore_eos=True, detokenize=False)
            self._engine.add_request(name, {"prompt_token_ids": list(tokens)}, settings)
        while self._engine.has_unfinished_requests():
            self._engine.step()
            yield self._table()

    def _table(self) -> BlockTable:
        scheduler = self._engine.engine_core.engine_core.scheduler
        held = {
            # vLLM adds a random ending to the name.
            name.rsplit("-", 1)[0]: Request(
                tuple(scheduler.kv_cache_manager.get_block_ids(name)[0]), request.num_computed_tokens
            )
            for name, request in scheduler.requests.items()
        }
        return BlockTable(self._block_size, self._blocks, held)
