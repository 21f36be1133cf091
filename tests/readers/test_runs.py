"""Re-runs, concurrent runs and kills: the same rows as one undisturbed run, each once; the same names and bytes."""

import gzip
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

import kills
import naive
from conftest import FLOWQUET, content, convert, files, flowlogs, multiset, plans, rejects, rows, run


def line(i, day=0):
    return f"2 1 eni-{i} 10.0.0.{i % 256} 10.0.0.1 1 2 6 3 {i} {1566172800 + 86400 * day} 1566328661 ACCEPT OK\n"


def table_rows(logs):
    """What an undisturbed run makes of a folder."""
    return multiset(
        ("date=" + naive.date_of(record), record)
        for path in logs.rglob("*.log*")
        for record in naive.read(path.read_bytes())[0]
    )


def test_run_again(logs, out):
    for i in range(5):
        (logs / f"{i}.log").write_text(f"{naive.V2}\n{line(i)}bad line\n")
    first = convert(logs, out)
    before = content(out)
    again = convert(logs, out)
    assert (first["records"], again["records"], again["objects"]["known"]) == (5, 0, 5)
    assert content(out) == before
    (logs / "9.log").write_text(f"{naive.V2}\n{line(9)}")
    third = convert(logs, out)
    assert (third["records"], third["objects"]["converted"], third["objects"]["known"]) == (1, 1, 5)
    assert multiset(rows(out)) == table_rows(logs) and before.items() <= content(out).items()
    words = run("convert", logs, "--out", out).stderr
    assert words.strip().splitlines()[-1]== "done: nothing new; 6 objects already in the table"


def test_same_input_same_bytes(tmp_path):
    logs = flowlogs(tmp_path / "logs", "--format", "v5", "--objects", 40, "--records", 3000, "--accounts", 2, "--every-s", 4000)
    for path in list(logs.rglob("*.gz"))[::7]:
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + b"no record\n\n"))
    moved = tmp_path / "another" / "place"
    shutil.copytree(logs, moved)
    reference = None
    options = ["--row-group-rows", "5000", "--file-bytes", "200K"]
    for name, source, args in [
        ("one", logs, ["--threads", "1"]),
        ("two", logs, ["--threads", "2"]),
        ("many", logs, ["--threads", "7", "--memory", "4G"]),
        ("small", logs, ["--memory", "256M"]),
        ("moved", moved, []),
    ]:
        out = tmp_path / name
        convert(source, out, *options, *args)
        found = {k: v for k, v in content(out).items() if k.endswith(".parquet")}
        reference = reference or found
        assert found == reference, name
    assert len(reference) > 5


def test_any_order_of_sources(tmp_path):
    logs = flowlogs(tmp_path / "logs", "--objects", 12, "--records", 50, "--accounts", 3)
    paths = sorted(p for p in logs.rglob("*.gz"))
    outs = []
    for seed in range(3):
        random.Random(seed).shuffle(paths)
        outs.append(tmp_path / f"out{seed}")
        convert(paths + [paths[0]], outs[-1])
    assert content(outs[0]) == content(outs[1]) == content(outs[2])
    assert multiset(rows(outs[0])) == table_rows(logs), "an object that is named twice is taken once"


def test_a_link_is_the_object_it_leads_to(logs, out):
    (logs / "a.log").write_text(f"{naive.V2}\n{line(1)}")
    (logs / "b.log").symlink_to(logs / "a.log")
    (logs / "sub").symlink_to(logs)
    assert convert(logs, out)["records"] == 1


def test_contract(logs, out):
    (logs / "a.log").write_text(f"{naive.V2}\n{line(1)}")
    convert(logs, out)
    words = run("convert", logs, "--out", out, "--partition-by", "account,date", "--partition-time", "end", check=2).stderr
    assert "--partition-by: the table has `date`, this run asks for `account,date`" in words
    assert "--partition-time: the table has `start`, this run asks for `end`" in words


@pytest.mark.parametrize("becomes", ["gone", "stale"])
def test_a_contract_that_is_stale_or_gone_is_put_right(logs, out, becomes):
    (logs / "a.log").write_text(f"{naive.V2}\n{line(1)}")
    convert(logs, out, "--partition-by", "date,hour")
    contract = out / "_flowquet/table.json"
    right = contract.read_text()

    def spoil():
        contract.unlink() if becomes == "gone" else contract.write_text(right.replace("date,hour", "date"))

    spoil()
    (logs / "b.log").write_text(f"{naive.V2}\n{line(2)}")
    report = convert(logs, out)
    assert (report["records"], report["options"]["partition_by"], contract.read_text()) == (1, "date,hour", right)
    # Standard input is read once, and an option that was given and does not fit is told as one.
    spoil()
    with open(logs / "b.log") as stdin:
        words = run("convert", "-", "--out", out, check=1, stdin=stdin).stderr
    assert "table.json` was missing or out of date, and has been written again" in words and "run the same command again" in words
    assert contract.read_text() == right
    spoil()
    words = run("convert", logs, "--out", out, "--partition-by", "account", check=2).stderr
    assert "--partition-by: the table has `date,hour`, this run asks for `account`" in words, words


def test_the_table_inside_the_source(logs):
    (logs / "a.log").write_text(f"{naive.V2}\n{line(1)}")
    for records in [1, 0]:
        assert convert(logs, logs / "table")["records"] == records


def test_an_object_that_changes_is_told(logs, out):
    path = logs / "a.log"
    path.write_text(f"{naive.V2}\n{line(1)}")
    convert(logs, out)
    path.write_text(f"{naive.V2}\n{line(1)}{line(2)}")
    report = convert(logs, out, check=4)
    assert report["objects"]["changed"] == 1 and report["records"] == 0 and len(rows(out)) == 1
    assert "bytes when it was converted" in report["changed_objects"][0]["reason"]
    assert report["hints"] == [f"the table has changed objects as they were: `flowquet reconvert {out} --object URL` converts one as it is now"]
    words = run("convert", logs, "--out", out, check=4).stderr
    assert f"hint: {report['hints'][0]}\ndone: nothing new" in words
    words = run("convert", logs, "--out", out, "--quiet", check=4).stderr
    assert words == "flowquet: 1 object changed since it was converted (exit 4); --report names them, and so does a run without --quiet\n"


def test_unreadable_objects_cost_nobody_else(logs, out):
    good = f"{naive.V2}\n{line(1)}".encode()
    (logs / "good.log").write_bytes(good)
    (logs / "cut.log.gz").write_bytes(gzip.compress(good * 100)[:-9])
    (logs / "no-header.log").write_text(line(2))
    (logs / "table.parquet").write_bytes(b"PAR1 and more")
    (logs / "cloudwatch.json").write_text('{"messageType": "DATA_MESSAGE"}')
    (logs / "binary").write_bytes(bytes(range(256)))
    report = convert(logs, out, check=4)
    assert (report["records"], report["objects"]["failed"]) == (1, 5)
    reasons = {os.path.basename(f["url"]): f["reason"] for f in report["failed_objects"]}
    assert "damaged or cut short" in reasons["cut.log.gz"] and "expected a header line" in reasons["no-header.log"]
    assert "Parquet" in reasons["table.parquet"] and "JSON" in reasons["cloudwatch.json"] and "binary" in reasons["binary"]
    again = convert(logs, out, check=4)
    assert (again["records"], again["objects"]["failed"], again["tasks"]) == (0, 5, 0), "said again, not tried again"
    with_format = convert(logs, out, "--format", "v2", check=4)
    assert (with_format["records"], with_format["objects"]["converted"]) == (1, 1)
    (logs / "cut.log.gz").write_bytes(gzip.compress(good * 100))
    repaired = convert(logs, out, check=4)
    assert repaired["records"] == 100
    assert sorted(r["bytes"] for _, r in rows(out)) == [1] * 101 + [2]


@pytest.mark.parametrize("size", ["small", "streamed"])
def test_salvage(logs, out, size):
    lines = [line(i) for i in range(1000 if size == "small" else 700_000)]
    text = (naive.V2 + "\n" + "".join(lines)).encode()
    packed = gzip.compress(text, 1)
    (logs / "cut.log.gz").write_bytes(packed[: len(packed) * 2 // 3])
    assert convert(logs, out, check=4)["records"] == 0
    report = convert(logs, out, "--salvage")
    assert report["objects"]["damaged"] == 1 and report["rejects_by_reason"] == {"cut-short": 1}
    assert 0.5 * len(lines) < report["records"] < 0.8 * len(lines)
    (reject,) = rejects(out)
    assert text[reject["offset"] :].startswith(reject["raw"].encode())


def test_max_rejects(logs, tmp_path):
    (logs / "a.log").write_text(f"{naive.V2}\n" + "".join(line(i) for i in range(98)) + "bad\nbad\n")
    for limit, code in [("2", 0), ("1", 3), ("0", 3), ("1%", 3), ("2%", 0)]:
        out = tmp_path / limit
        report = convert(logs, out, "--max-rejects", limit, check=code)
        assert (len(files(out)) == 0) == (code == 3)
        if code:
            assert "2 rejects in 101 lines" in report["error"] and report["tasks_left"] == 1
            assert report["error_kind"] == "too-many-rejects"
            assert convert(logs, out)["records"] == 98, "goes on with another limit"


def test_killed_at_many_moments(tmp_path):
    logs = flowlogs(tmp_path / "logs", "--objects", 60, "--records", 500, "--every-s", 14400)
    undisturbed = tmp_path / "undisturbed"
    options = ["--row-group-rows", "250", "--file-bytes", "10K"]
    command = lambda out: [FLOWQUET, "convert", logs, "--out", out, "--quiet", *options]
    moments = kills.whole(kills.changes(undisturbed), command(undisturbed))
    want = content(undisturbed)
    assert multiset(rows(undisturbed)) == table_rows(logs)
    with kills.series() as kill_at:
        for attempt in range(24):
            out = tmp_path / f"killed{attempt}"
            seen = kills.changes(out)
            for n in sorted(random.Random(attempt).sample(range(1, moments), 2)):
                kill_at(n, seen, command(out))
            report = convert(logs, out, *options)
            assert content(out) == want, "the same names and bytes as one undisturbed run"
            assert report["tasks_left"] == 0 and not list(out.glob("_flowquet/staging/*")), "what the killed left is swept"


def test_two_runs_over_a_folder_that_grows(tmp_path, out):
    source = flowlogs(tmp_path / "source", "--objects", 120, "--records", 300, "--every-s", 3600)
    logs = tmp_path / "logs"
    logs.mkdir()
    paths = sorted(source.rglob("*.gz"))
    random.Random(3).shuffle(paths)

    def grow():
        for path in paths:
            # As a careful copier does: under another name first.
            shutil.copy(path, logs / ("." + path.name))
            os.rename(logs / ("." + path.name), logs / path.name)
            time.sleep(0.005)

    shutil.copy(paths[0], logs / paths[0].name)
    grower = threading.Thread(target=grow)
    grower.start()
    while grower.is_alive():
        runs = [subprocess.Popen([FLOWQUET, "convert", logs, "--out", out, "-q", "--row-group-rows", "500"]) for _ in range(3)]
        codes = [process.wait() for process in runs]
        assert set(codes) <= {0, 4}, codes
    grower.join()
    assert convert(logs, out)["tasks_left"] == 0
    assert multiset(rows(out)) == table_rows(source), "each record once"


def test_a_file_that_is_still_being_written(logs, out):
    """A file that grows while it is read is set aside, not taken by half."""
    path = logs / "a.log"
    stop = threading.Event()
    path.write_text(naive.V2 + "\n")

    def write():
        with open(path, "a") as file:
            i = 0
            while not stop.is_set():
                file.write(line(i) * 50)
                file.flush()
                i += 1
                time.sleep(0.0005)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        codes = [convert(logs, out, check=None)["exit_code"] for _ in range(5)]
    finally:
        stop.set()
        writer.join()
    assert set(codes) <= {0, 4}
    if not rows(out):
        report = convert(logs, out)
        assert report["records"] == len(naive.read(path.read_bytes())[0]) == len(rows(out))


def test_a_task_whose_object_vanished_is_void(tmp_path, logs, out):
    for i in range(3):
        (logs / f"{i}.log").write_text(f"{naive.V2}\n{line(i)}")
    dry = tmp_path / "other"
    convert(logs, dry)
    # A plan without its commits, as a killed run leaves it.
    shutil.copytree(dry / "_flowquet/plans", out / "_flowquet/plans")
    shutil.copy(dry / "_flowquet/table.json", out / "_flowquet/table.json")
    os.remove(logs / "1.log")
    # Files of the void task, as a run leaves them that was killed before its commit.
    for key, path in files(dry).items():
        (out / key).parent.mkdir(exist_ok=True)
        shutil.copy(path, out / key)
    assert len(rows(out)) == 3
    report = convert(logs, out, check=4)
    assert (report["records"], report["objects"]["failed"], report["objects"]["left"]) == (2, 1, 0), "the rest is planned anew"
    assert [found["cause"] for found in report["failed_objects"]] == ["gone"]
    assert multiset(rows(out)) == table_rows(logs)
    assert convert(logs, out)["objects"]["known"] == 2


def test_interrupted(tmp_path, out):
    logs = flowlogs(tmp_path / "logs", "--objects", 150, "--records", 100, "--every-s", 86400)
    process = subprocess.Popen([FLOWQUET, "convert", logs, "--out", out], stderr=subprocess.PIPE, text=True)
    kills.wait_for(1, lambda: len(list(out.glob("_flowquet/commits/**/*.json"))), process)
    process.send_signal(signal.SIGTERM)
    words = process.communicate(timeout=30)[1]
    assert process.returncode == 130 and "run the same command again" in words and words.count("stopped:") == 1
    convert(logs, out)
    assert multiset(rows(out)) == table_rows(logs)


def test_unwritable_output(logs, tmp_path):
    (logs / "a.log").write_text(f"{naive.V2}\n{line(1)}")
    (tmp_path / "file").write_text("")
    words = run("convert", logs, "--out", tmp_path / "file" / "out", check=1).stderr
    assert words.startswith("error: ") and "a part of the path is a file, not a folder\nhint: " in words


def test_a_file_that_does_not_fit_is_told(tmp_path, out):
    """Where it was to be, and why not; a limit of the process stands for a full disk."""
    logs = flowlogs(tmp_path / "logs", "--objects", 1, "--records", 20_000)
    limited = f"import resource, os, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); os.execv(sys.argv[1], sys.argv[1:])"
    process = subprocess.run([sys.executable, "-c", limited, FLOWQUET, "convert", logs, "--out", out], capture_output=True, text=True)
    assert process.returncode == 1, process.stderr
    assert re.search(rf"^error: write `file://{out}/date=[-0-9]+/[0-9a-f]+-0000.parquet`: failed: File too large", process.stderr, re.M), process.stderr
    assert convert(logs, out)["records"] == 20_000


def test_records_fit_their_schemas(tmp_path, out):
    import json

    import jsonschema

    root = pathlib.Path(__file__).resolve().parents[2]
    schema = lambda name: json.loads((root / f"schemas/{name}.schema.json").read_text())
    logs = flowlogs(tmp_path / "logs", "--objects", 4, "--records", 50)
    (logs / "bad.log").write_text(f"{naive.V2}\nbad\n{line(1)}" + "2 1 e \udcff\n".encode("utf-8", "surrogateescape").decode("latin-1"))
    (logs / "none.log").write_text("nothing here\n")
    report = convert(logs, out, "--columns", "srcaddr,bytes,start", "--format", "version srcaddr", check=None)
    checks = [(report, "report")]
    checks += [(plan, "plan") for plan in plans(out)]
    checks += [(json.loads(p.read_text()), "commit") for p in out.glob("_flowquet/commits/**/*.json")]
    checks += [(json.loads((out / "_flowquet/table.json").read_text()), "table")]
    checks += [(reject, "reject") for reject in rejects(out)]
    assert {name for _, name in checks} == {"report", "plan", "commit", "table", "reject"}
    for record, name in checks:
        jsonschema.Draft202012Validator(schema(name)).validate(record)
