"""Benchmarks report rows that a program can read."""

from lablib.benchmarks.rows import Row, as_json


def test_a_row_has_all_fields_and_null_where_none_applies():
    rows = [Row("start", "s", 3.0, 2.0, "bare", "at most 2 times", True), Row("memory", "MiB", 5.0)]
    assert as_json(rows) == [
        {
            "what": "start",
            "unit": "s",
            "ours": 3.0,
            "peer": 2.0,
            "peer_name": "bare",
            "ratio": 1.5,
            "goal": "at most 2 times",
            "holds": True,
        },
        {
            "what": "memory",
            "unit": "MiB",
            "ours": 5.0,
            "peer": None,
            "peer_name": None,
            "ratio": None,
            "goal": None,
            "holds": None,
        },
    ]
