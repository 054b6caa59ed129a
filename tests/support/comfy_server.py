"""A real ComfyUI for the tests: found on this machine, started on a free loopback port, driven over HTTP."""

from __future__ import annotations

import configparser
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

START_LIMIT = 420.0
PACK_NAME = "wan-r2v"
KIT_NAME = "test-kit"
OTHER_PACKS = ("ComfyUI-KJNodes", "ComfyUI-GGUF")
KIT = Path(__file__).parent / "comfy_kit"


@dataclass(frozen=True)
class ComfyUI:
    """A ComfyUI checkout and the Python that runs it."""

    folder: Path
    python: Path


def default_workspace() -> Path | None:
    """The workspace that comfy-cli was told to use (`comfy set-default`), or None."""
    home = Path.home()
    for config in (
        home / ".config" / "comfy-cli" / "config.ini",
        home / "Library" / "Application Support" / "comfy-cli" / "config.ini",
        home / "AppData" / "Local" / "comfy-cli" / "config.ini",
    ):
        parser = configparser.ConfigParser()
        if config.is_file() and parser.read(config):
            value = parser.get("DEFAULT", "default_workspace", fallback="")
            if value:
                return Path(value).expanduser()
    return None


@lru_cache(maxsize=1)
def find_comfyui() -> ComfyUI | None:
    """COMFYUI_PATH, else comfy-cli's default workspace; None where neither is a ComfyUI.

    Python: COMFYUI_PYTHON, else the folder's own .venv or venv, else the one that runs the tests.

    Raises: FileNotFoundError when COMFYUI_PATH is set and is no ComfyUI: a wrong setting must not pass for none.
    """
    named = os.environ.get("COMFYUI_PATH")
    folder = Path(named).expanduser() if named else default_workspace()
    if folder is None or not (folder / "main.py").is_file() or not (folder / "comfy").is_dir():
        if named:
            raise FileNotFoundError(f"COMFYUI_PATH: expected a ComfyUI folder with main.py, got {named}.")
        return None
    choices = [folder / ".venv" / "bin" / "python", folder / "venv" / "bin" / "python", Path(sys.executable)]
    if os.environ.get("COMFYUI_PYTHON"):
        choices.insert(0, Path(os.environ["COMFYUI_PYTHON"]))
    return ComfyUI(folder, next(python for python in choices if python.is_file()))


def missing_packs() -> list[str]:
    """Packs of others that tests stack with and that ComfyUI's custom_nodes does not hold."""
    found = find_comfyui()
    return [
        pack for pack in OTHER_PACKS if found is None or not (found.folder / "custom_nodes" / pack).is_dir()
    ]


def free_port() -> int:
    """A loopback port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ComfyServer:
    """One server process with its own base directory; a context manager."""

    def __init__(self, comfyui: ComfyUI, *, pack: Path, base: Path) -> None:
        self.comfyui = comfyui
        self.base = base
        self.pack = pack
        self.port = free_port()
        self.log_path = base / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ComfyServer:
        for folder in ("custom_nodes", "models", "input", "output", "temp", "user"):
            (self.base / folder).mkdir(parents=True, exist_ok=True)
        (self.base / "custom_nodes" / PACK_NAME).symlink_to(self.pack, target_is_directory=True)
        (self.base / "custom_nodes" / KIT_NAME).symlink_to(KIT, target_is_directory=True)
        command = [
            str(self.comfyui.python), "main.py", "--cpu", "--port", str(self.port), "--base-directory", str(self.base),
            "--disable-all-custom-nodes", "--whitelist-custom-nodes", PACK_NAME, KIT_NAME, "--disable-api-nodes",
            "--disable-auto-launch", "--database-url", "sqlite:///:memory:",
        ]  # fmt: skip
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.comfyui.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        limit = time.monotonic() + START_LIMIT
        while time.monotonic() < limit:
            if self._process.poll() is not None:
                raise RuntimeError(
                    f"ComfyUI ended with {self._process.returncode} while starting:\n{self.log()[-3000:]}"
                )
            try:
                self.get("/system_stats")
                return self
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.5)
        self.__exit__(None, None, None)
        raise RuntimeError(f"ComfyUI did not answer within {START_LIMIT:.0f} s:\n{self.log()[-3000:]}")

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(20)

    def log(self) -> str:
        """What the server has printed so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def get(self, route: str) -> Any:
        """GET a route; its JSON."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{route}", timeout=30) as reply:
            return json.loads(reply.read())

    def text(self, route: str) -> str:
        """GET a route; its text."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{route}", timeout=30) as reply:
            return str(reply.read().decode("utf-8"))

    def post(self, route: str, body: dict[str, Any]) -> Any:
        """POST JSON; the reply's JSON, also where the server answers 400."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{route}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                content = reply.read()
        except urllib.error.HTTPError as error:
            content = error.read()
        return json.loads(content) if content else {}

    def queue(self, prompt: dict[str, Any], client_id: str = "tests") -> str:
        """Queue an API-format prompt; its id.

        Raises: AssertionError with the server's words when it refuses the prompt.
        """
        reply = self.post("/prompt", {"prompt": prompt, "client_id": client_id})
        assert "prompt_id" in reply and not reply.get("node_errors"), json.dumps(reply, indent=1)[:3000]
        return str(reply["prompt_id"])

    def wait(self, prompt_id: str, seconds: float = 300.0) -> dict[str, Any]:
        """The finished prompt's history entry."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            history = self.get(f"/history/{prompt_id}")
            if prompt_id in history:
                return dict(history[prompt_id])
            time.sleep(0.2)
        raise TimeoutError(f"prompt {prompt_id} was not done after {seconds} s:\n{self.log()[-3000:]}")

    def run(self, prompt: dict[str, Any], seconds: float = 300.0) -> dict[str, Any]:
        """Queue, wait, and return the history entry of a prompt that must succeed."""
        entry = self.wait(self.queue(prompt), seconds)
        assert entry["status"]["status_str"] == "success", failure_of(entry) + "\n" + self.log()[-3000:]
        return entry


def failure_of(entry: dict[str, Any]) -> str:
    """The error text of a history entry, "" where there is none."""
    for kind, data in entry["status"]["messages"]:
        if kind in ("execution_error", "execution_interrupted"):
            return f"{kind}: node {data.get('node_id')} ({data.get('node_type')}): {data.get('exception_message', '')}"
    return ""
