"""A real vLLM engine: its block table is laid open and adds up."""

import pytest

from lablib.errors import LabError
from lablib.paging.blocks import BlockTable, Request
from lablib.paging.probe import TinyEngine


@pytest.fixture(scope="module")
def engine():
    with TinyEngine(blocks=24) as engine:
        yield engine


def test_blocks_grow_with_tokens_and_come_back(engine):
    tables = list(engine.steps({"short": [3] * 20, "long": [4] * 50}, max_tokens=40))
    assert len(tables) == 40
    for table in tables:
        held = [block for request in table.requests.values() for block in request.blocks]
        assert len(held) == len(set(held))
        assert 0 not in held
        assert table.free == 23 - len(held)
        for request in table.requests.values():
            assert len(request.blocks) == -(-request.tokens // 32)
    assert tables[0].requests["short"].tokens == 20
    assert [len(table.requests["short"].blocks) for table in tables[:-1]] == [1] * 13 + [2] * 26
    assert tables[-1].free == 23


@pytest.mark.parametrize("tokens", [[], [1] * 500])
def test_a_prompt_that_does_not_fit_is_refused(engine, tokens):
    with pytest.raises(LabError, match=f"has {len(tokens)} tokens"):
        next(engine.steps({"a": tokens}, max_tokens=40))


def test_a_second_engine_works_and_impossible_settings_are_said(engine, capfd):
    with TinyEngine(blocks=20) as second:
        assert len(list(second.steps({"a": [5]}, max_tokens=2))) == 2
    with pytest.raises(LabError, match="can't start"), TinyEngine(blocks=2):
        pass
    assert capfd.readouterr() == ("", "")


def test_a_table_reads_as_text():
    table = BlockTable(32, 24, {"a": Request((1, 4), 40), "bc": Request((2,), 3)})
    assert (table.free, table.wasted_tokens) == (20, 24 + 29)
    assert str(table).splitlines() == [
        "a     40 tokens in blocks 1, 4",
        "bc     3 tokens in blocks 2",
        "20 of 23 blocks are free",
    ]
