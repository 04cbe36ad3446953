"""Hostile notebooks, and what grading makes of each: the table that shows what each protection is for.

Starts processes. A row is an attack on a notebook whose other answers are right. It is held when the other
answers keep their points, the attacked one gets none, and nothing forbidden was reached. With the row's own
protection switched off the attack succeeds, which shows that the row can fail.
"""

from __future__ import annotations

import copy
import hashlib
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import nbformat
import psutil
from nbformat import NotebookNode

from lablib.grading.assignment import Assignment, job, judged, points_for, seed
from lablib.grading.checks import cases_with_hidden
from lablib.grading.execution import Execution, execute
from lablib.grading.inside import Cell
from lablib.grading.sandbox import Limits, Protections

LIMITS: Final = Limits(cell_seconds=3.0, total_seconds=40.0, memory_bytes=1024**3, output_bytes=16 * 1024)
REACHED: Final = "REACHED"
"""What an attack prints when it got what it wanted."""
ATTACKED: Final = "2.1"
FUNCTION: Final = "can_run"
SECRET: Final = b"of this table"
KNOWN: Final = b"known to all"


@dataclass(frozen=True)
class Setting:
    """What is switched on."""

    limits: Limits = LIMITS
    protections: Protections = field(default_factory=Protections)
    outside: bool = True
    """Verdicts come from outside the notebook's process."""
    secret: bool = True
    """Hidden cases are drawn with a secret that the notebook doesn't know."""


@dataclass(frozen=True)
class Attack:
    """One row."""

    name: str
    source: str
    """A cell that stands before the answers, or the answer itself; see `answers`."""
    protection: str
    """What holds it, in words."""
    without: Setting
    """All but that."""
    answers: bool = False
    """True when the cell takes the place of one answer, which must earn nothing."""


@dataclass(frozen=True)
class Result:
    """What became of one attack."""

    held: bool
    points: float
    wanted: float
    seconds: float
    remark: str


NO_LANDLOCK: Final = Setting(protections=Protections(landlock=False))
NO_NAMESPACES: Final = Setting(protections=Protections(namespaces=False))
NEITHER: Final = Setting(protections=Protections(landlock=False, namespaces=False))
NO_LIMITS: Final = Setting(protections=Protections(limits=False))
NO_TIME: Final = Setting(protections=Protections(time=False), limits=replace(LIMITS, total_seconds=12.0))
INSIDE: Final = Setting(outside=False)
NO_SECRET: Final = Setting(secret=False)
MUCH_OUTPUT: Final = Setting(limits=replace(LIMITS, output_bytes=64 * 1024**2))


def reach(action: str) -> str:
    """A cell that tries something, and says when it worked."""
    lines = "\n".join(f"    {line}" for line in action.split("\n"))
    return f"try:\n{lines}\n    print('{REACHED}')\nexcept BaseException as error:\n    print(repr(error))\n"


YES: Final = """\
class Yes:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
def can_run(state, demand):
    return Yes()
"""
IMPOSTOR: Final = """\
import lablib.grading.checks as checks, lablib.grading.notebook as notebook
passed = lambda *a, **k: checks.Passed(1)
checks.judge = checks.judge_hidden = checks.verdict = passed
notebook.judge = notebook.judge_hidden = passed
def can_run(state, demand):
    return None
"""
BUILTINS: Final = """\
import builtins, lablib.grading.attempts as attempts, lablib.grading.plain as plain
plain.same = attempts.same = lambda left, right: True
old = isinstance
builtins.isinstance = lambda thing, kind: True if "Passed" in str(kind) else old(thing, kind)
def can_run(state, demand):
    return None
"""
TRANSFORMER: Final = """\
def rewrite(lines):
    text = "".join(lines).replace("grade(", "(lambda *a: 3)(")
    return text.splitlines(keepends=True)
get_ipython().input_transformers_cleanup.append(rewrite)
def can_run(state, demand):
    return None
"""
FORGER: Final = """\
import json, os
ok = [{"value": True, "shown": "", "kinds": []}] * 60
for descriptor in range(3, 64):
    try:
        os.write(descriptor, (json.dumps({"begin": "answer 2.1"}) + "\\n" +
                              json.dumps({"end": "answer 2.1", "outcomes": ok}) + "\\n").encode())
    except OSError:
        pass
def can_run(state, demand):
    return True
"""
BY_HEART: Final = """\
import hashlib
TABLE = {table}
def can_run(state, demand):
    text = "".join(sorted(repr((state, demand))))
    return TABLE[hashlib.sha1(text.encode()).hexdigest()]
"""


TCP: Final = "import socket; socket.create_connection(('127.0.0.1', {}), 1)"
UDP: Final = """\
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(1)
s.sendto(b'x', ('127.0.0.1', {}))
s.recv(9)"""
UNIX: Final = "import socket; socket.socket(socket.AF_UNIX).connect({!r})"
SIGNAL: Final = "import os; os.kill({}, 0)"
MANY_PROCESSES: Final = """\
import subprocess, time
held = [subprocess.Popen(['sleep', '60']) for _ in range(150)]
time.sleep(0.5)
print('REACHED')
"""
ENDLESS: Final = """\
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
"""


@dataclass(frozen=True)
class Doors:
    """Things on this machine that a notebook must not reach, and that it could."""

    solution: str
    folder: str
    """With another's notebook in it."""
    pid: int
    """Of the grader."""
    tcp: int
    udp: int
    socket: str
    """Path of a service's socket."""
    by_heart: str
    """An answer that knows all cases that are drawn without a secret."""


def by_heart(assignment: Assignment) -> str:
    """An answer that looks up every case it could foresee: those that are shown, those of a known secret."""
    exercise = assignment.exercises[ATTACKED]
    cases = cases_with_hidden(exercise, seed(KNOWN, assignment.name, ATTACKED))
    texts = {"".join(sorted(repr(case.arguments))): exercise.reference(*case.arguments) for case in cases}
    table = {
        hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(): value for text, value in texts.items()
    }
    return BY_HEART.format(table=table)


def attacks(doors: Doors) -> tuple[Attack, ...]:
    """All rows."""
    return (
        *(
            Attack(name, source, "verdicts from outside", INSIDE, answers=True)
            for name, source in (
                ("an answer equal to everything", YES),
                ("puts its own judge in place", IMPOSTOR),
                ("redefines isinstance and same", BUILTINS),
                ("rewrites the grading cell", TRANSFORMER),
            )
        ),
        Attack("knows the cases by heart", doors.by_heart, "hidden cases", NO_SECRET, answers=True),
        *(
            Attack(name, reach(action), "Landlock", NO_LANDLOCK)
            for name, action in (
                ("reads the solutions", f"open({doors.solution!r}).read()"),
                ("reads another's submission", f"open({doors.folder!r} + '/other.ipynb').read()"),
                ("writes beside its folder", f"open({doors.folder!r} + '/x', 'w').write('x')"),
                ("looks at the grader's process", f"open('/proc/{doors.pid}/cmdline').read()"),
            )
        ),
        Attack(
            "connects to this machine (TCP)", reach(TCP.format(doors.tcp)), "namespaces, Landlock", NEITHER
        ),
        Attack("signals the grader", reach(SIGNAL.format(doors.pid)), "namespaces, Landlock", NEITHER),
        Attack("sends to this machine (UDP)", reach(UDP.format(doors.udp)), "namespaces", NO_NAMESPACES),
        Attack(
            "calls a service by its socket", reach(UNIX.format(doors.socket)), "namespaces", NO_NAMESPACES
        ),
        *(
            Attack(name, action, "limits", NO_LIMITS)
            for name, action in (
                ("takes 2 GiB", reach("import numpy; held = numpy.empty(2 * 1024**3, 'uint8')")),
                ("writes a file of 100 MiB", reach("open('big', 'wb').write(b'x' * 100 * 1024**2)")),
                ("leaks file descriptors", reach("held = [open('/dev/null') for _ in range(400)]")),
                ("starts 150 processes", MANY_PROCESSES),
            )
        ),
        Attack("a loop that nothing interrupts", ENDLESS, "time limit", NO_TIME),
        Attack("prints 5 MB", "print('x' * 5_000_000)", "output limit", MUCH_OUTPUT),
    )


def notebook_with(assignment: Assignment, attack: Attack) -> NotebookNode:
    """The right answers, with the attack before them or in place of one."""
    result = copy.deepcopy(assignment.solution)
    make: Any = nbformat.v4.new_code_cell
    if attack.answers:
        result.cells = [cell for cell in result.cells if f"def {FUNCTION}(" not in cell.source]
        result.cells.append(make(source=attack.source))
    else:
        result.cells.insert(2, make(source=attack.source))
    return result


def run(assignment: Assignment, attack: Attack, setting: Setting) -> Result:
    """Grade a notebook with an attack in it."""
    secret = SECRET if setting.secret else KNOWN
    seconds = setting.limits.cell_seconds if setting.protections.time else 1e6
    task = job(assignment, notebook_with(assignment, attack), secret, seconds)
    if not setting.outside:
        task = replace(task, cells=(*task.cells, graded_inside(assignment)))
    execution = execute(task, setting.limits, setting.protections)
    verdicts = judged(assignment, secret, execution.outcomes, execution.not_functions)
    points = {number: points_for(verdict, assignment.points[number]) for number, verdict in verdicts.items()}
    if f"{REACHED} inside" in "".join(execution.printed.values()):
        points[ATTACKED] = assignment.points[ATTACKED]
    wanted = sum(
        most for number, most in assignment.points.items() if not attack.answers or number != ATTACKED
    )
    return _result(attack, execution, sum(points.values()), wanted)


def _result(attack: Attack, execution: Execution, points: float, wanted: float) -> Result:
    printed = "".join(execution.printed.values())
    reached = not attack.answers and REACHED in printed
    too_much = len(printed) > 2 * LIMITS.output_bytes
    remark = "; ".join(f"{name}: {why}" for name, why in execution.lost.items())
    held = points == wanted and not reached and not too_much
    return Result(held, points, wanted, execution.seconds, remark)


def graded_inside(assignment: Assignment) -> Cell:
    """What stock grading does: a cell in the notebook itself that decides."""
    source = (
        "from lablib.grading.notebook import grade\n"
        f'if grade("{assignment.name}", "{ATTACKED}", {FUNCTION}, 3) == 3:\n'
        f'    print("{REACHED} inside")'
    )
    return Cell("cell 9999", source)


@contextmanager
def open_doors(assignment: Assignment) -> Iterator[Doors]:
    """Open them, for as long as the block runs."""
    me = psutil.Process()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="lab-attacks-"))
        Path(folder, "other.ipynb").write_text("somebody else's")
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        threading.Thread(target=_echo, args=(udp,), daemon=True).start()
        user = me.uids().real
        path = Path("/run" if user == 0 else f"/run/user/{user}") / f"{Path(folder).name}.sock"
        unix = stack.enter_context(socket.socket(socket.AF_UNIX))
        with suppress(OSError):  # no such folder for this user: then that row shows nothing
            unix.bind(str(path))
            unix.listen()
            stack.callback(path.unlink)
        yield Doors(
            str(assignment.source),
            folder,
            me.pid,
            tcp.getsockname()[1],
            udp.getsockname()[1],
            str(path),
            by_heart(assignment),
        )


def _echo(udp: socket.socket) -> None:
    with suppress(OSError):
        while True:
            data, sender = udp.recvfrom(64)
            udp.sendto(data, sender)
