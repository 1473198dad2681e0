"""A JupyterLab of its own for tests: its settings, kernels and files lie in a temporary folder."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Seconds. A shared machine can be slow.
START, STOP = 180, 30

CONFIG = {
    "ServerApp": {
        "ip": "127.0.0.1",
        "port": 0,
        "open_browser": False,
        "allow_root": True,
    },
    "VoilaConfiguration": {
        **json.loads((ROOT / "voila.json").read_text("utf-8"))["VoilaConfiguration"],
        "show_tracebacks": True,
    },
    "LabApp": {
        "news_url": None,
        "check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "extension_manager": "readonly",
        # The tests ask the page's own objects what is going on in it.
        "expose_app_in_browser": True,
    },
}

SETTINGS = {
    "@jupyterlab/apputils-extension/themes": {"adaptive-theme": True},
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
    "@jupyter-widgets/jupyterlab-manager/plugin": {"saveState": True},
}


#: Ends a process group as soon as the tests are gone, even if they were killed: then its standard
#: input closes.
WATCH = """
import os, signal, sys
sys.stdin.read()
os.killpg(int(sys.argv[1]), signal.SIGTERM)
"""


@dataclass
class Server:
    """A running server."""

    process: subprocess.Popen
    url: str
    token: str
    root: Path
    log: Path

    def place(self, notebook: Path) -> Path:
        """Copy a notebook under the server's root, so that its outputs never reach the original."""
        folder = self.root / secrets.token_hex(4)
        folder.mkdir()
        return Path(shutil.copy(notebook, folder))

    def address(self, route: str, path: Path) -> str:
        """Return the address of a file under `route`."""
        return f"{self.url}{route}/{path.relative_to(self.root).as_posix()}?token={self.token}"

    def stop_kernels(self) -> None:
        """Stop every kernel: memory of one test is not the next one's."""
        for kernel in json.loads(self._ask("GET", "api/kernels")):
            self._ask("DELETE", f"api/kernels/{kernel['id']}")

    def _ask(self, method: str, route: str) -> bytes:
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.url}{route}", method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.read()


@contextlib.contextmanager
def jupyter_server(folder: Path):
    """Start JupyterLab on a free port of this machine, and always stop it and its kernels."""
    config, data, runtime, root = (folder / name for name in ("config", "data", "runtime", "root"))
    for each in (config, data, runtime, root):
        each.mkdir()
    (config / "jupyter_server_config.json").write_text(json.dumps(CONFIG))
    for name, values in SETTINGS.items():
        path = config / "lab" / "user-settings" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    _write_kernel(data / "kernels" / "python3")
    token, log = secrets.token_hex(16), folder / "server.log"
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(config),
        "JUPYTER_DATA_DIR": str(data),
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "JUPYTER_TOKEN": token,
        "IPYTHONDIR": str(folder / "ipython"),
    }
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={root}"]
    with log.open("w") as stream:
        process = subprocess.Popen(
            command, env=environment, cwd=root, stdout=stream, stderr=stream, start_new_session=True
        )
    watch = subprocess.Popen([sys.executable, "-c", WATCH, str(process.pid)], stdin=subprocess.PIPE)
    try:
        yield Server(process, _address(process, runtime, log), token, root, log)
    finally:
        _stop(process)
        watch.kill()
        watch.communicate()


def _write_kernel(folder: Path) -> None:
    folder.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (folder / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "Python 3", "language": "python"})
    )


def _address(process: subprocess.Popen, runtime: Path, log: Path) -> str:
    """Wait until the server answers."""
    info, until = runtime / f"jpserver-{process.pid}.json", time.monotonic() + START
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError, ValueError):
            url = json.loads(info.read_text())["url"]
            with urllib.request.urlopen(f"{url}api", timeout=10):
                return url
        time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start in {START} s:\n{log.read_text()[-3000:]}")


def _stop(process: subprocess.Popen) -> None:
    """Ask the server to end; end its whole group if it does not."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP)
