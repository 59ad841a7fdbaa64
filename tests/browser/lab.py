"""Drive a real JupyterLab in a real browser: start both, open notebooks, run cells, press keys."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nbformat

FLAGS = (
    "--no-sandbox",  # needed as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
PATIENCE = 40_000  # ms

# The "idle" badge comes before the kernel has answered, and a run asked for then is lost.
READY = """async () => {
    const notebook = window.jupyterapp.shell.currentWidget;
    const { sessionContext } = notebook;
    await sessionContext.ready;
    await sessionContext.session.kernel.info;
    await sessionContext.session.kernel.requestKernelInfo();
    await notebook.context.ready;
    await notebook.revealed;
}"""
GROUND = """([root, light]) => {
    const [red] = getComputedStyle(document.querySelector(root)).backgroundColor
        .match(/\\d+/g).map(Number);
    return light ? red > 200 : red < 80;
}"""
CONTRAST = (Path(__file__).parent / "contrast.js").read_text()
# What JupyterLab itself says where a kernel ends, in words; all else fails the test.
CANCELED = "Canceled future for {}_request message before replies were done"
NOISE = {
    "Connection lost, reconnecting in 0 seconds.",
    f"Could not restore the debugger state: {CANCELED.format('debug')}",
    f"Error: {CANCELED.format('create_subshell')}",
    "Subshell identifier not available in the closeout sequence, will not request deletion: "
    f"Error: {CANCELED.format('create_subshell')}",
}
CURRENT = "name => window.jupyterapp?.shell?.currentWidget?.context?.path === name"
CLOSE = """async () => {
    const notebook = window.jupyterapp.shell.currentWidget;
    await notebook.sessionContext.shutdown();
    notebook.context.model.dirty = false;
    notebook.close();
}"""
EVALUATE = """async (expression) => {
    const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    const future = kernel.requestExecute({ code: `print(${expression})`, store_history: false });
    let said = "";
    future.onIOPub = (message) => {
        if (message.header.msg_type === "stream") said += message.content.text;
    };
    await future.done;
    return said.trim();
}"""


def chromium_path() -> str | None:
    """Return where Chromium is, or None."""
    usual = Path("/usr/bin/chromium")
    return str(usual) if usual.exists() else shutil.which("chromium")


@dataclass(frozen=True)
class Server:
    """A running JupyterLab: its address, token and folder."""

    url: str
    token: str
    root: Path

    def api(self, path: str, method: str = "GET", data: Any = None) -> Any:
        """Call Jupyter's REST interface and return what it answers."""
        body = None if data is None else json.dumps(data).encode()
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.url}/api/{path}", body, headers, method=method)
        with urllib.request.urlopen(request, timeout=20) as response:
            raw = response.read()
        return json.loads(raw) if raw else None


@contextlib.contextmanager
def jupyter_lab(folder: Path) -> Iterator[Server]:
    """Start JupyterLab with all its settings below *folder*; it serves ``folder/work``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Server(f"http://127.0.0.1:{port}", secrets.token_hex(16), folder / "work")
    server.root.mkdir(parents=True)
    log = folder / "lab.log"
    with log.open("w") as stream:
        command = [*_command(server, port)]
        environment = _environment(folder)
        process = subprocess.Popen(
            command, stdout=stream, stderr=subprocess.STDOUT, env=environment, cwd=server.root
        )
    try:
        _wait_until_up(server, process, log)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _command(server: Server, port: int) -> Iterator[str]:
    yield from (sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root")
    yield from ("--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0")
    yield from (f"--IdentityProvider.token={server.token}", f"--ServerApp.root_dir={server.root}")
    yield "--LabApp.expose_app_in_browser=True"


def _environment(folder: Path) -> dict[str, str]:
    folders = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "IPYTHONDIR": "ipython",
    }
    for name in folders.values():
        (folder / name).mkdir()
    overrides = folder / "config" / "labconfig" / "default_setting_overrides.json"
    overrides.parent.mkdir()
    news = {"fetchNews": "false", "checkForUpdates": False}
    settings = {
        "@jupyterlab/apputils-extension:notification": news,
        "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
    }
    overrides.write_text(json.dumps(settings))
    return {**os.environ, **{name: str(folder / place) for name, place in folders.items()}}


def _wait_until_up(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE / 1000
    while True:
        try:
            server.api("status")
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(
                    f"JupyterLab did not start:\n{log.read_text()[-3000:]}"
                ) from None
            time.sleep(0.05)


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Start Chromium, headless."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium_path(), args=FLAGS, headless=True
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Desk:
    """JupyterLab in a page of the browser; notebooks are opened and closed on it one at a time."""

    server: Server
    page: Any
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    spare_kernel: str = ""
    theme: str = "Light"

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self._note(f"{error}\n{error.stack}"))
        self.page.on("console", self._note_message)
        self.start_spare_kernel()
        self.page.goto(f"{self.server.url}/lab?token={self.server.token}&reset")
        self.page.wait_for_function("window.jupyterapp?.restored")
        self.page.evaluate("window.jupyterapp.restored.then(() => true)")

    def _note(self, said: str) -> None:
        if said.strip() not in NOISE:
            self.errors.append(said)

    def _note_message(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self._note(message.text)

    def wear(self, theme: str, root: str) -> None:
        """Change to the "Dark" or the "Light" theme; return when *root* is seen in it."""
        self.theme = theme
        self.command("apputils:change-theme", theme=f"JupyterLab {theme}")
        # The style sheet of a theme comes after its name, and JupyterLab's logo goes by.
        self.page.wait_for_function(GROUND, arg=[root, theme == "Light"])
        self.page.wait_for_selector("#jupyterlab-splash", state="detached")

    def command(self, name: str, **arguments: Any) -> Any:
        """Run a command of JupyterLab and return its result."""
        return self.page.evaluate(
            "async ([name, args]) => {"
            "  const result = await window.jupyterapp.commands.execute(name, args);"
            "  return typeof result === 'boolean' ? result : null;"
            "}",
            [name, arguments],
        )

    def open(self, name: str, cells: Sequence[str]) -> Notebook:
        """Write a notebook of code *cells* into the server's folder and open it."""
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
        made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(made, self.server.root / name)
        self.page.evaluate("localStorage.clear()")
        self.command("docmanager:open", path=name, kernel={"id": self.spare_kernel})
        notebook = Notebook(self, name)
        notebook.wait_for_kernel()
        self.start_spare_kernel()
        return notebook

    def start_spare_kernel(self) -> None:
        """Start a kernel now: the next notebook then does not wait for one."""
        self.spare_kernel = self.server.api("kernels", "POST", {"name": "python3"})["id"]

    def foreign_requests(self) -> list[str]:
        """Return the addresses outside this machine that the page asked for."""
        addresses = [u for u in self.requests if urlsplit(u).scheme in ("http", "https", "ws")]
        return [u for u in addresses if urlsplit(u).hostname != "127.0.0.1"]


@dataclass
class Notebook:
    """A notebook open on the desk."""

    desk: Desk
    name: str

    @property
    def page(self) -> Any:
        """The browser's page."""
        return self.desk.page

    def reload(self) -> None:
        """Load the page again, with this notebook, and wait until the kernel has answered."""
        server = self.desk.server
        url = f"{server.url}/lab/tree/{self.name}?token={server.token}&reset"
        self.page.goto(url, wait_until="domcontentloaded")
        self.wait_for_kernel()

    def wait_for_kernel(self) -> None:
        """Return when the notebook is shown and its kernel has answered."""
        self.page.wait_for_function(CURRENT, arg=self.name)
        self.page.evaluate(READY)

    def run_all(self) -> None:
        """Run every cell; fails when one fails."""
        ran = self.desk.command("notebook:run-all-cells")
        assert ran, self.page.inner_text(".jp-Notebook")[-2000:]

    def picture(self, root: str, name: str) -> None:
        """Keep a picture of *root* where ``SCALEKIT_SHOTS`` names a folder, to be looked at."""
        if folder := os.environ.get("SCALEKIT_SHOTS"):
            for place, node in enumerate(self.page.locator(root).all()):
                node.screenshot(path=Path(folder) / f"{root[4:]}-{name}-{place}.png")

    def unreadable(self, root: str, name: str = "") -> list[str]:
        """Return the texts in *root* that are too weak to be read, in either theme."""
        found = []
        for theme in ("Dark", "Light"):
            self.desk.wear(theme, root)
            self.picture(root, f"{name}{theme}".lower())
            found += [f"{theme}: {said}" for said in self.page.evaluate(CONTRAST, root)]
        return found

    def press(self, keys: Sequence[str]) -> None:
        """Press keys one after the other, as fast as the browser takes them."""
        for key in keys:
            self.page.keyboard.press(key)

    def cell_count(self) -> int:
        """Return how many cells the notebook has."""
        return int(self.page.evaluate("jupyterapp.shell.currentWidget.content.widgets.length"))

    def kernel_pid(self) -> int:
        """Return the process id of the kernel, which a restart changes."""
        return int(self.printed("__import__('os').getpid()"))

    def kill_kernel(self) -> None:
        """Kill the kernel's process, leaving it no time to do anything."""
        os.kill(self.kernel_pid(), signal.SIGKILL)

    def printed(self, expression: str) -> str:
        """Return what the kernel prints for an expression."""
        return str(self.page.evaluate(EVALUATE, expression))

    def saved(self) -> Any:
        """Save the notebook and return it as it is on disk."""
        self.desk.command("docmanager:save")
        return nbformat.read(self.desk.server.root / self.name, as_version=4)

    def saved_summary(self, said: str) -> str:
        """Save until the first cell's summary says *said*, and return its HTML.

        The kernel draws a summary after it has answered, and a first drawing loads libraries: no
        fixed wait is long enough everywhere.
        """
        end = time.monotonic() + PATIENCE / 1000
        while True:
            html = str(self.saved().cells[0].outputs[-1]["data"]["text/html"])
            if said in html or time.monotonic() > end:
                assert said in html
                return html
            self.page.wait_for_timeout(200)

    def close(self) -> None:
        """End the kernel and close the notebook, without a question about unsaved changes.

        A dialog that a failed test left open would be in the way of the next one.
        """
        for _ in range(20):
            if self.page.query_selector(".jp-Dialog") is None:
                break
            self.page.keyboard.press("Escape")
            self.page.wait_for_timeout(100)
        self.page.evaluate(CLOSE)
