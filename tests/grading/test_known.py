"""What the known answers earn, for every exercise of every lab."""

import pytest

from lablib.grading.assignment import assignments
from lablib.grading.known import answers

LABS = assignments()


@pytest.mark.parametrize("name", LABS)
def test_known_answers_earn_what_they_should(name):
    rows = list(answers(LABS[name]))
    assert [row for row in rows if not row.as_it_should_be] == []
    for number, most in LABS[name].points.items():
        mine = [row for row in rows if row.number == number]
        assert [row.points for row in mine[:2]] == [0, most]
        assert len(mine) >= 2 + 3
        assert len({row.sentence for row in mine[2:]}) == len(mine) - 2
