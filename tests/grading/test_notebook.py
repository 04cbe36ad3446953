"""What a lab's cells call, and what is kept from one day to the next."""

import json
from types import SimpleNamespace

import pytest

from lablib.errors import GradingError
from lablib.gpu.telemetry import Sample
from lablib.grading.notebook import grade, open_lab
from lablib.grading.progress import FILE, Progress, Store


def margin(sample: Sample):
    if sample.margin_celsius is not None:
        return sample.margin_celsius
    known = [each for each in (sample.max_operating_celsius, sample.slowdown_celsius) if each is not None]
    return min(known) - sample.temperature_celsius


def unfinished(sample):
    raise NotImplementedError


@pytest.fixture
def lab(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return open_lab("00-platform")


def test_a_pass_is_kept_and_tells_the_prediction(lab, tmp_path):
    check, predict, _ = lab
    assert "Written down: margin = `17`" in repr(predict("2.1", margin=17))
    view = check.e2_1(margin)
    assert repr(view).startswith("✓ *6 of 6 cases.*")
    assert "You predicted 17" in view.text
    assert Store(tmp_path).read().passed == ("2.1",)
    assert "<em>6 of 6 cases.</em>" in view._repr_html_()


def test_the_dots_of_a_prediction_are_asked_for(lab, tmp_path):
    _, predict, _ = lab
    assert repr(predict("2.1", margin=...)).startswith("…")
    assert not (tmp_path / FILE).exists()


def test_what_was_hard_is_known(lab, tmp_path):
    check, _, _ = lab
    assert Store(tmp_path).read().hardest == ""
    check.e1_1(lambda client: {})
    check.e2_1(lambda sample: 3)
    check.hint("2.1")
    check.e2_1(margin)
    kept = Store(tmp_path).read()
    assert (kept.hardest, kept.failed, kept.passed) == ("2.1", {"1.1": 1, "2.1": 1}, ("2.1",))


def test_a_word_is_no_prediction(lab, tmp_path):
    _, predict, _ = lab
    assert "A number, please" in repr(predict("2.1", margin="ten"))
    assert not (tmp_path / FILE).exists()


def test_a_cell_that_was_not_run_is_todo_and_no_name_error(monkeypatch, tmp_path):
    names = {"thermal_margin": margin}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(user_ns=names))
    check, _, _ = open_lab("00-platform")
    assert names["thermal_margin"] is margin
    assert "1.1 is yours to write" in repr(check.e1_1(names["gpus_by_node"]))


def test_a_failure_says_where_to_get_a_hint_and_the_second_is_stronger(lab):
    check, _, _ = lab
    assert 'check.hint("2.1")' in repr(check.e2_1(lambda sample: 3))
    first, second = check.hint("2.1"), check.hint("2.1")
    assert first.text != second.text
    assert "That was the last hint" in second.text


def test_an_unfinished_answer_is_todo_and_ours_steps_in(lab, capsys):
    check, _, _ = lab
    assert repr(check.e2_1(unfinished)).startswith("…")
    best = check.best("2.1", unfinished)
    assert best(Sample(0, "x", temperature_celsius=80, slowdown_celsius=90)) == 10
    assert "our version of thermal_margin" in capsys.readouterr().out
    assert check.best("2.1", margin) is margin
    assert capsys.readouterr().out == ""


def test_an_exercise_that_is_not_there_is_named(lab):
    check, _, _ = lab
    with pytest.raises(AttributeError, match=r"no exercise 9\.9; there are 1\.1, 2\.1"):
        check.e9_9(margin)
    with pytest.raises(GradingError, match="no exercise"):
        check.hint("9.9")
    assert {"e1_1", "e2_1", "hint", "best"} <= set(dir(check))


def test_the_ledger_shows_prediction_and_verdict(lab):
    _, predict, ledger = lab
    predict("2.2", H100=85)
    row = {"predicted": "2.2", "measurement": "87", "literature": "published: 87"}
    assert "your prediction: H100 85" in repr(ledger("85 degrees", verdict="does not hold", **row))
    shown = ledger("85 degrees", verdict="holds only if it is an A100", **row)
    assert repr(shown).count("claim:") == 1
    with pytest.raises(GradingError, match="no verdict"):
        ledger("x", verdict="perhaps", **row)


def test_an_unknown_lab_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GradingError, match="no lab 77-nowhere"):
        open_lab("77-nowhere")


def test_grading_gives_all_points_or_none():
    assert grade("00-platform", "2.1", margin, 2) == 2
    assert grade("00-platform", "2.1", lambda sample: 85 - sample.temperature_celsius, 2) == 0
    assert grade("00-platform", "2.1", unfinished, 2) == 0


@pytest.mark.parametrize("content", [b"", b"{", b'{"passed": 7}', b"\xff\xfe"])
def test_a_damaged_file_is_kept_aside(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    said = []
    store = Store(tmp_path, said.append)
    assert store.read() == Progress()
    assert "damaged" in said[0]
    assert (tmp_path / "progress.damaged.json").read_bytes() == content


def test_two_notebooks_do_not_lose_each_others_changes(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    store = Store(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store.update(lambda progress: progress.passing(str(n))), range(40)))
    assert sorted(map(int, store.read().passed)) == list(range(40))
    json.loads((tmp_path / FILE).read_text())
