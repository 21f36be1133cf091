"""`flowquet top`, `cost` and `report --json` against DuckDB and pyarrow, which share no code with them."""

import json
import re
import shutil

import duckdb
import jsonschema
import pyarrow.parquet as pq
import pytest
from referencing import Registry, Resource

import s3
from conftest import ROOT, convert, files, flowlogs, run

TABLE = "read_parquet({!r}, union_by_name = true, hive_partitioning = true)"


def schema(name):
    schemas = {path.name: json.loads(path.read_text()) for path in (ROOT / "schemas").glob("*.schema.json")}
    registry = Registry().with_resources((key, Resource.from_contents(value)) for key, value in schemas.items())
    return jsonschema.Draft202012Validator(schemas[name], registry=registry)


def look(command, out, *args):
    found = json.loads(run(command, out, "--json", *args).stdout)
    name = "table-report" if command == "report" else command
    schema(f"{name}.schema.json").validate(found)
    return found


def asked(out, query):
    return duckdb.connect().execute(query.format(t=TABLE.format(str(out / "**/*.parquet")))).fetchall()


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """Two log formats, several days, row groups of few rows, and one partition compacted: read only."""
    folder = tmp_path_factory.mktemp("look")
    flowlogs(folder / "a", "--format", "v5", "--objects", 40, "--records", 900, "--every-s", 7_000)
    flowlogs(folder / "b", "--format", "v2", "--objects", 10, "--records", 700, "--every-s", 9_000, "--seed", 5)
    out = folder / "lake"
    convert([folder / "a", folder / "b"], out, "--row-group-rows", 3_000)
    run("compact", out, "--partition", "date=2024-01-15", "--row-group-rows", 4_000, "--quiet")
    return out


# What is asked for, and the same for DuckDB. Networks are told by text, where they end at a dot.
QUESTIONS = [
    ((), ("srcaddr",), "dstaddr", "true"),
    (("--by", "dstaddr"), ("dstaddr",), "srcaddr", "true"),
    (("--by", "dstport"), ("dstport",), "srcaddr", "true"),
    (("--by", "srcaddr,dstaddr"), ("srcaddr", "dstaddr"), "dstport", "true"),
    (("--by", "interface-id"), ("interface_id",), "srcaddr", "true"),
    (("--by", "vpc_id,action"), ("vpc_id", "action"), "srcaddr", "true"),
    (("--action", "reject"), ("srcaddr",), "dstaddr", "action = 'REJECT'"),
    (("--port", "22,400-500"), ("srcaddr",), "dstaddr", "dstport = 22 or dstport between 400 and 500"),
    (("--protocol", "udp"), ("srcaddr",), "dstaddr", "protocol = 17"),
    (("--src", "10.0.0.0/16"), ("srcaddr",), "dstaddr", "srcaddr like '10.0.%'"),
    (("--dst", "10.0.255.0/24,10.0.0.1"), ("srcaddr",), "dstaddr", "dstaddr like '10.0.255.%' or dstaddr = '10.0.0.1'"),
    (("--since", "2024-01-15T10:00", "--until", "2024-01-16T03:30"), ("srcaddr",), "dstaddr", '"end" >= 1705312800 and "end" < 1705375800'),
    (("--since", "2024-01-16", "--until", "2024-01-16"), ("srcaddr",), "dstaddr", '"end" >= 1705363200 and "end" < 1705449600'),
    (("--until", "2023-12-31"), ("srcaddr",), "dstaddr", "false"),
]


@pytest.mark.parametrize("args, by, other, where", QUESTIONS, ids=lambda value: " ".join(value) if isinstance(value, tuple) else "")
@pytest.mark.parametrize("order", ["flows", "bytes", "targets"])
def test_top_says_what_duckdb_says(lake, args, by, other, where, order):
    time = json.loads((lake / "_flowquet/table.json").read_text()).get("partition_time", "end")
    where = where.replace('"end"', f'"{time}"')
    found = look("top", lake, "--order", order, "--limit", 30, *args)
    keys = ", ".join(f"coalesce(cast({column} as varchar), '-')" for column in by)
    some = " or ".join(f"{column} is not null" for column in by)
    rows = asked(
        lake,
        f"""select {keys}, count(*), count(*) filter (action = 'REJECT'), coalesce(sum(bytes), 0), coalesce(sum(packets), 0),
        count(distinct {other}), min(start), max("end") from {{t}} where ({where}) and ({some}) group by all""",
    )
    place = {"flows": len(by), "bytes": len(by) + 2, "targets": len(by) + 4}[order]
    expected = sorted((-row[place], *row) for row in rows)
    expected = [row[1:] for row in expected]
    got = [
        (*row["values"], row["flows"], row["refused"], row["bytes"], row["packets"], row["targets"], row.get("first_s"), row.get("last_s"))
        for row in found["rows"]
    ]
    # Where several count the same, those come first whose values do, byte by byte.
    assert [row[place] for row in got] == [row[place] for row in expected[:30]]
    assert set(got) <= set(expected)
    assert found["groups"] == len(rows)
    assert found["total"]["flows"] == sum(row[len(by)] for row in rows)
    assert found["total"]["bytes"] == sum(row[len(by) + 2] for row in rows)
    assert not any(row["targets_estimated"] for row in found["rows"])
    assert found["forgotten"] == {"values": 0, "most": 0}


def test_what_cannot_match_is_not_read(lake):
    whole = look("top", lake)["reading"]
    assert whole["rows_read"] == whole["rows"] == sum(pq.ParquetFile(path).metadata.num_rows for path in files(lake).values())
    day = look("top", lake, "--since", "2024-01-16", "--until", "2024-01-16")["reading"]
    assert 0 < day["files_read"] < whole["files_read"] and day["rows_read"] < whole["rows_read"] / 2
    hour = look("top", lake, "--since", "2024-01-16T10:00", "--until", "2024-01-16T11:00")["reading"]
    assert 0 < hour["rows_read"] < day["rows_read"]
    assert look("top", lake, "--protocol", 200)["reading"]["bytes_read"] == 0


def test_conditions_on_columns_that_no_file_has(tmp_path):
    flowlogs(tmp_path / "logs", "--objects", 2, "--records", 50)
    convert(tmp_path / "logs", tmp_path / "narrow", "--columns", "srcaddr,bytes,packets")
    asked = [("--action", "REJECT", "action"), ("--port", "22", "dstport"), ("--protocol", "tcp", "protocol"), ("--dst", "10.0.0.0/8", "dstaddr"),
             ("--since", "2024-01-15", "start"), ("--until", "2024-01-16", "start")]
    for option, value, column in asked:
        words = run("top", tmp_path / "narrow", option, value, check=2).stderr
        assert f"{option} names `{column}`, which is in none of these log formats" in words
    assert "--since names `start`" in run("report", tmp_path / "narrow", "--json", "--since", "2024-01-15", check=2).stderr
    assert look("top", tmp_path / "narrow", "--src", "0.0.0.0/0")["total"]["flows"] > 0


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_threads_change_nothing(lake, threads):
    args = ("--by", "srcaddr,dstport", "--limit", 100)
    assert look("top", lake, *args, "--threads", threads) == look("top", lake, *args)


@pytest.mark.parametrize("options", [["--types", "rich"], ["--partition-by", "date,hour"], ["--partition-time", "start"]])
def test_tables_of_other_shapes(tmp_path, out, options):
    logs = flowlogs(tmp_path / "logs", "--format", "v5", "--objects", 4, "--records", 300)
    convert(logs, out, *options)
    found = look("top", out, "--src", "10.0.0.0/8", "--since", "2024-01-01")
    ((flows, sources),) = asked(out, "select count(*), count(distinct srcaddr) from {t} where srcaddr like '10.%'")
    assert (found["total"]["flows"], found["groups"]) == (flows, sources)
    seconds = "epoch({})" if "rich" in options else "{}"
    ((first, last),) = asked(out, f"select min({seconds.format('start')}), max({seconds.format(chr(34) + 'end' + chr(34))}) from {{t}} where srcaddr like '10.%'")
    assert (found["total"]["first_s"], found["total"]["last_s"]) == (first, last)


def test_old_layouts(tmp_path):
    for table in sorted((ROOT / "tests/tables").iterdir()):
        if not (table / "_flowquet/table.json").exists():
            continue
        out = tmp_path / table.name
        shutil.copytree(table, out)
        found = look("top", out)
        ((flows,),) = asked(out, "select count(srcaddr) from {t}")
        assert found["total"]["flows"] == flows
        assert look("cost", out)["bytes"] == sum(path.stat().st_size for path in files(out).values())
        assert look("report", out)["sizes"]["files"] == len(files(out))


def test_a_file_that_is_lost_is_told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lost")
    out = folder / "lake"
    convert(flowlogs(folder / "logs", "--objects", 2, "--records", 30), out)
    next(iter(files(out).values())).unlink()
    for command in ["top", "cost", "report"]:
        process = run(command, out, "--json", check=None)
        assert process.returncode == 1 and "expected the file, found none" in process.stderr, process.stderr
        assert "`flowquet verify TABLE --read-data`" in process.stderr


def test_a_compaction_that_is_under_way(lake, tmp_path):
    """Files that stand aside are read where they are."""
    out = tmp_path / "lake"
    shutil.copytree(lake, out)
    expected = look("top", out)
    record = next(iter(out.glob("_flowquet/compactions/*.json")))
    compaction = json.loads(record.read_text())
    # As if it had stopped before its files were put in place.
    record.with_suffix(".done").unlink()
    for output in compaction["outputs"]:
        name = output["key"].rsplit("/", 1)[1]
        aside = out / "_flowquet/compacted" / compaction["id"] / output["partition"] / name
        found = [aside, out / "_flowquet/compacted" / compaction["id"] / name]
        for place in found:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(out / output["key"], place)
        (out / output["key"]).unlink()
    assert look("top", out)["rows"] == expected["rows"]
    run("compact", out, "--quiet", "--partition", "date=2024-01-15")


def test_a_table_in_s3(lake):
    with s3.moto() as server:
        server.put_folder(lake, "lake", "t")
        env = {**s3.ENVIRONMENT, "AWS_ENDPOINT_URL": server.url, "AWS_REGION": "us-east-1"}
        told = lambda *args: run(*args, env=env).stdout
        there, here = json.loads(told("top", "s3://lake/t/", "--json", "--action", "REJECT")), look("top", lake, "--action", "REJECT")
        assert there == here and there["reading"]["bytes_read"] < there["reading"]["bytes"]
        assert json.loads(told("cost", "s3://lake/t/", "--json")) == look("cost", lake)
        key = next(iter(files(lake)))
        assert json.loads(told("cost", f"s3://lake/t/{key}", "--json")) == look("cost", lake / key)
        report = json.loads(told("report", "s3://lake/t/", "--json", "-o", "s3://lake/pages/report.html"))
        assert {**report, "url": ""} == {**look("report", lake), "url": ""}
        page = server.client.get_object(Bucket="lake", Key="pages/report.html")["Body"].read().decode()
        assert page.startswith("<!DOCTYPE html>") and "s3://lake/t" in page
        assert [key for key in server.keys("lake", "t/") if not (lake / key.removeprefix("t/")).exists()] == []


def test_cost_is_what_footers_say(lake):
    found = look("cost", lake)
    sizes, whole, rows = {}, 0, 0
    for path in files(lake).values():
        meta = pq.ParquetFile(path).metadata
        whole, rows = whole + path.stat().st_size, rows + meta.num_rows
        for group in range(meta.num_row_groups):
            for i in range(meta.num_columns):
                column = meta.row_group(group).column(i)
                size = sizes.setdefault(column.path_in_schema, [0, 0])
                size[0] += column.total_compressed_size
                size[1] += column.total_uncompressed_size
    assert {c["name"]: [c["bytes"], c["uncompressed_bytes"]] for c in found["columns"]} == sizes
    assert (found["bytes"], found["rows"], found["files"]) == (whole, rows, len(files(lake)))
    assert found["other_bytes"] + sum(c["bytes"] for c in found["columns"]) == whole
    assert [c["bytes"] for c in found["columns"]] == sorted((c["bytes"] for c in found["columns"]), reverse=True)
    assert sum(f["bytes"] for f in found["formats"]) == whole and len(found["formats"]) >= 2
    # Of each format some row groups are looked at.
    for same in found["same"]:
        rows = asked(lake, f"select count(*) filter ({same['column']} is not distinct from {same['other']}) / count(*) from {{t}} where {same['column']} is not null")
        assert abs(same["same"] / same["rows"] - rows[0][0]) < 0.05
    assert {same["column"] for same in found["same"]} == {"pkt_srcaddr", "pkt_dstaddr"}


def test_cost_of_a_file(lake, tmp_path):
    path = next(iter(files(lake).values()))
    found = look("cost", path)
    meta = pq.ParquetFile(path).metadata
    assert (found["rows"], found["row_groups"], found["bytes"]) == (meta.num_rows, meta.num_row_groups, path.stat().st_size)
    pq.write_table(duckdb.sql("select 1.5 as price, 'a' as name").to_arrow_table(), tmp_path / "other.parquet")
    assert {c["name"] for c in look("cost", tmp_path / "other.parquet")["columns"]} == {"price", "name"}
    (tmp_path / "text.log").write_text("no Parquet\n" * 9)
    process = run("cost", tmp_path / "text.log", check=1)
    assert "give a table, or a Parquet file" in process.stderr


def test_report_says_what_duckdb_says(lake):
    found = look("report", lake)
    flow = "coalesce(log_status, '') not in ('NODATA', 'SKIPDATA')"
    ((flows, refused, amount, packets),) = asked(lake, f"select count(*), count(*) filter (action = 'REJECT'), sum(bytes), sum(packets) from {{t}} where {flow}")
    total = found["total"]
    assert (total["flows"], total["refused"], total["bytes"], total["packets"]) == (flows, refused, amount, packets)
    days = asked(
        lake,
        f"""select cast(floor("end" / 86400) * 86400 as bigint), count(*) filter ({flow} and action = 'ACCEPT'), count(*) filter ({flow} and action = 'REJECT'),
        coalesce(sum(bytes) filter ({flow} and action = 'ACCEPT'), 0), coalesce(sum(bytes) filter ({flow} and action = 'REJECT'), 0),
        count(*) filter (log_status = 'NODATA'), count(*) filter (log_status = 'SKIPDATA') from {{t}} group by 1 order by 1""".replace(
            '"end"', '"' + json.loads((lake / "_flowquet/table.json").read_text()).get("partition_time", "end") + '"'
        ),
    )
    names = ["start_s", "accepted_flows", "refused_flows", "accepted_bytes", "refused_bytes", "nodata", "skipdata"]
    assert [tuple(day[name] for name in names) for day in found["days"]] == days
    for name in names[1:]:
        assert sum(at[name] for at in found["times"]) == sum(day[name] for day in found["days"])
    ports = asked(lake, f"select cast(protocol as varchar), cast(dstport as varchar), count(*), count(distinct srcaddr) from {{t}} where {flow} and action = 'REJECT' group by all")
    expected = sorted((-row[2] for row in ports))[:20]
    assert [-row["flows"] for row in found["refused_ports"]] == expected
    assert {(*row["values"], row["flows"], row["targets"]) for row in found["refused_ports"]} <= set(ports)
    scanners = asked(lake, f"select srcaddr, count(*), count(distinct dstaddr) from {{t}} where {flow} and srcaddr is not null group by 1")
    assert [row["targets"] for row in found["scanners"]] == sorted((row[2] for row in scanners), reverse=True)[:20]
    assert {(*row["values"], row["flows"], row["targets"]) for row in found["scanners"]} <= set(scanners)
    assert found["source_count"] == len(scanners)
    talkers = asked(lake, f"select srcaddr, sum(bytes) from {{t}} where {flow} and srcaddr is not null group by 1")
    assert [row["bytes"] for row in found["sources"]] == sorted((int(row[1]) for row in talkers), reverse=True)[:20]
    assert found["cost"] == look("cost", lake)
    status = json.loads(run("status", lake, "--json").stdout)
    sizes = found["sizes"]
    assert (sizes["objects"], sizes["delivered_bytes"], sizes["files"], sizes["file_bytes"]) == (status["objects"], status["bytes_in"], status["files"], status["bytes_out"])
    assert sum(log["objects"] for log in found["flow_logs"]) == 50


def test_report_of_rejects_gaps_and_skipdata(tmp_path, out):
    folder = tmp_path / "AWSLogs/111111111111/vpcflowlogs/eu-west-1/2024/01/15"
    folder.mkdir(parents=True)
    header = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
    for minute in range(0, 24 * 60, 5):
        if 120 <= minute < 300:
            continue
        at = 1_705_276_800 + minute * 60
        lines = [header, f"2 1 eni-1 10.0.0.1 10.0.0.2 40000 443 6 1 40 {at} {at + 60} ACCEPT OK"]
        if minute == 600:
            lines += [f"2 1 eni-1 - - - - - - - {at} {at + 60} - SKIPDATA", "too few fields", "2 1 eni-1 x"]
        name = f"111111111111_vpcflowlogs_eu-west-1_fl-0a_20240115T{minute // 60:02}{minute % 60:02}Z_{minute:08x}.log"
        (folder / name).write_text("\n".join(lines) + "\n")
    convert(tmp_path / "AWSLogs", out)
    found = look("report", out)
    (log,) = found["flow_logs"]
    assert (log["name"], log["gap_count"]) == ("111111111111 eu-west-1 fl-0a", 1)
    assert log["gaps"] == [[1_705_276_800 + 115 * 60, 1_705_276_800 + 300 * 60]]
    assert sum(day["skipdata"] for day in found["days"]) == 1
    (rejected,) = found["rejected"]
    assert (rejected["reason"], rejected["count"], len(rejected["examples"])) == ("too-few-fields", 2, 2)
    assert rejected["examples"][0]["raw"] == "too few fields"
    page = out.parent / "report.html"
    run("report", out, "-o", page)
    text = page.read_text()
    assert "too few fields" in text and "1 day" in text and re.search(r"2024-01-15 01:55 to 2024-01-15 05:00 UTC", text)


@pytest.mark.parametrize("by", ["date", "none"])
@pytest.mark.parametrize("types", ["aws", "rich"])
def test_records_without_a_time_are_told_where_one_is_asked_for(logs, out, by, types):
    header = "srcaddr dstaddr dstport bytes action start end"
    times = ["1705276800", "1705276800", "5", "-", "9999999999"]
    lines = [f"10.0.0.{i} 10.0.1.1 {443 if i % 2 else 80} 40 ACCEPT {time} {time}" for i, time in enumerate(times)]
    (logs / "a.log").write_text("\n".join([header, *lines]) + "\n")
    (logs / "b.log").write_text("srcaddr dstaddr dstport bytes action\n10.0.0.9 10.0.1.1 443 40 ACCEPT\n")
    convert(logs, out, "--partition-by", by, "--types", types)
    for args, flows, timeless in [
        ([], 6, 0),
        (["--since", "1970-01-01"], 2, 4),
        (["--until", "2150-01-01"], 2, 4),
        (["--since", "1970-01-01", "--port", "443"], 1, 2),
        (["--since", "2025-01-01"], 0, 4),
    ]:
        for command in ["top", "report"]:
            found = look(command, out, *args)
            assert (found["total"]["flows"], found["reading"]["timeless"]) == (flows, timeless), (command, args)
        words = run("top", out, *args).stdout
        assert (f"left out {timeless} flows whose time is not between 2000 and 2100" in words) == (timeless > 0), words
    run("report", out, "-o", out.parent / "report.html", "--since", "1970-01-01")
    assert "4 flows are left out: no time between 2000 and 2100." in (out.parent / "report.html").read_text()
