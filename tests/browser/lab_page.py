"""A notebook that is open in JupyterLab: run it, read its kernel, collect what went wrong."""

import ast
import json
import time
from contextlib import contextmanager
from pathlib import Path

import nbformat
from chromium import closed_context

SCREENSHOTS = Path(__file__).parents[2] / "runs" / "screenshots"

#: Milliseconds. A shared machine can be slow.
OPEN, ACT = 180_000, 60_000
#: Seconds for a whole notebook.
RUN = 600

PANEL = "window.jupyterapp.shell.currentWidget"

#: The kernel is connected and waits, and the page hears all errors and what callbacks write to
#: standard error, which no cell shows. Lab asks for the widgets of a kernel that has none yet; the
#: answer ("No such comm") is nobody's error.
READY = f"""() => {{
    const kernel = window.jupyterapp && {PANEL}?.sessionContext?.session?.kernel;
    if (!kernel || kernel.connectionStatus !== "connected") return false;
    if (kernel.status !== "idle") return false;
    if (!window.heard) {{
        window.heard = [];
        kernel.iopubMessage.connect((_, message) => {{
            const {{ header, content, parent_header: cause }} = message;
            if (header.msg_type === "error") window.heard.push(content.traceback.join("\\n"));
            const loud = header.msg_type === "stream" && content.name === "stderr";
            if (loud && cause.msg_type !== "execute_request") {{
                const lines = content.text.split("\\n");
                const text = lines.filter((line) => !line.startsWith("No such comm")).join("\\n");
                if (text.trim()) window.heard.push(text);
            }}
        }});
    }}
    return true;
}}"""

#: The prompts of the cells that hold code; by their models, as folded code has none on the page.
PROMPTS = f"""() => {PANEL}.content.widgets
    .filter((cell) => cell.model.type === "code" && cell.model.sharedModel.source.trim())
    .map((cell) => cell.model)
    .map((told) => told.executionState === "idle" ? `[${{told.executionCount}}]:` : "[*]:")"""

#: Not awaited: the page must not be busy waiting while it works.
RUN_ALL = "() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }"

#: Height of the cells together; the panel itself can be scrolled beyond its end.
TALL = f"""() => {PANEL}.content.widgets
    .reduce((sum, cell) => sum + cell.node.getBoundingClientRect().height, 0)"""

READ = f"""async (code) => {{
    const kernel = {PANEL}.sessionContext.session.kernel;
    const user_expressions = {{ value: code }};
    const request = {{ code: "", silent: true, store_history: false, user_expressions }};
    // Held by the page: a request that nothing refers to can be collected before it is answered.
    window.asked = kernel.requestExecute(request);
    return (await window.asked.done).content.user_expressions.value;
}}"""


@contextmanager
def lab(browser, server, **options):
    """Yield a function that opens a copy of a notebook; its pages may ask no other host."""
    context, asked = closed_context(browser, viewport={"width": 1400, "height": 1000}, **options)

    def opened(path):
        place = server.place(path)
        return LabNotebook(context.new_page(), place, server.address("lab/tree", place))

    try:
        yield opened
        assert not asked, f"asked of other hosts: {asked}"
    finally:
        context.close()
        server.stop_kernels()


class LabNotebook:
    """A notebook in a page of JupyterLab.

    Parameters
    ----------
    page : playwright page
    path : Path
        The notebook's copy under the server's root.
    address : str
    """

    def __init__(self, page, path, address):
        self.page, self.path = page, path
        self.console = []
        page.on("pageerror", lambda error: self.console.append(str(error)))
        page.on("console", self._said)
        page.goto(f"{address}&reset", timeout=OPEN)
        until = time.monotonic() + OPEN / 1000
        while not page.evaluate(READY):
            asks = page.locator(".jp-Dialog-content").all_inner_texts()
            assert not asks, f"JupyterLab asks: {asks}"
            assert time.monotonic() < until, f"no kernel after {OPEN / 1000:.0f} s"
            page.wait_for_timeout(200)

    def _said(self, message):
        # Lab asks for files that need not be there, and says so in the console.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.console.append(message.text)

    def run_all(self, seconds=RUN):
        """Run every cell and wait until each has a number, or stop with an error's traceback."""
        self.page.evaluate(RUN_ALL)
        until = time.monotonic() + seconds
        while not all(_numbered(prompt) for prompt in self.prompts()):
            assert not self.heard(), "\n".join(self.heard())
            assert time.monotonic() < until, f"not done after {seconds} s: {self.prompts()}"
            self.page.wait_for_timeout(500)
        assert not self.heard(), "\n".join(self.heard())

    def prompts(self):
        return self.page.evaluate(PROMPTS)

    def heard(self):
        """Return tracebacks of the kernel, and what its callbacks wrote to standard error."""
        return self.page.evaluate("window.heard")

    def save(self):
        """Save, with the state of widgets, and return what is in the file."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        return nbformat.read(self.path, as_version=4)

    def read(self, expression):
        """Return the value of a Python expression in the kernel, through JSON."""
        reply = self.page.evaluate(READ, f"__import__('json').dumps({expression})")
        assert reply["status"] == "ok", "\n".join(reply.get("traceback", [str(reply)]))
        return json.loads(ast.literal_eval(reply["data"]["text/plain"]))

    def wait_for(self, expression, value, milliseconds=ACT):
        """Wait until a Python expression in the kernel has a value."""
        until = time.monotonic() + milliseconds / 1000
        while (now := self.read(expression)) != value:
            assert time.monotonic() < until, f"{expression} is {now!r}, not {value!r}"
            self.page.wait_for_timeout(100)

    def peak_memory(self):
        """Return the most memory the kernel has had, in MB; NaN where the system does not say."""
        code = "[line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')]"
        return float(next(iter(self.read(code)), "nan")) / 1024

    def screenshot(self, name):
        """Write the whole notebook, not only what fits on the screen, to ``runs/screenshots``."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        tall = self.page.evaluate(TALL)
        self.page.set_viewport_size({"width": 1400, "height": min(12_000, int(tall) + 200)})
        self.page.evaluate("document.querySelector('.jp-WindowedPanel-outer').scrollTop = 0")
        self.page.wait_for_timeout(1000)
        path = SCREENSHOTS / f"{name}.png"
        self.page.screenshot(path=path, timeout=ACT)
        return path


def _numbered(prompt):
    return prompt.strip("[]: \n").isdigit()
