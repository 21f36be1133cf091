"""Roll-ups: a second table with the groups of a table's records, against `GROUP BY` of DuckDB."""

import json
import os
import random
import re
import shutil
import subprocess
import time

import duckdb
import jsonschema
import pyarrow.parquet
import pytest

import gluestub
import kills
import naive
import s3
from conftest import FLOWQUET, ROOT, convert, files, flowlogs, multiset, rows, run
from test_compact import compact, compactions
from test_statements import MIXED, mixed_logs, values

BY = "hour,interface_id,srcaddr,dstaddr,dstport,protocol,action"
BUCKETS = {"minute": 60, "5min": 300, "hour": 3600, "day": 86400}


@pytest.fixture(autouse=True)
def every_table_is_read_back():
    """Tables of these tests have columns that lines do not; what was rolled up is compared with them as they are."""


def rollup(source, out, by=BY, *args, check=0):
    process = run("rollup", source, "--by", by, "--out", out, "--json", *args, check=check)
    return json.loads(process.stdout) if check == 0 else process.stderr


def by_folder(table):
    """Paths of files by partition folder."""
    found = {}
    for key, path in files(table).items():
        found.setdefault(key.rsplit("/", 1)[0], []).append(str(path))
    return found


def grouped(source, by, types="aws", time="start"):
    """The groups of each partition, by DuckDB, as rows of the names that the roll-up has."""
    scale = 1000 if types == "rich" else 1
    number = lambda c: f'epoch_ms("{c}")' if types == "rich" else f'"{c}"'
    found = []
    for folder, paths in by_folder(source).items():
        table = f"read_parquet({paths}, hive_partitioning = false, union_by_name = true)"
        there = {row[0] for row in duckdb.sql(f"describe select * from {table}").fetchall()}
        has = lambda c: c if c in there else "null"
        columns = {}
        for word in by.split(","):
            if word in BUCKETS:
                step = BUCKETS[word] * scale
                columns[time] = f"({number(time)} // {step}) * {step}" if time in there else "null"
            else:
                columns[word] = f'"{word}"' if word in there else "null"
        of_time = lambda call, c: f"{call}({number(c)})::bigint" if c in there else "null"
        sums = {
            "flows": "count(*)",
            "packets": f"sum({has('packets')})::bigint",
            "bytes": f"sum({has('bytes')})::bigint",
            "first_start": of_time("min", "start"),
            "last_end": of_time("max", "end"),
            "tcp_flags": f"bit_or({has('tcp_flags')}::integer)",
        }
        select = ", ".join(f'{expression} as "{name}"' for name, expression in [*columns.items(), *sums.items()])
        groups = ", ".join(columns.values())
        names = [*columns, *sums]
        for row in duckdb.sql(f"select {select} from {table} group by {', '.join(str(i + 1) for i in range(len(columns)))}").fetchall():
            found.append((folder, dict(zip(names, row))))
    return found


def plain(found):
    """Rows without twins, times as numbers."""
    number = lambda value: round(value.timestamp() * 1000) if hasattr(value, "timestamp") else value
    return [(folder, {name: number(value) for name, value in row.items() if not name.endswith("_bin")}) for folder, row in found]


def check_table(source, out, by=BY, types="aws", time="start"):
    """The roll-up is that of its source, and all that reads tables understands it."""
    made = plain(rows(out))
    assert multiset(made, True) == multiset(grouped(source, by, types, time), True)
    schema = jsonschema.Draft202012Validator(json.loads((ROOT / "schemas/compaction.schema.json").read_text()))
    for record in compactions(out):
        schema.validate(record)
        if "rollup" in record:
            assert sum(f["rows"] for f in record["rollup"]["files"]) == record["rollup"]["sums"]["flows"] == sum(f["rollup"]["sums"]["flows"] for f in record["outputs"])
    status = json.loads(run("status", out, "--json").stdout)
    jsonschema.Draft202012Validator(json.loads((ROOT / "schemas/status.schema.json").read_text())).validate(status)
    assert status["rollup"]["flows"] == len(rows(source)) and status["rollup"]["by"] == by
    assert "roll-up" in run("status", out).stdout
    for level in [[], ["--read-data"], ["--read-data", "--deep"]]:
        run("verify", out, *level)
    return made


@pytest.mark.parametrize("types", ["aws", "rich"])
@pytest.mark.parametrize("by", [BY, "5min,srcaddr", "day,dstaddr,bytes_kind", "protocol_name,src_scope,source_account,is_nat"])
def test_it_is_group_by(tmp_path, out, types, by):
    """Formats of several kinds, nulls, and addresses of both kinds."""
    by = by.replace(",bytes_kind", "")
    logs = tmp_path / "logs"
    logs.mkdir()
    mixed_logs(logs)
    flowlogs(tmp_path / "more", "--objects", 4, "--records", 300, "--every-s", 20_000)
    convert([logs, tmp_path / "more"], out, "--types", types, "--add", "protocol_name,src_scope,source_account,is_nat")
    done = rollup(out, tmp_path / "up", by)
    made = check_table(out, tmp_path / "up", by, types)
    assert (done["records"], done["rows"], done["rolled_up"]) == (len(rows(out)), len(made), len({folder for folder, _ in rows(out)}))
    # Sorted, as its files say.
    for path in files(tmp_path / "up").values():
        file = pyarrow.parquet.ParquetFile(path)
        columns = [file.schema_arrow.names[c.column_index] for c in file.metadata.row_group(0).sorting_columns]
        keys = [tuple((row[c] is not None, row[c]) if row[c] is not None else (False, 0) for c in columns) for row in file.read(columns).to_pylist()]
        assert keys == sorted(keys) and columns[0] == ("start" if by.split(",")[0] in BUCKETS else by.split(",")[0])


def test_only_partitions_that_changed_are_made_anew(tmp_path, out):
    up = tmp_path / "up"
    for i in range(3):
        flowlogs(tmp_path / f"logs{i}", "--objects", 3, "--records", 200, "--seed", i, "--every-s", 40_000)
    convert(tmp_path / "logs0", out)
    days = len({folder for folder, _ in rows(out)})
    assert rollup(out, up)["rolled_up"] == days > 1
    before = {key: path.read_bytes() for key, path in files(up).items()}
    done = rollup(out, up)
    assert (done["rolled_up"], done["unchanged"]) == (0, days) and {key: path.read_bytes() for key, path in files(up).items()} == before
    assert "nothing to roll up" in run("rollup", out, "--by", BY, "--out", up).stderr
    # A compaction of the source changes its files, though not its records.
    day = sorted({folder for folder, _ in rows(out)})[0]
    compact(out, "--partition", day)
    done = rollup(out, up)
    assert done["folders"] == [day] and check_table(out, up)
    convert(tmp_path / "logs1", out)
    some = rollup(out, up, BY, "--partition", day)
    assert set(some["folders"]) <= {day}
    rollup(out, up)
    check_table(out, up)
    # A compaction of the roll-up is harmless, and what it wrote is replaced like anything else.
    compact(up, "--sort", "dstaddr,start")
    check_table(out, up)
    assert rollup(out, up)["unchanged"] == len({folder for folder, _ in rows(up)})
    convert(tmp_path / "logs2", out)
    rollup(out, up)
    check_table(out, up)
    # Records that a reconversion takes elsewhere leave no groups behind.
    compact(out, "--dedup", "exact")
    rollup(out, up)
    check_table(out, up)


def test_the_same_bytes_on_any_machine_and_in_any_order(tmp_path, out):
    flowlogs(tmp_path / "logs", "--objects", 6, "--records", 2000, "--every-s", 20_000)
    convert(tmp_path / "logs", out)
    compact(out, "--row-group-rows", "1000")
    rollup(out, tmp_path / "a", BY, "--threads", "1")
    rollup(out, tmp_path / "b", BY, "--threads", "4", "--memory", "3G")
    assert {key: path.read_bytes() for key, path in files(tmp_path / "a").items()} == {key: path.read_bytes() for key, path in files(tmp_path / "b").items()}
    assert "--memory 100.00 MiB is too small; at least 480M" in rollup(out, tmp_path / "c", BY, "--memory", "100M", check=2)


def test_more_groups_than_are_held_at_once(tmp_path, out):
    """Each record is a group: a partition is read twice or more, and has as many files."""
    # With a long name in each group fewer of them fill what is held.
    folder = tmp_path.joinpath("logs", *["x" * 240] * 11)
    folder.parent.mkdir(parents=True)
    logs = flowlogs(folder, "--objects", 4, "--records", 25_000)
    convert(logs, out, "--add", "source_object,source_line")
    up = tmp_path / "up"
    by = "source_object,source_line,srcaddr,dstaddr,interface_id,action"
    done = rollup(out, up, by)
    assert done["rows"] == done["records"] == 100_000 and len(files(up)) == done["files_out"] > len(by_folder(up))
    columns = "source_object, source_line, srcaddr, dstaddr, interface_id, action, packets, bytes"
    table = lambda folder: f"(select {columns} from read_parquet({[str(path) for path in files(folder).values()]}, hive_partitioning = false, union_by_name = true))"
    for one, other in [(out, up), (up, out)]:
        assert duckdb.sql(f"select count(*) from (select * from {table(one)} except select * from {table(other)})").fetchall() == [(0,)]
    run("verify", up, "--read-data")
    # A compaction may give a partition several files: all of them are the roll-up's.
    top = lambda: json.loads(run("top", up, "--by", "srcaddr", "--limit", 1000, "--json").stdout)["rows"]
    before = top()
    assert all("first_s" in row for row in before)
    compact(up, "--sort", "srcaddr,dstaddr", "--file-bytes", "1")
    folders = by_folder(up)
    (folder,) = [folder for folder, paths in folders.items() if len(paths) > 1]
    assert rollup(out, up, by)["unchanged"] == len(folders) and top() == before
    run("verify", up, "--read-data")
    # Earlier programs said so of the first one alone: the table is read as a roll-up, and the partition made anew.
    path, record = next((path, record) for path in sorted(up.glob("_flowquet/compactions/*.json"), reverse=True) if len((record := json.loads(path.read_text()))["outputs"]) > 1)
    for output in record["outputs"][1:]:
        output.pop("rollup")
    record.pop("crc32")
    path.write_text(json.dumps(record))
    shutil.rmtree(up / "_flowquet/checkpoints", ignore_errors=True)
    assert top() == before and not json.loads(run("verify", up, "--read-data", "--json").stdout)["findings"]
    assert rollup(out, up, by)["folders"] == [folder] and top() == before


def test_tables_that_are_partitioned_otherwise(tmp_path, out):
    flowlogs(tmp_path / "logs", "--objects", 6, "--records", 200, "--every-s", 3_000)
    convert(tmp_path / "logs", out, "--partition-by", "account,region,date,hour", "--partition-time", "end")
    rollup(out, tmp_path / "up", "hour,srcaddr")
    check_table(out, tmp_path / "up", "hour,srcaddr", time="end")
    words = rollup(out, tmp_path / "no", "day,srcaddr", check=2)
    assert "a bucket of a day is longer than the 3600 seconds of a partition" in words


def test_statements_are_those_of_any_table(tmp_path, out):
    flowlogs(tmp_path / "logs", "--objects", 2, "--records", 300)
    convert(tmp_path / "logs", out)
    rollup(out, tmp_path / "up")
    statement = run("schema", tmp_path / "up", "--as", "duckdb").stdout
    connection = duckdb.connect()
    connection.execute(statement)
    (name,) = [row[0] for row in connection.execute("select view_name from duckdb_views() where not internal").fetchall()]
    assert connection.execute(f'select sum(flows), sum(bytes) from "{name}"').fetchall() == [
        (len(rows(out)), sum(row["bytes"] or 0 for _, row in rows(out)))
    ]
    athena = run("schema", tmp_path / "up", "--as", "athena", "--location", "s3://lake/up/").stdout
    assert all(word in athena for word in ["`flows` bigint", "`first_start` bigint", "`tcp_flags` int"]), athena


def test_what_is_refused(tmp_path, out):
    flowlogs(tmp_path / "logs", "--objects", 1, "--records", 50)
    convert(tmp_path / "logs", out)
    up = tmp_path / "up"
    for by, words in [
        ("hour,srcadr", "--by names `srcadr`, which is neither a time bucket (minute, 5min, hour or day) nor a column of the table to group by\nhint: did you mean `srcaddr`?"),
        ("HOUR,srcaddr", "--by names `HOUR`, which is neither a time bucket (minute, 5min, hour or day) nor a column of the table to group by\nhint: did you mean `hour`?"),
        ("5 min,srcaddr", "hint: did you mean `5min`?"),
        ("week,srcaddr", "--by names `week`, which is neither a time bucket (minute, 5min, hour or day) nor a column"),
        ("quarter", "hint: columns of the table are account_id, action, "),
        ("hour,day", "`day` is named twice, or beside another time"),
        ("hour,start", "`start` is named twice"),
        ("srcaddr,srcaddr", "`srcaddr` is named twice"),
        ("hour,bytes", "`bytes` is a column of sums"),
    ]:
        assert words in rollup(out, up, by, check=2)
    assert not up.exists()
    assert "is SOURCE and --out, and groups are a table of their own" in rollup(out, out, check=2)
    for inner in [out / "up", out / "date=2024-01-15" / "up"]:
        assert "lies within the other" in rollup(out, inner, check=2) and not inner.exists()
    rollup(out, up)
    words = rollup(up, tmp_path / "daily", "day,srcaddr", check=2)
    assert "/up` is a roll-up itself" in words and "hint: roll up the table that it was made of" in words and not (tmp_path / "daily").exists()
    beside = tmp_path / f"{out.name}-up"
    rollup(out, beside)
    for command in ["convert", "plan"]:
        words = run(command, tmp_path / "logs", "--out", up, check=2).stderr
        assert "is a roll-up; records cannot be converted into it" in words and "choose another folder" in words
    assert "the table is a roll-up by hour" in rollup(out, up, "minute,srcaddr", check=2)
    convert(tmp_path / "logs", tmp_path / "other")
    assert f"the table is a roll-up of `file://{out}" in rollup(tmp_path / "other", up, check=2)
    assert "records that were converted into it" in rollup(out, tmp_path / "other", check=2)
    assert "no flowquet table" in rollup(tmp_path / "nothing", up, check=1)
    assert check_table(out, up)


def test_two_at_once_by_other_columns_do_not_mix(tmp_path, out):
    """Each has the table for itself, or is refused; which one comes first is left to chance."""
    flowlogs(tmp_path / "logs", "--objects", 6, "--records", 400, "--every-s", 86_400)
    convert(tmp_path / "logs", out)
    for turn in range(6):
        up = tmp_path / f"up{turn}"
        commands = [[FLOWQUET, "rollup", out, "--by", by, "--out", up, "--quiet"] for by in ["hour,interface_id", "hour,interface_id,action"]]
        running = [subprocess.Popen(c, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for c in commands]
        ended = [(process.communicate()[1], process.returncode) for process in running]
        (words,) = [words for words, code in ended if code]
        assert sorted(code for _, code in ended) == [0, 2] and "the table is a roll-up by hour,interface_id" in words
        done = [i for i, (_, code) in enumerate(ended) if code == 0]
        assert run("rollup", *commands[done[0]][2:]).returncode == 0
        assert len({tuple(pyarrow.parquet.read_schema(path).names) for paths in by_folder(up).values() for path in paths}) == 1
        run("verify", up, "--read-data", "--quiet")


def test_two_at_once_leave_nothing_beside(tmp_path, out):
    """Of one partition two make the same files; the one that comes too late removes its own."""
    flowlogs(tmp_path / "logs", "--objects", 8, "--records", 400, "--every-s", 43_200)
    convert(tmp_path / "logs", out)
    skipped = 0
    for turn in range(8):
        up = tmp_path / f"up{turn}"
        command = [FLOWQUET, "rollup", out, "--by", "hour,interface_id,srcaddr", "--out", up, "--json"]
        running = [subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        told = [json.loads(process.communicate()[0]) for process in running]
        assert [process.returncode for process in running] == [0, 0, 0]
        skipped += sum(done["by_another"] for done in told)
        assert not [path for path in (up / "_flowquet").glob("compacted/**/*") if path.is_file()], turn
        assert not json.loads(run("verify", up, "--read-data", "--json").stdout)["findings"]
    assert skipped > 0


def test_what_killed_runs_left_is_told_and_removed(tmp_path, out):
    flowlogs(tmp_path / "logs", "--objects", 2, "--records", 50)
    convert(tmp_path / "logs", out)
    up = tmp_path / "up"
    rollup(out, up)
    for table in [out, up]:
        left = [table / f"_flowquet/compacted/0123456789abcde{i}/0123456789abcde{i}-0000.parquet" for i in range(2)]
        for path, age in zip(left, [8, 1]):
            path.parent.mkdir(parents=True)
            path.write_bytes(b"PAR1")
            os.utime(path, (time.time() - age * 86_400,) * 2)
        told = json.loads(run("verify", table, "--json").stdout)
        assert [(f["fault"], f["place"]) for f in told["findings"]] == [("file-aside", str(left[0].relative_to(table)))]
        assert "left by an interrupted run" in run("verify", table).stdout
        rollup(out, up) if table == up else compact(out)
        assert [path.exists() for path in left] == [False, True]
        assert not json.loads(run("verify", table, "--json").stdout)["findings"]


def test_a_dry_run_says_what_would_be_made(tmp_path, out):
    up = tmp_path / "up"
    flowlogs(tmp_path / "logs", "--objects", 4, "--records", 200, "--every-s", 40_000)
    convert(tmp_path / "logs", out)
    days = sorted({folder for folder, _ in rows(out)})
    tree = lambda: {path: path.read_bytes() for path in up.rglob("*") if path.is_file()}
    would = rollup(out, up, BY, "--dry-run")
    assert (would["folders"], would["rolled_up"], would["records"]) == (days, len(days), 800) and not up.exists()
    assert would["bytes_in"] == sum(path.stat().st_size for path in files(out).values())
    rollup(out, up)
    before = tree()
    flowlogs(tmp_path / "more", "--objects", 1, "--records", 100, "--seed", 3)
    convert(tmp_path / "more", out)
    would = rollup(out, up, BY, "--dry-run")
    said = run("rollup", out, "--by", BY, "--out", up, "--dry-run").stdout.splitlines()
    assert tree() == before and said[:-1] == would["folders"] and 0 < len(said) - 1 < len(days)
    assert re.fullmatch(rf"would roll up {len(said) - 1} of {len(days)} partitions: {would['records']:,} records, .* [KM]iB; nothing was written", said[-1]), said
    done = rollup(out, up)
    assert all(done[key] == would[key] for key in ["folders", "rolled_up", "records", "bytes_in", "unchanged", "partitions"])
    assert rollup(out, up, BY, "--dry-run")["folders"] == []
    assert "the table is a roll-up by hour" in rollup(out, up, "hour,srcaddr", "--dry-run", check=2)


def test_only_a_group_that_64_bits_do_not_hold_is_an_error(tmp_path, out):
    line = lambda n, action, end=1705313460: f"2 123456789012 eni-1 10.0.0.{n} 10.0.1.1 1 2 6 1 9000000000000000000 1705313400 {end} {action} OK"
    (tmp_path / "a.log").write_text("\n".join([naive.V2, *(line(n, "ACCEPT" if n < 3 else "REJECT") for n in range(4)), ""]))
    convert(tmp_path / "a.log", out)
    up = tmp_path / "up"
    done = rollup(out, up, "hour,srcaddr")
    assert done["rows"] == 4
    check_table(out, up, "hour,srcaddr")
    (record,) = compactions(up)
    assert record["rollup"]["sums"] == record["outputs"][0]["rollup"]["sums"] == {"flows": 4, "packets": 4, "bytes": "36000000000000000000"}
    compact(up, "--sort", "srcaddr,start")
    check_table(out, up, "hour,srcaddr")
    # Sums that lie are found whatever their size.
    path = max(up.glob("_flowquet/compactions/*.json"))
    path.write_text(path.read_text().replace("36000000000000000000", "36000000000000000001"))
    assert run("verify", up, "--read-data", check=None).returncode != 0
    words = rollup(out, tmp_path / "no", "hour,action", check=2)
    assert "`bytes` overflows 64 bits in one group of `date=2024-01-15`\n  start 2024-01-15T10:00:00Z\n  action ACCEPT\n" in words
    assert "hint: name more columns in --by, or a shorter time bucket" in words
    assert not [path for path in (tmp_path / "no").rglob("*.parquet") if "_flowquet" not in path.parts]


def test_a_lost_file_of_the_source_is_told_by_its_own_verification(tmp_path, out):
    flowlogs(tmp_path / "logs", "--objects", 2, "--records", 100)
    convert(tmp_path / "logs", out)
    up = tmp_path / "up"
    rollup(out, up)
    lost = next(iter(files(out)))
    (out / lost).unlink()
    # Nothing is read of what did not change, and the groups are right.
    assert rollup(out, up)["rolled_up"] == 0 and run("verify", up, "--read-data").returncode == 0
    told = json.loads(run("verify", out, "--json", check=5).stdout)
    assert [(f["fault"], f["place"]) for f in told["findings"]] == [("file-gone", lost)]
    words = rollup(out, tmp_path / "other", check=1)
    assert lost in words and "expected the file, found none" in words


@pytest.mark.parametrize("types", ["aws", "rich"])
def test_top_and_report_count_flows_of_groups(tmp_path, out, types):
    """As DuckDB counts the records that were grouped, and as the table itself is counted."""
    flowlogs(tmp_path / "logs", "--format", "v5", "--objects", 6, "--records", 500, "--every-s", 20_000)
    convert(tmp_path / "logs", out, "--types", types)
    up = tmp_path / "up"
    rollup(out, up, f"{BY},log_status")
    look = lambda command, table, *args: json.loads(run(command, table, "--json", *args).stdout)
    table = f"read_parquet({[str(path) for path in files(out).values()]}, hive_partitioning = false)"
    number = lambda column: f'(epoch_ms("{column}") // 1000)' if types == "rich" else f'"{column}"'
    for column, other in [("srcaddr", "dstaddr"), ("dstport", "srcaddr")]:
        query = f"""select {column}::varchar, count(*), count(*) filter (action = 'REJECT'), coalesce(sum(bytes), 0)::bigint, coalesce(sum(packets), 0)::bigint, count(distinct {other}),
            min({number("start")}), max({number("end")}) from {table} where {column} is not null group by 1"""
        expected = {row[0]: row[1:] for row in duckdb.sql(query).fetchall()}
        found = look("top", up, "--by", column, "--limit", 1000)
        names = ["flows", "refused", "bytes", "packets", "targets", "first_s", "last_s"]
        got = {row["values"][0]: tuple(row[name] for name in names) for row in found["rows"]}
        assert got.items() <= expected.items() and found["groups"] == len(expected)
        assert found["total"]["flows"] == sum(row[0] for row in expected.values()) > found["reading"]["rows"] * 0
    for args in [[], ["--since", "2024-01-15T12:00", "--until", "2024-01-16T03:00"], ["--action", "REJECT"], ["--port", "443"]]:
        of_table, of_groups = look("top", out, *args), look("top", up, *args)
        assert of_groups["total"] == of_table["total"] and of_groups["rows"] == of_table["rows"], args
        assert of_groups["reading"]["rows"] < of_table["reading"]["rows"]
    of_table, of_groups = look("report", out), look("report", up)
    for name in ["total", "range", "times", "days", "timeless", "sources", "targets", "scanners", "refused_ports", "source_count"]:
        assert of_groups[name] == of_table[name], name
    assert any(day["nodata"] for day in of_groups["days"])
    assert f"{of_table['total']['flows']:,} flows" in run("top", up).stdout
    assert "--by names `vpc_id`" in run("top", up, "--by", "vpc_id", check=2).stderr
    assert look("cost", up)["rows"] == of_groups["reading"]["rows"]


def test_what_is_lost_is_made_anew_and_what_lies_is_found(tmp_path, out):
    flowlogs(tmp_path / "logs", "--objects", 3, "--records", 200, "--every-s", 40_000)
    convert(tmp_path / "logs", out)
    up = tmp_path / "up"
    rollup(out, up)
    lost = next(iter(files(up).values()))
    lost.unlink()
    assert run("verify", up, check=None).returncode != 0
    # What is advised makes it anew.
    assert f"table damaged: 1 of {len(files(up)) + 1} files is lost or damaged. `flowquet rollup {out} --by {BY} --out {up}` rebuilds them" in run("status", up, check=5).stdout
    said = run("top", up, check=1).stderr
    assert lost.name in said and "hint: another program changed the file: `flowquet verify TABLE --read-data` shows what is lost or damaged" in said and "reconvert" not in said
    assert rollup(out, up)["rolled_up"] == 1
    check_table(out, up)
    # Damage that leaves the size as it was is found by reading; what is advised mends it.
    path = next(iter(files(up).values()))
    whole = path.read_bytes()
    path.write_bytes(whole[:40] + bytes([whole[40] ^ 0xFF]) + whole[41:])
    for repair in [[], ["--repair"]]:
        said = run("verify", up, "--read-data", *repair, check=5).stdout
        command = f"flowquet rollup {out} --by {BY} --out {up}"
        assert f"Delete these files: `{command}` rebuilds them" in said and "raw logs" not in said.splitlines()[-1]
    path.unlink()
    run(*command.split()[1:])
    # Under another name, which stands in its footer, since it takes the place of one.
    (made,) = path.parent.glob("*.parquet")
    assert pyarrow.parquet.read_table(made).equals(pyarrow.parquet.read_table(pyarrow.BufferReader(whole)))
    check_table(out, up)
    run("verify", up, "--read-data")
    # A record whose sums are not those of the files.
    path = max(up.glob("_flowquet/compactions/*.json"))
    record = json.loads(path.read_text())
    for sums in [record["rollup"]["sums"], record["outputs"][0]["rollup"]["sums"]]:
        sums["bytes"] += 1
    record.pop("crc32", None)
    path.write_text(json.dumps(record))
    shutil.rmtree(up / "_flowquet/checkpoints", ignore_errors=True)
    told = run("verify", up, "--read-data", check=None)
    assert told.returncode != 0 and "were rolled up" in told.stdout + told.stderr


def test_killed_at_any_moment_the_next_run_makes_the_same(tmp_path):
    made, up = tmp_path / "made", tmp_path / "up"
    for i in range(2):
        flowlogs(tmp_path / f"logs{i}", "--objects", 6, "--records", 100, "--seed", i, "--every-s", 30_000)
    convert(tmp_path / "logs0", made)
    rollup(made, tmp_path / "old")
    convert(tmp_path / "logs1", made)
    command = lambda out: [FLOWQUET, "rollup", made, "--by", BY, "--out", out, "--quiet"]
    shutil.copytree(tmp_path / "old", tmp_path / "whole")
    moments = kills.whole(kills.changes(tmp_path / "whole"), command(tmp_path / "whole"))
    undisturbed = {key: path.read_bytes() for key, path in files(tmp_path / "whole").items()}
    with kills.series() as kill_at:
        for seed in range(1, 7):
            shutil.copytree(tmp_path / "old", up)
            seen = kills.changes(up)
            for n in sorted(random.Random(seed).sample(range(1, moments), 2)):
                kill_at(n, seen, command(up))
            rollup(made, up)
            assert {key: path.read_bytes() for key, path in files(up).items()} == undisturbed, seed
            check_table(made, up)
            shutil.rmtree(up)


def test_in_s3_with_faults_and_a_catalog(tmp_path):
    with s3.serve("--slow-down", "0.03", "--internal-error", "0.02", "--latency-ms", "1") as server, gluestub.serve() as stub:
        flowlogs(tmp_path / "logs", "--objects", 4, "--records", 300)
        server.put_folder(tmp_path / "logs", "logs", "in")
        s3.convert(server, "s3://logs/in/", "s3://lake/t")
        s3.run(server, "rollup", "s3://lake/t", "--by", BY, "--out", "s3://lake/up", "--quiet")
        copy, up = server.fetch("t", tmp_path / "copy"), server.fetch("up", tmp_path / "up")
        assert multiset(plain(rows(up)), True) == multiset(grouped(copy, BY), True)
        table = ["--database", "lake", "--table", "hourly", "--glue-endpoint-url", stub.url]
        s3.run(server, "register", "s3://lake/up", *table)
        assert len(stub.partitions) == len({folder for folder, _ in rows(up)})
        # What is registered is what the statement for Athena says, and what the files have.
        (registered,) = stub.tables.values()
        columns = [(column["Name"], column["Type"]) for column in registered["StorageDescriptor"]["Columns"]]
        statement = s3.run(server, "schema", "s3://lake/up", "--as", "athena", "--location", "s3://lake/up/").stdout
        assert [column for column in re.findall(r"^  `(\w+)` (\w+)", statement, re.M) if column[0] != "date"] == columns
        assert [name for name, _ in columns] == pyarrow.parquet.read_schema(next(iter(files(up).values()))).names
        flowlogs(tmp_path / "late", "--objects", 2, "--records", 100, "--seed", 5)
        server.put_folder(tmp_path / "late", "logs", "late")
        s3.convert(server, "s3://logs/late/", "s3://lake/t")
        s3.run(server, "rollup", "s3://lake/t", "--by", BY, "--out", "s3://lake/up", "--quiet", "--grace", "0", *table)
        copy, up = server.fetch("t", tmp_path / "copy2"), server.fetch("up", tmp_path / "up2")
        assert multiset(plain(rows(up)), True) == multiset(grouped(copy, BY), True)
        assert not server.keys("lake", "up/_flowquet/compacted/")
