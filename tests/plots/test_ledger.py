"""The ledger shows every claim's row."""

from lablib.grading.progress import LedgerRow
from lablib.plots.ledger import Ledger


def test_a_row_is_shown_as_table_and_as_text():
    ledger = Ledger(
        [LedgerRow("30 % <used>", "50 %", "33 %", "published: 25 %", "holds only if nobody shares")]
    )
    html = ledger._repr_html_()
    assert "<caption>Ledger</caption>" in html
    assert "30 % &lt;used&gt;" in html
    assert "verdict: holds only if nobody shares" in repr(ledger)
