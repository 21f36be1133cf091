"""Records of VPCs and Transit Gateways from one stream, in a folder for each: two tables of one log."""

import duckdb
import pyarrow.dataset
import pytest

import naive
from conftest import convert, files, run
from test_several import GIVEN, TGW, ordered, stream

KINDS = ["tgw", "vpc"]


@pytest.fixture(autouse=True)
def every_table_is_read_back():
    """Naive reading knows one format an object: rows are compared here with the values that lines were made of."""


def read(folder):
    """Rows as a reader sees them that takes the columns of the first file for all."""
    table = pyarrow.dataset.dataset(folder, format="parquet", partitioning="hive").to_table()
    rows = [{n.replace("_", "-"): v for n, v in row.items() if v is not None and n != "date"} for row in table.to_pylist()]
    return set(table.column_names), ordered(rows)


def check(out, found):
    wanted = {"tgw": [row for row in found if "tgw-id" in row], "vpc": [row for row in found if "tgw-id" not in row]}
    for kind in KINDS:
        columns, rows = read(out / f"log={kind}")
        assert rows == ordered(wanted[kind])
        assert ("tgw_id" in columns, "action" in columns) == ((True, False) if kind == "tgw" else (False, True))
    assert {key.split("/")[0] for key in files(out)} == {"log=tgw", "log=vpc"}


def test_each_kind_has_a_table_of_its_own(tmp_path):
    lines, found = stream(3_000)
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "first").write_text("\n".join(lines[:2_000]))
    report = convert(logs, tmp_path / "out", *GIVEN, "--table-layout", "split")
    assert report["records"] + report["rejects"] == report["lines"] == 2_000
    # The table remembers; what is in it is not converted again, of either kind.
    (logs / "second").write_text("\n".join(lines[2_000:]))
    report = convert(logs, tmp_path / "out", *GIVEN)
    assert (report["objects"]["known"], report["objects"]["converted"], report["lines"]) == (1, 1, 1_000)
    check(tmp_path / "out", found)
    before = len(files(tmp_path / "out"))
    run("compact", tmp_path / "out", "--quiet")
    assert len(files(tmp_path / "out")) < before
    check(tmp_path / "out", found)
    assert run("status", tmp_path / "out").returncode == 0
    # One table of both is there as well.
    count = duckdb.sql(f"select log, count(*) from read_parquet('{tmp_path}/out/log=*/*/*.parquet', union_by_name=true) group by log order by log")
    assert count.fetchall() == [(kind, sum(("tgw-id" in row) == (kind == "tgw") for row in found)) for kind in KINDS]
    statement = run("schema", tmp_path / "out", "--as", "athena", "--location", "s3://lake/flow/", "--database", "d", "--table", "t").stdout
    assert "`log` string" in statement and "'projection.log.values'='tgw,vpc'" in statement.replace(" = ", "=")


def test_the_layout_is_the_tables(tmp_path):
    (tmp_path / "log").write_text(f"{naive.V2}\n2 1 eni-1 10.0.0.1 10.0.0.2 1 2 6 3 4 1704067200 1704067260 ACCEPT OK\n")
    (tmp_path / "tgw").write_text(f"{TGW}\n6 TransitGateway 1 tgw-1 tgw-attach-1 10.0.0.1 10.0.0.2 1 2 6 1704067200 1704067260 OK\n")
    convert(tmp_path / "log", tmp_path / "one")
    said = run("convert", tmp_path / "tgw", "--out", tmp_path / "one", "--table-layout", "split", check=2).stderr
    assert "--partition-by: the table has `date`, this run asks for `log,date`" in said
    convert(tmp_path / "tgw", tmp_path / "one", "--table-layout", "one")
    convert([tmp_path / "log", tmp_path / "tgw"], tmp_path / "two", "--table-layout", "split", "--partition-by", "account,date")
    unknown = "account=__HIVE_DEFAULT_PARTITION__/date=2024-01-01"
    assert sorted(key.rsplit("/", 1)[0] for key in files(tmp_path / "two")) == [f"log={kind}/{unknown}" for kind in KINDS]
    said = run("convert", tmp_path / "tgw", "--out", tmp_path / "two", "--table-layout", "one", check=2).stderr
    assert "this run asks for `account,date`" in said
