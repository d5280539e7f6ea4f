"""Makes the pictures of the guides anew: `python docs/_extensions/make_pictures.py`; needs chromium and playwright."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

PICTURES = Path(__file__).parents[1] / "guides" / "pictures"
PORT = 8779
RECORD = "archive/simulated-0-00000"


def main() -> None:
    """Photograph a report and the viewer, on the patients of the guides."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _qualityfm(folder, "simulate", "archive", "--records", "6", "--minutes", "2")
        _qualityfm(folder, "report", RECORD, "--out", "report.html")
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1000, "height": 900})
            page.goto((folder / "report.html").as_uri())
            page.screenshot(path=PICTURES / "report.png")
            _photograph_viewer(page, folder)
            browser.close()


def _qualityfm(folder: Path, *words: str) -> None:
    subprocess.run([sys.executable, "-m", "qualityfm", *words], cwd=folder, check=True)


def _photograph_viewer(page: Page, folder: Path) -> None:
    words = [sys.executable, "-m", "qualityfm", "serve", "--port", str(PORT), "--recordings", "archive"]
    with subprocess.Popen(words, cwd=folder) as server:
        try:
            _await(f"http://127.0.0.1:{PORT}/health")
            page.goto(f"http://127.0.0.1:{PORT}/")
            page.wait_for_timeout(6000)  # scoring goes on behind the page
            page.screenshot(path=PICTURES / "viewer.png")
        finally:
            server.terminate()


def _await(url: str) -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"{url} does not answer")


if __name__ == "__main__":
    main()
