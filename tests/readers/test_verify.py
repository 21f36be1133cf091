"""`flowquet verify`: digests as docs/SEMANTICS.md defines them, computed here anew; faults by their exit codes; tables that are whole."""

import csv
import datetime
import gzip
import io
import json
import pathlib
import urllib.parse
import zlib

import jsonschema
import pyarrow
import pyarrow.parquet
import pytest
import xxhash

import naive
import s3
from conftest import ROOT, convert, files, flowlogs, run

SCHEMA = json.loads((ROOT / "schemas/verify.schema.json").read_text())
M = 2**64 - 1


def mix(z):
    z = z + 0x9E3779B97F4A7C15 & M
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & M
    z = (z ^ z >> 27) * 0x94D049BB133111EB & M
    return z ^ z >> 31


def digest(table):
    """The digest of a pyarrow table, by its definition."""
    columns = [c for c in table.column_names if not pyarrow.types.is_fixed_size_binary(table.schema.field(c).type)]
    names = {c: xxhash.xxh3_64_intdigest(c.encode()) for c in columns}
    word = lambda v: xxhash.xxh3_64_intdigest(v.encode()) if isinstance(v, str) else v
    times = [c for c in columns if pyarrow.types.is_timestamp(table.schema.field(c).type)]
    for c in times:
        table = table.set_column(table.column_names.index(c), c, table[c].cast(pyarrow.int64()))
    hashed = lambda row: sum((names[c] | 1) * word(v) + mix(names[c]) for c, v in row.items() if v is not None)
    return f"{sum(mix(hashed(row) & M) for row in table.select(columns).to_pylist()) & M:016x}"


def verify(out, *args, check=0):
    """Verifies, and returns what was found."""
    process = run("verify", out, "--json", "--quiet", *args, check=check)
    found = json.loads(process.stdout)
    jsonschema.validate(found, SCHEMA)
    assert found["exit"] == process.returncode
    return found


def faults(found):
    return [(f["level"], f["fault"], f["place"]) for f in found["findings"]]


def records(out, folder):
    return [json.loads(path.read_text()) for path in sorted((pathlib.Path(out) / "_flowquet" / folder).rglob("*.json"))]


@pytest.fixture
def logs(tmp_path):
    return flowlogs(tmp_path / "logs", "--objects", "4", "--records", "300")


@pytest.mark.parametrize("types", ["aws", "rich"])
def test_digests_are_as_defined(tmp_path, types):
    """Of each file and of each object; with nulls, a second log format, text that is no ASCII, and numbers of 64 bits."""
    logs, out = tmp_path / "logs", tmp_path / "out"
    logs.mkdir()
    start = 1705276800
    v2 = [f"2 1 eni-{i % 3} 10.0.0.{i} 10.0.1.{i % 5} {i} 443 6 {i} {i << 40} {start + i * 700} {start + i * 700 + 60} ACCEPT OK" for i in range(200)]
    v2 += [f"2 1 eni-9 - - - - - - - {start} {start + 60} - NODATA"] * 2
    (logs / "a.log").write_text("\n".join([naive.V2, *v2]) + "\n")
    other = ["start srcaddr instance-tag-name bytes", f"{start} 2001:db8::1 ünïcode 0", f"{start + 1} - - {2**63 - 1}", f"{start + 2} x - -"]
    (logs / "b.log").write_text("\n".join(other) + "\n")
    convert(logs, out, "--types", types)
    commits = records(out, "commits")
    written = {o["key"]: o for commit in commits for o in commit["outputs"]}
    assert written.keys() == files(out).keys() and len(written) > 2
    for key, path in files(out).items():
        assert written[key]["digest"] == digest(pyarrow.parquet.ParquetFile(path).read()), key
        assert written[key]["crc32"] == f"{zlib.crc32(path.read_bytes()):08x}", key
    # An object alone gives the same, whatever stands beside it.
    for name in ["a.log", "b.log"]:
        alone = tmp_path / f"only-{name}"
        convert(logs / name, alone, "--types", types)
        found = [i["digest"] for commit in commits for i in commit["inputs"] if i["url"].endswith(name)]
        tables = [pyarrow.parquet.ParquetFile(path).read() for path in files(alone).values()]
        assert found == [f"{sum(int(digest(t), 16) for t in tables) & M:016x}"]
    # A compaction changes nothing.
    run("compact", out, "--sort", "srcaddr,start")
    [*records_] = records(out, "compactions")
    assert records_
    for record in records_:
        for output in record["outputs"]:
            assert output["digest"] == digest(pyarrow.parquet.ParquetFile(out / output["key"]).read())
    found = verify(out, "--read-data", "--source", logs, "--deep")
    assert faults(found) == []


def test_seals_are_as_defined(tmp_path, logs):
    out = tmp_path / "out"
    convert(logs, out)
    run("compact", out)
    sealed = [*(out / "_flowquet/commits").rglob("*.json"), *(out / "_flowquet/compactions").glob("*.json")]
    assert len(sealed) > 1
    for path in sealed:
        text = path.read_text()
        seal = json.loads(text)["crc32"]
        body = text.removesuffix(f',\n  "crc32": "{seal}"\n}}\n') + "\n}\n"
        assert len(body) < len(text) and seal == f"{zlib.crc32(body.encode()):08x}"


def test_a_whole_table_is_whole(tmp_path, logs):
    out = tmp_path / "out"
    convert(logs, out)
    assert faults(verify(out)) == []
    parts = [verify(out, "--read-data-subset", f"{n}/3")["data"] for n in (1, 2, 3)]
    assert sum(p["files"] for p in parts) == parts[0]["of"] == len(files(out))
    safe = tmp_path / "safe.txt"
    found = verify(out, "--read-data", "--source", logs, "--deep", "--list-safe", safe)
    objects = sorted(path for path in logs.rglob("*") if path.is_file())
    assert safe.read_text().splitlines() == [f"file://{path.resolve()}" for path in objects]
    assert found["safe_objects"] == len(objects) == found["deep"]["objects"]


def test_exit_codes(tmp_path, logs):
    out = tmp_path / "out"
    convert(logs, out)
    key, path = next(iter(files(out).items()))
    kept = path.read_bytes()
    path.unlink()
    assert faults(verify(out, check=5)) == [("listing", "file-gone", key)]
    path.write_bytes(kept[:-9])
    assert faults(verify(out, check=5)) == [("listing", "file-size", key)]
    path.write_bytes(kept[:500] + bytes([kept[500] ^ 4]) + kept[501:])
    assert faults(verify(out)) == []
    [(level, _, place)] = faults(verify(out, "--read-data", check=5))
    assert (level, place) == ("data", key)
    path.write_bytes(kept)
    [record] = (out / "_flowquet/commits").rglob("*.json")
    text = record.read_text()
    record.write_text(text.replace('"rejects_by_reason"', ' "rejects_by_reason"'))
    assert faults(verify(out, check=6)) == [("records", "record-edited", str(record.relative_to(out)))]
    record.write_text(text)
    # A new object, one that changed, and one that is gone.
    objects = sorted(p for p in logs.rglob("*") if p.is_file())
    safe = tmp_path / "safe.txt"
    new = objects[0].with_name("new.log.gz")
    new.write_bytes(objects[0].read_bytes())
    found = verify(out, "--source", logs, check=4)
    assert faults(found) == [("source", "object-missing", f"file://{new.resolve()}")]
    new.unlink()
    objects[1].write_bytes(gzip.compress(gzip.decompress(objects[1].read_bytes()) + b"x\n"))
    found = verify(out, "--read-data", "--source", logs, "--list-safe", safe, check=7)
    url = f"file://{objects[1].resolve()}"
    assert faults(found) == [("source", "object-changed", url)]
    assert url not in safe.read_text() and len(safe.read_text().splitlines()) == len(objects) - 1
    assert ("deep", "object-changed", url) in faults(verify(out, "--deep", check=7))
    objects[1].unlink()
    assert faults(verify(out, "--deep")) == [("deep", "object-gone", url)]
    # Without its raw log nothing is repaired, and nothing is changed.
    path.unlink()
    before = sorted(str(p) for p in out.rglob("*"))
    run("verify", out, "--repair", check=1)
    assert sorted(str(p) for p in out.rglob("*")) == before


def test_lost_files_are_repaired(tmp_path, logs):
    out = tmp_path / "out"
    convert(logs, out)
    before = sorted(digest(pyarrow.parquet.ParquetFile(p).read()) for p in files(out).values())
    for path in list(files(out).values())[:1]:
        path.unlink()
    found = verify(out, "--repair")
    assert len(found["repaired"]["files"]) == 1
    assert faults(verify(out, "--read-data", "--source", logs, "--deep")) == []
    assert sorted(digest(pyarrow.parquet.ParquetFile(p).read()) for p in files(out).values()) == before


def test_objects_with_rejects_are_safe_while_these_are_kept(tmp_path):
    logs, out, safe = tmp_path / "logs", tmp_path / "out", tmp_path / "safe"
    logs.mkdir()
    line = "2 1 eni-1 10.0.0.1 10.0.0.2 1 2 6 3 4 1705276800 1705276860 ACCEPT OK"
    (logs / "a.log").write_text(f"{naive.V2}\n{line}\nbad\n")
    convert(logs, out)
    args = ["--read-data", "--source", logs, "--list-safe", safe]
    assert verify(out, *args)["safe_objects"] == 1
    [rejects] = (out / "_flowquet/rejects").iterdir()
    kept = rejects.read_text()
    for other in ["", kept[:-1], kept + kept, kept.replace('"raw":"bad"', '"raw":"bat"')]:
        rejects.write_text(other)
        found = verify(out, *args, check=5)
        assert faults(found) == [("data", "rejects-differ", f"_flowquet/rejects/{rejects.name}")], other
        assert found["safe_objects"] == 0 and found["not_safe"] == {"rejects": 1}
    verify(out, "--read-data", "--repair")
    [rejects] = (out / "_flowquet/rejects").iterdir()
    assert rejects.read_text() == kept
    assert verify(out, *args)["data"]["rejects"] == 1

    # Another rejected line in the raw log, whose size is the same, and whose records are.
    (logs / "a.log").write_text(f"{naive.V2}\n{line}\nbat\n")
    found = verify(out, "--deep", check=7)
    assert [(f["fault"], f["expected"], f["found"]) for f in found["findings"]] == [("records-differ", "1 rejected line", "as many others")]
    rejects.write_text("")
    process = run("verify", out, "--read-data", "--repair", check=7)
    assert "has other rejected lines now" in process.stderr
    rejects.write_text(kept)
    (logs / "a.log").write_text(f"{naive.V2}\n{line}\nbad\n")
    verify(out, "--read-data", "--deep")
    rejects.unlink()
    assert [f[1] for f in faults(verify(out, "--read-data", check=5))] == ["rejects-gone"]
    verify(out, "--repair")
    verify(out, "--read-data", "--deep")


def test_the_loss_of_rejected_lines_is_accepted_once_their_raw_logs_are_gone(tmp_path):
    logs, out = tmp_path / "logs", tmp_path / "out"
    logs.mkdir()
    line = "2 1 eni-1 10.0.0.1 10.0.0.2 1 2 6 3 4 1705276800 1705276860 ACCEPT OK"
    (logs / "a.log").write_text(f"{naive.V2}\n{line}\nbad\nworse\n")
    (logs / "b.log").write_text(f"{naive.V2}\n{line}\n")
    convert(logs, out)
    [rejects] = (out / "_flowquet/rejects").iterdir()
    key, kept = f"_flowquet/rejects/{rejects.name}", rejects.read_text()
    rejects.unlink()
    found = verify(out, "--accept-loss", "privacy", check=5)
    assert found["accepted"]["rebuildable"] == [key] and not found["accepted"]["reject_files"], "the raw log is there"
    # That of another object, which has no rejected lines, is not needed.
    (logs / "b.log").unlink()
    assert verify(out, "--repair", "--accept-loss", "privacy")["restored_rejects"] == [key]
    assert rejects.read_text() == kept

    rejects.unlink()
    (logs / "a.log").rename(tmp_path / "a.log")
    process = run("verify", out, "--repair", check=1)
    assert "not rebuilt: 1 of 1 lost or damaged file" in process.stderr and "a.log` cannot be read" in process.stderr
    found = verify(out, "--repair", "--accept-loss", "privacy")
    assert (found["accepted"]["reject_files"], found["accepted"]["rejects"]) == ([key], 2)
    for options in [[], ["--read-data"], ["--repair"]]:
        found = verify(out, *options)
        [lost] = found["lost_rejects"]
        assert found["findings"] == [] and (lost["key"], lost["rejects"], lost["reason"]) == (key, 2, "privacy")
    assert "2 rejected lines lost, accepted 20" in run("verify", out).stdout

    # Here again as they were, they are told of no more; with others, that is found.
    rejects.write_text(kept[1:])
    assert faults(verify(out, "--read-data", check=5)) == [("data", "rejects-differ", key)]
    rejects.write_text(kept)
    marker = rejects.with_suffix(".lost.json")
    assert marker.exists() and "lost_rejects" not in verify(out, "--read-data", "--repair") and not marker.exists()

    # What nobody can read says nothing.
    rejects.unlink()
    marker.write_text("{")
    assert faults(verify(out, check=5)) == [("records", "rejects-gone", key)]
    verify(out, "--accept-loss", "privacy")
    assert verify(out)["lost_rejects"]
    (tmp_path / "a.log").rename(logs / "a.log")
    found = verify(out, "--repair")
    assert found["restored_rejects"] == [key] and "lost_rejects" not in found
    assert rejects.read_text() == kept and not marker.exists()
    (logs / "b.log").write_text(f"{naive.V2}\n{line}\n")
    verify(out, "--read-data", "--deep")


def test_digests_of_rejected_lines_are_as_defined(tmp_path):
    logs, out = tmp_path / "logs", tmp_path / "out"
    logs.mkdir()
    (logs / "a.log").write_bytes(naive.V2.encode() + b"\nbad\n\xff\x00 worse\n\n")
    convert(logs, out)
    word = lambda line, raw: mix(xxhash.xxh3_64_intdigest(raw) + mix(line) & M)
    [commit] = records(out, "commits")
    assert commit["inputs"][0]["rejects_digest"] == f"{word(2, b'bad') + word(3, bytes([255, 0]) + b' worse') & M:016x}"


def test_objects_are_not_safe_while_only_the_beginning_of_a_line_is_kept(tmp_path):
    logs, out, safe = tmp_path / "logs", tmp_path / "out", tmp_path / "safe"
    logs.mkdir()
    line = "2 1 eni-1 10.0.0.1 10.0.0.2 1 2 6 3 4 1705276800 1705276860 ACCEPT OK"
    (logs / "a.log").write_text(f"{naive.V2}\n{line}\nbad\n")
    (logs / "b.log").write_text(f"{naive.V2}\n{line}\n{'x' * (1 << 20)}x\n")
    convert(logs, out)
    assert len(list((out / "_flowquet/rejects").iterdir())) == 1, "of one task"
    found = verify(out, "--read-data", "--source", logs, "--list-safe", safe)
    assert found["not_safe"] == {"rejects": 1} and [url.rsplit("/", 1)[1] for url in safe.read_text().splitlines()] == ["a.log"]


def test_objects_are_not_safe_while_flow_left_records_out(tmp_path):
    """Of two that differ in action and bytes the table has one; what `exact` leaves out it has once."""
    logs, out, safe = tmp_path / "logs", tmp_path / "out", tmp_path / "safe"
    logs.mkdir()
    line = lambda n, rest: f"2 1 eni-1 10.0.0.{n} 10.0.0.2 1 2 6 3 {rest} OK"
    flow = [line(1, "10 1705276800 1705276860 ACCEPT"), line(1, "9999 1705276800 1705276860 REJECT")]
    same = line(2, "10 1705363200 1705363260 ACCEPT")
    for name, record in [("a", flow[0]), ("b", flow[1]), ("c", same), ("d", same)]:
        (logs / f"{name}.log").write_text(f"{naive.V2}\n{record}\n")
        convert(logs / f"{name}.log", out)
    args = ["--read-data", "--source", logs, "--list-safe", safe]
    assert verify(out, *args)["safe_objects"] == 4
    run("compact", out, "--dedup", "flow", "--partition", "date=2024-01-15")
    run("compact", out, "--dedup", "exact", "--partition", "date=2024-01-16")
    names = lambda: [url.rsplit("/", 1)[1] for url in safe.read_text().splitlines()]
    found = verify(out, *args)
    assert found["not_safe"] == {"duplicates": 2} and names() == ["c.log", "d.log"]
    # Whatever other compactions make of these files.
    run("compact", out, "--sort", "start")
    run("compact", out, "--dedup", "exact", "--sort", "end")
    assert verify(out, *args)["not_safe"] == {"duplicates": 2} and names() == ["c.log", "d.log"]
    assert "2 objects not: --dedup flow left out records" in run("verify", out, *args).stdout
    # All records are back.
    run("reconvert", out, "--object", "**", "--quiet")
    assert verify(out, *args)["safe_objects"] == 4


@pytest.mark.parametrize("table", sorted((ROOT / "tests/tables").glob("layout-*/*/expected.json")), ids=lambda p: p.parent.name)
def test_tables_of_older_layouts_give_no_alarm(table):
    """They have no digests: what can be compared is compared, and nothing is taken for a fault."""
    with s3.serve("--load", f"lake/t={table.parent / 'table'}", load=table.parent / "logs") as server:
        process = s3.run(server, "verify", "s3://lake/t", "--read-data", "--deep", "--json", "--quiet", check=None)
        found = json.loads(process.stdout)
        jsonschema.validate(found, SCHEMA)
        assert process.returncode in (0, 4), found["findings"]
        assert {f["fault"] for f in found["findings"]} <= {"task-unfinished", "object-gone", "file-left"}, found["findings"]
        assert not found["records"]["has_digests"]


def test_a_table_and_its_logs_in_buckets(tmp_path):
    """What is proven, found, repaired and told of raw logs in S3, with the commands that messages show."""
    made = flowlogs(tmp_path / "made", "--objects", 4, "--records", 300, "--every-s", 3600)
    with s3.serve(load=made) as server:

        def verify(*args, check=0):
            command = s3.command(server, "verify", "s3://lake/t", *args)[1:]
            return run(*command, check=check, env=s3.ENVIRONMENT).stdout

        client = server.client

        def listed(bucket, prefix=""):
            return [o["Key"] for o in client.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]]

        run(*s3.command(server, "convert", "s3://logs/", "--out", "s3://lake/t", "--quiet")[1:], env=s3.ENVIRONMENT)
        safe = tmp_path / "safe.csv"
        assert "4 objects proven line by line" in verify("--source", "s3://logs/", "--read-data", "--deep", "--list-safe", safe)
        assert [(bucket, urllib.parse.unquote_plus(key)) for bucket, key in csv.reader(safe.open())] == [("logs", key) for key in sorted(listed("logs"))]
        # A flipped bit in one file, another that is gone.
        flipped, gone = [key for key in listed("lake", "t/date=") if key.endswith(".parquet")][:2]
        body = bytearray(client.get_object(Bucket="lake", Key=flipped)["Body"].read())
        body[len(body) // 3] ^= 1
        client.put_object(Bucket="lake", Key=flipped, Body=bytes(body))
        client.delete_object(Bucket="lake", Key=gone)
        assert f"{gone.removeprefix('t/')}: gone, with" in verify(check=5)
        safe = tmp_path / "safe.txt"
        words = verify("--source", "s3://logs/", "--read-data", "--list-safe", safe, check=5)
        assert flipped.removeprefix("t/") in words and safe.read_text() == ""
        assert "`flowquet verify s3://lake/t --read-data --repair` converts them again" in words
        assert "repaired" in verify("--read-data", "--repair")
        assert verify("--read-data", "--deep", "--quiet") == ""
        # A line that became another since.
        key = listed("logs")[0]
        text = gzip.decompress(client.get_object(Bucket="logs", Key=key)["Body"].read())
        client.put_object(Bucket="logs", Key=key, Body=gzip.compress(text.replace(b"ACCEPT", b"REJECT", 1)))
        assert f"s3://logs/{key}: changed since it was converted" in verify("--source", "s3://logs/", check=7)
        verify("--deep", check=7)
