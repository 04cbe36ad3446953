"""The tour's own parts; Ray's and vLLM's have tests of their own."""

import pytest
import typer

from lablib.commands import tour
from lablib.errors import LabError


def test_the_cluster_and_the_gpu_are_shown():
    said = []
    for _, _, show in tour.STOPS[:2]:
        show(lambda value: said.append(str(value)))
    text = "\n".join(said)
    assert "29 of 32 GPUs allocated" in text
    assert "train-7 waits" in text
    assert "software thermal slowdown" in text


def test_a_stop_that_fails_is_said_and_the_tour_goes_on(monkeypatch, capsys):
    def fails(say):
        raise LabError("no such thing", remedy="Try another")

    monkeypatch.setattr(tour, "STOPS", (("one", "", fails), ("two", "it works", lambda say: say("here"))))
    with pytest.raises(typer.Exit) as caught:
        tour.tour()
    assert caught.value.exit_code == 1
    out = capsys.readouterr().out
    assert "no such thing. Try another" in out
    assert "here" in out
