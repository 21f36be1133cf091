"""The statements that `flowquet schema` prints: engines execute them, a parser of each dialect accepts them, and what engines then
see is what the report says."""

import collections
import datetime
import json
import os
import pathlib
import re

import duckdb
import pyarrow
import pyarrow.parquet
import pytest
import sqlglot

import naive
import spark
from conftest import convert, files, flowlogs, run

FORMATS = ["v2", "v3", "v4", "v5", "v7", "v8", "v9", "v10", "v11", "tgw", "${srcaddr} ${end} ${a-field-of-tomorrow}"]
DIALECTS = {"athena": "athena", "spark": "spark", "trino": "trino", "duckdb": "duckdb"}


def schema(*args, check=0):
    return run("schema", *args, check=check).stdout


@pytest.mark.parametrize("form", DIALECTS)
def test_parsers_accept_every_statement(form):
    for format in FORMATS:
        for types in ["aws", "rich"]:
            for by in ["date", "account,region,date,hour", "none"]:
                for partitions in ["projected", "listed"]:
                    text = schema("--format", format, "--types", types, "--partition-by", by, "--partitions", partitions, "--as", form,
                                  "--location", "s3://lake/it's/", "--database", "lake", "--table", "flows")  # fmt: skip
                    assert len(text.encode()) < 262_144
                    statements = [s for s in sqlglot.parse(text, read=DIALECTS[form], error_level=sqlglot.ErrorLevel.RAISE) if s]
                    create = statements[0]
                    assert isinstance(create, sqlglot.exp.Create), text
                    # What the parser does not know it keeps as a command: only the search for partitions may be one.
                    assert all(re.match("MSCK|CALL", s.sql(DIALECTS[form]), re.I) for s in statements[1:]), text
                    assert form != "spark" or (len(statements) == 1 and text.count(";") == 1 and text.count("\\'") == 1), text
                    if form != "duckdb":
                        assert create.find(sqlglot.exp.Table).name == "flows"
                        columns = [c.name for c in create.this.find_all(sqlglot.exp.ColumnDef)]
                        assert "srcaddr" in columns and ("srcaddr_bin" in columns) == (types == "rich")


def test_forms_that_are_no_statements():
    args = ["--format", "v5", "--types", "rich", "--location", "s3://lake/x"]
    table = json.loads(schema(*args, "--as", "glue-json"))
    columns = {c["Name"]: c["Type"] for c in table["StorageDescriptor"]["Columns"]}
    assert table["StorageDescriptor"]["Location"] == "s3://lake/x/" and table["Parameters"]["projection.enabled"] == "true"
    assert (columns["protocol"], columns["bytes"], columns["start"], columns["srcaddr_bin"]) == ("int", "bigint", "timestamp", "binary")
    assert 'start: Timestamp(ms, "UTC")' in schema("--format", "v5", "--types", "rich", "--as", "arrow")
    parquet = schema("--format", "v5", "--types", "rich", "--as", "parquet")
    assert "INT64 start (TIMESTAMP(MILLIS,true))" in parquet and "FIXED_LEN_BYTE_ARRAY (16) srcaddr_bin" in parquet
    told = {c["column"]: c for c in json.loads(schema("--format", "v5", "--types", "rich", "--as", "json"))["columns"]}
    assert told["start"]["type"] == "TIMESTAMP" and told["dstaddr_bin"]["field"] == "dstaddr"
    assert "region" not in json.dumps(json.loads(schema(*args, "--as", "glue-json", "--partition-by", "region,date"))["StorageDescriptor"])
    assert "a statement needs --location or a table" in run("schema", "--as", "athena", check=2).stderr
    for location in ["lake/v", "file:///lake/v"]:
        for form in ["athena", "glue-json"]:
            words = run("schema", "--as", form, "--location", location, check=2).stderr
            assert f"the location is `{location}`\nhint: give --location s3://BUCKET/PREFIX/" in words
    assert "expected 1 to 255 lower-case letters" in run("schema", "--as", "athena", "--table", "A;drop", check=2).stderr


MIXED = {
    "v2": naive.V2,
    "v5": "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status vpc-id subnet-id"
    " instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region az-id sublocation-type sublocation-id pkt-src-aws-service"
    " pkt-dst-aws-service flow-direction traffic-path",
    "few": "start bytes dstaddr reject-reason hop-of-tomorrow",
    "no-time": "srcaddr bytes",
}


def values(fields, i):
    """Values of a record: addresses of both kinds, a null here and there."""
    known = {
        "srcaddr": f"10.0.{i % 3}.{i % 250}" if i % 5 else f"2001:db8::{i % 99:x}",
        "dstaddr": f"192.168.1.{i % 200}",
        "bytes": str(i * 1000 + 7),
        "start": str(1_705_276_800 + i * 1801),
        "end": str(1_705_276_800 + i * 1801 + 30),
        "version": "2",
        "action": "ACCEPT" if i % 4 else "REJECT",
        "protocol": "6",
        "hop-of-tomorrow": f"hop{i}",
        "traffic-path": "-" if i % 2 else "8",
        "region": "eu-west-1",
    }
    return ["-" if i % 17 == 3 and field != "start" else known.get(field, "-") for field in fields.split()]


def native(path, fields, rows):
    """A file in the shape of AWS's own Parquet delivery: gzip inside, INT32, INT64 and STRING, `-` as text, null in integers."""
    integers32 = {"version", "srcport", "dstport", "protocol", "tcp-flags", "traffic-path", "encryption-status"}
    integers64 = {"packets", "bytes", "start", "end"}
    columns = {}
    for c, field in enumerate(fields.split()):
        column = [row[c] for row in rows]
        kind = pyarrow.int32() if field in integers32 else pyarrow.int64() if field in integers64 else pyarrow.string()
        if kind != pyarrow.string():
            column = [None if value == "-" else int(value) for value in column]
        columns[field.replace("-", "_")] = pyarrow.array(column, kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.table(columns), path, compression="gzip")


def mixed_logs(folder):
    for name, fields in MIXED.items():
        lines = [" ".join(values(fields, i)) for i in range(120)]
        (folder / f"{name}.log").write_text("\n".join([fields, *lines]) + "\n")


def by_partition(out):
    """Rows and bytes of each partition, by pyarrow, in the files of the table's records."""
    found = {}
    for key, path in files(out).items():
        folder = key.rsplit("/", 1)[0]
        table = pyarrow.parquet.ParquetFile(path).read()
        total = sum(v for v in table.column("bytes").to_pylist() if v is not None)
        rows, bytes = found.get(folder, (0, 0))
        found[folder] = (rows + table.num_rows, bytes + total)
    return found


def check_engine(rows, report, out):
    """`rows` are (date, count, sum of bytes) by an engine."""
    found = {f"date={date or '__HIVE_DEFAULT_PARTITION__'}": (count, total) for date, count, total in rows}
    assert found == by_partition(out)
    assert sum(count for count, _ in found.values()) == report["records"]
    told = collections.Counter()
    for output in report["outputs"]:
        told[os.path.dirname(output["key"])] += output["rows"]
    told["date=2024-01-15"] += report.get("beside", 0)
    assert told == {folder: count for folder, (count, _) in found.items()}


@pytest.mark.parametrize("types", ["aws", "rich"])
def test_engines_read_mixed_formats_as_one_table(logs, out, types):
    mixed_logs(logs)
    report = convert(logs, out, "--types", types)
    assert report["records"] == 480 and len(by_partition(out)) == 4
    # AWS's own kind of file beside ours; it has no format of tomorrow, and no twins.
    if types == "aws":
        native(out / "date=2024-01-15/aws.parquet", MIXED["v5"], [values(MIXED["v5"], i) for i in range(30)])
        report["records"] += 30
        report["beside"] = 30
    duckdb.sql(schema(out, "--as", "duckdb", "--table", "flows"))
    query = "select date, count(*), cast(sum(bytes) as bigint) from flows group by date"
    rows = duckdb.sql(query).fetchall()
    check_engine([(None if date == "__HIVE_DEFAULT_PARTITION__" else date, *rest) for date, *rest in rows], report, out)
    if types == "aws":
        (out / "date=2024-01-15/aws.parquet").rename(logs / "aws.parquet")
    duckdb.sql(schema(out, "--as", "duckdb", "--table", "flows", "--exact"))
    assert duckdb.sql("select count(*) from flows").fetchall()[0] == (480,)
    if types == "aws":
        (logs / "aws.parquet").rename(out / "date=2024-01-15/aws.parquet")
    spark.session().sql("create database if not exists lake")
    athena = ["--as", "athena", "--partitions", "listed"]
    # What is printed for S3 is run here, where there is a folder.
    for table, form in [("by_spark", ["--as", "spark"]), ("by_athena", [*athena, "--location", "s3://here"])]:
        name = f"{table}_{types}"
        text = schema(out, *form, "--database", "lake", "--table", name).replace("s3://here", f"file://{out}")
        spark.create(text) if form[1] == "spark" else spark.run(text)
        found = spark.session().sql(f"select date, count(*), sum(bytes) from lake.{name} group by date").collect()
        check_engine([tuple(row) for row in found], report, out)
        names = [c.name for c in spark.session().table(f"lake.{name}").schema]
        assert {"hop_of_tomorrow", "reject_reason", "traffic_path"} <= set(names) and names[-1] == "date"
        where = {"aws": "start < 1705280000", "rich": "start < timestamp '2024-01-15 00:53:20'"}[types]
        spark_rows = spark.session().sql(f"select count(*) from lake.{name} where {where} and date = '2024-01-15'").first()[0]
        duck_rows = duckdb.sql(f"select count(*) from flows where {where} and date = '2024-01-15'").fetchall()[0][0]
        assert spark_rows >= duck_rows > 0
        if types == "rich":
            # 10.0.1.0/24, as addresses compare.
            low, high = "00000000000000000000FFFF0A000100", "00000000000000000000FFFF0A0001FF"
            between = f"srcaddr_bin between X'{low}' and X'{high}'"
            text = "srcaddr like '10.0.1.%'"
            counts = [spark.session().sql(f"select count(*) from lake.{name} where {where}").first()[0] for where in [between, text]]
            assert counts[0] == counts[1] > 0
            assert spark.session().sql(f"select date_format(min(start), 'yyyy-MM-dd HH:mm:ss') from lake.{name}").first()[0] == "2024-01-15 00:00:00"
        spark.session().sql(f"drop table lake.{name}")
    # The statement for a table that is not there yet is searched for partitions.
    text = schema("--format", "v5", "--types", types, "--as", "athena", "--partitions", "listed", "--location", "s3://here", "--database", "lake", "--table", "later")
    spark.run(text.replace("s3://here", f"file://{out}"))
    assert spark.session().sql("show partitions lake.later").count() == 4
    spark.session().sql("drop table lake.later")
    if types == "aws":
        (out / "date=2024-01-15/aws.parquet").unlink()


@pytest.mark.parametrize("name, another", [("a[b]c", "abc"), ("d*e", "dXe"), ("f?g", "fXg"), ("h'{i}", "h'i")])
def test_paths_that_look_like_globs(logs, tmp_path, name, another):
    """Each engine reads the table that the path names, and none whose path it matches as a glob."""
    for folder, count in [(name, 3), (another, 5)]:
        source = logs / folder
        source.mkdir()
        lines = [" ".join(values(MIXED["v2"], i)) for i in range(count)]
        (source / "a.log").write_text("\n".join([MIXED["v2"], *lines]) + "\n")
        convert(source, tmp_path / folder)
    out = tmp_path / name
    for exact in [[], ["--exact"]]:
        duckdb.sql(schema(out, "--as", "duckdb", "--table", "globs", *exact))
        assert duckdb.sql("select count(*) from globs").fetchall()[0] == (3,), exact
    names = {}
    exec(schema(out, "--as", "polars"), names)
    assert names["flows"].collect().height == 3
    exec(schema(out, "--as", "pandas"), names)
    assert len(names["flows"]) == 3
    spark.session()
    exec(schema(out, "--as", "pyspark"), names)
    assert names["flows"].count() == 3
    spark.session().sql("create database if not exists lake")
    spark.create(schema(out, "--as", "spark", "--database", "lake", "--table", "globs"))
    assert spark.session().sql("select * from lake.globs").count() == 3
    spark.session().sql("drop table lake.globs")


@pytest.mark.parametrize("by", ["date", "date,hour", "region,date", "account,region,date,hour", "account", "none"])
def test_projection_computes_every_partition(tmp_path, out, by):
    flowlogs(tmp_path / "logs", "--objects", 12, "--records", 20, "--accounts", 2, "--every-s", 7_200)
    convert(tmp_path / "logs", out, "--partition-by", by)
    parameters = json.loads(schema(out, "--as", "glue-json", "--location", "s3://lake/x"))["Parameters"]
    if by == "none":
        assert not any(key.startswith("projection") for key in parameters)
        return
    for key in files(out):
        computed = parameters["storage.location.template"]
        for name, value in (part.split("=") for part in key.split("/")[:-1]):
            of = lambda what: parameters.get(f"projection.{name}.{what}")
            if of("type") == "enum":
                assert value in of("values").split(",")
            elif of("type") == "integer":
                low, high = of("range").split(",")
                assert value in [f"{hour:0{of('digits')}}" for hour in range(int(low), int(high) + 1)]
            else:
                assert (of("type"), of("format"), of("range").split(",")[1]) == ("date", "yyyy-MM-dd", "NOW")
                assert of("range").split(",")[0] <= datetime.date.fromisoformat(value).isoformat()
            computed = computed.replace(f"${{{name}}}", value)
        assert computed == f"s3://lake/x/{os.path.dirname(key)}/"


def test_rich_values(logs, out):
    lines = [
        "srcaddr dstaddr start end bytes",
        "10.0.0.1 2001:db8::1 1705276800 1705276860 1",
        "255.255.255.255 not-an-address 1705276800123 - 2",
        "- 0.0.0.0 - 253402300799 3",
    ]
    (logs / "a.log").write_text("\n".join(lines) + "\n1.1.1.1 2.2.2.2 4102444800000 1 1\n")
    report = convert(logs, out, "--types", "rich", check=None)
    assert (report["records"], report["rejects"], report["times_out_of_range"]) == (3, 1, 1), "past 2100 a number is no time at all"
    found = sorted((row for path in files(out).values() for row in pyarrow.parquet.ParquetFile(path).read().to_pylist()), key=lambda row: row["bytes"])
    mapped = b"\0" * 10 + b"\xff\xff"
    assert [row["srcaddr_bin"] for row in found] == [mapped + bytes([10, 0, 0, 1]), mapped + b"\xff" * 4, None]
    assert [row["dstaddr_bin"] for row in found] == [bytes.fromhex("20010db8" + "0" * 23 + "1"), None, mapped + b"\0" * 4]
    assert [row["dstaddr"] for row in found] == ["2001:db8::1", "not-an-address", "0.0.0.0"]
    starts = [row["start"] and row["start"].isoformat() for row in found]
    assert starts == ["2024-01-15T00:00:00+00:00", "2024-01-15T00:00:00.123000+00:00", None]
    assert found[2]["end"].year == 9999
    assert "--types: the table has `rich`, this run asks for `aws`" in run("convert", logs, "--out", out, "--types", "aws", check=2).stderr


def test_ranges_of_addresses_prune(tmp_path, out):
    flowlogs(tmp_path / "logs", "--objects", 2, "--records", 30_000)
    convert(tmp_path / "logs", out, "--types", "rich", "--sort=srcaddr-bin,dstaddr-bin,start")
    (path,) = [p for key, p in files(out).items() if "2024-01-15" in key]
    duckdb.sql(f"create or replace view twins as select * from read_parquet('{path}')")
    low, high = "\\x00" * 10 + "\\xFF\\xFF\\x0A\\x00\\x03\\x00", "\\x00" * 10 + "\\xFF\\xFF\\x0A\\x00\\x03\\xFF"
    of = lambda where: duckdb.sql(f"select count(*), sum(bytes) from twins where {where}").fetchall()[0]
    assert of(f"srcaddr_bin between '{low}'::blob and '{high}'::blob") == of("srcaddr like '10.0.3.%'") and of("srcaddr like '10.0.3.%'")[0] > 0
    import datafusion

    context = datafusion.SessionContext(datafusion.SessionConfig().set("datafusion.execution.parquet.pushdown_filters", "true"))
    context.register_parquet("twins", str(path))
    low, high = "00000000000000000000ffff0a000300", "00000000000000000000ffff0a0003ff"
    where = f"srcaddr_bin between arrow_cast(x'{low}', 'FixedSizeBinary(16)') and arrow_cast(x'{high}', 'FixedSizeBinary(16)')"
    plan = str(context.sql(f"explain analyze select count(*), sum(bytes) from twins where {where}").to_pylist())
    total, kept = (int(n.replace(" K", "")) for n in re.search(r"page_index_pages_pruned=(\d+) total → (\d+) matched", plan).groups())
    assert kept < total / 2, plan


def test_bloom_filters_are_read(tmp_path, out):
    import datafusion

    flowlogs(tmp_path / "logs", "--objects", 2, "--records", 30_000)
    convert(tmp_path / "logs", out, "--bloom-filter", "dstaddr,srcport", "--row-group-rows", "10000")
    (path,) = [p for key, p in files(out).items() if "2024-01-15" in key]
    columns = pyarrow.parquet.ParquetFile(path).read(["dstaddr", "srcport"]).to_pydict()
    context = datafusion.SessionContext()
    context.register_parquet("flows", str(path))
    for where, expected in [
        ("dstaddr = '77.77.77.77'", columns["dstaddr"].count("77.77.77.77")),
        (f"dstaddr = '{columns['dstaddr'][0]}'", columns["dstaddr"].count(columns["dstaddr"][0])),
        (f"srcport = {columns['srcport'][5]}", columns["srcport"].count(columns["srcport"][5])),
        ("srcport = 31000", columns["srcport"].count(31000)),
    ]:
        sql = f"select count(*) as n from flows where {where}"
        assert context.sql(sql).to_pylist() == [{"n": expected}]
        assert duckdb.sql(sql.replace("flows", f"read_parquet('{path}')")).fetchall()[0] == (expected,)
        assert spark.session().read.parquet(str(path)).where(where).count() == expected
    plan = str(context.sql("explain analyze select count(*) from flows where dstaddr = '77.77.77.77'").to_pylist())
    assert re.search(r"row_groups_pruned_bloom_filter=[1-9]\d* total → 0 matched", plan), plan


def test_conflicting_types_are_told(tmp_path, logs, out):
    (logs / "a.log").write_text("srcaddr hop-count\n10.0.0.1 3\n")
    convert(logs, out)
    (logs / "b.log").write_text("srcaddr hop-count bytes\n10.0.0.1 3 4\n")
    fields = tmp_path / "fields.toml"
    fields.write_text('[[field]]\nname = "hop-count"\nsince = 12\nlogs = ["vpc"]\nkind = "number"\nparquet = "INT32"\ndoc = "Hops taken."\n')
    convert(logs, out, "--fields", fields)
    words = run("schema", out, "--as", "duckdb", check=1).stderr
    assert "expected one type of column `hop_count` in all files" in words and "STRING" in words and "INT32" in words
    for path in pathlib.Path(out).glob("date=*/*.parquet"):
        path.unlink()


@pytest.mark.parametrize("by, partitions", [("date", "projected"), ("account,region,date,hour", "listed"), ("none", "listed")])
def test_infrastructure_code(tmp_path, by, partitions):
    """Parsers of Terraform and CloudFormation that we did not write read what Glue is told otherwise."""
    import cfnlint.api
    import hcl2

    for format in ["v11", "tgw", FORMATS[-1]]:
        args = ["--format", format, "--types", "rich", "--partition-by", by, "--partitions", partitions, "--location", 's3://lake/it"s/${x}/', "--database", "lake", "--table", "flows_2"]
        told = json.loads(schema(*args, "--as", "glue-json"))
        template = schema(*args, "--as", "cloudformation")
        # Advice aside, and what looks like a parameter in the odd location.
        assert [str(m) for m in cfnlint.api.lint_all(template) if m.rule.id[0] in "EW" and "${x}" not in str(m)] == []
        resource = json.loads(template)["Resources"]["Flows2"]["Properties"]
        assert resource["TableInput"] == told and resource["DatabaseName"] == "lake"

        text = schema(*args, "--as", "terraform")
        parsed = hcl_value(hcl2.loads(text))
        [table] = [block["aws_glue_catalog_table"]["flows_2"] for block in parsed["resource"]]
        [storage] = table["storage_descriptor"]
        assert (table["database_name"], table["name"], table["table_type"], table["parameters"]) == ("lake", "flows_2", told["TableType"], told["Parameters"])
        column = lambda c: {"Name": c["name"], "Type": c["type"], "Comment": c["comment"]}
        assert [column(c) for c in table.get("partition_keys", [])] == told["PartitionKeys"]
        assert [column(c) for c in storage["columns"]] == told["StorageDescriptor"]["Columns"]
        assert (storage["location"], storage["input_format"], storage["output_format"]) == tuple(told["StorageDescriptor"][m] for m in ["Location", "InputFormat", "OutputFormat"])
        [serde] = storage["ser_de_info"]
        assert (serde["serialization_library"], serde["parameters"]) == (told["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"], {"serialization.format": "1"})
        # The log format is the one that was asked for, as AWS has it, and is read back from the code.
        [local] = parsed["locals"]
        expected = json.loads(schema("--format", format, "--as", "json"))["log_format"]
        assert local["flows_2_log_format"] == expected
        (tmp_path / "table.tf").write_text(text)
        assert json.loads(schema("--format", f"@{tmp_path / 'table.tf'}", "--as", "json"))["log_format"] == expected
    assert "locals" not in schema("--as", "terraform", "--location", "s3://lake/x/")


def hcl_value(value):
    """What python-hcl2 parsed, without quotes and with templates' escapes undone as Terraform does."""
    if isinstance(value, dict):
        return {hcl_value(k): hcl_value(v) for k, v in value.items() if not k.startswith("__")}
    if isinstance(value, list):
        return [hcl_value(v) for v in value]
    if isinstance(value, str):
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1]
        return value.replace("$${", "${").replace("%%{", "%{").replace('\\"', '"').replace("\\\\", "\\")
    return value


def test_a_json_schema_of_rows(tmp_path):
    """Rows of a table, as pyarrow gives them, are what the schema says; others are not."""
    import base64

    import jsonschema

    logs = flowlogs(tmp_path / "logs", "--objects", 2, "--records", 50, "--format", "v5")
    for types in ["aws", "rich"]:
        out = tmp_path / types
        convert(logs, out, "--types", types)
        text = json.loads(schema("--format", "v5", "--types", types, "--as", "jsonschema"))
        jsonschema.Draft202012Validator.check_schema(text)
        validator = jsonschema.Draft202012Validator(text)
        as_json = {bytes: lambda v: base64.b64encode(v).decode(), datetime.datetime: lambda v: v.isoformat()}
        found = [row for path in files(out).values() for row in pyarrow.parquet.ParquetFile(path).read().to_pylist()]
        rows = [{k: as_json.get(type(v), lambda v: v)(v) for k, v in row.items()} for row in found]
        assert len(rows) == 100 and all(list(row) == text["required"] for row in rows)
        for row in rows:
            validator.validate(row)
        for wrong in [{"srcport": "443"}, {"srcport": -1}, {"dstport": 2**31}, {"bytes": 1.5}, {"action": 1}, {"more": 1}]:
            assert list(validator.iter_errors(rows[0] | wrong)), wrong
        assert list(validator.iter_errors({k: v for k, v in rows[0].items() if k != "bytes"}))
