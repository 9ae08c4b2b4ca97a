"""What leaves for Weights & Biases, read back from real offline runs and from a local server."""

import getpass
import gzip
import json
import os
import re
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest
import pytorch_lightning as pl

from medlight.callbacks.curves import CurvesLogger
from medlight.callbacks.provenance import Provenance
from medlight.callbacks.results import Results
from medlight.callbacks.wandb import RunLogger
from medlight.callbacks.wandb_panels import WandbPanels, hash_key, hashed


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without an API key, in a home of their own."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home_of_dr_no"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home_of_dr_no" / "cache"))
    monkeypatch.setenv("NETRC", str(tmp_path / "no_netrc"))


def whole_run(
    new_run: Callable[..., Any], kind: str, folder: Path, *, public: bool = False,
    share: bool = False, extra: tuple[pl.Callback, ...] = (),
) -> Any:  # fmt: skip
    callbacks = [Provenance(run_dir=folder), Results(run_dir=folder), WandbPanels(max_cases=2)]
    loggers = [CurvesLogger(run_dir=folder), RunLogger(run_dir=folder, share=share)]
    run = new_run(kind, folder, [*callbacks, *extra], loggers, public=public)
    run.fit()
    run.test()
    return run


def inspect(folder: Path) -> list[dict[str, Any]]:
    """The records of the one offline run below a run directory."""
    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


def leaving(folder: Path) -> str:
    """All that `wandb sync` would send: the records and the text of the files; logs stay, and so
    do the paths by which records find files to upload."""
    files = [p for p in folder.glob("wandb/offline-run-*/files/**/*") if p.is_file()]
    texts = [p.read_text() for p in files if p.suffix in (".json", ".txt", ".yaml")]
    records = re.sub(r'"local_path": "[^"]*"', "", json.dumps(inspect(folder)))
    return "\n".join([records, *map(str, sorted(files)), *texts]).replace(str(folder), "")


def assert_names_nobody(text: str, *folders: Path) -> None:
    for name in {socket.gethostname(), getpass.getuser(), "dr_no"}:
        assert not re.search(rf"\b{re.escape(name)}\b", text), name
    for folder in {Path.cwd(), Path(sys.prefix), *folders}:
        assert str(folder) not in text
    assert "git@" not in text
    assert ".git" not in text


@pytest.mark.parametrize("kind", ["volumes", "classes"])
def test_private_data_leaves_no_pixel_and_no_name(
    kind: str, new_run: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "runs" / "first"
    run = whole_run(new_run, kind, folder)
    text = leaving(folder)
    assert_names_nobody(text, tmp_path)
    assert "ward7" not in text
    assert "mrs_smith" not in text
    assert "/nowhere" not in text
    assert not list(folder.rglob("*.png")) or {p.name for p in folder.rglob("*.png")} == {
        "curves.png"
    }
    (table,) = folder.glob("wandb/offline-run-*/files/media/table/test/table*.json")
    content = json.loads(table.read_text())
    place = content["columns"].index("case")
    cases = {line[place] for line in content["data"]}
    assert cases == {hashed(case, hash_key()) for case in run.data.split.test}


def test_curves_settings_and_scores_arrive(new_run: Callable[..., Any], tmp_path: Path) -> None:
    run = whole_run(new_run, "volumes", tmp_path)
    records = inspect(tmp_path)
    history = [r["history"]["item"] for r in records if r["type"] == "history"]
    assert [h["train/loss_epoch"] for h in history if "train/loss_epoch" in h]
    assert [h["val/dice"] for h in history if "val/dice" in h]
    assert [h["test/dice"] for h in history if "test/dice" in h] == [
        pytest.approx(float(run.trainer.callback_metrics["test/dice"]))
    ]
    config = json.dumps([r for r in records if r["type"] == "config"])
    assert run.data.split.hash in config
    assert records[-1]["exit"]["exit_code"] == 0


def test_public_data_comes_with_panels_masks_and_ids(
    new_run: Callable[..., Any], tmp_path: Path
) -> None:
    run = whole_run(new_run, "volumes", tmp_path, public=True)
    files = next(tmp_path.glob("wandb/offline-run-*/files"))
    assert len(list(files.glob("media/images/test/*.png"))) == 2
    assert len(list(files.glob("media/images/mask/test/*.png"))) == 4
    sizes = {matplotlib.image.imread(path).shape[:2] for path in files.rglob("*.png")}
    assert len(sizes) == 1  # W&B scales all pictures of a panel like the first
    text = leaving(tmp_path)
    assert run.data.split.test[0] in text
    assert "spleen" in text
    assert "mrs_smith" not in text
    assert_names_nobody(text, tmp_path)


def test_sharing_is_asked_for(new_run: Callable[..., Any], tmp_path: Path) -> None:
    whole_run(new_run, "classes", tmp_path, share=True)
    files = next(tmp_path.glob("wandb/offline-run-*/files"))
    assert len(list(files.glob("media/images/test/*.png"))) == 2
    assert list(files.glob("media/table/test/confusion*.json"))
    assert "ward7/case_09" in leaving(tmp_path)


class Trouble(pl.Callback):
    def on_train_batch_end(self, *args: Any) -> None:
        raise RuntimeError("out of luck")


def test_a_broken_run_ends_as_failed_and_the_next_is_another(
    new_run: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError, match="out of luck"):
        whole_run(new_run, "images", tmp_path / "a", extra=(Trouble(),))
    whole_run(new_run, "images", tmp_path / "b")
    broken, whole = inspect(tmp_path / "a"), inspect(tmp_path / "b")
    assert broken[-1]["exit"]["exit_code"] == 1
    assert whole[-1]["exit"]["exit_code"] == 0
    ids = [next(r for r in rs if r["type"] == "run")["run"]["run_id"] for rs in (broken, whole)]
    assert ids[0] != ids[1]


def test_a_directory_keeps_its_run_id(tmp_path: Path) -> None:
    first, again = RunLogger(run_dir=tmp_path), RunLogger(run_dir=tmp_path)
    assert first.version == again.version
    assert RunLogger(run_dir=tmp_path / "other").version != first.version


def test_names_are_hashed_with_a_key_nobody_else_reads() -> None:
    key = hash_key()
    assert key == hash_key()
    assert len(key) == 32
    (path,) = Path(os.environ["XDG_CACHE_HOME"]).rglob("case_ids")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert hashed("case_1", key) == hashed("case_1", key)
    assert hashed("case_1", key) != hashed("case_2", key)
    assert hashed("case_1", key) != hashed("case_1", b"another key")


class Server(ThreadingHTTPServer):
    """Stands in for W&B: takes everything, keeps all it was told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.heard: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *args: Any) -> None:
        pass

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        text = body.decode("utf-8", "replace")
        self.server.heard.append(f"{self.path} {dict(self.headers)} {text}")
        answer = json.dumps(self._graphql(json.loads(text)) if self.path == "/graphql" else {})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    do_GET = do_POST = do_PUT = _answer  # noqa: N815

    def _graphql(self, asked: dict[str, Any]) -> dict[str, Any]:
        query, given = asked["query"], asked.get("variables") or {}
        me = {"id": "E", "name": "me"}
        project = {"id": "P", "name": "p", "entity": me}
        answers = {
            "viewer": {"id": "V", "entity": "me", "username": "me", "flags": "{}", "name": "me"},
            "serverInfo": {"cliVersionInfo": {"max_cli_version": "0.99.0"}, "features": []},
            "upsertBucket": {
                "bucket": {"id": "B", "name": given.get("name"), "displayName": "d",
                           "project": project, "historyLineCount": 0, "config": "{}"},
                "inserted": True,
            },
            "createRunFiles": {
                "runID": "B", "uploadHeaders": [],
                "files": [{"name": f, "uploadUrl": f"{self.server.url}/put/{f}"}
                          for f in given.get("files", [])],
            },
            "createArtifact": {
                "__typename": "CreateArtifactPayload",
                "artifact": {"__typename": "Artifact", "id": "A", "state": "COMMITTED",
                             "artifactSequence": {"id": "S", "latestArtifact": None}},
            },
        }  # fmt: skip
        data = {name: answer for name, answer in answers.items() if name in query}
        if asked.get("operationName") == "RunResumeStatus":
            data = {"model": {**project, "bucket": None}}
        if "artifactType" in query and "createArtifact" not in query:
            data = {"project": {"artifact": None}}
        return {"data": data}


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as here:
        threading.Thread(target=here.serve_forever, daemon=True).start()
        yield here
        here.shutdown()


ONLINE = """
import importlib.util, sys
from pathlib import Path
from medlight.callbacks.provenance import Provenance
from medlight.callbacks.results import Results
from medlight.callbacks.wandb import RunLogger
from medlight.callbacks.wandb_panels import WandbPanels
spec = importlib.util.spec_from_file_location("tiny", sys.argv[1])
tiny = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tiny)
folder = Path.cwd() / "night_shift"
callbacks = [Provenance(run_dir=folder), WandbPanels()]
run = tiny.make_run("volumes", folder, callbacks, [RunLogger(run_dir=folder)])
run.fit()
run.test()
"""


@pytest.mark.parametrize("way", ["online", "synced later"])
def test_what_a_server_hears_names_nobody(way: str, server: Server, tmp_path: Path) -> None:
    """With a key the run goes online. In a process of its own, as W&B remembers its server."""
    python = [sys.executable, "-c", ONLINE, str(Path(__file__).with_name("conftest.py"))]
    sync = [sys.executable, "-m", "wandb", "sync", "night_shift/wandb"]
    offline = {**os.environ, "WANDB_BASE_URL": server.url}
    online = {**offline, "WANDB_API_KEY": "0123456789" * 4}
    steps = [(python, online)] if way == "online" else [(python, offline), (sync, online)]
    for command, env in steps:
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    heard = "\n".join(server.heard)
    for wanted in ("upsertBucket", "createArtifact", "val/dice", "table-file"):
        assert wanted in heard
    assert "night_shift" in heard  # the name of the run, but not where it lies
    assert_names_nobody(heard, tmp_path)
    for hidden in ("ward7", "mrs_smith", "image-file"):
        assert hidden not in heard


@pytest.mark.slow
def test_a_server_that_goes_away_costs_no_results(server: Server, tmp_path: Path) -> None:
    command = [sys.executable, "-c", ONLINE, str(Path(__file__).with_name("conftest.py"))]
    env = {**os.environ, "WANDB_BASE_URL": server.url, "WANDB_API_KEY": "0123456789" * 4}
    run = subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True)
    while run.poll() is None and not any("file_stream" in words for words in server.heard):
        time.sleep(0.05)
    server.shutdown()
    server.server_close()
    _, said = run.communicate(timeout=200)
    assert run.returncode == 0, said
    provenance = json.loads((tmp_path / "night_shift" / "provenance.json").read_text())
    assert provenance["status"] == "finished"


@pytest.mark.slow
def test_a_server_that_is_not_there_means_offline(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ONLINE, str(Path(__file__).with_name("conftest.py"))]
    nowhere = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "0123456789" * 4}
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **nowhere}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "recorded offline" in done.stderr
    assert inspect(tmp_path / "night_shift")[-1]["exit"]["exit_code"] == 0
