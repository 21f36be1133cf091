"""Compaction: the same rows in few sorted files, whatever happens meanwhile."""

import json
import os
import random
import shutil
import subprocess
import threading
import time

import jsonschema
import pyarrow.parquet
import pytest

import gluestub
import kills
import naive
import s3
from conftest import FLOWQUET, ROOT, convert, files, flowlogs, multiset, rows, run
from test_statements import MIXED, mixed_logs, native, values

BY = ["srcaddr", "dstaddr", "start"]

# Of the kind that the client which looks at the table bears too.
FAULTS = ["--slow-down", "0.05", "--internal-error", "0.03", "--latency-ms", "1"]


def compact(out, *args, check=0):
    process = run("compact", out, "--json", "--quiet", *args, check=check)
    return json.loads(process.stdout) if check == 0 else process.stderr


def compactions(out):
    return [json.loads(p.read_text()) for p in sorted(out.glob("_flowquet/compactions/*.json"))]


def keys_of(path, by):
    table = pyarrow.parquet.ParquetFile(path).read(by).to_pylist()
    return [tuple((row[name] is not None, row[name] or "") if row[name] is None or isinstance(row[name], str) else (True, row[name]) for name in by) for row in table]


@pytest.fixture
def small_files(tmp_path, out):
    """A table of three days in many small files."""
    for i in range(6):
        flowlogs(tmp_path / f"logs{i}", "--objects", 3, "--records", 300, "--seed", i, "--every-s", 60_000)
        convert(tmp_path / f"logs{i}", out)
    return out


def test_the_same_rows_in_sorted_files(small_files):
    out, before = small_files, multiset(rows(small_files), True)
    written = len(files(out))
    plan = run("compact", out, "--dry-run").stdout
    assert f"{written} files" in plan and "nothing was written" in plan and len(files(out)) == written
    done = compact(out)
    assert done["files_in"] == written and done["rows"] == sum(before.values()) and done["files_out"] == len(files(out)) == done["compacted"] == 3
    assert multiset(rows(out), True) == before
    schema = jsonschema.Draft202012Validator(json.loads((ROOT / "schemas/compaction.schema.json").read_text()))
    for record in compactions(out):
        schema.validate(record)
        assert sum(f["rows"] for f in record["retired"]) == sum(f["rows"] for f in record["outputs"])
        for output in record["outputs"]:
            path = out / output["key"]
            file = pyarrow.parquet.ParquetFile(path)
            assert (file.metadata.num_rows, path.stat().st_size) == (output["rows"], output["bytes"])
            assert keys_of(path, BY) == sorted(keys_of(path, BY))
            told = [file.schema_arrow.names[c.column_index] for c in file.metadata.row_group(0).sorting_columns]
            assert told == BY and file.metadata.metadata[b"flowquet.compaction"].decode() == record["id"]
            starts = [row["start"] for row in file.read(["start"]).to_pylist()]
            assert naive_utc(min(starts)) == output["time"]["min"] and naive_utc(max(starts)) == output["time"]["max"]
    assert not list(out.glob("_flowquet/compacted/*/*")), "nothing is left aside"
    # Nothing to gain any more; late records are taken in by the next compaction.
    assert compact(out)["compacted"] == 0 and len(compactions(out)) == 3
    status = json.loads(run("status", out, "--json").stdout)
    assert (status["files"], status["compactions"], status["open_compactions"]) == (3, 3, [])
    assert status["bytes_out"] == sum(p.stat().st_size for p in files(out).values())
    jsonschema.Draft202012Validator(json.loads((ROOT / "schemas/status.schema.json").read_text())).validate(status)


def naive_utc(unix_s):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_s))


def test_late_records_and_chosen_partitions(small_files, tmp_path):
    out = small_files
    days = sorted({key.split("/")[0] for key in files(out)})
    done = compact(out, "--partition", days[0])
    assert done["folders"] == [days[0]] and sum(key.startswith(days[0]) for key in files(out)) == 1
    assert compact(out, "--partition", "date=2024-01-*")["compacted"] == len(days) - 1
    flowlogs(tmp_path / "late", "--objects", 1, "--records", 100, "--seed", 99)
    report = convert(tmp_path / "late", out)
    assert report["records"] == 100
    before = multiset(rows(out), True)
    done = compact(out)
    assert done["compacted"] >= 1 and all(sum(key.startswith(day) for key in files(out)) == 1 for day in days) and multiset(rows(out), True) == before
    # Other options, other files; and back again.
    done = compact(out, "--sort", "interface-id,start", "--compression", "snappy", "--bloom-filter", "srcaddr")
    assert done["compacted"] == len(days) and multiset(rows(out), True) == before
    path = next(iter(files(out).values()))
    assert keys_of(path, ["interface_id", "start"]) == sorted(keys_of(path, ["interface_id", "start"]))


def test_files_of_a_size_and_many_row_groups(tmp_path, out):
    for i in range(4):
        flowlogs(tmp_path / f"logs{i}", "--objects", 2, "--records", 20_000, "--seed", i)
        convert(tmp_path / f"logs{i}", out)
    before = multiset(rows(out), True)
    done = compact(out, "--file-bytes", "500K", "--row-group-rows", "3000")
    sizes = [p.stat().st_size for key, p in files(out).items() if "2024-01-15" in key]
    assert len(sizes) > 1 and done["files_out"] == len(files(out)) and max(sizes) < 1_000_000
    for path in files(out).values():
        file = pyarrow.parquet.ParquetFile(path)
        groups = [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)]
        assert max(groups) <= 3000 and max(groups) - min(groups) <= 1
        assert keys_of(path, BY) == sorted(keys_of(path, BY)), "sorted across row groups"
    assert multiset(rows(out), True) == before


@pytest.mark.parametrize("types", ["aws", "rich"])
def test_mixed_formats_and_the_files_of_aws_become_one(tmp_path, logs, out, types):
    mixed_logs(logs)
    convert(logs, out, "--types", types)
    delivered = tmp_path / "aws/AWSLogs/123456789012/vpcflowlogs/eu-west-3/2024/01/15"
    rows_of_aws = [values(MIXED["v5"], i) for i in range(90)]
    for i in range(3):
        name = f"123456789012_vpcflowlogs_eu-west-3_fl-032a163fae170ae52_20240115T{i:02}55Z_2ad4bef5.log.parquet"
        native(delivered / name, MIXED["v5"], rows_of_aws[i * 30 : i * 30 + 30])
    told = run("compact", out, "--in", tmp_path / "aws")
    assert "converted 3 objects of 3 listed: 90 records, 0 rejects" in told.stderr
    assert "3 already in the table" in run("compact", out, "--in", tmp_path / "aws").stderr.replace("0 objects of 3 listed: 0 records, 0 rejects, ", "")
    found = [row for _, row in rows(out)]
    assert len(found) == 480 + 90 and len(files(out)) == 4 == len({key.split("/")[0] for key in files(out)})
    day = next(path for key, path in files(out).items() if "2024-01-15" in key)
    names = pyarrow.parquet.ParquetFile(day).schema_arrow.names
    assert names.index("srcaddr") < names.index("vpc_id") < names.index("traffic_path") < names.index("hop_of_tomorrow"), "in catalogue order"
    assert ("srcaddr_bin" in names) == (types == "rich")
    assert not any(value == "-" for row in found for value in row.values()), "`-` is null"
    # Each record is there as often as the logs have it.
    simple = lambda row: {k: v for k, v in row.items() if not k.endswith("_bin")}
    second = lambda value: int(value.timestamp()) if hasattr(value, "timestamp") else value
    expected = []
    for fields, records in [(MIXED[name], [values(MIXED[name], i) for i in range(120)]) for name in MIXED] + [(MIXED["v5"], rows_of_aws)]:
        for record in records:
            row = {field.replace("-", "_"): value for field, value in zip(fields.split(), record) if value != "-"}
            expected.append(("", {k: int(v) if v.isdigit() and k not in ["account_id"] else v for k, v in row.items()}))
    assert multiset([("", {k: second(v) for k, v in simple(row).items()}) for row in found], True) == multiset(expected, True)


def test_parquet_that_is_no_flow_log(tmp_path, logs, out):
    table = pyarrow.table({"start": [1, 2], "x": [1.5, 2.5]})
    pyarrow.parquet.write_table(table, logs / "floats.parquet")
    pyarrow.parquet.write_table(pyarrow.table({"a": ["x"], "b": ["y"]}), logs / "others.parquet")
    native(logs / "good.parquet", naive.V2, [values(naive.V2, 1)])
    (logs / "cut.parquet").write_bytes((logs / "good.parquet").read_bytes()[:-30])
    blanks = pyarrow.table({"srcaddr": ["10.0.0.1", "10.0.0.1 x", "a\nb", ""], "start": [1_705_276_800] * 4, "bytes": [1, 2, 3, 4]})
    pyarrow.parquet.write_table(blanks, logs / "blanks.parquet")
    big = pyarrow.table({"protocol": pyarrow.array([6, 2**40], pyarrow.int64()), "start": [1_705_276_800] * 2})
    pyarrow.parquet.write_table(big, logs / "big.parquet")
    report = convert(logs, out, check=4)
    reasons = {os.path.basename(o["url"]): o["reason"] for o in report["failed_objects"]}
    assert reasons["others.parquet"] == "expected columns named after fields of a flow log, found `a`, `b`"
    assert "expected a whole Parquet file" in reasons["cut.parquet"] and len(reasons) == 2
    # Blanks in texts and numbers of another type are read. A number that is too large fits no column: its row is kept as a reject.
    assert (report["records"], report["rejects"], report["headers"]) == (2 + 1 + 4 + 1, 1, 4)
    assert report["rejects_by_reason"] == {"number-out-of-range": 1}
    texts = [row["srcaddr"] for _, row in rows(out) if row.get("bytes") in [1, 2, 3, 4] and row.get("version") is None]
    assert sorted(texts, key=str) == ["10.0.0.1", "10.0.0.1 x", None, "a\nb"]


def test_every_value_is_kept_byte_for_byte(tmp_path, logs, out):
    """What no line of text could hold comes in by Parquet, and stays as it is, whatever the columns are called."""
    texts = ["", " ", "-", "\r", "OK\r", "a\r\nb", "\ufeffx", "\t", "a b", "start tag bytes", "ä漢🦀", "x" * 200, None]
    for i, compression in enumerate(["zstd", "snappy", "none"]):
        numbers = [None if n % 5 == 4 else n * 7919 for n in range(len(texts))]
        table = pyarrow.table({"start": [1_705_276_800 + n for n in range(len(texts))], "bytes": numbers, "tag": texts[i:] + texts[:i], "srcaddr": texts})
        pyarrow.parquet.write_table(table, logs / f"{i}.parquet")
        convert(logs, out, "--compression", compression)
    # Lines end in CRLF, in values that are not the last ones; a mark of byte order stands before a header.
    (logs / "crlf.log").write_bytes(b"\xef\xbb\xbfstart tag bytes\r\n1705276800 a 1\r\n1705276801 OK\r 2\n")
    convert(logs, out, check=None)
    before = multiset(rows(out), True)
    assert sum(before.values()) >= 3 * len(texts)
    kept = {row.get("tag") for _, row in rows(out)}
    assert {"a\r\nb", "\ufeffx", "\t", " ", "start tag bytes"} <= kept
    assert compact(out)["compacted"] == 1 and len(files(out)) == 1 and multiset(rows(out), True) == before
    assert compact(out, "--sort", "tag,bytes", "--compression", "none")["compacted"] == 1 and multiset(rows(out), True) == before
    # A table of one column: its rows may read like headers, or be empty.
    logs = tmp_path / "more"
    logs.mkdir()
    for i in range(2):
        tags = ["tag", "start", "start tag", "", "\ufeff", "version"]
        pyarrow.parquet.write_table(pyarrow.table({"start": [1_705_276_800] * 6, "tag": tags}), logs / f"{i}.parquet")
        convert(logs, tmp_path / "one", "--columns", "tag")
    before = multiset(rows(tmp_path / "one"), True)
    assert compact(tmp_path / "one")["files_out"] == 1 and multiset(rows(tmp_path / "one"), True) == before


def test_formats_that_fit_no_file_together_are_merged_apart(tmp_path, logs, out):
    wide = {letter: "start " + " ".join(f"{letter}-{i}" for i in range(150)) for letter in "ab"}

    def taken(name, fields, line, table, *args):
        (logs / name).write_text(line + "\n")
        convert(logs / name, table, "--format", " ".join(f"${{{field}}}" for field in fields.split()), *args)

    for n in range(3):
        for letter, fields in wide.items():
            taken(f"{letter}{n}.log", fields, "1705276800 " + " ".join(f"{letter}{n}.{i}" for i in range(150)), out)
        taken(f"c{n}.log", "start bytes", f"1705276801 {n}", out)
    before = multiset(rows(out), True)
    done = compact(out)
    assert (done["compacted"], done["files_in"], done["files_out"]) == (1, 9, 2) and multiset(rows(out), True) == before
    assert compact(out)["compacted"] == 0 and len(compactions(out)) == 2
    # A field that became known later: text stays text, and numbers numbers.
    fields = tmp_path / "fields.toml"
    fields.write_text('[[field]]\nname = "hops"\nsince = 12\nlogs = ["vpc"]\nkind = "number"\nparquet = "INT32"\ndoc = "Hops taken."\n')
    table = tmp_path / "typed"
    for n in range(2):
        taken(f"text{n}.log", "start hops", f"1705276800 many{n}", table)
        taken(f"number{n}.log", "start hops", "1705276800 012", table, "--fields", fields)
    found = sorted(str(row["hops"]) for _, row in rows(table))
    assert found == ["12", "12", "many0", "many1"]
    assert compact(table)["files_out"] == 2 and sorted(str(row["hops"]) for _, row in rows(table)) == found
    assert compact(table)["compacted"] == 0


def test_a_file_that_is_not_as_recorded_stops_it(small_files):
    out = small_files
    key, path = next(iter(files(out).items()))
    whole = path.read_bytes()
    path.write_bytes(b"x" * len(whole))
    words = compact(out, check=1)
    assert key in words and "flowquet verify TABLE --read-data" in words
    path.write_bytes(whole)
    # Partitions that were not the trouble are compacted already.
    assert compact(out)["compacted"] == 1
    assert "--memory 100.00 MiB is too small; at least" in compact(out, "--memory", "100M", check=2)
    assert "no flowquet table" in run("compact", out.parent / "nothing", check=1).stderr


def test_killed_at_any_moment_it_is_finished_by_the_next(tmp_path):
    for i in range(5):
        flowlogs(tmp_path / f"logs{i}", "--objects", 6, "--records", 100, "--seed", i, "--every-s", 30_000)
        convert(tmp_path / f"logs{i}", tmp_path / "made")
    before = multiset(rows(tmp_path / "made"), True)
    command = lambda out: [FLOWQUET, "compact", out, "--quiet"]
    shutil.copytree(tmp_path / "made", tmp_path / "whole")
    moments = kills.whole(kills.changes(tmp_path / "whole"), command(tmp_path / "whole"))
    undisturbed = {key: path.read_bytes() for key, path in files(tmp_path / "whole").items()}
    assert multiset(rows(tmp_path / "whole"), True) == before
    with kills.series() as kill_at:
        for seed in range(1, 12):
            out = tmp_path / f"out{seed}"
            shutil.copytree(tmp_path / "made", out)
            seen = kills.changes(out)
            for n in sorted(random.Random(seed).sample(range(1, moments), 3)):
                kill_at(n, seen, command(out))
                # Listed files hold each record at least once: the old ones go only when the new ones are in place.
                assert not before - multiset(rows(out), True)
            compact(out)
            # The same bytes, so the same rows.
            assert {key: path.read_bytes() for key, path in files(out).items()} == undisturbed, seed
            assert json.loads(run("status", out, "--json").stdout)["open_compactions"] == []
            shutil.rmtree(out)


def test_several_at_once_and_converting_meanwhile(tmp_path, out):
    for i in range(4):
        flowlogs(tmp_path / f"logs{i}", "--objects", 4, "--records", 300, "--seed", i, "--every-s", 30_000)
    convert(tmp_path / "logs0", out)
    for i in range(1, 4):
        commands = [["compact", out, "--quiet"]] * 2 + [["convert", tmp_path / f"logs{i}", "--out", out, "--quiet"]] * 2
        running = [subprocess.Popen([FLOWQUET, *map(str, c)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for c in commands]
        for process in running:
            words = process.communicate()[1]
            assert process.returncode == 0, words
    compact(out)
    assert sum(multiset(rows(out)).values()) == 4 * 4 * 300
    for record in compactions(out):
        assert not any((out / f["key"]).exists() for f in record["retired"])


def test_lost_files_are_noticed_and_their_partition_is_left(small_files):
    out = small_files
    by_folder = {}
    for key in sorted(files(out)):
        by_folder.setdefault(key.rsplit("/")[0], []).append(key)
    (first, gone), (second, cut) = [(folder, keys[0]) for folder, keys in by_folder.items() if len(keys) > 1][:2]
    (out / gone).unlink()
    (out / cut).write_bytes((out / cut).read_bytes()[:-1])
    (out / second / "alien.parquet").write_bytes(b"PAR1")
    process = run("compact", out, check=5)
    assert f"lost        {gone}" in process.stderr and f"truncated   {cut}" in process.stderr and "alien.parquet" in process.stderr
    assert "2 partitions with lost or truncated files" in process.stderr and "table damaged" in process.stderr.splitlines()[-1]
    assert run("compact", out, "--quiet", check=5).stderr.count("\n") == 1
    done = json.loads(run("compact", out, "--json", check=5).stdout)
    assert done["version"] == 1 and run("--version").stdout == f"flowquet {done['flowquet']}\n"
    assert ([f["key"] for f in done["lost"]], [f["key"] for f in done["truncated"]], done["damaged"]) == ([gone], [cut], 2)
    assert {record["partition"] for record in compactions(out)} == set(by_folder) - {first, second}
    (out / second / "alien.parquet").unlink()
    done = json.loads(run("reconvert", out, "--lost", "--json").stdout)
    assert done["objects"] > 0 and {first, second} <= set(done["partitions"])
    assert compact(out)["compacted"] == 2


def test_a_run_that_commits_late_does_not_bring_retired_files_back(small_files):
    """Two runs perform a task; the slower puts its files again after a compaction has retired them."""
    out = small_files
    commit = next(out.glob("_flowquet/commits/**/*.json"))
    retired = {o["key"]: (out / o["key"]).read_bytes() for o in json.loads(commit.read_text())["outputs"]}
    before = multiset(rows(out), True)
    compact(out)
    for key, content in retired.items():
        (out / key).write_bytes(content)
    assert compact(out)["compacted"] == 0 and multiset(rows(out), True) == before


def server_with_table(tmp_path, server, count=4):
    for i in range(count):
        flowlogs(tmp_path / f"logs{i}", "--objects", 2, "--records", 300, "--seed", i)
        server.put_folder(tmp_path / f"logs{i}", "logs", f"in{i}")
        s3.convert(server, f"s3://logs/in{i}/", "s3://lake/t")
    return count * 600


def test_in_s3_with_faults_and_kills(tmp_path):
    with s3.serve(*FAULTS) as server:
        records = server_with_table(tmp_path, server)
        seen = kills.writes(server)
        with kills.series() as kill_at:
            for n in [1, 3, 5, 8]:
                kill_at(n, seen, s3.command(server, "compact", "s3://lake/t", "--quiet"), env=s3.ENVIRONMENT)
        done = json.loads(s3.run(server, "compact", "s3://lake/t", "--json", "--quiet").stdout)
        copy = server.fetch("t", tmp_path / "copy")
        assert sum(multiset(rows(copy)).values()) == records and len(files(copy)) == 2
        assert not server.keys("lake", "t/_flowquet/compacted/") and not server.uploads()
        assert done["compacted"] + done["finished"] <= 2


def test_readers_by_the_catalog_see_each_record_once_at_any_moment(tmp_path):
    """A reader goes by the partition's location in the catalog, lists it, and reads what it found."""
    with s3.serve() as server, gluestub.serve() as stub:
        server_with_table(tmp_path, server)
        table = ["--database", "lake", "--table", "flows", "--glue-endpoint-url", stub.url]
        s3.run(server, "register", "s3://lake/t", *table)
        expected = {day: count(server, stub, day) for (day,) in stub.partitions}
        seen, stop, wrong = set(), threading.Event(), []

        def read():
            while not stop.is_set():
                for day in expected:
                    location = stub.location(day)
                    found = count(server, stub, day, location)
                    seen.add(location)
                    if found != expected[day]:
                        wrong.append((day, location, found))
                # So that it is not the readers that are measured.
                time.sleep(0.005)

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        # Late records come meanwhile, and are there in the end.
        words = s3.run(server, "compact", "s3://lake/t", *table, "--grace", "1").stderr
        assert words.count("waiting 1 s so that queries that began before can finish (--grace)") == 2
        stop.set()
        for reader in readers:
            reader.join()
        assert not wrong and any("/_flowquet/compacted/" in location for location in seen)
        assert all(stub.location(day) == f"s3://lake/t/date={day}/" for day in expected)
        assert {day: count(server, stub, day) for day in expected} == expected
        assert len(server.keys("lake", "t/date=")) == 2 and not server.keys("lake", "t/_flowquet/compacted/")
        # Killed between its steps, it goes on from there, and readers still see each record once.
        flowlogs(tmp_path / "late", "--objects", 2, "--records", 100, "--seed", 9)
        server.put_folder(tmp_path / "late", "logs", "late")
        s3.convert(server, "s3://logs/late/", "s3://lake/t", "--register", *table)
        expected = {day: count(server, stub, day) for day in expected}
        command = ["compact", "s3://lake/t", *table, "--grace", "1", "--quiet"]
        steps = {
            "written aside": lambda: bool(server.keys("lake", "t/_flowquet/compacted/")),
            "catalog points aside": lambda: any("/_flowquet/compacted/" in stub.location(day) for day in expected),
            "retired files go": lambda: len(server.keys("lake", "t/date=")) < 4,
            "catalog points back": lambda: all("/_flowquet/compacted/" not in stub.location(day) for day in expected),
        }
        # Retired files are gone for a while before the catalog points back, so that the kill falls in between.
        stub.fault = lambda name, body: time.sleep(0.2) if name == "BatchUpdatePartition" else None
        with kills.series() as kill_at:
            for step, is_reached in steps.items():
                assert not is_reached(), step
                kill_at(1, is_reached, s3.command(server, *command), env=s3.ENVIRONMENT)
                assert {day: count(server, stub, day) for day in expected} == expected, step
        def throttled(name, body):
            raise gluestub.Refuse("ThrottlingException")

        stub.fault, patient = throttled, stub.fault
        words = s3.run(server, *command, check=75).stderr
        assert "hint: run the same command again" in words
        stub.fault = patient
        s3.run(server, *command)
        assert {day: count(server, stub, day) for day in expected} == expected
        assert all(stub.location(day) == f"s3://lake/t/date={day}/" for day in expected) and len(server.keys("lake", "t/date=")) == 2


def count(server, stub, day, location=None):
    """Rows of a partition, by what a listing of its location shows. A query that loses a file under its hands fails; it is no answer."""
    prefix = (location or stub.location(day)).removeprefix("s3://lake/")
    keys = [key for key in server.keys("lake", prefix) if key.endswith(".parquet")]
    total = 0
    for key in keys:
        body = server.client.get_object(Bucket="lake", Key=key)["Body"].read()
        total += pyarrow.parquet.ParquetFile(pyarrow.BufferReader(body)).metadata.num_rows
    return total
