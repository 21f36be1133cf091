"""`flowquet sql`: the answers of its engine against DuckDB's, what it reads, and what it refuses."""

import contextlib
import csv
import io
import ipaddress
import json
import os
import pty
import re
import select
import shutil
import subprocess
import time

import duckdb
import pyarrow.parquet
import pytest

import s3
from conftest import FLOWQUET, convert, files, flowlogs, run

# A day of which there is most.
DAY = "2024-01-16"


def sql(table, question, *args, check=0, **options):
    return run("sql", table, question, *args, check=check, **options)


def asked(table, question, *args, **options):
    """Rows as values of JSON."""
    return [json.loads(line) for line in sql(table, question, "--as", "jsonl", *args, **options).stdout.splitlines()]


def measured(process):
    """Bytes that were read, and those of the table."""
    found = re.search(r"read ([\d.]+) (B|KiB|MiB) of ([\d.]+) (B|KiB|MiB)", process.stderr)
    unit = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20}
    return float(found[1]) * unit[found[2]], float(found[3]) * unit[found[4]]


def by_duckdb(table, question):
    """The same rows by DuckDB, from the files, with the columns that ours adds."""
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    paths = [str(path) for path in files(table).values()]
    source = f"read_parquet({paths}, union_by_name = true, hive_partitioning = true, hive_types_autocast = false)"
    types = dict(connection.execute(f"select column_name, column_type from (describe select * from {source})").fetchall())
    if types["start"] == "BIGINT":
        time_of = lambda name: f'to_timestamp("{name}") as {name}_time'
    else:
        time_of = lambda name: f'"{name}" as {name}_time'
    connection.execute(f"create view flows as select *, {time_of('start')}, {time_of('end')} from {source}")
    result = connection.execute(question)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row)) for row in result.fetchall()]


def plain(row):
    def value(of):
        if hasattr(of, "timestamp"):
            return of.astimezone().isoformat() if of.tzinfo is None else of.isoformat().replace("+00:00", "Z")
        return of.hex() if isinstance(of, bytes) else of

    return json.dumps({name: value(of) for name, of in row.items()}, default=str)


@pytest.fixture(scope="module")
def lakes(tmp_path_factory):
    """Tables of two log formats and three days, in small row groups: one of AWS's types, one of rich ones."""
    folder = tmp_path_factory.mktemp("sql")
    made = ["--objects", 12, "--records", 1000, "--every-s", 19_000]
    flowlogs(folder / "v5", "--format", "v5", *made)
    flowlogs(folder / "v2", "--format", "v2", *made, "--accounts", 2)
    for types in ["aws", "rich"]:
        for source in ["v2", "v5"]:
            convert(folder / source, folder / types / "lake", "--types", types, "--row-group-rows", 1000)
    return {types: folder / types / "lake" for types in ["aws", "rich"]}


@pytest.fixture(params=["aws", "rich"])
def lake(request, lakes):
    return lakes[request.param]


@pytest.fixture
def table(lakes):
    return lakes["aws"]


QUESTIONS = [
    "SELECT count(*) AS n, sum(bytes) AS bytes, min(start_time) AS first, max(end_time) AS last FROM flows",
    "SELECT \"date\", count(*) AS n, count(vpc_id) AS with_vpc FROM flows GROUP BY 1 ORDER BY 1",
    "SELECT srcaddr, count(*) AS n, sum(bytes) AS bytes FROM flows GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20",
    "SELECT interface_id, dstport, sum(packets) AS p FROM flows WHERE action = 'REJECT' GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 20",
    "SELECT count(*) AS n FROM flows WHERE tcp_flags IS NULL OR vpc_id IS NOT NULL",
    "SELECT count_if(action = 'REJECT') AS refused, count(*) FILTER (WHERE dstport = 443) AS https FROM flows",
    "SELECT srcaddr, \"end\" - \"start\" AS took FROM flows WHERE log_status = 'OK' ORDER BY bytes DESC NULLS LAST, srcaddr, dstaddr, srcport, \"start\" LIMIT 5",
    "SELECT date_trunc('hour', start_time) AS hour, sum(bytes) AS b FROM flows GROUP BY 1 ORDER BY 1",
    "WITH t AS (SELECT srcaddr, bytes, row_number() OVER (PARTITION BY srcaddr ORDER BY bytes DESC NULLS LAST) AS r FROM flows) SELECT srcaddr, max(bytes) AS b FROM t WHERE r = 1 GROUP BY 1 ORDER BY 1",
    "SELECT a.srcaddr, count(*) AS n FROM flows a JOIN (SELECT DISTINCT dstaddr FROM flows WHERE dstport = 22) b ON a.srcaddr = b.dstaddr GROUP BY 1 ORDER BY 1",
    "SELECT * FROM flows WHERE \"date\" <> '2024-01-15' AND dstport IN (22, 443)",
    f"SELECT count(*) AS n FROM flows WHERE start_time::date = TIMESTAMP '{DAY} 00:00:00' AND end_time::date <= TIMESTAMP '{DAY} 00:00:00'",
    f"SELECT count(*) AS n FROM flows WHERE start_time::date BETWEEN TIMESTAMP '{DAY} 00:00:00' AND TIMESTAMP '{DAY} 00:00:00'",
]  # fmt: skip


def compared(table, question, *args):
    ours = [plain(row) for row in asked(table, question, *args)]
    theirs = [plain(row) for row in by_duckdb(table, question.replace('"end" - "start" AS took', "epoch(end_time)::bigint - epoch(start_time)::bigint AS took"))]
    return ours, theirs


@pytest.mark.parametrize("question", QUESTIONS)
def test_answers_are_duckdbs(lake, question):
    if '"end" - "start"' in question and asked(lake, "SELECT arrow_typeof(\"start\") AS t FROM flows LIMIT 1")[0]["t"] != "Int64":
        pytest.skip("numbers only")
    ours, theirs = compared(lake, question)
    if "SELECT *" in question:
        # Of several columns, theirs come in another order.
        ours, theirs = ([json.loads(row) for row in rows] for rows in [ours, theirs])
        ours, theirs = (sorted(json.dumps(row, sort_keys=True) for row in rows) for rows in [ours, theirs])
        assert all(name in ours[0] for name in ["start_time", "end_time", "date"])
    assert ours == theirs and ours


def test_networks_as_python_has_them(lake):
    rows = by_duckdb(lake, "SELECT srcaddr, dstaddr FROM flows")
    for network in ["10.0.0.0/8", "10.0.0.0/14", "172.16.0.0/12", "2001:db8::/32", "0.0.0.0/0", "::/0", "10.0.1.5", rows[0]["srcaddr"] or "10.0.0.1"]:
        around = ipaddress.ip_network(network)

        def inside(text):
            # As `top --src` has it: IPv4 is a part of IPv6.
            if text is None:
                return False
            address = ipaddress.ip_address(text)
            return address in around or network == "::/0"

        for column in ["srcaddr", "dstaddr"]:
            expected = sum(inside(row[column]) for row in rows)
            where = f"ip_in({column}, '{network}')"
            assert asked(lake, f"SELECT count(*) AS n FROM flows WHERE {where}") == [{"n": expected}], where
            nulls = sum(row[column] is None for row in rows)
            outside = asked(lake, f"SELECT count(*) AS n FROM flows WHERE NOT {where}")
            assert outside == [{"n": len(rows) - expected - nulls}], where
    private = sum(any(ipaddress.ip_address(r["srcaddr"]) in ipaddress.ip_network(n) for n in ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]) for r in rows if r["srcaddr"])
    v6 = sum(1 for r in rows if r["srcaddr"] and r["srcaddr"].startswith(("fc", "fd")))
    assert asked(lake, "SELECT count(*) AS n FROM flows WHERE is_private(srcaddr)") == [{"n": private + v6}]


def test_prunes_by_folder_statistics_and_order(lake, tmp_path):
    """What is read of a table that is compacted: a day, an interface, an address, a network and an hour are parts of it."""
    table = tmp_path / "lake"
    shutil.copytree(lake, table)
    run("compact", table, "--row-group-rows", 2000, "--quiet")
    read = lambda where: measured(sql(table, f"SELECT count(srcaddr), sum(bytes), min(dstaddr), max(srcport) FROM flows {where}", "-v"))
    every, whole = read("")
    assert every <= whole * 1.1
    interface, address = (by_duckdb(table, f"SELECT {c} AS v FROM flows WHERE {c} IS NOT NULL ORDER BY 1 LIMIT 1")[0]["v"] for c in ["interface_id", "srcaddr"])
    day = f"\"date\" = '{DAY}'"
    for where in [day, f"{day} AND srcaddr = '{address}'", f"{day} AND ip_in(srcaddr, '{address}')"]:
        some, _ = read(f"WHERE {where}")
        assert 0 < some < every * 0.6, (where, some, every)
    one_day, _ = read(f"WHERE {day}")
    by_address, _ = read(f"WHERE {day} AND srcaddr = '{address}'")
    by_network, _ = read(f"WHERE {day} AND ip_in(srcaddr, '{address}')")
    assert by_address < one_day and by_network < one_day
    assert sql(table, f"SELECT count(*) FROM flows WHERE interface_id = '{interface}'", "-v").stdout.splitlines()[1].isdigit()
    # A count of all rows is in the records.
    assert measured(sql(table, "SELECT count(*) FROM flows", "-v"))[0] == 0


def test_times_prune_row_groups(lake):
    """Files as converted are in the order of time: an hour of `start_time` reads less than its day, and the same as DuckDB finds."""
    question = lambda where: f"SELECT count(*) AS n, sum(bytes) AS b, min(srcaddr) AS a FROM flows WHERE {where}"
    day = DAY
    hour = f"start_time >= TIMESTAMP '{day} 10:00:00' AND start_time < TIMESTAMP '{day} 12:00:00'"
    text = f"start_time BETWEEN '{day} 10:00:00' AND '{day} 11:59:59'"
    ours, theirs = compared(lake, question(hour))
    assert ours == theirs == [plain(row) for row in asked(lake, question(text))]
    some, _ = measured(sql(lake, question(f"{hour} AND \"date\" = '{day}'"), "-v"))
    all_of_day, _ = measured(sql(lake, question(f"\"date\" = '{day}' AND bytes > 0"), "-v"))
    assert some < all_of_day


def test_after_compaction_and_while_files_are_replaced(lake, tmp_path):
    table = tmp_path / "lake"
    shutil.copytree(lake, table)
    question = "SELECT count(*) AS n, sum(bytes) AS b, count(DISTINCT srcaddr) AS a FROM flows WHERE bytes >= 0"
    before = asked(table, question)
    # The second question is asked when the files that the log named at first are gone: standard output is full until then.
    both = f"SELECT * FROM generate_series(1, 400000); {question}"
    process = subprocess.Popen([FLOWQUET, "sql", table, both, "--as", "csv"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.read(100)
    run("compact", table, "--quiet")
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert output.splitlines()[-1] == ",".join(str(v) for v in before[0].values())
    assert asked(table, question) == before
    # A file that is gone for good is named.
    path = next(iter(files(table).values()))
    whole = path.read_bytes()
    path.unlink()
    day = path.parent.name.removeprefix("date=")
    for question in ["sum(bytes) FROM flows", "count(*) FROM flows", f"count(*) FROM flows WHERE \"date\" = '{day}'", "1 FROM flows LIMIT 1"]:
        error = sql(table, f"SELECT {question}", check=1).stderr
        assert "gone" in error and path.name in error and "flowquet status" in error, question
    for cut in [b"cut", whole[:2000], whole[:-100]]:
        path.write_bytes(cut)
        for question in ["count(*)", "sum(bytes)"]:
            error = sql(table, f"SELECT {question} FROM flows", check=1).stderr
            assert path.name in error and ", found " in error, (len(cut), question)
    # Other days can still be counted.
    assert sql(table, f"SELECT count(*) FROM flows WHERE \"date\" <> '{day}'").returncode == 0
    shutil.rmtree(table)


def test_in_s3(table, tmp_path):
    with s3.serve() as server:
        server.put_folder(table, "lake", "flows_of_ours")
        for question in [QUESTIONS[0], QUESTIONS[2], "SELECT count(*) AS n FROM flows_of_ours WHERE ip_in(srcaddr, '10.0.0.0/8')"]:
            here = asked(table, question.replace("flows_of_ours", "flows"))
            there = s3.run(server, "sql", "s3://lake/flows_of_ours/", question, "--as", "jsonl", "-o", "-")
            assert [json.loads(line) for line in there.stdout.splitlines()] == here
        s3.run(server, "sql", "s3://lake/flows_of_ours/", QUESTIONS[2], "-o", "s3://lake/answers/top.parquet")
        assert server.keys("lake", "answers/") == ["answers/top.parquet"]
        error = s3.run(server, "sql", "s3://lake/nothing/", "SELECT 1", check=1).stderr
        assert "no flowquet table" in error


def test_partitions_of_several_columns_and_a_rollup(tmp_path):
    flowlogs(tmp_path / "logs", "--objects", 6, "--records", 300, "--accounts", 2, "--every-s", 20_000)
    convert(tmp_path / "logs", tmp_path / "lake", "--partition-by", "account,region,date")
    question = "SELECT account, region, \"date\", count(*) AS n FROM flows GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    ours = asked(tmp_path / "lake", question)
    assert [tuple(row.values()) for row in ours] == [tuple(row.values()) for row in by_duckdb(tmp_path / "lake", question)]
    account = ours[0]["account"]
    assert asked(tmp_path / "lake", f"SELECT DISTINCT account FROM lake WHERE account = '{account}'") == [{"account": account}]
    run("rollup", tmp_path / "lake", "--by", "hour,srcaddr", "--out", tmp_path / "hours", "--quiet")
    sums = "sum(bytes)::bigint AS bytes, count(*) AS n"
    rolled = asked(tmp_path / "hours", "SELECT sum(bytes) AS bytes, sum(flows) AS n FROM hours")
    assert rolled == by_duckdb(tmp_path / "lake", f"SELECT {sums} FROM flows")


def test_a_partition_without_a_value_is_null(tmp_path):
    (tmp_path / "old.log").write_text("srcaddr bytes start\n10.0.0.1 7 1705276800\n- - 1705276900\n")
    convert(tmp_path / "old.log", tmp_path / "lake", "--partition-by", "account,date")
    assert list(files(tmp_path / "lake"))[0].startswith("account=__HIVE_DEFAULT_PARTITION__/")
    assert asked(tmp_path / "lake", "SELECT account, count(*) AS n, sum(bytes) AS b FROM flows WHERE account IS NULL GROUP BY 1") == [{"account": None, "n": 2, "b": 7}]
    assert asked(tmp_path / "lake", "SELECT count(*) AS n FROM flows WHERE account <> '1'") == [{"n": 0}]
    assert asked(tmp_path / "lake", "SELECT srcaddr FROM flows WHERE is_private(srcaddr) AND coalesce(account, 'none') = 'none'") == [{"srcaddr": "10.0.0.1"}]


def test_forms(table, tmp_path):
    question = "SELECT srcaddr, count(*) AS n, min(start_time) AS first, NULL AS nothing FROM flows GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 3"
    rows = asked(table, question)
    assert [list(row) for row in rows] == [["srcaddr", "n", "first", "nothing"]] * 3
    # Off a terminal it is CSV.
    for told in [sql(table, question).stdout, sql(table, question, "--as", "csv").stdout]:
        read = list(csv.DictReader(io.StringIO(told)))
        assert [(row["srcaddr"], int(row["n"]), row["first"], row["nothing"]) for row in read] == [(row["srcaddr"], row["n"], row["first"], "") for row in rows]
    assert json.loads(sql(table, question, "--as", "json").stdout) == rows
    assert json.loads(sql(table, "SELECT * FROM flows WHERE false", "--as", "json").stdout) == []
    assert sql(table, "SELECT bytes AS b FROM flows WHERE false").stdout == "b\n"
    told = sql(table, question, "--as", "table", "--rows", 2).stdout.splitlines()
    assert told[0].split() == ["srcaddr", "n", "first", "nothing"] and told[1].split()[:2] == [rows[0]["srcaddr"] or "", str(rows[0]["n"])] and len(told) == 4
    assert "… 1 row more" in told[3]
    for name in ["answer.parquet", "answer.csv", "answer.json", "answer.jsonl"]:
        sql(table, question, "-o", tmp_path / name)
        assert [path.name for path in tmp_path.iterdir() if path.name == name]
    assert pyarrow.parquet.read_table(tmp_path / "answer.parquet").column("n").to_pylist() == [row["n"] for row in rows]
    assert json.loads((tmp_path / "answer.json").read_text()) == rows
    assert (tmp_path / "answer.csv").read_text() == sql(table, question).stdout
    (tmp_path / "question.sql").write_text(f"-- those that talk most\n{question};\n")
    assert sql(table, "-", stdin=open(tmp_path / "question.sql")).stdout == run("sql", table, "--file", tmp_path / "question.sql").stdout == sql(table, question).stdout
    assert "none.sql" in run("sql", table, "-f", tmp_path / "none.sql", check=2).stderr


def test_what_is_refused_changes_nothing(table, tmp_path):
    before = {key: path.stat().st_mtime_ns for key, path in files(table).items()}
    for statement in [
        f"COPY flows TO '{tmp_path}/x.csv'", f"COPY (SELECT 1) TO '{tmp_path}/x.parquet'", "CREATE TABLE t AS SELECT 1", "DROP TABLE flows", "INSERT INTO flows SELECT * FROM flows",
        "DELETE FROM flows", "SET datafusion.execution.target_partitions = 1", f"CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{tmp_path}'", "CREATE VIEW v AS SELECT 1",
        f"EXPLAIN COPY flows TO '{tmp_path}/x.csv'",
    ]:  # fmt: skip
        error = sql(table, statement, check=2).stderr
        assert error.startswith("error: "), statement
    assert list(tmp_path.iterdir()) == [] and before == {key: path.stat().st_mtime_ns for key, path in files(table).items()}
    assert sql(table, f"SELECT * FROM '{tmp_path}/x.csv'", check=2).stderr.startswith("error: no table")
    for statement, begins in [("EXPLAIN SELECT sum(bytes) FROM flows", "logical_plan"), ("DESCRIBE flows", "srcaddr"), ("SHOW TABLES", "flows"), ("SHOW COLUMNS FROM flows", "start_time")]:
        assert begins in sql(table, statement).stdout, statement


@pytest.mark.parametrize(
    "question, expected",
    [
        ("SELECT srcadr FROM flows", ["no column `srcadr`", "did you mean `srcaddr`?"]),
        ("SELECT start, end FROM flows", ['"end"']),
        ("SELECT * FROM flow", ["no table `flow`", "flows"]),
        ("SELECT nonsense(bytes) FROM flows", ["nonsense"]),
        ("SELECT * FROM flows WHERE ip_in(srcaddr, '10.0.0/8')", ["expected an address or a network such as 10.0.0.0/8, found `10.0.0/8`"]),
        ("SELECT * FROM flows WHERE ip_in(bytes, '10.0.0.0/8')", ["ip_in takes text, such as srcaddr"]),
        ("SELEC 1", ["read the question"]),
        ("", ["expected a question"]),
        ("SELECT * FROM flows WHERE start_time > '10:00'", ["times are written '2024-01-15 10:30:00'"]),
        ("SELECT date_diff('fortnight', start_time, end_time) FROM flows", ["expected one of millisecond"]),
    ],
)
def test_mistakes_are_told_in_words(table, question, expected):
    process = sql(table, question, check=None)
    assert process.returncode in (1, 2) and process.stdout in ("", "\n"), (process.returncode, process.stdout)
    assert process.stderr.startswith("error: ")
    assert all(words in process.stderr for words in expected), process.stderr


def test_bounds(table):
    question = "SELECT srcaddr, dstaddr, srcport, \"start\", count(*) AS n FROM flows GROUP BY 1, 2, 3, 4 ORDER BY n DESC, 1, 2, 3, 4"
    free = sql(table, question).stdout
    assert sql(table, question, "--threads", 1, "--memory", "64M").stdout == free
    tight = sql(table, question, "--threads", 1, "--memory", "100K", check=None)
    assert tight.returncode == 0 and tight.stdout == free or "out of memory" in tight.stderr and "--memory" in tight.stderr
    assert "threads" in sql(table, question, "--threads", 0, check=2).stderr


def test_a_program_that_is_not_installed(tmp_path):
    lonely = tmp_path / "flowquet"
    shutil.copy(FLOWQUET, lonely)
    environment = {**os.environ, "PATH": str(tmp_path / "empty")}
    process = subprocess.run([lonely, "sql", tmp_path, "SELECT 1"], capture_output=True, text=True, env=environment)
    assert process.returncode == 1 and process.stdout == ""
    assert "flowquet-sql, which is not installed" in process.stderr and "hint: install it with" in process.stderr
    # Help is of the program that is there.
    assert "ip_in" in subprocess.run([lonely, "sql", "--help"], capture_output=True, text=True, env=environment, check=True).stdout
    # Found on the path, it gets the words, the environment and the standard streams; its exit code is ours.
    (tmp_path / "empty").mkdir()
    stand_in = tmp_path / "empty/flowquet-sql"
    stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$FLOWQUET_THREADS" "$@"\nexit 130\n')
    stand_in.chmod(0o755)
    (tmp_path / "flowquet.toml").write_text('[jobs.lake]\nout = "some/table"\n')
    environment["FLOWQUET_THREADS"] = "3"
    process = subprocess.run([lonely, "-v", "sql", "@lake", "SELECT 1", "--as", "json"], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert (process.returncode, process.stdout.split("\n")) == (130, ["3", "-v", "some/table", "SELECT 1", "--as", "json", ""])


def test_the_prompt(table, tmp_path):
    """On a terminal, with questions over several lines, a mistake, columns, and history for the next time."""
    environment = {**os.environ, "HOME": str(tmp_path), "TERM": "xterm", "NO_COLOR": "1"}
    environment.pop("XDG_STATE_HOME", None)
    leader, follower = pty.openpty()
    process = subprocess.Popen([FLOWQUET, "sql", table], stdin=follower, stdout=follower, stderr=follower, env=environment, close_fds=True)
    os.close(follower)
    told = b""

    def until(words):
        """What comes before some words, which are to come."""
        nonlocal told
        begun = time.monotonic()
        while words not in told and time.monotonic() - begun < 60:
            if select.select([leader], [], [], 1)[0]:
                told += os.read(leader, 4096)
        before, found, told = told.partition(words)
        assert found, before
        return before.decode()

    until(b"flows> ")
    os.write(leader, b"SELECT count(*) AS n\r")
    until(b"...> ")
    os.write(leader, b"FROM flows;\r")
    rows = by_duckdb(table, "SELECT count(*) AS n FROM flows")[0]["n"]
    assert str(rows) in until(b"1 row; read ")
    until(b"flows> ")
    os.write(leader, b"SELECT nothing FROM flows;\r")
    assert "no column" in until(b"hint: ")
    until(b"flows> ")
    os.write(leader, b"\\d\r")
    assert "srcaddr" in until(b"rows; read ")
    until(b"flows> ")
    os.write(leader, b"SELECT 1\r")
    until(b"...> ")
    os.write(leader, b"\x03")
    until(b"flows> ")
    os.write(leader, b"\\q\r")
    while process.poll() is None and select.select([leader], [], [], 60)[0]:
        with contextlib.suppress(OSError):
            os.read(leader, 4096)
    process.wait(60)
    os.close(leader)
    assert process.returncode == 0
    assert "FROM flows;" in (tmp_path / ".flowquet-sql-history").read_text()
