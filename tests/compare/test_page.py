"""The page: escaped, self-contained, and alive in a real browser."""

import base64
import gzip
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medlight.compare.comparison import Comparison, compare
from medlight.compare.groups import group_runs
from medlight.compare.page import save_page
from medlight.compare.runs import read_runs
from medlight.compare.viewer import MAX_AXIS

HOSTILE = "</script><script>alert('x')</script><img src=x onerror=alert(1)>"


def made(new_run: Callable[..., Path], folder: Path, name: str) -> Comparison:
    """Two rivals on four cases, one of which has a volume with truth and predictions."""
    dice = np.random.default_rng(0).uniform(0.5, 0.9, (8, 2))
    cases = [f"{name}{i}" for i in range(8)]
    for lr, shift in ((name + "1", 0.0), (name + "2", 0.05)):
        run = new_run(
            folder / f"run{shift}", dice=dice + shift * np.arange(8)[:, None] / 8, cases=cases,
            classes=(name, "spleen"), config={"lr": lr},
        )  # fmt: skip
        (run / "predictions").mkdir()
        for i in range(8):
            mask = np.zeros((150, 40, 30), np.uint8)
            mask[5:140, 10 + i : 20, 8:20] = 1 + i % 2
            stem = cases[i].replace("/", "__")
            nib.save(
                nib.Nifti1Image(mask, np.diag([-2.0, 1, 1, 1])),
                run / "predictions" / f"{stem}.nii.gz",
            )
    runs, _ = read_runs([folder])
    return compare(group_runs(runs), n_resamples=200)


@pytest.fixture
def volumes(tmp_path: Path) -> Callable[[str], dict[str, Path]]:
    """The files of any case: one drawn volume and its truth."""
    random = np.random.default_rng(1)
    image = random.normal(40, 10, (150, 40, 30)).astype(np.float32)
    truth = np.zeros(image.shape, np.uint8)
    truth[10:130, 10:22, 8:20] = 1
    image[truth > 0] += 60
    affine = np.diag([-2.0, 1, 1, 1])
    nib.save(nib.Nifti1Image(image, affine), tmp_path / "image.nii.gz")
    nib.save(nib.Nifti1Image(truth, affine), tmp_path / "mask.nii.gz")
    files = {"image": tmp_path / "image.nii.gz", "mask": tmp_path / "mask.nii.gz"}
    return lambda case: files


def embedded(text: str) -> dict:
    return json.loads(re.search(r"<script type=application/json id='data'>(.*?)</script>", text)[1])


def test_names_stay_text_and_only_our_scripts_run(
    new_run: Callable[..., Path], tmp_path: Path
) -> None:
    save_page(made(new_run, tmp_path / "runs", HOSTILE), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "<img" not in text
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    allowed = set(re.findall(r"'sha256-([^']+)'", text))
    digests = {base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts}
    assert digests == allowed
    assert HOSTILE in "".join(embedded(text)["ids"])
    assert "unsafe-eval' 'unsafe" not in text
    assert re.findall(r"(?:src|href)=.?https?:", text.split("<script>")[0]) == []


def test_what_the_viewer_gets_lies_where_it_lay(
    new_run: Callable[..., Path], volumes: Callable[[str], dict[str, Path]], tmp_path: Path
) -> None:
    save_page(made(new_run, tmp_path / "runs", "case"), tmp_path / "page.html", volumes)
    text = (tmp_path / "page.html").read_text()
    assert len(text) < 20_000_000
    assert "Redistribution and use in source" in text  # the viewer's licence travels with it
    cases = embedded(text)["cases"]
    assert any("worst" in case["why"] for case in cases)
    assert any("gained" in case["why"] for case in cases)
    first = cases[0]
    packed = [first["image"], first["truth"], *first["predictions"]]
    volumes_ = [
        nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(each))) for each in packed
    ]
    assert len({v.shape for v in volumes_}) == 1
    assert max(volumes_[0].shape) <= MAX_AXIS
    assert nib.aff2axcodes(volumes_[0].affine) == ("R", "A", "S")
    image, truth = (np.asarray(v.dataobj) for v in volumes_[:2])
    assert image[truth > 0].mean() > image[truth == 0].mean() + 60
    assert bytes(volumes_[0].header["descrip"]).strip(b"\0") == b""


CHECK = """
<script>
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
(async () => {
  const said = {};
  const $ = (query) => document.querySelector(query);
  for (let i = 0; i < 200 && !$("#viewer .panels").dataset.shown; i++) await wait(200);
  said.shown = $("#viewer .panels").dataset.shown;
  said.panels = document.querySelectorAll("#viewer canvas").length;
  said.charts = ["curves", "scatter", "pareto"].map((id) => $(`#${id} svg.chart`) !== null);
  const table = $("table.sortable");
  table.querySelectorAll("th button")[2].click();
  said.sorted = [...table.tBodies[0].rows].map((row) => parseFloat(row.cells[2].textContent));
  const picture = $("#scatter svg");
  const key = (key) => picture.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  said.first = $("#scatter .said").textContent;
  key("ArrowRight");
  said.second = $("#scatter .said").textContent;
  key("ArrowLeft"); key("Enter");
  const before = said.shown;
  for (let i = 0; i < 200 && $("#viewer .panels").dataset.shown === before; i++) await wait(200);
  said.looked = $("#viewer .said").textContent;
  const press = () => $("#viewer canvas").dispatchEvent(
    new KeyboardEvent("keydown", { key: "ArrowUp", bubbles: true }));
  press();
  said.slice = $("#viewer canvas").dataset.at;
  press();
  said.next = $("#viewer canvas").dataset.at;
  document.title = JSON.stringify(said);
})();
</script>
"""


@pytest.mark.slow
def test_it_lives_in_a_real_browser(
    new_run: Callable[..., Path], volumes: Callable[[str], dict[str, Path]], tmp_path: Path
) -> None:
    """From a file, without a network: once as it is, once with a script that uses it."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("no Chromium here")
    page = tmp_path / "page.html"
    save_page(made(new_run, tmp_path / "runs", "case"), page, volumes)

    def visit(path: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [browser, "--headless", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader",
             "--enable-unsafe-swiftshader", "--host-resolver-rules=MAP * ~NOTFOUND",
             "--enable-logging=stderr", "--virtual-time-budget=60000",
             f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", path.as_uri()],
            capture_output=True, text=True, timeout=300, check=True,
        )  # fmt: skip

    seen = visit(page)
    told = [line for line in seen.stderr.splitlines() if "CONSOLE" in line]
    assert [line for line in told if "niivue-" not in line] == []  # no error, nothing refused
    assert "data-shown=" in seen.stdout

    text = re.sub(r"<meta http-equiv=Content-Security-Policy[^>]*>", "", page.read_text())
    page.write_text(CHECK.join(text.rpartition("</body>")[::2]))
    said = json.loads(re.search(r"<title>(\{.*?\})</title>", visit(page).stdout)[1])
    assert said["panels"] == 3
    assert said["charts"] == [True, True, True]
    assert said["sorted"] == sorted(said["sorted"])
    assert said["first"] != said["second"]
    assert said["slice"].split()[:2] == said["next"].split()[:2]
    assert float(said["slice"].split()[2]) < float(said["next"].split()[2])
    assert said["looked"].split(":")[0] == said["first"].split(":")[0]


MEASURE = """
<script>
setTimeout(() => {
  for (const each of document.querySelectorAll("details")) each.open = true;
  const boxes = [document.documentElement, ...document.querySelectorAll("main *")];
  const wide = boxes.filter((e) => e.scrollWidth > e.clientWidth + 1
    && getComputedStyle(e).overflowX !== "visible");
  document.title = `wide at ${innerWidth}: [${wide.map((e) => e.tagName + e.scrollWidth)}]`;
}, 500);
</script>
"""


@pytest.mark.slow
def test_nothing_scrolls_sideways_on_1280_pixels(
    new_run: Callable[..., Path], tmp_path: Path
) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("no Chromium here")
    for number in range(9):
        target = f"monai.networks.nets.ANetworkWithAVeryLongDescriptiveName{number}"
        new_run(
            tmp_path / "runs" / str(number),
            dice=np.random.default_rng(number).uniform(0.5, 0.9, (12, 2)),
            classes=("left anterior descending artery", "spleen"),
            config={"model": {"_target_": target}, "optimizer": {"lr": 10.0**-number}},
        )
    runs, _ = read_runs([tmp_path / "runs"])
    page = tmp_path / "page.html"
    save_page(compare(group_runs(runs), n_resamples=200), page)
    text = re.sub(r"<meta http-equiv=Content-Security-Policy[^>]*>", "", page.read_text())
    page.write_text(MEASURE.join(text.rpartition("</body>")[::2]))
    seen = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--window-size=1280,900",
         "--virtual-time-budget=8000", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
         page.as_uri()],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    assert re.search(r"<title>wide at 1280: \[\]</title>", seen.stdout)
