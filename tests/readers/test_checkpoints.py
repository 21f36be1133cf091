"""Checkpoints against a twin that knows only their documented form, and tables whose checkpoints were lost or damaged."""

import gzip
import hashlib
import json
import shutil
import struct

import jsonschema
import pytest

import naive
from conftest import ROOT, convert, plans, run

FOLDER = "_flowquet/checkpoints"


def line(second, source="10.0.0.1"):
    return f"2 1 eni-1 {source} 10.0.0.2 1 2 6 3 4 {1705276800 + second} {1705276860 + second} ACCEPT OK\n"


def add(logs, day, name, text):
    path = logs / f"AWSLogs/1/vpcflowlogs/eu-west-1/2024/01/{day:02}/1_vpcflowlogs_eu-west-1_fl-1_202401{day:02}T{name}Z_a.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def table(tmp_path):
    """A table of six runs, one object each: the last has a reject, and one cannot be read."""
    logs, out = tmp_path / "logs", tmp_path / "out"
    for i in range(6):
        add(logs, 15 + i % 3, f"0{i}00", f"{naive.V2}\n{line(i * 60)}" + "bad\n" * (i == 5))
        if i == 2:
            add(logs, 15, "0900", "no flow log\n")
        convert(logs, out, check=None)
    return logs, out


def newest(out):
    return json.loads(max(out.glob(f"{FOLDER}/*.json")).read_text())


def ids(out, segments):
    """Digests and numbers of a binary map, by its documented form."""
    found = {}
    for segment in segments:
        data = (out / FOLDER / "segments" / segment["name"]).read_bytes()
        assert segment["name"].split("-")[1] == hashlib.sha256(data).hexdigest()[:32]
        at = 0
        while at < len(data):
            shelf, count = struct.unpack_from("<II", data, at)
            numbers = struct.unpack_from(f"<{count}Q", data, at + 8 + 16 * count)
            found |= {(shelf, data[at + 8 + 16 * i : at + 24 + 16 * i]): n for i, n in enumerate(numbers)}
            at += 8 + 28 * count
    return found


def test_a_checkpoint_tells_what_the_records_tell(table):
    logs, out = table
    checkpoint = newest(out)
    jsonschema.Draft202012Validator(json.loads((ROOT / "schemas/checkpoint.schema.json").read_text())).validate(checkpoint)
    count = sum(item["plans"] for item in checkpoint["plans"])
    known = [plan for plan in plans(out) if plan["number"] <= count]
    commits = {c["task"]: c for c in map(json.loads, (p.read_text() for p in out.glob("_flowquet/commits/by-plan/*.json")))}
    tasks = [task for plan in known for task in plan["tasks"]]
    inputs = [i for task in tasks for i in commits[task["id"]]["inputs"]]
    digest = lambda url: hashlib.sha256(url.encode()).digest()[:16]
    taken = {digest(i["url"]): i["bytes"] for i in inputs if "failed" not in i}
    assert len(taken) >= 4 and {d: n for (_, d), n in ids(out, checkpoint["taken"]).items()} == taken
    name = lambda i: digest(f"{i['key']}\0{i['bytes']}")
    assert {d: n for (_, d), n in ids(out, checkpoint["named"]).items()} == {name(i): i["bytes"] for i in inputs if "failed" not in i}
    assert {shelf for shelf, _ in ids(out, checkpoint["taken"])} == {20240115, 20240116, 20240117}
    read = lambda kind: [json.loads(l) for s in checkpoint[kind] for l in gzip.open(out / FOLDER / "segments" / s["name"])]
    outputs = [o for task in tasks for o in commits[task["id"]]["outputs"]]
    assert [{k: f[k] for k in o} for f, o in zip(read("live"), sorted(outputs, key=lambda o: o["key"]), strict=True)] == sorted(
        outputs, key=lambda o: o["key"]
    )
    assert [f["object"]["url"] for f in read("failed")] == [i["url"] for i in inputs if "failed" in i] != []
    assert checkpoint["counts"] == {k: sum(i[k] for i in inputs) for k in checkpoint["counts"]}


@pytest.mark.parametrize("spoil", ["delete all", "delete one segment", "cut", "another version"])
def test_nothing_rests_on_checkpoints(table, spoil):
    logs, out = table
    before = json.loads(run("status", out, "--json", check=4).stdout)
    if spoil == "delete all":
        shutil.rmtree(out / FOLDER)
    elif spoil == "another version":
        for path in out.glob(f"{FOLDER}/*.json"):
            path.write_text(path.read_text().replace('"version": 4', '"version": 5'))
    for segment in out.glob(f"{FOLDER}/segments/*") if "cut" in spoil or "segment" in spoil else []:
        if spoil == "cut":
            segment.write_bytes(segment.read_bytes()[:-1])
        elif segment.name.startswith("taken"):
            segment.unlink()
    assert json.loads(run("status", out, "--json", check=4).stdout) == before
    report = convert(logs, out, check=4)
    assert (report["objects"]["converted"], report["objects"]["known"], report["objects"]["failed"]) == (0, 6, 1)
    add(logs, 15, "1000", f"{naive.V2}\n{line(9000)}")
    report = convert(logs, out, check=4)
    assert (report["objects"]["converted"], report["objects"]["known"], report["objects"]["failed"]) == (1, 6, 1)
    # What was put in their place is whole.
    assert newest(out)["objects"] >= 6 and json.loads(run("status", out, "--json", check=4).stdout)["objects"] == 7


def test_old_checkpoints_go(tmp_path):
    logs, out = tmp_path / "logs", tmp_path / "out"
    for i in range(70):
        add(logs, 1 + i % 28, f"{i % 24:02}{i // 24:02}", f"{naive.V2}\n{line(i)}")
        convert(logs, out)
    numbers = sorted(int(p.stem) for p in out.glob(f"{FOLDER}/*.json"))
    assert numbers == list(range(numbers[-1] // 8 * 8 - 7, numbers[-1] + 1)) and numbers[-1] > 16
    named = {s["name"] for p in out.glob(f"{FOLDER}/*.json") for kind in ("taken", "failed", "named", "left", "live") for s in json.loads(p.read_text())[kind]}
    assert {p.name for p in out.glob(f"{FOLDER}/segments/*")} == named
