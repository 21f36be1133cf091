"""Files that are lost with the raw logs that they came from: `flowquet verify --accept-loss`, and all that goes on after it."""

import gzip
import json
import re
import shutil

import duckdb
import jsonschema
import pytest

import s3
from conftest import ROOT, convert, files, flowlogs, run

REASON = "disk failed; raw logs expired"


def schema(name):
    return jsonschema.Draft202012Validator(json.loads((ROOT / f"schemas/{name}.schema.json").read_text()))


def rows(out):
    return sorted(duckdb.sql(f"SELECT * FROM read_parquet('{out}/date=*/*.parquet', union_by_name=true, hive_partitioning=true)").fetchall(), key=repr)


def status(out, check=0):
    found = json.loads(run("status", out, "--json", check=check).stdout)
    schema("status").validate(found)
    return found


def verify(out, *args, check=0):
    found = json.loads(run("verify", out, "--json", "--quiet", *args, check=check).stdout)
    schema("verify").validate(found)
    assert found["exit"] == check
    return found


@pytest.fixture
def table(tmp_path):
    """A table of several files, its logs, and a place where they can be hidden."""
    logs = flowlogs(tmp_path / "logs", "--objects", "6", "--records", "300", "--every-s", "43200")
    out = tmp_path / "lake"
    convert(logs, out)
    assert len(files(out)) > 2
    return out, logs, tmp_path / "hidden"


def lose(table, cut=False):
    """A file is gone, or cut, and all raw logs are."""
    out, logs, hidden = table
    key, path = sorted(files(out).items())[-1]
    content = path.read_bytes()
    if cut:
        path.write_bytes(content[:-100])
    else:
        path.unlink()
    logs.rename(hidden)
    return key, path, content


@pytest.mark.parametrize("cut", [False, True])
def test_a_loss_is_accepted_told_and_taken_back(table, cut):
    out, logs, hidden = table
    before, objects = rows(out), status(out)["objects"]
    key, path, content = lose(table, cut)
    lost = len(duckdb.sql(f"SELECT 1 FROM read_parquet('{shelve(out, content)}')").fetchall())

    # It cannot be mended, and each command that says so says what else can be done.
    assert status(out, check=5)["truncated" if cut else "lost"][0]["key"] == key
    assert "--accept-loss" in run("status", out, check=5).stdout
    assert "--accept-loss" in run("reconvert", out, "--lost", check=1).stderr
    run("verify", out, "--repair", "--quiet", check=1)

    report = out.parent / "report.json"
    found = verify(out, "--accept-loss", REASON, "--report", report)
    assert found["accepted"] == {"files": [key], "records": lost, "reject_files": [], "rejects": 0, "rebuildable": []}
    told = json.loads(report.read_text())
    schema("run-report").validate(told)
    assert told["done"]["accepted"]["files"] == [key]
    assert not path.exists()

    # From now on it is told, and no reason for an exit code.
    after = rows(out)
    assert len(after) == len(before) - lost
    losses = status(out)["accepted_losses"]
    assert [(loss["key"], loss["rows"], loss["reason"]) for loss in losses] == [(key, lost, REASON)]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", losses[0]["accepted_at"])
    assert verify(out, "--read-data")["accepted_losses"] == losses
    words = run("status", out).stdout
    assert f"{lost} records in 1 file lost, accepted {losses[0]['accepted_at']}: {REASON}" in words
    assert words.splitlines()[-1].startswith(f"complete except for {lost} records lost and accepted; ")
    assert f"no problems found except {lost} records lost and accepted" in run("verify", out).stdout
    page = out.parent / "page.html"
    run("report", out, "--output", page)
    assert f"{lost} records are lost" in page.read_text()

    # Later runs work as if it had never been there; the record is what the schema says.
    hidden.rename(logs)
    again = convert(logs, out)
    schema("report").validate(again)
    assert again["objects"]["known"] == objects and again["files"]["accepted_losses"] == losses
    run("compact", out, "--file-bytes", "128M")
    assert rows(out) == after
    flows = duckdb.sql(f"SELECT count(*) FROM read_parquet('{out}/date=*/*.parquet') WHERE log_status = 'OK'").fetchall()[0][0]
    assert json.loads(run("top", out, "--json").stdout)["total"]["flows"] == flows
    assert "accepted" not in verify(out, "--source", logs, "--deep", "--read-data")
    for record in sorted((out / "_flowquet/compactions").glob("*.json")):
        schema("compaction").validate(json.loads(record.read_text()))
    for record in sorted((out / "_flowquet/checkpoints").glob("*.json")):
        schema("checkpoint").validate(json.loads(record.read_text()))

    # The raw logs are there again, and so are the records, once somebody asks for them.
    run("reconvert", out, "--accepted")
    assert rows(out) == before
    assert "accepted_losses" not in status(out)
    assert "reconvert" not in run("verify", out, "--read-data", "--deep").stdout


def shelve(out, content):
    path = out.parent / "shelved.parquet"
    path.write_bytes(content)
    return path


def test_what_can_be_rebuilt_is_not_accepted_as_lost(table):
    out, logs, hidden = table
    before = rows(out)
    key, path = sorted(files(out).items())[0]
    path.unlink()
    found = verify(out, "--accept-loss", REASON, check=5)
    assert found["accepted"] == {"files": [], "records": 0, "reject_files": [], "rejects": 0, "rebuildable": [key]}
    words = run("verify", out, "--accept-loss", REASON, check=5).stdout
    assert "raw logs are there: add --repair to rebuild" in words
    found = verify(out, "--accept-loss", REASON, "--repair")
    assert found["repaired"]["files"] == [key] and rows(out) == before


def test_a_damaged_file_and_one_that_returns(table):
    out, logs, hidden = table
    before = rows(out)
    key, path, content = lose(table)
    verify(out, "--accept-loss", REASON)
    # Another is damaged where only its pages tell, while its raw logs are gone.
    other, damaged = sorted(files(out).items())[0]
    body = bytearray(damaged.read_bytes())
    body[len(body) // 3] ^= 1
    damaged.write_bytes(bytes(body))
    assert verify(out)["exit"] == 0
    verify(out, "--read-data", check=5)
    assert verify(out, "--read-data", "--accept-loss", "another disk")["accepted"]["files"] == [other]
    assert not damaged.exists()
    assert {loss["reason"] for loss in status(out)["accepted_losses"]} == {REASON, "another disk"}

    # The first was found in a backup.
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    assert [file["key"] for file in status(out)["found_again"]] == [key]
    assert f"flowquet verify {out} --repair" in run("status", out).stdout
    run("compact", out)
    assert path.exists()
    assert verify(out, "--repair")["regained"] == [key]
    assert {loss["key"] for loss in status(out)["accepted_losses"]} == {other}
    verify(out, "--read-data")
    hidden.rename(logs)
    run("reconvert", out, "--accepted")
    assert rows(out) == before
    verify(out, "--read-data", "--deep")


def test_a_program_that_does_not_know_the_record_names_it(table):
    """As a program of today does with a record of tomorrow."""
    out, logs, hidden = table
    lose(table)
    verify(out, "--accept-loss", REASON)
    record = out / "_flowquet/compactions/00000001.json"
    assert json.loads(record.read_text())["layout_version"] == 6
    record.write_text(record.read_text().replace('"layout_version": 6', '"layout_version": 8').replace('"loss"', '"debt"'))
    shutil.rmtree(out / "_flowquet/checkpoints", ignore_errors=True)
    error = run("status", out, check=1).stderr
    assert "00000001.json" in error and "8" in error and "another version of flowquet" in error


def test_one_raw_log_of_a_run_returns_while_the_others_are_gone(tmp_path):
    logs = flowlogs(tmp_path / "logs", "--objects", "4", "--records", "300", "--every-s", "43200")
    out, hidden = tmp_path / "lake", tmp_path / "hidden"
    convert(logs, out)
    run("compact", out)
    assert len(list((out / "_flowquet/commits").iterdir())) == 1
    paths = sorted(path for path in logs.rglob("*") if path.is_file())
    shutil.copytree(logs, hidden)
    before, key = rows(out), sorted(files(out))[1]
    lost = duckdb.sql(f"SELECT count(*) FROM read_parquet('{files(out)[key]}')").fetchall()[0][0]
    files(out)[key].unlink()
    shutil.rmtree(logs)
    verify(out, "--repair", "--accept-loss", REASON)
    assert len(rows(out)) == len(before) - lost
    assert "put the raw logs back" in run("reconvert", out, "--accepted", check=1).stderr

    left = lost
    for number, path in enumerate(paths):
        # Found in another place, it has another time; and the one that was found before is gone again.
        shutil.rmtree(logs, ignore_errors=True)
        path.parent.mkdir(parents=True)
        path.write_bytes((hidden / path.relative_to(logs)).read_bytes())
        args = ["--object", f"**/{path.name}"] if number % 2 else ["--accepted"]
        words = run("reconvert", out, *args).stderr
        assert "converted 1 object again" in words
        again = convert(logs, out)
        assert again["objects"]["known"] == 1 and again["objects"]["changed"] == 0
        still = sum(loss["rows"] for loss in status(out).get("accepted_losses", []))
        assert still <= left and len(rows(out)) == len(before) - still
        assert "accepted" not in verify(out, "--read-data", "--source", logs)
        # What is named and is there leaves nothing of it lost.
        assert ("stay lost" in words or "stays lost" in words) == (number % 2 == 0 and still > 0)
        left = still
        for record in sorted((out / "_flowquet/compactions").glob("*.json")):
            schema("compaction").validate(json.loads(record.read_text()))
        if left == 0:
            break
    assert number > 0 and left == 0 and rows(out) == before
    shutil.rmtree(logs)
    hidden.rename(logs)
    run("compact", out)
    assert rows(out) == before


def test_a_file_of_which_only_bytes_changed_is_written_anew(table):
    out, logs, hidden = table
    before = rows(out)
    key, path = sorted(files(out).items())[0]
    content = path.read_bytes()
    path.write_bytes(content.replace(b"flowquet.version", b"flowquet.versioN"))
    logs.rename(hidden)
    assert [f["fault"] for f in verify(out, "--read-data", check=5)["findings"]] == ["file-bytes"]
    assert verify(out, "--read-data", "--repair")["rewritten"] == [key]
    assert not path.exists() and rows(out) == before
    assert verify(out, "--read-data")["findings"] == []


def test_rejected_lines_that_are_lost_are_told_by_status(tmp_path):
    logs = flowlogs(tmp_path / "logs", "--objects", "2", "--records", "50")
    path = next(path for path in logs.rglob("*") if path.is_file())
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + b"no record\n"))
    out = tmp_path / "lake"
    convert(logs, out)
    (kept,) = status(out)["reject_files"]
    (out / kept).unlink()
    shutil.rmtree(logs)
    verify(out, "--accept-loss", REASON)
    found = status(out)
    assert found["reject_files"] == [] and [(lost["key"], lost["rejects"], lost["reason"]) for lost in found["lost_rejects"]] == [(kept, 1, REASON)]
    assert f"1 rejected line lost, accepted {found['lost_rejects'][0]['accepted_at']}: {REASON}" in run("status", out).stdout
    assert verify(out, "--read-data")["lost_rejects"] == found["lost_rejects"]

    # What belongs to nothing is told, and does no harm.
    junk = [f"_flowquet/rejects/{name}" for name in ["0123456789abcdef.jsonl", "0123456789abcdef.lost.json", "notes.txt"]]
    for name in junk:
        (out / name).write_text("{}\n")
    assert [(f["fault"], f["place"]) for f in verify(out)["findings"]] == [("record-unknown", name) for name in junk]


def test_a_replaced_file_that_was_put_back_is_told_by_status(table):
    out, logs, hidden = table
    before = rows(out)
    key, path = sorted(files(out).items())[0]
    content = path.read_bytes()
    run("compact", out)
    assert not path.exists() and rows(out) == before
    path.write_bytes(content)
    assert len(rows(out)) > len(before)
    assert [file["key"] for file in status(out, check=4)["left"]] == [key]
    assert run("status", out, check=4).stdout.splitlines()[-1] == "1 replaced file is there again: readers that list count records twice until `flowquet compact` has run"
    run("compact", out)
    status(out)
    assert rows(out) == before


def test_a_table_is_verified_where_its_sources_cannot_be_listed(table):
    out, logs, hidden = table
    safe = out.parent / "safe.txt"
    empty = out.parent / "empty"
    empty.mkdir()
    for source in [empty, out.parent / "nowhere"]:
        found = verify(out, "--read-data", "--deep", "--source", source, "--list-safe", safe, check=1)
        assert found["outcome"] == "failed" and found["unlisted"] and found["data"]["files"] == len(files(out))
        assert "source" not in found and "deep" not in found and "safe_objects" not in found and not safe.exists()
        told = run("verify", out, "--source", source, check=1)
        assert "not listed: " in told.stdout and "error: " in told.stderr
        assert told.stdout.splitlines()[-1] == "no problems found in the table, but the sources could not be listed"
    path = sorted(files(out).items())[0][1]
    content = path.read_bytes()
    path.unlink()
    found = verify(out, "--source", empty, check=5)
    assert [f["fault"] for f in found["findings"]] == ["file-gone"] and found["unlisted"]
    assert "warning: " in run("verify", out, "--source", empty, check=5).stderr
    path.write_bytes(content)


def test_in_s3(tmp_path):
    with s3.serve() as server:
        client = server.client
        logs = flowlogs(tmp_path / "logs", "--objects", "3", "--records", "200")
        for path in logs.rglob("*"):
            if path.is_file():
                client.put_object(Bucket="logs", Key=str(path.relative_to(logs)), Body=path.read_bytes())

        def call(*args, check=0):
            return run(*s3.command(server, *args)[1:], check=check, env=s3.ENVIRONMENT)

        call("convert", "s3://logs/", "--out", "s3://lake/t", "--quiet")
        keys = [o["Key"] for o in client.list_objects_v2(Bucket="lake", Prefix="t/date=")["Contents"]]
        client.delete_object(Bucket="lake", Key=keys[0])
        for found in client.list_objects_v2(Bucket="logs")["Contents"]:
            client.delete_object(Bucket="logs", Key=found["Key"])
        call("verify", "s3://lake/t", check=5)
        call("verify", "s3://lake/t", "--accept-loss", REASON)
        assert "lost and accepted" in call("status", "s3://lake/t").stdout
        assert call("verify", "s3://lake/t", "--read-data", "--quiet").stdout == ""
