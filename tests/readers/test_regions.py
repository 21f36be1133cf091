"""`--partition-by region`: records are where engines see their own region."""

import duckdb
import polars
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from conftest import convert, files, run

HEADER = "version account-id region srcaddr start end"
DAY = 1_704_067_200


def line(region, n):
    return f"5 111122223333 {region} 10.0.0.{n} {DAY + n * 60} {DAY + n * 60 + 60}"


def written(path, *regions):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([HEADER, *(line(region, n) for n, region in enumerate(regions))]) + "\n")


def key(region):
    name = f"111122223333_vpcflowlogs_{region}_fl-0a1b2c3d_20240101T0005Z_0a1b2c3d.log"
    return f"AWSLogs/111122223333/vpcflowlogs/{region}/2024/01/01/{name}"


def seen(out):
    """Regions by address, as three engines see them."""
    of_duckdb = dict(duckdb.sql(f"SELECT srcaddr, region FROM read_parquet('{out}/region=*/**/*.parquet', hive_partitioning = true)").fetchall())
    of_polars = polars.scan_parquet(f"{out}/region=*/**/*.parquet", hive_partitioning=True).select("srcaddr", "region").collect()
    assert dict(of_polars.rows()) == of_duckdb
    partitioning = ds.partitioning(pa.schema([("region", pa.string()), ("date", pa.string())]), flavor="hive")
    of_arrow = ds.dataset([str(path) for path in sorted(out.glob("region=*/**/*.parquet"))], partitioning=partitioning).to_table()
    assert dict(zip(of_arrow["srcaddr"].to_pylist(), of_arrow["region"].to_pylist())) == of_duckdb
    return of_duckdb


def folders(out):
    return sorted({path.relative_to(out).parts[0] for path in out.glob("region=*/**/*.parquet")})


def test_a_record_is_in_the_partition_of_its_own_region(tmp_path):
    logs, out = tmp_path / "logs", tmp_path / "out"
    long = "x" * 65
    written(logs / "flat.log", "us-east-1", "eu-west-1", "-", "us-east-1", "a/b c".replace(" ", ""), long)
    report = convert(logs, out, "--partition-by", "region,date")
    assert (report["records"], report["rejects"], report["warnings"]) == (6, 0, [])
    assert folders(out) == ["region=__HIVE_DEFAULT_PARTITION__", "region=a%2Fbc", "region=eu-west-1", "region=us-east-1"]
    found = seen(out)
    assert [found[f"10.0.0.{n}"] for n in range(5)] == ["us-east-1", "eu-west-1", None, "us-east-1", "a/bc"]
    # The files keep what the records say.
    kept = {row["srcaddr"]: row["region"] for path in files(out).values() for row in pq.ParquetFile(path).read().to_pylist()}
    assert kept["10.0.0.5"] == long and kept["10.0.0.2"] is None
    # The same bytes on any number of threads.
    convert(logs, tmp_path / "one", "--partition-by", "region,date", "--threads", "1")
    assert [path.read_bytes() for path in files(tmp_path / "one").values()] == [path.read_bytes() for path in files(out).values()]


def test_the_path_tells_where_the_record_does_not(tmp_path):
    logs, out = tmp_path / "logs", tmp_path / "out"
    written(logs / key("eu-west-1"), "us-east-1", "-", "eu-west-1")
    (logs / key("eu-west-2")).parent.mkdir(parents=True)
    (logs / key("eu-west-2")).write_text(f"version srcaddr start end\n5 10.0.0.9 {DAY} {DAY + 60}\n")
    convert(logs, out, "--partition-by", "region,date")
    assert seen(out) == {"10.0.0.0": "us-east-1", "10.0.0.1": "eu-west-1", "10.0.0.2": "eu-west-1", "10.0.0.9": "eu-west-2"}


def test_a_region_that_is_not_kept_chooses_the_partition_too(tmp_path):
    table = {"version": [5, 5], "region": ["us-east-1", "eu-west-1"], "srcaddr": ["10.0.0.0", "10.0.0.1"], "start": [DAY, DAY], "end": [DAY, DAY]}
    pq.write_table(pa.table(table), tmp_path / "in.parquet")
    written(tmp_path / "in.log", "us-east-1", "eu-west-1")
    for source in ["in.parquet", "in.log"]:
        out = tmp_path / f"{source}.out"
        convert(tmp_path / source, out, "--partition-by", "region,date", "--columns", "srcaddr,start")
        assert seen(out) == {"10.0.0.0": "us-east-1", "10.0.0.1": "eu-west-1"}


def test_a_table_by_region_is_whole_after_all_that_may_be_done_with_it(tmp_path):
    logs, out = tmp_path / "logs", tmp_path / "out"
    for n in range(3):
        written(logs / f"{n}.log", "us-east-1", "eu-west-1", "-", "us-east-1")
    convert(logs, out, "--partition-by", "region,date")
    whole = sorted(folders(out))
    run("compact", out)
    run("verify", out, "--read-data", "--source", logs, "--deep")
    run("reconvert", out, "--object", "**/1.log")
    run("verify", out, "--read-data", "--source", logs, "--deep")
    assert folders(out) == whole
    rows = duckdb.sql(f"SELECT region, count(*) FROM read_parquet('{out}/region=*/**/*.parquet', hive_partitioning = true) GROUP BY 1").fetchall()
    assert dict(rows) == {"us-east-1": 6, "eu-west-1": 3, None: 3}


def test_a_column_that_a_folder_hides_is_warned_of(tmp_path):
    (tmp_path / "in.csv").write_text(f"version,srcaddr,start,end,hour\n5,10.0.0.0,{DAY},{DAY + 60},late\n")
    report = convert(tmp_path / "in.csv", tmp_path / "out", "--partition-by", "date,hour")
    assert any("`hour` of the records is a partition column" in warning for warning in report["warnings"])
    [path] = files(tmp_path / "out").values()
    assert pq.ParquetFile(path).read()["hour"].to_pylist() == ["late"]


def test_files_of_a_table_among_raw_logs_are_warned_of(tmp_path):
    written(tmp_path / "in.log", "us-east-1")
    convert(tmp_path / "in.log", tmp_path / "table")
    report = convert(tmp_path / "table" / "date=2024-01-01", tmp_path / "out")
    [warning] = report["warnings"]
    assert f"file://{tmp_path}/table/` has Parquet files that flowquet wrote" in warning
