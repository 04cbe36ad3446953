"""What a notebook shows of a verdict, a hint or a prediction: HTML, and the same as text. Does no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from markdown_it import MarkdownIt

from lablib.grading.checks import Exercise, Failed, Passed, Todo, Verdict

COLOURS: Final = {
    "✓": "var(--jp-success-color1, #2e7d32)",
    "✗": "var(--jp-error-color1, #c62828)",
    "…": "var(--jp-ui-font-color2, #616161)",
    "›": "var(--jp-brand-color1, #1565c0)",
}
_MARKDOWN: Final = MarkdownIt("commonmark", {"html": False})


@dataclass(frozen=True)
class View:
    """A marked paragraph."""

    mark: str
    """A key of COLOURS."""
    text: str
    """Markdown, one paragraph."""

    def _repr_html_(self) -> str:
        style = f"border-left: 3px solid {COLOURS[self.mark]}; padding: 0.2em 0.8em; max-width: 50em;"
        mark = f'<b style="color: {COLOURS[self.mark]}">{self.mark}</b>'
        return f'<div style="{style}">{mark} {_MARKDOWN.renderInline(self.text)}</div>'

    def __repr__(self) -> str:
        return f"{self.mark} {self.text}"


def of_verdict(verdict: Verdict, exercise: Exercise) -> View:
    """A verdict, as `check` shows it."""
    match verdict:
        case Passed(cases, message):
            return View("✓", f"*{cases} of {cases} cases.* {message}")
        case Failed(right, cases, message):
            stuck = f'*Stuck? `check.hint("{exercise.number}")`*'
            return View("✗", f"*{right} of {cases} cases.* {message} {stuck}")
        case Todo(number):
            return View(
                "…",
                f"*{number} is yours to write.* Replace the `raise` in `{exercise.name}`, and run its cell.",
            )


def of_hint(exercise: Exercise, asked: int) -> View:
    """The first hint, then the stronger one."""
    if asked <= 1:
        return View("›", f'{exercise.hint} *Still stuck? `check.hint("{exercise.number}")` once more.*')
    return View("›", f"{exercise.stronger_hint} *That was the last hint. You can go on without it.*")
