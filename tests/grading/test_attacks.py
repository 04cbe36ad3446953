"""The table of attacks: each is held, and each gets through when its own protection is off."""

import pytest

from lablib.grading.assignment import assignments
from lablib.grading.attacks import Setting, attacks, open_doors, run
from lablib.grading.sandbox import landlock_abi, namespaces_here

LAB = assignments()["01-gpus"]
NAMES = [
    "an answer equal to everything",
    "puts its own judge in place",
    "redefines isinstance and same",
    "rewrites the grading cell",
    "knows the cases by heart",
    "reads the solutions",
    "reads another's submission",
    "writes beside its folder",
    "looks at the grader's process",
    "connects to this machine (TCP)",
    "signals the grader",
    "sends to this machine (UDP)",
    "calls a service by its socket",
    "takes 2 GiB",
    "writes a file of 100 MiB",
    "leaks file descriptors",
    "starts 150 processes",
    "a loop that nothing interrupts",
    "prints 5 MB",
]

pytestmark = pytest.mark.skipif(
    landlock_abi() < 4 or not namespaces_here(), reason="this kernel has no Landlock or allows no namespaces"
)


@pytest.fixture(scope="module")
def rows():
    with open_doors(LAB) as doors:
        yield {row.name: row for row in attacks(doors)}


def test_every_row_is_here(rows):
    assert list(rows) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_an_attack_is_held_by_its_protection(rows, name):
    assert run(LAB, rows[name], Setting()).held
    assert not run(LAB, rows[name], rows[name].without).held
