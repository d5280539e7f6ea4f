"""The viewer in a headless Chromium; skipped where there is none."""

import importlib
import os
import shutil
import threading
import time

import numpy as np
import pytest
import uvicorn

from qualityfm.service.alarm_routes import Review
from qualityfm.service.alarms import Alarm, Decisions
from qualityfm.service.app import make_app
from qualityfm.service.notebook import Notebook
from qualityfm.service.recordings import Recordings
from qualityfm.waveform.simulate import SimulationConfig, simulate

#: Whether any pixel of a canvas is painted.
PAINTED = """(which) => {
    const canvas = document.querySelector(which);
    return canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value);
}"""
HOSTILE = "<img src=x onerror=alert(1)>"


def write_archive(folder) -> None:
    lead = simulate(1, SimulationConfig(duration_s=180.0)).clean.signals[0]
    rate, beats = round(lead.sample_rate_hz), np.nan_to_num(lead.samples) * 200
    beats[rate * 60 : rate * 90] = 0
    beats[rate * 120 : rate * 130] = -32768
    lines = [f"a1.dat 16 200/mV 16 0 0 0 0 {name}\n" for name in ("II", HOSTILE)]
    header = f"a1 2 {rate} {len(beats)}\n" + "".join(lines)
    (folder / "a1.hea").write_text(header)
    (folder / "a1.dat").write_bytes(np.repeat(beats.round(), 2).astype("<i2").tobytes())
    (folder / f"{HOSTILE}.hea").write_text("not a header")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    write_archive(folder)
    recordings = Recordings(folder)
    alarms = (
        Alarm(recording="a1", alarm=HOSTILE, alarm_s=50.0),
        Alarm(recording="a1", alarm="Asystole", alarm_s=150.0),
    )
    review = Review(recordings, Decisions(folder / "decisions.csv"), alarms)
    app = make_app(recordings=recordings, notebook=Notebook(folder / "marks.csv"), review=review)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    for _ in range(500):
        if server.started:
            break
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    if os.environ.get("QUALITYFM_NEED_BROWSER"):  # continuous integration: no page goes untested
        assert chromium is not None, "no chromium on this machine"
    elif chromium is None:
        pytest.skip("no chromium on this machine")
    else:
        pytest.importorskip("playwright.sync_api", reason="no playwright to drive chromium")
    api = importlib.import_module("playwright.sync_api")
    with api.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


def wait_until(page, condition: str) -> None:
    """Wait for a condition; the page's own policy forbids playwright to poll inside of it."""
    for _ in range(200):
        if page.evaluate(f"Boolean({condition})"):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never true: {condition}")


@pytest.fixture
def page(browser, address):
    opened = browser.new_page(viewport={"width": 900, "height": 700})
    opened.set_default_timeout(5000)
    opened.troubles = []
    opened.on("pageerror", lambda error: opened.troubles.append(str(error)))
    opened.on("console", lambda said: opened.troubles.append(said.text) if said.type == "error" else None)
    opened.on("dialog", lambda dialog: opened.troubles.append("a script of the archive ran"))
    opened.goto(address)
    number = opened.locator("#recordings option", has_text="a1").get_attribute("value")
    opened.select_option("#recordings", number)
    wait_until(opened, "viewer.whole && viewer.whole.scored_s >= viewer.duration && viewer.plots[0].cells.length")
    opened.troubles[:] = [said for said in opened.troubles if "422" not in said]  # the unreadable one, listed first
    yield opened
    opened.close()


def shown(page) -> list[float]:
    return page.evaluate("viewer.range")


def test_a_hostile_name_stays_text(page):
    assert HOSTILE in page.locator(".channel h2").last.inner_text()
    assert page.locator("main img, option img").count() == 0
    assert page.troubles == []


def test_the_trace_and_its_ribbon_are_drawn(page):
    for canvas in (".plot canvas", ".ribbon"):
        assert page.evaluate(PAINTED, canvas)


def test_keys_move_and_zoom(page):
    page.keyboard.press("ArrowRight")
    assert shown(page) == [7.5, 37.5]
    page.keyboard.press("+")
    assert shown(page) == [15.0, 30.0]
    page.keyboard.press("End")
    assert shown(page) == [165.0, 180.0]
    page.keyboard.press("Home")
    assert shown(page) == [0.0, 15.0]
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()


def test_dragging_scrolls(page):
    page.keyboard.press("End")
    before = shown(page)
    box = page.locator(".plot").first.bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 500, box["y"] + 60, steps=4)
    page.mouse.up()
    assert shown(page)[0] < before[0] - 1


def test_hover_tells_grade_and_causes_of_the_worst_artefact(page):
    page.keyboard.press("w")
    wait_until(page, "viewer.spot && viewer.range[0] > 0")
    spot, (start_s, end_s) = page.evaluate("viewer.spot"), shown(page)
    assert start_s < spot["start_s"] < spot["end_s"] < end_s
    page.wait_for_timeout(400)
    box = page.locator(".ribbon").first.bounding_box()
    middle = ((spot["start_s"] + spot["end_s"]) / 2 - start_s) / (end_s - start_s)
    page.mouse.move(box["x"] + middle * box["width"], box["y"] + 7)
    assert " E 0.00 " in page.locator("#hover").inner_text()


def test_the_next_artefact_comes_after_the_last(page):
    page.keyboard.press("n")
    wait_until(page, "viewer.spot")
    first = page.evaluate("viewer.spot.start_s")
    page.keyboard.press("n")
    wait_until(page, f"viewer.spot.start_s > {first}")


def test_missing_samples_are_shown_as_a_gap(page):
    page.keyboard.press("0")
    wait_until(page, "viewer.plots[0].gaps.length == 1")
    start_s, end_s = page.evaluate("viewer.plots[0].gaps[0]")
    assert (round(start_s), round(end_s)) == (120, 130)


def test_a_mark_is_kept_and_listed(page):
    page.keyboard.press("a")
    page.fill("#marking [name=label]", "<b>good</b>")
    page.click("#marking [value=save]")
    page.wait_for_selector("#marks li")
    assert "<b>good</b>" in page.locator("#marks li").inner_text()


def test_alarms_are_reviewed_by_keys(page):
    page.keyboard.press("l")
    wait_until(page, "viewer.alarms.current == 0 && document.querySelectorAll('#reasons li').length > 1")
    assert shown(page) == [30.0, 60.0]
    page.keyboard.press("m")
    wait_until(page, "viewer.alarms.list[0].decision == 'mute'")
    page.keyboard.press("l")
    wait_until(page, "viewer.alarms.current == 1 && document.querySelectorAll('#reasons li').length > 1")
    page.fill("#reason", "no beats")
    page.click("#keep")
    wait_until(page, "viewer.alarms.list[1].reason == 'no beats'")
    assert HOSTILE in page.locator("#alarm-list").inner_text()
    assert "2 of 2 decided" in page.locator("#decided").inner_text()
    assert page.troubles == []


def test_labels_of_the_time_axis_have_hours_only_where_the_view_has_and_are_not_cut(page):
    texts = "tickTexts({ scales: { x: { min: 0, max: %d } }, width: 1064 }, %s)"
    assert page.evaluate(texts % (30, "[0, 2.5, 30]")) == ["00:00", "00:02.5", ""]
    assert page.evaluate(texts % (7200, "[0, 3600, 7100]")) == ["00:00:00", "01:00:00", ""]


def test_what_nobody_recorded_is_grey_and_what_is_bad_is_red(page):
    colour_of = "cellColour({ grade: 'E', quality: %s, causes: '%s' }) === colour('%s')"
    assert page.evaluate(colour_of % ("0", "dropout", "missing"))
    assert page.evaluate(colour_of % ("0", "dropout, noise", "E"))
    assert page.evaluate(colour_of % ("0.2", "dropout", "E"))
