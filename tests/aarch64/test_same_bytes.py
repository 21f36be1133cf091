"""The program built for ARM, as qemu runs it: its tables are those of this machine's program, byte by byte. Called by `run` beside this."""

import gzip
import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/readers"))

from conftest import content, flowlogs, run  # noqa: E402

ARM = os.environ["FLOWQUET_AARCH64"].split()
BACKENDS = ["neon", "scalar"]


def on_arm(*args, backend=None):
    env = os.environ | ({"FLOWQUET_BACKEND": backend} if backend else {})
    process = subprocess.run([*ARM, *map(str, args)], capture_output=True, text=True, stdin=subprocess.DEVNULL, env=env)
    assert process.returncode == 0, process.stderr
    return process


def odd_lines(folder):
    """Lines that leave the hot loops: rejects, runs of blanks, carriage returns, IPv6, no last newline."""
    folder.mkdir()
    lines = ["version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"]
    good = "2 123456789010 eni-{} {} 172.31.16.21 {} 22 6 20 {} 1418530010 1418530070 ACCEPT OK"
    for n in range(3000):
        line = good.format(f"{n % 7:017x}", ["10.0.0.1", "2001:db8::1", "255.255.255.255", "-"][n % 4], n % 65536, 10 ** (n % 20))
        lines.append({3: line.replace(" ", "  "), 5: line + "\r", 11: line[: n % 90], 13: line.replace("22", "2x")}.get(n % 17, line))
    (folder / "odd.log.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    return folder


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    made = {name: flowlogs(folder / name, "--format", name, "--objects", 6, "--records", 3000, "--every-s", 14400) for name in ["v2", "v5", "blog"]}
    return made | {"odd": odd_lines(folder / "odd"), "sample": ROOT / "tests/sample"}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("source", ["v2", "v5", "blog", "odd", "sample"])
def test_conversion(sources, tmp_path, source, backend):
    args = ["convert", sources[source], "--quiet", "--report", "-", "--out"]
    here = run(*args, tmp_path / "here")
    there = on_arm(*args, tmp_path / "there", backend=backend)
    counted = [json.loads(process.stdout) for process in (here, there)]
    assert [report["lines"] for report in counted] == [counted[0]["lines"]] * 2 and counted[0]["records"] > 0
    assert counted[0]["rejects"] == counted[1]["rejects"] and (counted[0]["rejects"] > 0) == (source in ("odd", "sample"))
    assert content(tmp_path / "here") == content(tmp_path / "there")


@pytest.mark.parametrize("options", [["--add", "derived"], ["--sort=interface-id,srcaddr,dstaddr"], ["--types", "rich"]], ids=["add", "sort", "types"])
def test_options(sources, tmp_path, options):
    run("convert", sources["blog"], "--out", tmp_path / "here", "--quiet", *options)
    on_arm("convert", sources["blog"], "--out", tmp_path / "there", "--quiet", *options)
    assert content(tmp_path / "here") == content(tmp_path / "there")


def test_one_table_of_both(sources, tmp_path):
    """Begun here, added to, compacted and verified there."""
    table = tmp_path / "t"
    run("convert", sources["v2"], "--out", table, "--quiet")
    on_arm("convert", sources["blog"], "--out", table, "--quiet")
    before = json.loads(run("status", table, "--json").stdout)
    on_arm("compact", table, "--quiet")
    on_arm("verify", table, "--deep", "--quiet")
    run("verify", table, "--deep", "--quiet")
    after = json.loads(run("status", table, "--json").stdout)
    assert (after["records"], after["objects"]) == (before["records"], before["objects"]) == (36_000, 12)
