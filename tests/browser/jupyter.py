"""Drive a notebook in JupyterLab as a learner does: type into a cell, run it, read what it shows."""

from playwright.sync_api import Page, expect

PATIENCE_MS = 120_000


class NotebookPage:
    """The notebook that is open in JupyterLab."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on(
            "console", lambda message: self.errors.append(message.text) if message.type == "error" else None
        )
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, address: str) -> None:
        """Go there, and wait until the kernel is idle."""
        self.page.goto(address)
        expect(self.page.locator(".jp-Notebook")).to_be_visible(timeout=PATIENCE_MS)
        self.idle()

    def idle(self) -> None:
        """Wait until the kernel has nothing to do."""
        expect(self.page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']").first).to_be_visible(
            timeout=PATIENCE_MS
        )

    def cell(self, text: str):
        """The code cell that has this text."""
        found = self.page.locator(".jp-CodeCell").filter(has_text=text).first
        for _ in range(80):
            if found.count():
                break
            self.page.locator(".jp-WindowedPanel-outer").first.evaluate("element => element.scrollBy(0, 700)")
            self.page.wait_for_timeout(50)
        found.scroll_into_view_if_needed()
        return found

    def write(self, text: str, source: str) -> None:
        """Replace the source of the cell that has this text."""
        editor = self.cell(text).locator(".cm-content")
        editor.click()
        self.page.keyboard.press("Control+A")
        self.page.keyboard.insert_text(source)

    def run(self, text: str) -> str:
        """Run the cell that has this text; what it shows, once it has ended."""
        cell = self.cell(text)
        cell.locator(".cm-content").click()
        prompt = cell.locator(".jp-InputArea-prompt")
        before = prompt.inner_text()
        for _ in range(6):  # a busy page may lose a key
            cell.locator(".cm-content").press("Control+Enter")
            try:
                expect(prompt).not_to_have_text(before, timeout=PATIENCE_MS // 6)
                break
            except AssertionError:
                continue
        expect(prompt).not_to_have_text(before, timeout=1000)
        expect(prompt).not_to_have_text("[*]:", timeout=PATIENCE_MS)
        return cell.locator(".jp-OutputArea").inner_text()
