"""What a Weights & Biases server hears, and what happens where there is none."""

import gzip
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("nobody")


LEFT = {
    "name": "B", "displayName": "d", "historyLineCount": 7, "eventsLineCount": 0,
    "logLineCount": 0, "historyTail": json.dumps([json.dumps({"_step": 6, "_runtime": 3})]),
    "summaryMetrics": json.dumps({"_step": 6}), "eventsTail": "[]", "config": "{}",
    "tags": [], "wandbConfig": json.dumps({"t": 1}),
}  # fmt: skip
"""What the server says of a run that was begun before."""


class Server(ThreadingHTTPServer):
    """Stands in for W&B: takes everything, keeps all it was told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.heard: list[str] = []
        self.known: set[str] = set()  # runs that were begun

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
        if "upsertBucket" in data:
            self.server.known.add(str(given.get("name")))
        if asked.get("operationName") == "RunResumeStatus":
            there = given.get("name") in self.server.known
            data = {"model": {**project, "bucket": LEFT if there else None}}
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
from medlight.loggers.wandb import WandbRunLogger
from medlight.callbacks.wandb_panels import WandbPanels
spec = importlib.util.spec_from_file_location("tiny", sys.argv[1])
tiny = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tiny)
folder = Path.cwd() / "night_shift"
callbacks = [Provenance(run_dir=folder), WandbPanels()]
run = tiny.make_run("volumes", folder, callbacks, [WandbRunLogger(run_dir=folder)])
run.fit()
run.test()
"""


@pytest.mark.parametrize("way", ["online", pytest.param("synced later", marks=pytest.mark.slow)])
def test_what_a_server_hears_names_nobody(
    way: str, server: Server, names_nobody: Callable[..., None], tmp_path: Path
) -> None:
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
    names_nobody(heard, tmp_path)
    for hidden in ("ward7", "mrs_smith", "image-file"):
        assert hidden not in heard


@pytest.mark.slow
def test_a_run_goes_on_under_its_id_where_its_history_ended(server: Server, tmp_path: Path) -> None:
    python = [sys.executable, "-c", ONLINE, str(Path(__file__).with_name("conftest.py"))]
    env = {**os.environ, "WANDB_BASE_URL": server.url, "WANDB_API_KEY": "0123456789" * 4}
    sent = []
    for _ in range(2):
        done = subprocess.run(python, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        sent.append([words for words in server.heard if "file_stream" in words.split()[0]])
        server.heard.clear()
    offsets = [
        [int(n) for n in re.findall(r'"wandb-history.jsonl":{[^}]*?"offset":(\d+)', "".join(each))]
        for each in sent
    ]
    assert min(offsets[0]) == 0
    assert min(offsets[1]) == LEFT["historyLineCount"]
    assert len({words.split()[0] for each in sent for words in each}) == 1
    assert len(server.known) == 1


@pytest.mark.slow
def test_a_pushed_comparison_arrives(server: Server, tmp_path: Path) -> None:
    """Table, page, settings and scores, under a job type of its own."""
    runs = Path(__file__).parents[2] / "experiments" / "seg_unet3d"
    both = [str(runs), str(runs.with_name("seg_unet3d_quick"))]
    push = [sys.executable, "-m", "medlight", "compare", "push", *both, "--n-resamples", "200"]
    env = {**os.environ, "WANDB_BASE_URL": server.url, "WANDB_API_KEY": "0123456789" * 4}
    done = subprocess.run(push, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    heard = "\n".join(server.heard)
    (begun,) = [words for words in server.heard if '"jobType":"compare"' in words]
    assert '"groupName":"seg_unet3d"' in begun
    for wanted in ("table-file", "html-file", "/dice/Anterior", "trainer.max_epochs", "Verdict"):
        assert wanted in heard
    assert "hippocampus_" not in heard  # ids are hashed
    for folder in (tmp_path, runs.parent):
        assert str(folder) not in heard


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
    assert list(tmp_path.glob("night_shift/wandb/offline-run-*/*.wandb"))
