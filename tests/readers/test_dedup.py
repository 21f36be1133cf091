"""Duplicates: a compaction keeps one of records that a partition holds several times, and accounts for the others."""

import collections
import json
import random
import shutil

import duckdb
import jsonschema
import pyarrow.parquet
import pytest

import kills
from conftest import FLOWQUET, ROOT, convert, files, flowlogs, multiset, rows, run
from test_compact import compact, compactions
from test_statements import MIXED, mixed_logs, values

FLOW = ["interface_id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol", "start", "end"]
PROVENANCE = "source_object,source_line,delivered_at"


def delivered_twice(folder, *args):
    """Logs of which some objects are delivered once more, under names of later deliveries."""
    flowlogs(folder, *args)
    for path in sorted(folder.rglob("*.log.gz"))[::2]:
        account, rest = path.name.split("_", 1)
        path.with_name(f"{account}_{rest.rsplit('_', 1)[0]}_again{len(rest)}{path.stat().st_size}.log.gz").write_bytes(path.read_bytes())
    return folder


def distinct(out, names):
    """How many records each partition has that differ in these columns, by DuckDB, and how many it has."""
    found = {}
    by_folder = collections.defaultdict(list)
    for key, path in files(out).items():
        by_folder[key.rsplit("/", 1)[0]].append(str(path))
    for folder, paths in by_folder.items():
        table = f"read_parquet({paths}, hive_partitioning = false, union_by_name = true)"
        there = [c for c in (row[0] for row in duckdb.sql(f"describe select * from {table}").fetchall()) if names is None or c in names]
        columns = ", ".join(f'"{c}"' for c in there)
        found[folder] = duckdb.sql(f"select (select count(*) from (select distinct {columns} from {table})), (select count(*) from {table})").fetchall()[0]
    return found


def fields_of(out):
    """Columns that come from lines."""
    names = {n for path in files(out).values() for n in pyarrow.parquet.ParquetFile(path).schema_arrow.names}
    return {n for n in names if n not in [*PROVENANCE.split(","), "initiator", "is_nat"] and not n.endswith("_bin")}


def only(names, found):
    return multiset([(folder, {k: v for k, v in row.items() if k in names}) for folder, row in found], True)


def check_records(out, records):
    """Records and files add up: what lines gave is in files or was left out."""
    schema = jsonschema.Draft202012Validator(json.loads((ROOT / "schemas/compaction.schema.json").read_text()))
    total = lambda found: sum(f["rows"] + f.get("duplicates", {"rows": 0})["rows"] for f in found)
    for record in compactions(out):
        schema.validate(record)
        assert "reconversion" in record or total(record["retired"]) == total(record["outputs"])
    status = json.loads(run("status", out, "--json").stdout)
    jsonschema.Draft202012Validator(json.loads((ROOT / "schemas/status.schema.json").read_text())).validate(status)
    assert status["records"] == records == len(rows(out)) + status.get("duplicates", 0)
    for level in [[], ["--read-data"], ["--deep"]]:
        run("verify", out, *level)
    return status.get("duplicates", 0)


@pytest.mark.parametrize("types", ["aws", "rich"])
def test_exact_keeps_what_select_distinct_does(tmp_path, out, types):
    for i in range(3):
        delivered_twice(tmp_path / f"logs{i}", "--objects", 4, "--records", 200, "--seed", i // 2, "--every-s", 30_000)
        convert(tmp_path / f"logs{i}", out, "--types", types, "--add", f"{PROVENANCE},initiator")
    (tmp_path / "mixed").mkdir()
    mixed_logs(tmp_path / "mixed")
    shutil.copytree(tmp_path / "mixed", tmp_path / "mixed2")
    convert([tmp_path / "mixed", tmp_path / "mixed2"], out)
    fields, before = fields_of(out), rows(out)
    expected = distinct(out, fields)
    there = sum(count for _, count in expected.values())
    other = shutil.copytree(out, tmp_path / "other")
    done = compact(out, "--dedup", "exact")
    left_out = {folder: count - kept for folder, (kept, count) in expected.items() if count > kept}
    assert left_out and done["duplicates"] == {"rows": sum(left_out.values()), "by_partition": left_out} and done["rows"] == there
    after = rows(out)
    assert only(fields, after) == collections.Counter(set(only(fields, before))), "each record once"
    assert not multiset(after, True) - multiset(before, True), "as they were"
    assert check_records(out, there) == sum(left_out.values())
    assert compact(out, "--dedup", "exact")["compacted"] == 0
    # The same bytes, whatever there is to work with.
    words = run("compact", other, "--dedup", "exact", "--threads", "1").stderr
    assert f"{there:,} rows = {len(after):,} kept + {sum(left_out.values()):,} duplicates" in words and "  duplicates  " in words
    assert {key: path.read_bytes() for key, path in files(other).items()} == {key: path.read_bytes() for key, path in files(out).items()}


def test_the_first_is_kept(tmp_path, out):
    """Of files in the order of their first times and then names, the first row as they stand."""
    fields = MIXED["v2"]
    for i in range(6):
        lines = [" ".join(values(fields, (i * 7 + n) % 40)) for n in range(30)]
        (tmp_path / f"{i}.log").write_text("\n".join([fields, *lines, ""]))
        convert(tmp_path / f"{i}.log", out, "--add", PROVENANCE)
    columns = [f.replace("-", "_") for f in fields.split()]
    by_folder = collections.defaultdict(list)
    for commit in map(lambda p: json.loads(p.read_text()), out.glob("_flowquet/commits/**/*.json")):
        for output in commit["outputs"]:
            by_folder[output["partition"]].append(((output.get("time") or {"min": ""})["min"], output["key"]))
    expected = {}
    for folder, of_folder in by_folder.items():
        for _, key in sorted(of_folder):
            for row in pyarrow.parquet.ParquetFile(out / key).read().to_pylist():
                expected.setdefault((folder, *(row.get(c) for c in columns)), (row["source_object"], row["source_line"]))
    compact(out, "--dedup", "exact")
    assert {(folder, *(row.get(c) for c in columns)): (row["source_object"], row["source_line"]) for folder, row in rows(out)} == expected


def test_flow_keeps_one_of_each_interface_5_tuple_start_and_end(tmp_path, out):
    """Two flow logs of one VPC, of different formats, and a third one that is delivered twice."""
    full = MIXED["v5"]
    less = " ".join(f for f in full.split() if f not in ["vpc-id", "subnet-id", "tcp-flags"])
    for name, fields, count in [("a", full, 90), ("b", less, 120), ("c", less, 60), ("d", less, 60)]:
        packets = {"packets": "7"} if name == "b" else {}
        value = lambda i, f: packets.get(f) or values(full, i)[full.split().index(f)]
        lines = [" ".join(value(i, f) for f in fields.split()) for i in range(count)]
        (tmp_path / f"{name}.log").write_text("\n".join([fields, *lines, ""]))
        convert(tmp_path / f"{name}.log", out)
    before, expected = rows(out), distinct(out, FLOW)
    kept, there = (sum(column) for column in zip(*expected.values()))
    assert kept < sum(kept for kept, _ in distinct(out, fields_of(out)).values()) < there
    done = compact(out, "--dedup", "flow")
    assert done["duplicates"]["rows"] == there - kept
    after = rows(out)
    assert set(only(FLOW, after)) == set(only(FLOW, before)) and max(only(FLOW, after).values()) == 1
    assert not multiset(after, True) - multiset(before, True)
    assert check_records(out, there) == there - kept
    # Whatever is equal in all fields is equal in these.
    assert compact(out, "--dedup", "exact")["compacted"] == 0


def test_late_duplicates_and_other_compactions(tmp_path, out):
    flowlogs(tmp_path / "logs", "--objects", 4, "--records", 300)
    for copy in ["first", "second", "third"]:
        shutil.copytree(tmp_path / "logs", tmp_path / copy)
    convert(tmp_path / "first", out)
    once = collections.Counter(set(multiset(rows(out), True)))
    # The generator repeats a few lines itself.
    own = 1200 - once.total()
    assert compact(out, "--dedup", "exact")["duplicates"]["rows"] == own
    convert(tmp_path / "second", out, "--copies", "convert")
    assert compact(out, "--dedup", "exact")["duplicates"]["rows"] == 1200
    assert multiset(rows(out), True) == once and check_records(out, 2400) == 1200 + own
    # A compaction that does not look for any keeps account of what was left out, and checkpoints do.
    convert(tmp_path / "third", out, "--copies", "convert")
    done = compact(out, "--sort", "start")
    assert "duplicates" not in done and check_records(out, 3600) == 1200 + own
    shutil.rmtree(out / "_flowquet/checkpoints", ignore_errors=True)
    assert check_records(out, 3600) == 1200 + own
    assert compact(out, "--dedup", "exact", "--sort", "start")["duplicates"]["rows"] == 1200
    assert multiset(rows(out), True) == once and check_records(out, 3600) == 2400 + own


def test_reconversion_brings_all_records_back(tmp_path, out):
    delivered_twice(tmp_path / "logs", "--objects", 6, "--records", 100)
    convert(tmp_path / "logs", out)
    before = multiset(rows(out), True)
    left_out = compact(out, "--dedup", "exact")["duplicates"]["rows"]
    assert left_out == 900 - len(rows(out)) >= 300
    some = sorted((tmp_path / "logs").rglob("*again*"))[0]
    run("reconvert", out, "--object", f"**/{some.name}", "--quiet")
    assert multiset(rows(out), True) == before and check_records(out, 900) == 0
    assert compact(out, "--dedup", "exact")["duplicates"]["rows"] == left_out
    run("reconvert", out, "--object", "**", "--quiet")
    assert multiset(rows(out), True) == before and check_records(out, 900) == 0


def test_a_record_that_forgets_duplicates_is_found(tmp_path, out):
    delivered_twice(tmp_path / "logs", "--objects", 4, "--records", 50)
    convert(tmp_path / "logs", out)
    compact(out, "--dedup", "exact")
    path, record = next((p, r) for p in out.glob("_flowquet/compactions/*.json") if "duplicates" in (r := json.loads(p.read_text()))["outputs"][0])
    record["outputs"][0]["duplicates"]["rows"] -= 1
    record.pop("xxh3", None)
    path.write_text(json.dumps(record))
    shutil.rmtree(out / "_flowquet/checkpoints", ignore_errors=True)
    assert run("verify", out, check=None).returncode != 0
    assert "L6" in run("status", out, check=None).stderr


def test_what_cannot_be_compared_is_an_error(tmp_path, out):
    (tmp_path / "few.log").write_text("\n".join([MIXED["few"], *(" ".join(values(MIXED["few"], i)) for i in range(9)), ""]))
    convert(tmp_path / "few.log", out)
    words = compact(out, "--dedup", "flow", check=2)
    assert "interface_id or tgw_attachment_id, srcaddr, srcport, dstport, protocol, end" in words and "hint: --dedup exact" in words
    assert "expected exact or flow" in run("compact", out, "--dedup", "most", check=2).stderr
    assert compact(out, "--dedup", "exact")["compacted"] == len({key.rsplit("/", 1)[0] for key in files(out)})


def test_exact_is_refused_where_columns_left_fields_out(tmp_path, out):
    """Two flows that differ in ports and actions alone; a compaction of their files makes them no equal ones."""
    fields = MIXED["v2"]
    line = lambda port, action: f"2 1 eni-1 10.0.0.1 10.0.0.2 {port} 2 6 3 4 1705276800 1705276860 {action} OK"
    (tmp_path / "a.log").write_text("\n".join([fields, line(1, "ACCEPT"), line(2, "REJECT"), ""]))
    some = ["--columns", "srcaddr,dstaddr,bytes,start"]
    convert(tmp_path / "a.log", out, *some)
    words = compact(out, "--dedup", "exact", check=2)
    assert "and --columns left some out of" in words and "srcport, dstport, protocol" in words and "hint: records that differ in these alone" in words
    compact(out)
    assert "and --columns left some out of" in compact(out, "--dedup", "exact", check=2) and len(rows(out)) == 2
    # Other partitions are compared, and these too once all fields are there.
    (tmp_path / "b.log").write_text("\n".join([fields, *2 * [line(1, "ACCEPT").replace("17052", "17053")], ""]))
    convert(tmp_path / "b.log", out)
    (folder,) = {folder for folder, row in rows(out) if row.get("action")}
    assert compact(out, "--dedup", "exact", "--partition", folder)["duplicates"]["rows"] == 1
    run("reconvert", out, "--object", "**/a.log", "--columns", fields.replace("-", "_").replace(" ", ","), "--quiet")
    compact(out)
    assert compact(out, "--dedup", "exact")["duplicates"]["rows"] == 0 and len(rows(out)) == 3


def test_killed_at_any_moment_the_next_run_leaves_the_same_out(tmp_path):
    for i in range(3):
        delivered_twice(tmp_path / f"logs{i}", "--objects", 6, "--records", 100, "--seed", i // 2, "--every-s", 30_000)
        convert(tmp_path / f"logs{i}", tmp_path / "made")
    records = len(rows(tmp_path / "made"))
    command = lambda out: [FLOWQUET, "compact", out, "--quiet", "--dedup", "exact"]
    shutil.copytree(tmp_path / "made", tmp_path / "whole")
    moments = kills.whole(kills.changes(tmp_path / "whole"), command(tmp_path / "whole"))
    undisturbed = {key: path.read_bytes() for key, path in files(tmp_path / "whole").items()}
    left_out = check_records(tmp_path / "whole", records)
    assert left_out > 0
    with kills.series() as kill_at:
        for seed in range(1, 7):
            out = tmp_path / f"out{seed}"
            shutil.copytree(tmp_path / "made", out)
            seen = kills.changes(out)
            for n in sorted(random.Random(seed).sample(range(1, moments), 2)):
                kill_at(n, seen, command(out))
            compact(out, "--dedup", "exact")
            assert {key: path.read_bytes() for key, path in files(out).items()} == undisturbed, seed
            assert check_records(out, records) == left_out
            shutil.rmtree(out)
