"""The page of `flowquet report` as people see it: in headless Chromium, in light, dark and on paper, and by axe-core."""

import gzip
import json
import pathlib
import re
import shutil

import axe_playwright_python
import pytest
from playwright.sync_api import sync_playwright

from conftest import ROOT, convert, flowlogs, run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE = next(pathlib.Path(axe_playwright_python.__file__).parent.rglob("axe.min.js")).read_text("utf-8")
HOSTILE = '</title><script>document.title="run"</script>"\'><img/src=x/onerror=document.title="run">'


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Two log formats, rejects, a gap, SKIPDATA, and values that would be scripts."""
    folder = tmp_path_factory.mktemp("page")
    flowlogs(folder / "a", "--format", "v5", "--objects", 60, "--records", 300, "--every-s", 9_000)
    flowlogs(folder / "b", "--format", "v2", "--objects", 8, "--records", 100, "--every-s", 9_000, "--seed", 5)
    hostile = folder / "c" / "AWSLogs/111111111111/vpcflowlogs/eu-west-1/2024/01/16"
    hostile.mkdir(parents=True)
    header = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
    word = re.sub(r"\s", "", HOSTILE)
    lines = [header, f"2 1 {word} {word} {word} 1 22 6 1 900 1705400000 1705400060 REJECT OK", f"2 1 eni-1 {word} too few"]
    lines += [f"2 1 eni-1 {word} 10.0.0.{i} 1 22 6 1 900 1705400000 1705400060 REJECT OK" for i in range(200)]
    lines += ["2 1 eni-1 - - - - - - - 1705400000 1705400060 - SKIPDATA"]
    (hostile / "111111111111_vpcflowlogs_eu-west-1_fl-0c_20240116T1000Z_<b>onclick=x<!--.log.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    out = folder / "lake-<script>alert(1)<-script>"
    convert([folder / "a", folder / "b", folder / "c"], out)
    return out


@pytest.fixture(scope="module")
def page(table):
    path = table.parent / "report.html"
    run("report", table, "-o", path)
    return path


@pytest.fixture(scope="module")
def browser():
    assert CHROMIUM, "chromium is missing: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, page):
    """Opens the page; whatever it says on the console, asks for or fails at is kept."""
    said, asked = [], []

    def opened(**options):
        context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
        found = context.new_page()
        found.on("console", lambda message: said.append(message.text))
        found.on("pageerror", lambda error: said.append(str(error)))
        found.on("request", lambda request: asked.append(request.url))
        found.goto(page.as_uri())
        return found

    yield opened
    assert said == []
    assert asked and all(url == page.as_uri() for url in asked)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_charts_are_drawn_in_light_and_dark(opened, scheme, tmp_path, table):
    found = opened(color_scheme=scheme)
    assert found.title().startswith("Flow logs in ") and found.title() != "run"
    for name in ["flows", "bytes"]:
        chart = found.locator(f"svg[aria-labelledby^='{name}-title']")
        box = chart.bounding_box()
        assert box["width"] > 600 and box["height"] > 100
        bars = chart.locator("path.accepted").bounding_box()
        assert bars["width"] > 300 and bars["height"] > 50
    colours = found.evaluate("() => [document.body, document.querySelector('path.accepted')].map(e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).fill])")
    dark = scheme == "dark"
    assert (colours[0][0] == "rgb(18, 22, 27)") == dark and (colours[1][1] == "rgb(110, 168, 254)") == dark
    # Nothing but what is meant to scroll is wider than the window.
    assert found.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    shot = tmp_path / f"{scheme}.png"
    found.screenshot(path=shot, full_page=True)
    assert shot.stat().st_size > 50_000


def test_nothing_that_values_say_is_run(opened, page):
    found = opened()
    text = page.read_text("utf-8")
    assert "onerror=document.title" in text and "<script" not in text and "<img" not in text
    assert found.title() != "run"
    assert found.evaluate("document.querySelectorAll('script, img, iframe, object, embed, link, form, [onclick], [onerror], [style]').length") == 0
    # The value is there as text, in the table of scanners.
    assert found.locator("#scanners tbody tr", has_text="onerror=document.title").count() >= 1


def test_a_script_that_got_in_would_not_run(browser, page, tmp_path):
    """The policy is the second wall."""
    path = tmp_path / "spoilt.html"
    spoilt = page.read_text("utf-8").replace("<main", "<script>document.title='run'</script><img src='http://127.0.0.1:9/x' onerror=\"document.title='run'\"><main", 1)
    path.write_text(spoilt, "utf-8")
    found = browser.new_page()
    said = []
    found.on("console", lambda message: said.append(message.text))
    found.goto(path.as_uri())
    found.wait_for_timeout(200)
    assert found.title() != "run"
    assert any("Content Security Policy" in text for text in said)
    found.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(browser, page, scheme, tmp_path):
    # The page forbids scripts; axe runs in a copy that does not.
    copy = tmp_path / "open.html"
    copy.write_text(re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text("utf-8"), count=1), "utf-8")
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1280, "height": 900})
    found = context.new_page()
    found.goto(copy.as_uri())
    found.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    found.add_script_tag(content=AXE)
    result = found.evaluate("axe.run()")
    serious = [(v["id"], v["impact"], [n["html"][:200] for n in v["nodes"][:3]]) for v in result["violations"] if v["impact"] in ("serious", "critical")]
    assert serious == [], json.dumps(serious, indent=1)
    assert len(result["passes"]) > 20


def test_keys_reach_all(opened):
    found = opened()
    seen = set()
    for _ in range(80):
        found.keyboard.press("Tab")
        seen.add(found.evaluate("document.activeElement.tagName + ' ' + (document.activeElement.getAttribute('href') || document.activeElement.getAttribute('aria-label') || document.activeElement.textContent)"))
    assert {"A #main", "A #time", "A #files"} <= seen
    assert any(name.startswith("SUMMARY The same in numbers") for name in seen)
    assert any(name.startswith("DIV Bytes by column") for name in seen)


def test_it_prints(opened, tmp_path):
    found = opened()
    found.emulate_media(media="print")
    paper = tmp_path / "report.pdf"
    found.pdf(path=paper, format="A4", print_background=True)
    assert paper.read_bytes().startswith(b"%PDF") and paper.stat().st_size > 20_000
    assert not found.locator("nav").is_visible()
    assert found.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_the_numbers_are_those_of_the_json(opened, table):
    report = json.loads(run("report", table, "--json").stdout)
    found = opened()
    tiles = dict(zip(found.locator(".tiles dt").all_inner_texts(), found.locator(".tiles dd").all_inner_texts()))
    number = lambda name: int(tiles[name].split("\n")[0].replace(",", ""))
    assert number("Flows") == report["total"]["flows"]
    assert number("Rejected lines") == report["sizes"]["rejects"] == 1
    assert number("SKIPDATA") == 1
    for place, name in [("scanners", "scanners"), ("refused", "refused_ports")]:
        cells = found.locator(f"#{place} tbody tr").all()
        assert len(cells) == len(report[name])
        for row, told in zip(cells, report[name]):
            texts = row.locator("td.number").all_inner_texts()
            assert [int(texts[0].replace(",", "")), int(texts[1].replace(",", ""))] == [told["flows"], told["refused"]]
            assert int(texts[3].replace(",", "").removeprefix("about ")) == told["targets"]
    columns = found.locator("#columns tbody tr th").all_inner_texts()
    assert columns[:-1] == [column["name"] for column in report["cost"]["columns"]]


def test_a_page_goes_to_standard_output_and_is_written_whole(table, page, tmp_path):
    made = re.compile(r"Made \S+ by")
    text = run("report", table, "-o", "-").stdout
    assert made.sub("", text) == made.sub("", page.read_text("utf-8"))
    assert "cannot both go" in run("report", table, "-o", "-", "--json", check=2).stderr
    assert run("report", table, "-o", tmp_path / "none" / "x.html", check=None).returncode != 0
