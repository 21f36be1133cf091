"""Columns that files fill: what lists, AWS's ranges, databases and snapshots say of addresses and interfaces, held to a twin that looks at every entry."""

import csv
import ipaddress
import json
import os
import random
import re
import shlex
import shutil

import duckdb
import jsonschema
import pyarrow.parquet
import pytest

import mmdb
import naive
import naive_enrich
import s3
from conftest import ROOT, convert, files, plans, run

NAMES = "version interface-id srcaddr dstaddr pkt-srcaddr pkt-dstaddr start end log-status"
ENRI = "_flowquet/enrichments"


@pytest.fixture(autouse=True)
def every_table_is_read_back():
    """Naive reading of lines knows fields alone: tables are compared here."""


def networks(pick, count):
    """Networks of both families that nest, touch and stand alone; each once."""
    found = {ipaddress.ip_network(text) for text in ["10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32", "::/0", "10.0.0.1/32", "2001:db8::1/128"]}
    while len(found) < count:
        if pick.random() < 0.6:
            found.add(ipaddress.ip_network(((10 << 24) + pick.randrange(1 << 12), pick.choice([8, 16, 20, 21, 24, 28, 31, 32])), strict=False))
        else:
            found.add(ipaddress.ip_network(((0x20010DB8 << 96) + pick.randrange(1 << 12), pick.choice([32, 64, 116, 120, 127, 128])), strict=False))
    return sorted(found, key=str)


def some_address(pick):
    kind = pick.random()
    if kind < 0.5:
        return str(ipaddress.ip_address((10 << 24) + pick.randrange(1 << 12)))
    if kind < 0.8:
        return str(ipaddress.ip_address((0x20010DB8 << 96) + pick.randrange(1 << 12)))
    if kind < 0.85:
        return f"::ffff:10.0.{pick.randrange(16)}.{pick.randrange(256)}"
    return pick.choice(["-", "11.1.1.1", "fe80::1", "unknown", "10.0.0.1", "2001:db8::1", "255.255.255.255", "0.0.0.0"])


def made_up(pick, count):
    """Lines of a flow log."""
    lines = [NAMES]
    for _ in range(count):
        src, dst = some_address(pick), some_address(pick)
        packet = lambda own: own if pick.random() < 0.5 else some_address(pick)
        start = pick.choice(["-", *range(1705312800, 1705313400, 7)])
        end = 1705313460
        lines.append(f"5 eni-{pick.randrange(12)} {src} {dst} {packet(src)} {packet(dst)} {start} {end} OK")
    return "\n".join(lines) + "\n"


def timed(pick, entries):
    """The same entries several times, each for a time."""
    found = []
    for entry in entries:
        for begin in sorted({pick.choice(["", *range(1705312800, 1705313400, 13)]) for _ in range(pick.randrange(1, 5))}, key=str):
            to = pick.choice(["", 1705313000, 1705313399]) if begin == "" else pick.choice(["", begin, begin + 50, begin + 500])
            found.append({**entry, "from": str(begin), "to": str(to), "name": f"{entry['name']}-{begin}"})
    return found


def write_csv(path, entries):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, entries[0])
        writer.writeheader()
        writer.writerows(entries)


def rows(out, names):
    """Rows by pyarrow: fields, and columns of these names."""
    found = []
    for path in files(out).values():
        for row in pyarrow.parquet.ParquetFile(path).read().to_pylist():
            columns = {name: row.pop(name) for name in names}
            row["start"] = None if row["start"] is None else row["start"].timestamp() if hasattr(row["start"], "timestamp") else row["start"]
            found.append((row, columns))
    return found


@pytest.mark.parametrize("types", ["aws", "rich"])
def test_lists_as_every_entry_is_looked_at(logs, out, tmp_path, types):
    pick = random.Random(11)
    nets = [{"network": str(net), "name": f"n{i % 9}", "owner": pick.choice(["", "web", "db, old", 'a "b"'])} for i, net in enumerate(networks(pick, 60))]
    pods = timed(pick, [{"ip": str(net), "name": f"p{i}"} for i, net in enumerate(networks(pick, 40))])
    enis = timed(pick, [{"eni": f"ENI-{n}", "name": f"e{n}"} for n in range(10)])
    write_csv(tmp_path / "net.csv", nets)
    (tmp_path / "pod.json").write_text(json.dumps(pods, indent=1))
    (tmp_path / "eni.jsonl").write_text("".join(json.dumps({k: v or None for k, v in entry.items()}) + "\n" for entry in enis))
    (logs / "a.log").write_text(made_up(pick, 1500))
    (logs / "b.log").write_text(made_up(pick, 500))
    args = [f"--enrich=net={tmp_path}/net.csv", f"--enrich=pod={tmp_path}/pod.json", f"--enrich=eni={tmp_path}/eni.jsonl", "--types", types]
    convert(logs, out, *args, "--row-group-rows", 400)
    lists = [("net", nets, "network", ["name", "owner"]), ("pod", pods, "ip", ["name"]), ("eni", enis, "eni", ["name"])]
    names = [f"{side}_{name}_{column}" for name, _, key, columns in sorted(lists) for side in (["interface"] if key == "eni" else ["src", "dst"]) for column in columns]

    def check():
        seen = {name: set() for name in names}
        for record, columns in rows(out, names):
            for name, entries, key, of in lists:
                expected = naive_enrich.enriched(record, name, entries, key, of)
                assert {column: columns[column] for column in expected} == expected, record
            for name, value in columns.items():
                seen[name].add(value)
        assert all(len(values) > 2 and None in values for values in seen.values()), seen

    check()
    path = next(iter(files(out).values()))
    assert pyarrow.parquet.read_schema(path).names[-len(names):] == names
    # DuckDB sees the same.
    duck = duckdb.sql(f"SELECT {', '.join(names)} FROM read_parquet('{out}/date=*/*.parquet', hive_partitioning = false)").fetchall()
    assert sorted(map(str, duck)) == sorted(str(tuple(columns.values())) for _, columns in rows(out, names))
    # Other threads and less memory give the same bytes.
    again = tmp_path / "again"
    convert(logs, again, *args, "--row-group-rows", 400, "--threads", 1, "--memory", "300M")
    assert {k: p.read_bytes() for k, p in files(again).items()} == {k: p.read_bytes() for k, p in files(out).items()}
    run("verify", out, "--read-data", "--deep")
    run("compact", out)
    check()
    run("verify", out, "--read-data", "--deep")


def test_services_of_aws(logs, out, tmp_path):
    ranges = lambda *entries: [dict(zip(["ip_prefix", "region", "service", "network_border_group"], entry)) for entry in entries]
    v4 = ranges(
        ("52.94.0.0/22", "GLOBAL", "AMAZON", "GLOBAL"), ("52.94.0.0/24", "us-east-1", "AMAZON", "us-east-1"), ("52.94.0.0/24", "us-east-1", "DYNAMODB", "us-east-1"),
        ("3.5.140.0/22", "ap-northeast-2", "EC2", "ap-northeast-2"), ("3.5.140.0/22", "ap-northeast-2", "AMAZON", "ap-northeast-2"), ("3.5.140.0/22", "ap-northeast-2", "S3", "ap-northeast-2"),
    )  # fmt: skip
    v6 = [{"ipv6_prefix" if k == "ip_prefix" else k: v for k, v in entry.items()} for entry in ranges(("2600:1f14::/35", "us-west-2", "EC2", "us-west-2-lax-1"))]
    (tmp_path / "ip-ranges.json").write_text(json.dumps({"syncToken": "1", "createDate": "2026-11-27-00-00-00", "prefixes": v4, "ipv6_prefixes": v6}, indent=2))
    (logs / "a.log").write_text(f"{naive.V2}\n" + "".join(f"2 1 eni-1 {src} {dst} 1 2 6 1 1 1705312800 1705312860 ACCEPT OK\n" for src, dst in
                                [("52.94.0.9", "52.94.1.9"), ("3.5.141.1", "2600:1f14::1"), ("10.0.0.1", "8.8.8.8")]))  # fmt: skip
    convert(logs, out, "--enrich", f"aws={tmp_path}/ip-ranges.json")
    columns = "src_aws_service, src_aws_region, dst_aws_service, dst_aws_region, dst_aws_network_border_group"
    assert duckdb.sql(f"SELECT {columns} FROM read_parquet('{out}/date=*/*.parquet') ORDER BY srcaddr").fetchall() == [
        (None, None, None, None, None),
        ("S3", "ap-northeast-2", "EC2", "us-west-2", "us-west-2-lax-1"),
        ("DYNAMODB", "us-east-1", "AMAZON", "GLOBAL", "GLOBAL"),
    ]


CITIES = {
    "81.2.69.0/24": {"continent": {"code": "EU"}, "country": {"iso_code": "GB"}, "city": {"names": {"en": "London", "de": "London"}}, "subdivisions": [{"iso_code": "ENG"}, {"iso_code": "X"}]},
    "81.0.0.0/8": {"continent": {"code": "EU"}, "country": {"iso_code": "FR"}},
    "2001:218::/32": {"country": {"iso_code": "JP"}, "location": {"latitude": 7}},
}  # fmt: skip
NUMBERS = {"81.2.0.0/16": {"autonomous_system_number": 20712, "autonomous_system_organization": "Andrews & Arnold Ltd"}, "2001:218::/32": {"autonomous_system_number": 2914}}
CASES = [("81.2.69.142", ("GB", "London", "ENG", "EU", "20712", "Andrews & Arnold Ltd")), ("81.3.1.1", ("FR", None, None, "EU", None, None)), ("81.2.1.1", ("FR", None, None, "EU", "20712", "Andrews & Arnold Ltd")),
         ("2001:218::1", ("JP", None, None, None, "2914", None)), ("10.0.0.1", (None,) * 6), ("::ffff:81.2.69.142", ("GB", "London", "ENG", "EU", "20712", "Andrews & Arnold Ltd"))]  # fmt: skip


def test_databases(logs, out, tmp_path):
    (tmp_path / "city.mmdb").write_bytes(mmdb.database("GeoLite2-City", CITIES))
    (tmp_path / "asn.mmdb").write_bytes(mmdb.database("GeoLite2-ASN", NUMBERS))
    (logs / "a.log").write_text("srcaddr dstaddr start\n" + "".join(f"{address} 10.0.0.1 1705312800\n" for address, _ in CASES))
    convert(logs, out, f"--enrich=geo={tmp_path}/city.mmdb", f"--enrich=as={tmp_path}/asn.mmdb")
    columns = "src_geo_country, src_geo_city, src_geo_subdivision, src_geo_continent, src_as_asn, src_as_as_organization"
    found = duckdb.sql(f"SELECT srcaddr, {columns} FROM read_parquet('{out}/date=*/*.parquet')").fetchall()
    assert {row[0]: row[1:] for row in found} == dict(CASES)
    # One that is damaged in its midst is told before anything is written.
    whole = mmdb.database("GeoLite2-City", CITIES)
    place = whole.index(b"iso_code")
    (tmp_path / "city.mmdb").write_bytes(whole[: place - 1] + b"\xff\xff" + whole[place + 1 :])
    process = run("convert", logs, "--out", tmp_path / "other", f"--enrich=geo={tmp_path}/city.mmdb", check=None)
    assert process.returncode == 2 and "MaxMind database" in process.stderr, process.stderr
    (tmp_path / "city.mmdb").write_bytes(mmdb.database("My-Own", CITIES))
    assert "found the type `My-Own`" in run("convert", logs, "--out", out, f"--enrich=geo={tmp_path}/city.mmdb", check=2).stderr


def line(n, day=15):
    return f"2 123456789010 eni-{n} 10.0.0.{n % 250} 10.0.1.1 {n + 1024} 22 6 20 {n} {1705312800 + n} {1705312860 + n} ACCEPT OK"


def test_a_table_gets_them_and_keeps_its_files(logs, out, tmp_path):
    net, new = tmp_path / "net.csv", tmp_path / "new.csv"
    net.write_text("cidr,team,site\n10.0.0.0/24,web,fra\n")
    new.write_text("cidr,owner,team\n10.0.0.0/16,ann,all\n10.0.0.20/32,bob,one\n")
    query = f"SELECT bytes, src_net_team, src_net_site, dst_net_team FROM read_parquet('{out}/date=*/*.parquet', union_by_name=true) ORDER BY bytes"
    (logs / "a.log").write_text("\n".join([naive.V2, line(1)]) + "\n")
    convert(logs, out)
    assert "enrich" not in plans(out)[0]["options"] and not (out / ENRI).exists()
    (logs / "b.log").write_text("\n".join([naive.V2, line(2)]) + "\n")
    convert(logs, out, f"--enrich=net={net}")
    [of] = plans(out)[1]["options"]["enrich"]
    assert (of["name"], of["by"], of["columns"], "version" in of) == ("net", "address", ["team", "site"], False)
    assert (out / ENRI / of["sha256"]).read_bytes() == net.read_bytes()
    by_now = [(1, None, None, None), (2, "web", "fra", None)]
    assert duckdb.sql(query).fetchall() == by_now
    # Later runs go on with the table's copy.
    net.unlink()
    (logs / "c.log").write_text("\n".join([naive.V2, line(3)]) + "\n")
    convert(logs, out)
    by_now.append((3, "web", "fra", None))
    assert duckdb.sql(query).fetchall() == by_now
    # Another file of this name is no slip that passes.
    (logs / "d.log").write_text("\n".join([naive.V2, line(20)]) + "\n")
    told = run("convert", logs, "--out", out, f"--enrich=net={new}", check=2).stderr
    assert "--enrich net=… names a file other than the one this table uses" in told and "flowquet reconvert TABLE --object '**' --enrich net=FILE" in told
    assert len(plans(out)) == 3 and len(list((out / ENRI).iterdir())) == 1
    eni = tmp_path / "eni.csv"
    eni.write_text("eni,team\neni-1,x\n")
    assert "give the file another name" in run("reconvert", out, "--object", "**", f"--enrich=net={eni}", check=2).stderr
    run("compact", out)
    assert duckdb.sql(query).fetchall() == by_now
    run("verify", out, "--read-data", "--deep")
    # A reconversion brings it; of the objects that it leaves alone, the rows stay as they were.
    run("reconvert", out, "--object", "**/b.log", f"--enrich=net={new}")
    after = [(1, None, None, None), (2, "all", None, "all"), (3, "web", "fra", None)]
    assert duckdb.sql(query).fetchall() == after
    run("verify", out, "--read-data", "--deep")
    # From then on it is the table's.
    convert(logs, out)
    assert duckdb.sql(query).fetchall() == [*after, (20, "one", None, "all")]
    of = plans(out)[-1]["options"]["enrich"][0]
    assert (of["version"], of["columns"]) == (2, ["owner", "team", "site"])
    convert(logs, out, f"--enrich=net={new}")
    net.write_text("cidr,team,site\n10.0.0.0/24,web,fra\n")
    assert "names a file other than" in run("convert", logs, "--out", out, f"--enrich=net={net}", check=2).stderr
    run("reconvert", out, "--object", "**", f"--enrich=net={new}")
    whole = [(1, "all", None, "all"), (2, "all", None, "all"), (3, "all", None, "all"), (20, "one", None, "all")]
    assert duckdb.sql(query).fetchall() == whole
    run("compact", out)
    assert duckdb.sql(query).fetchall() == whole
    run("verify", out, "--read-data", "--deep")
    schemas = {name: json.loads((ROOT / f"schemas/{name}.schema.json").read_text()) for name in ("plan", "compaction")}
    records = [json.loads(path.read_text()) for path in sorted(out.glob("_flowquet/compactions/*.json"))]
    assert all("enrich" in json.dumps(record) for record in records)
    [jsonschema.validate(record, schemas["compaction"]) for record in records]
    [jsonschema.validate(plan, schemas["plan"]) for plan in plans(out)]
    # A copy that is gone stops what needs it, and nothing else.
    shutil.rmtree(out / ENRI)
    run("compact", out)
    (logs / "e.log").write_text("\n".join([naive.V2, line(21)]) + "\n")
    told = run("convert", logs, "--out", out, check=1).stderr
    assert "expected the file of `net`" in told and "--enrich net=FILE" in told
    convert(logs, out, f"--enrich=net={new}")
    assert duckdb.sql(query).fetchall() == [*whole, (21, "all", None, "all")]


def test_names_of_columns_and_statements(logs, out, tmp_path):
    (tmp_path / "net.csv").write_text("cidr,Team Name\n10.0.0.0/24,web\n")
    enrich = f"--enrich=net={tmp_path}/net.csv"
    given = json.loads(run("schema", "--format", "v2", enrich, "--as", "json").stdout)["columns"][-2:]
    assert [(c["column"], c["type"], c["kind"], c["from"]) for c in given] == [
        ("src_net_team_name", "STRING", "enriched", ["pkt-srcaddr", "srcaddr"]), ("dst_net_team_name", "STRING", "enriched", ["pkt-dstaddr", "dstaddr"])]  # fmt: skip
    (logs / "a.log").write_text("\n".join([naive.V2, line(1)]) + "\n")
    convert(logs, out)
    assert "--enrich NAME=FILE" in run("schema", out, enrich, "--as", "duckdb", check=1).stderr
    (logs / "b.log").write_text("\n".join([naive.V2, line(2)]) + "\n")
    convert(logs, out, enrich)
    assert json.loads(run("schema", out, "--as", "json").stdout)["columns"][-2:] == given
    glue = run("schema", out, "--as", "athena", "--location", "s3://lake/t/").stdout
    assert "`src_net_team_name` string COMMENT 'What the file net says of the source address: team_name.'" in glue
    con = duckdb.connect()
    con.sql(run("schema", out, "--as", "duckdb").stdout)
    assert con.sql("SELECT bytes, src_net_team_name FROM vpc_flow_logs ORDER BY bytes").fetchall() == [(1, None), (2, "web")]
    assert "src_net_team_name" in run("schema", out).stdout and "src_net_team_name" in run("schema", out, "--as", "jsonschema").stdout


def test_jobs_plans_and_shards(logs, tmp_path):
    (tmp_path / "net.csv").write_text("cidr,team\n10.0.0.0/24,web\n")
    (logs / "a.log").write_text("\n".join([naive.V2, line(1)]) + "\n")
    query = "SELECT src_net_team FROM read_parquet('{}/date=*/*.parquet')"
    (tmp_path / "flowquet.toml").write_text(f'[jobs.hourly]\nsource = ["{logs}"]\nout = "{tmp_path}/job"\nenrich = ["net={tmp_path}/net.csv"]\n')
    run("convert", "@hourly", cwd=tmp_path)
    assert duckdb.sql(query.format(tmp_path / "job")).fetchall() == [("web",)]
    run("convert", logs, "--out", tmp_path / "env", env={**os.environ, "FLOWQUET_ENRICH": f"net={tmp_path}/net.csv"})
    assert duckdb.sql(query.format(tmp_path / "env")).fetchall() == [("web",)]
    # Whoever performs a plan needs its files, too, and is told so before it has begun.
    out, plan = tmp_path / "sharded", tmp_path / "plan.json"
    run("plan", logs, "--out", out, f"--enrich=net={tmp_path}/net.csv", "--save", plan)
    told = run("convert", "--plan", plan, "--shard", "0/1", check=1).stderr
    assert "--enrich net=FILE" in told and not list(out.glob("_flowquet/plans/*"))
    run("convert", "--plan", plan, "--shard", "0/1", f"--enrich=net={tmp_path}/net.csv")
    assert duckdb.sql(query.format(out)).fetchall() == [("web",)]


def test_in_a_bucket(logs, tmp_path):
    (logs / "a.log").write_text("\n".join([naive.V2, line(1)]) + "\n")
    with s3.moto() as server:
        server.put_folder(logs, "logs", "raw")
        server.client.put_object(Bucket="logs", Key="files/net.csv", Body=b"cidr,team\n10.0.0.0/24,web\n")
        env = {**s3.ENVIRONMENT, "AWS_ENDPOINT_URL": server.url, "AWS_REGION": "us-east-1"}
        run("convert", "s3://logs/raw/", "--out", "s3://lake/t", "--enrich", "net=s3://logs/files/net.csv", env=env)
        (logs / "b.log").write_text("\n".join([naive.V2, line(2)]) + "\n")
        server.put_folder(logs, "logs", "raw")
        run("convert", "s3://logs/raw/", "--out", "s3://lake/t", env=env)
        told = run("convert", "s3://logs/raw/", "--out", "s3://lake/t", "--enrich", "net=s3://logs/files/none.csv", env=env, check=1).stderr
        assert "files/none.csv" in told
        table = server.fetch("t", tmp_path / "t")
    assert duckdb.sql(f"SELECT src_net_team FROM read_parquet('{table}/date=*/*.parquet')").fetchall() == [("web",)] * 2
    run("verify", table, check=None)


def test_the_page(logs, tmp_path):
    """What docs/COLUMNS.md shows."""
    page = (ROOT / "docs/COLUMNS.md").read_text()
    page = page[page.index("## Whose address"):]
    blocks = lambda language: re.findall(rf"```{language}\n(.*?)```", page, re.S)
    (tmp_path / "interfaces.csv").write_text(blocks("csv")[0])
    (tmp_path / "networks.csv").write_text("cidr,team\n10.0.0.0/24,web\n")
    ranges = {"syncToken": "1", "createDate": "", "prefixes": [{"ip_prefix": "10.0.1.0/24", "region": "eu-west-1", "service": "S3", "network_border_group": "eu-west-1"}]}
    for name in ["ip-ranges.json", "ip-ranges-2026-12.json"]:
        (tmp_path / name).write_text(json.dumps(ranges))
        ranges["prefixes"][0]["service"] = "EC2"
    times = [1705309200, 1705339799, 1705339800]
    lines = [f"2 1 eni-1235b8ca123456789 10.0.0.1 10.0.1.1 1 2 6 1 {n} {time} {time} ACCEPT OK" for n, time in enumerate(times, 1)]
    (logs / "a.log").write_text("\n".join([naive.V2, *lines]) + "\n")
    [first, others, query] = [blocks("sh")[0], blocks("sh")[1].splitlines(), blocks("sql")[0]]
    run(*shlex.split(first, comments=True)[1:], cwd=tmp_path)
    query = query.replace("'lake/", f"'{tmp_path}/lake/")
    assert duckdb.sql(query).fetchall() == [("web", "S3", 6)]
    names = f"SELECT interface_eni_name, interface_eni_team FROM read_parquet('{tmp_path}/lake/date=*/*.parquet') ORDER BY bytes"
    assert duckdb.sql(names).fetchall() == [("web-1", "shop"), ("web-1", "shop"), ("batch-7", "data")]
    run(*shlex.split(others[0], comments=True)[1:], cwd=tmp_path)
    assert duckdb.sql(query).fetchall() == [("web", "EC2", 6)]
    (logs / "b.log").write_text("\n".join([naive.V2, lines[0]]) + "\n")
    run(*shlex.split(others[1], comments=True)[1:], cwd=tmp_path)
    beside = f"SELECT dst_aws2612_service FROM read_parquet('{tmp_path}/lake/date=*/*.parquet', union_by_name = true) WHERE dst_aws2612_service IS NOT NULL"
    assert duckdb.sql(beside).fetchall() == [("EC2",)]


@pytest.mark.parametrize("text, args, message", [
    ("cidr,x\n10.0.0.0/8,a\n10.0.0.1/8,b\n", [], "line 3: expected a network whose host bits are 0, such as 10.0.0.0/8, found `10.0.0.1/8`"),
    ("cidr,x\n10.0.0.0/8,a\n10.0.0.0/8,b\n", [], "remove one of the two"),
    ("cidr,x\n10.0.0.0/8,a\n", ["--columns", "bytes,start"], "looks up pkt-srcaddr or srcaddr, and --columns leaves pkt-srcaddr and srcaddr out"),
    ("cidr,x\n10.0.0.0/8,a\n", ["--columns", "srcaddr,dstaddr,start"], "looks up pkt-srcaddr or srcaddr, and --columns leaves pkt-srcaddr out"),
    ("ip,from,x\n10.0.0.0,1,a\n", ["--columns", "srcaddr,dstaddr"], "looks up pkt-srcaddr or srcaddr, and start"),
    ("\x1f\u008b", [], "expected a column cidr"),
])  # fmt: skip
def test_slips(logs, out, tmp_path, text, args, message):
    (logs / "a.log").write_text("\n".join([naive.V2, line(1)]) + "\n")
    (tmp_path / "x.csv").write_text(text)
    process = run("convert", logs, "--out", out, f"--enrich=net={tmp_path}/x.csv", *args, check=2)
    assert message in process.stderr and not out.exists(), process.stderr


def test_an_address_that_is_left_out_is_not_stood_in_for(logs, out, tmp_path):
    """Of a packet through a NAT gateway `srcaddr` is the gateway's: it says nothing of the source where `pkt_srcaddr` is not kept."""
    (tmp_path / "x.csv").write_text("cidr,x\n10.0.0.0/8,gateway\n192.0.2.0/24,client\n")
    enrich, some = f"--enrich=net={tmp_path}/x.csv", ["--columns", "srcaddr,dstaddr,start"]
    (logs / "a.log").write_text("srcaddr dstaddr start bytes\n10.0.0.1 192.0.2.9 1705276800 1\n")
    (logs / "b.log").write_text("srcaddr dstaddr pkt-srcaddr pkt-dstaddr start bytes\n10.0.0.1 192.0.2.9 192.0.2.1 192.0.2.9 1705276800 1\n")
    # A format that has no other addresses, and a file that later runs go on with: nothing is asked of these.
    run("convert", logs / "a.log", "--out", out, enrich, *some, "--format", "${srcaddr} ${dstaddr} ${start} ${bytes}")
    run("convert", logs / "b.log", "--out", out, *some)
    found = lambda table: sorted(str(columns["src_net_x"]) for _, columns in rows(table, ["src_net_x"]))
    assert found(out) == ["None", "gateway"]
    run("convert", logs, "--out", tmp_path / "all", enrich, "--columns", "srcaddr,dstaddr,start,pkt_srcaddr,pkt_dstaddr")
    assert found(tmp_path / "all") == ["client", "gateway"]


@pytest.mark.parametrize("args, message", [
    (["--enrich", "net"], "expected NAME=FILE, found `net`"),
    (["--enrich", "Net=x"], "found `Net`"),
    (["--enrich", "net="], "expected a file after `net=`"),
    (["--enrich", "net=a.csv", "--enrich", "net=a.csv"], "expected each name once, found `net` twice"),
    (["--enrich", "service=a.csv"], "has a column `src_service_name`, which is that of something else"),
    (["--enrich", "net=big.csv"], "expected at most 64 MiB, found more"),
])  # fmt: skip
def test_slips_of_the_option(logs, out, tmp_path, args, message):
    (logs / "a.log").write_text("\n".join([naive.V2, line(1)]) + "\n")
    (tmp_path / "a.csv").write_text("cidr,name\n10.0.0.0/8,a\n")
    if "big.csv" in args[-1]:
        (tmp_path / "big.csv").write_bytes(b"x" * (64 * 2**20 + 1))
    assert message in run("convert", logs, "--out", out, *args, check=2, cwd=tmp_path).stderr


def test_a_missing_file(logs, out, tmp_path):
    (logs / "a.log").write_text("\n".join([naive.V2, line(1)]) + "\n")
    assert "none.csv" in run("convert", logs, "--out", out, "--enrich", f"net={tmp_path}/none.csv", check=1).stderr and not out.exists()
