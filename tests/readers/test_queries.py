"""Every block of docs/QUERIES.md, run over a table with planted facts and compared with a naive computation over the raw lines."""

import ast
import collections
import datetime
import decimal
import gzip
import ipaddress
import json
import os
import random
import re

import duckdb
import polars
import pyarrow.parquet
import pytest
import sqlglot

import naive
from conftest import ROOT, convert, files, flowlogs, run

V5 = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status vpc-id subnet-id instance-id "
    "tcp-flags type pkt-srcaddr pkt-dstaddr region az-id sublocation-type sublocation-id pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path"
).split()
V2 = V5[:14]
MIDNIGHT = 1705190400  # 2024-01-14, UTC
DAY = 86_400
FIRST, LAST = "2024-01-14", "2024-01-15"

# Interface, address, zone.
HOSTS = [
    ("eni-a", "10.0.1.5", "use1-az1"),
    ("eni-b", "10.0.2.9", "use1-az2"),
    ("eni-c", "172.16.4.4", "use1-az3"),
    ("eni-nat", "10.0.0.220", "use1-az1"),
]
SYN, SYN_ACK, RESET = {2, 3, 6, 7}, {18, 19, 22, 23}, {4, 5, 6, 7}


class Logs:
    """Lines of two flow logs, one of version 5 and one of version 2, with what the page's questions are about."""

    def __init__(self):
        self.random = random.Random(17)
        self.lines = {"v5": [" ".join(V5)], "v2": [" ".join(V2)]}

    def add(self, interface, source, target, start, log="v5", **fields):
        fields = {"interface-id": interface, "srcaddr": source, "dstaddr": target, "start": start, "end": start + 55, **{k.replace("_", "-"): v for k, v in fields.items()}}
        defaults = {"version": 5 if log == "v5" else 2, "account-id": "123456789012", "action": "ACCEPT", "log-status": "OK", "protocol": 6, "packets": 3}
        defaults |= {"bytes": self.random.randrange(40, 1_000_000), "srcport": self.random.randrange(32768, 61000), "dstport": 443}
        defaults |= {"tcp-flags": self.random.choice([0, 1, 2, 3, 18, 19]), "pkt-srcaddr": source, "pkt-dstaddr": target, "type": "IPv4", "vpc-id": "vpc-1"}
        record = defaults | fields
        self.lines[log].append(" ".join(str(record.get(name, "-")) for name in (V5 if log == "v5" else V2)))

    def both(self, here, there, start, **fields):
        """A flow between two of the interfaces, as each end records it."""
        (out, source, zone), (into, target, other) = here, there
        fields = {"srcport": self.random.randrange(32768, 61000), "bytes": self.random.randrange(40, 1_000_000), "tcp_flags": self.random.choice([0, 2, 3]), **fields}
        self.add(out, source, target, start, flow_direction="egress", traffic_path=1, az_id=zone, **fields)
        self.add(into, source, target, start + 1, flow_direction="ingress", az_id=other, **fields)

    def silent(self, interface, start, status, log="v5"):
        self.add(interface, "-", "-", start, log, log_status=status, **dict.fromkeys(["action", "protocol", "packets", "bytes", "srcport", "dstport", "tcp_flags", "type"], "-"))

    def background(self):
        pick = self.random
        for start in range(MIDNIGHT, MIDNIGHT + 2 * DAY, 600):
            for host in HOSTS:
                interface, address, zone = host
                # Gaps: one within the day, one over midnight. Shorter than the limit: none of the others.
                if (interface == "eni-b" and 6 <= (start - MIDNIGHT - DAY) / 3600 < 8) or (interface == "eni-c" and abs(start - MIDNIGHT - DAY) <= 1800):
                    continue
                self.silent(interface, start, "NODATA")
                if pick.random() < 0.7:
                    continue
                outside = pick.choice(["52.216.1.9", "203.0.113.80", "2001:db8::7", "10.1.9.9"])
                service = {"52.216.1.9": "S3", "203.0.113.80": "-"}.get(outside, pick.choice(["EC2", "AMAZON"]))
                port = pick.choice([443, 5432])
                self.add(
                    interface, address, outside, start + 2, dstport=port, flow_direction="egress", traffic_path=pick.choice([2, 4, 8, "-"]), az_id=zone,
                    pkt_dst_aws_service=service, tcp_flags=pick.choice([0, 2, 3, 4, 6]),
                )  # fmt: skip
                self.add(interface, outside, address, start + 3, srcport=port, dstport=pick.randrange(32768, 61000), flow_direction="ingress", az_id=zone, tcp_flags=pick.choice([0, 18, 19, 20]))
                if pick.random() < 0.3:
                    self.add(interface, outside, address, start + 4, dstport=pick.choice([22, 23, 445, 3389]), action="REJECT", tcp_flags=2, flow_direction="ingress", az_id=zone)
            for _ in range(2):
                here, there = pick.sample([h for h in HOSTS if h[0] == "eni-a" or h[0] == "eni-nat"], 2)
                self.both(here, there, start + 20)
            self.add("eni-old", "192.168.7.7", "192.168.7.8", start, "v2", srcport=pick.choice([0, 5000]), protocol=pick.choice([1, 6, 17]))

    def planted(self):
        a, b, c, nat = HOSTS
        noon = MIDNIGHT + DAY + 43_200
        for i in range(30):  # A scanner of addresses, three of which let it in.
            self.add("eni-a", "198.51.100.7", f"10.0.1.{i + 10}", noon + i, dstport=22, action="ACCEPT" if i < 3 else "REJECT", tcp_flags=2, bytes=40)
        for i in range(40):  # A scanner of ports.
            self.add("eni-b", "203.0.113.66", "10.0.2.9", noon + i, dstport=1000 + i, action="REJECT", tcp_flags=2, bytes="-" if i == 7 else 44)
        for i in range(19):  # One too few.
            self.add("eni-b", "203.0.113.67", "10.0.2.9", noon + i, dstport=1000 + i, action="REJECT", tcp_flags=2)
        for i in range(120):  # A busy server: many ports of clients, many late packets refused, but not enough of them.
            self.add("eni-c", "172.16.4.4", "203.0.113.9", noon + i, srcport=443, dstport=40_000 + i, action="ACCEPT" if i < 20 else "REJECT", tcp_flags=0)
        for i in range(2):  # A regional NAT gateway has no interface.
            self.add("-", "10.0.2.9", "203.0.113.9", noon + i * 3_600, tcp_flags=0)
        for i, inside in enumerate(["10.0.1.5", "10.0.1.5", "10.0.2.9"]):  # As AWS's guide shows traffic through a NAT gateway.
            at, size = noon + 60 * i, 5_000 + i
            for source, target, true_source, true_target in [
                (inside, "10.0.0.220", inside, "203.0.113.5"), ("10.0.0.220", "203.0.113.5", "10.0.0.220", "203.0.113.5"),
                ("203.0.113.5", "10.0.0.220", "203.0.113.5", "10.0.0.220"), ("10.0.0.220", inside, "203.0.113.5", inside),
            ]:  # fmt: skip
                self.add("eni-nat", source, target, at, pkt_srcaddr=true_source, pkt_dstaddr=true_target, bytes=size, tcp_flags=0)
        # Ports: new, old, seen before only, refused, and one that only answers go to.
        for day, port, fields in [(1, 8443, {}), (0, 443, {}), (1, 443, {}), (0, 9999, {}), (1, 7000, {"action": "REJECT"}), (1, 7001, {"tcp_flags": 18}), (1, 7002, {"protocol": 17, "tcp_flags": 0})]:
            self.both(b, a, MIDNIGHT + day * DAY + 36_000, dstport=port, **{"tcp_flags": 2, **fields})
        for i in range(5):
            self.silent("eni-a", MIDNIGHT + DAY + 7_000 + i, "SKIPDATA")
        self.silent("eni-b", MIDNIGHT + 7_000, "SKIPDATA")
        # A connection over midnight, one within a day, and one that is reset.
        for start in range(MIDNIGHT + 50_000, MIDNIGHT + DAY + 20_000, 600):
            self.both(a, nat, start, srcport=50_000, dstport=5432, tcp_flags=0)
        for start in range(MIDNIGHT + DAY + 1_000, MIDNIGHT + DAY + 9_000, 600):
            self.both(nat, a, start, srcport=50_001, dstport=5433, tcp_flags=0)
        for i in range(9):
            self.both(a, c, MIDNIGHT + DAY + 60_000 + i * 30, dstport=6379, tcp_flags=4 + i % 4)
        for i in range(4):  # Over zones, and over networks that are no whole octets.
            self.both(b, c, MIDNIGHT + DAY + 70_000 + i, dstport=8080)
            self.add("eni-a", "10.0.1.5", f"172.{[15, 16, 31, 32][i]}.0.1", MIDNIGHT + DAY + 70_000 + i, flow_direction="egress", az_id="use1-az1")
        # Logins: from outside, from inside, and refused.
        for source, port, action in [
            ("198.51.100.20", 22, "ACCEPT"), ("198.51.100.20", 22, "ACCEPT"), ("198.51.100.21", 3389, "ACCEPT"), ("172.32.0.1", 22, "ACCEPT"), ("172.31.0.1", 22, "ACCEPT"),
            ("172.16.0.1", 22, "ACCEPT"), ("172.20.0.1", 22, "ACCEPT"), ("10.9.0.1", 22, "ACCEPT"), ("192.168.9.1", 3389, "ACCEPT"), ("2001:db8::9", 22, "ACCEPT"), ("fd00:1::9", 22, "ACCEPT"), ("198.51.100.22", 22, "REJECT"), ("101.0.0.1", 22, "ACCEPT"),
        ]:  # fmt: skip
            self.add("eni-a", source, "10.0.1.5", MIDNIGHT + DAY + 80_000, dstport=port, action=action, tcp_flags=2)
        # What passes another's interface, found by its true address alone; and answers to a port that others reset.
        self.add("eni-nat", "10.0.1.5", "172.16.4.4", noon, flow_direction="ingress", az_id="use1-az1")
        self.add("eni-nat", "203.0.113.5", "10.0.0.220", noon, pkt_dstaddr="10.0.1.5")
        self.add("eni-nat", "10.0.0.220", "203.0.113.5", noon, pkt_srcaddr="10.0.1.5")
        for flags, protocol in [(18, 6), (22, 6), (0, 17)]:
            self.add("eni-a", "10.0.1.5", "172.16.4.4", noon, dstport=6379, tcp_flags=flags, protocol=protocol)
        # The day after what is asked for.
        for i in range(3):
            self.both(a, b, MIDNIGHT + 2 * DAY + i, bytes=900_000_000)
        # The last second of one day, the first of the next.
        self.add("eni-a", "10.0.1.5", "10.0.2.9", MIDNIGHT + DAY - 1, az_id="use1-az1", flow_direction="egress")
        self.add("eni-a", "10.0.1.5", "10.0.2.9", MIDNIGHT + DAY, az_id="use1-az1", flow_direction="egress")

    def write(self, folder):
        """Two objects of each flow log, their lines in no order. The records, read naively."""
        records = []
        for log, (header, *lines) in self.lines.items():
            self.random.shuffle(lines)
            for part in range(2):
                text = "\n".join([header, *lines[part::2]]) + "\n"
                path = folder / log / f"{part}.log"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
                found, rejects = naive.read(text.encode())
                assert not rejects
                records += [dict.fromkeys(map(naive.column, V5)) | record | {"date": naive.date_of(record)} for record in found]
        return records


# What the page's questions have for an answer. Each gives tuples in any order, and the columns that order and cut them.


def total(values):
    return sum(value or 0 for value in values)


def grouped(records, key):
    groups = collections.defaultdict(list)
    for record in records:
        groups[key(record)].append(record)
    return groups.items()


def on(records, *days):
    return [r for r in records if r["date"] in (days or [LAST])]


def of(*names):
    return lambda record: tuple(record[name] for name in names)


def distinct(records, name):
    return len({r[name] for r in records} - {None})


def count(records, test):
    return sum(1 for r in records if test(r))


def refused(record):
    return record["action"] == "REJECT"


def scanners(records):
    for (source,), found in grouped([r for r in on(records) if r["log_status"] == "OK"], of("srcaddr")):
        targets, ports, bad = distinct(found, "dstaddr"), distinct(found, "dstport"), count(found, refused)
        if max(targets, ports) >= 20 and 10 * bad >= 8 * len(found):
            yield source, targets, ports, len(found), bad


def talkers(records):
    sums = collections.defaultdict(lambda: collections.defaultdict(lambda: [0, 0]))
    for r in on(records):
        if r["log_status"] == "OK":
            pair = tuple(sorted([r["srcaddr"], r["dstaddr"]]))
            sums[pair][r["interface_id"]][r["srcaddr"] != pair[0]] += r["bytes"] or 0
    for pair, views in sums.items():
        there, back = (max(view[i] for view in views.values()) for i in range(2))
        yield *pair, there, back, there + back


def nat(records):
    changed = [r for r in on(records) if r["pkt_dstaddr"] is not None and r["pkt_dstaddr"] != r["dstaddr"]]
    for key, found in grouped(changed, of("srcaddr", "dstaddr", "pkt_dstaddr", "dstport")):
        yield *key, total(r["bytes"] for r in found)


def who_began(records):
    sides = collections.Counter()
    for r in on(records):
        if r["protocol"] == 6 and r["tcp_flags"] in SYN:
            sides[r["srcaddr"], r["dstaddr"], r["dstport"], True] += 1
        if r["protocol"] == 6 and r["tcp_flags"] in SYN_ACK:
            sides[r["dstaddr"], r["srcaddr"], r["srcport"], False] += 1
    for key in {key[:3] for key in sides}:
        yield *key, sides[*key, True], sides[*key, False]


def ports_refused(records):
    for key, found in grouped(filter(refused, on(records)), of("protocol", "dstport")):
        yield *key, len(found), distinct(found, "srcaddr"), total(r["packets"] for r in found)


def logins(records):
    private = [ipaddress.ip_network(n) for n in ["10.0.0.0/8", "192.168.0.0/16", "172.16.0.0/12", "fc00::/7"]]
    into = [r for r in on(records) if r["action"] == "ACCEPT" and r["dstport"] in (22, 3389)]
    outside = [r for r in into if not any(ipaddress.ip_address(r["srcaddr"]) in n for n in private)]
    for key, found in grouped(outside, of("dstaddr", "dstport", "srcaddr")):
        yield *key, len(found), min(r["start"] for r in found), total(r["bytes"] for r in found)


def gaps(records):
    for (interface,), found in grouped(on(records, FIRST, LAST), of("interface_id")):
        if interface is None:
            continue
        spans = sorted((r["start"], r["end"]) for r in found)
        for i in range(1, len(spans)):
            until = max(end for _, end in spans[:i])
            if spans[i][0] - until > 900:
                yield interface, until, spans[i][0], spans[i][0] - until


def skipped(records):
    for key, found in grouped(on(records, FIRST, LAST), of("date", "interface_id")):
        lost = count(found, lambda r: r["log_status"] == "SKIPDATA")
        if lost:
            yield *key, lost, len(found), 100 * lost / len(found)


def new_ports(records):
    began = [r for r in on(records, FIRST, LAST) if r["action"] == "ACCEPT" and r["protocol"] == 6 and r["tcp_flags"] in SYN]
    known = {of("dstaddr", "dstport")(r) for r in on(began, FIRST)}
    for key, found in grouped(on(began), of("dstaddr", "dstport")):
        if key not in known:
            yield *key, len(found), distinct(found, "srcaddr")


def egress(records):
    price = {2: 0.09, 4: 0.01, 5: 0.02, 8: 0.09}
    out = [r for r in on(records) if r["flow_direction"] == "egress" and r["action"] == "ACCEPT"]
    for (service, path), found in grouped(out, of("pkt_dst_aws_service", "traffic_path")):
        gb = total(r["bytes"] for r in found) / 1e9
        yield service or "not AWS", path, gb, gb * price.get(path, 0)


def networks(records):
    def inside(address, network):
        return address is not None and ipaddress.ip_address(address) in ipaddress.ip_network(network)

    between = [r for r in on(records) if inside(r["srcaddr"], "10.0.0.0/16") and inside(r["dstaddr"], "172.16.0.0/12")]
    for key, found in grouped(between, of("srcaddr", "dstaddr", "dstport")):
        yield *key, len(found), total(r["bytes"] for r in found)


def zones(records):
    sent = [r for r in on(records) if r["flow_direction"] == "egress" and r["az_id"]]
    home = {r["srcaddr"]: r["az_id"] for r in sent}
    crossing = [(r["az_id"], home[r["dstaddr"]], r["bytes"]) for r in sent if home.get(r["dstaddr"], r["az_id"]) != r["az_id"]]
    for pair in {c[:2] for c in crossing}:
        yield *pair, total(c[2] for c in crossing if c[:2] == pair)


def long_lived(records):
    accepted = [r for r in on(records, FIRST, LAST) if r["action"] == "ACCEPT"]
    for key, found in grouped(accepted, of("interface_id", "srcaddr", "srcport", "dstaddr", "dstport", "protocol")):
        began, ended = min(r["start"] for r in found), max(r["end"] for r in found)
        yield *key, began, ended, ended - began, len(found), total(r["bytes"] for r in found)


def resets(records):
    clients = [r for r in on(records) if r["protocol"] == 6 and r["action"] == "ACCEPT" and r["tcp_flags"] is not None and r["tcp_flags"] < 16]
    for key, found in grouped(clients, of("dstaddr", "dstport")):
        ended = count(found, lambda r: r["tcp_flags"] in RESET)
        if ended:
            yield *key, ended, len(found)


ADDRESS_COLUMNS = ["start", "end", "interface_id", "srcaddr", "srcport", "dstaddr", "dstport", "protocol", "packets", "bytes", "action"]


def one_address(records):
    for r in on(records):
        if "10.0.1.5" in (r["srcaddr"], r["dstaddr"], r["pkt_srcaddr"], r["pkt_dstaddr"]):
            yield of(*ADDRESS_COLUMNS)(r)


def column_bytes(records):
    sums = collections.Counter()
    for key, path in files("lake").items():
        metadata = pyarrow.parquet.read_metadata(path)
        for group in range(metadata.num_row_groups if LAST in key else 0):
            for column in map(metadata.row_group(group).column, range(metadata.num_columns)):
                sums[column.path_in_schema] += column.total_compressed_size
    yield from sums.items()


# What the page calls networks.csv.
TEAMS = {"10.0.0.0/16": "platform", "10.0.1.0/24": "shop", "172.16.0.0/12": "data"}


def teams(records):
    def team(record, *names):
        text = next((record[name] for name in names if record[name] is not None), None)
        around = [ipaddress.ip_network(net) for net in TEAMS if text and ipaddress.ip_address(text) in ipaddress.ip_network(net)]
        return TEAMS[str(max(around, key=lambda net: net.prefixlen))] if around else "others"

    accepted = [r for r in on(records) if r["action"] == "ACCEPT"]
    for key, found in grouped(accepted, lambda r: (team(r, "pkt_srcaddr", "srcaddr"), team(r, "pkt_dstaddr", "dstaddr"))):
        yield *key, total(r["bytes"] for r in found)


# The naive answer to each heading's question: what gives it, the column that sorts it (and whether downwards), and how many rows are shown.
ANSWERS = {
    "Scanners": (scanners, "refused", True, None),
    "Top talkers": (talkers, "total", True, 10),
    "Behind a NAT gateway": (nat, "bytes_out", True, 20),
    "Who began": (who_began, "asked", True, 20),
    "Refused ports": (ports_refused, "records", True, 20),
    "Logins from outside": (logins, "bytes", True, None),
    "Gaps": (gaps, "seconds", True, None),
    "Records that AWS lost": (skipped, "percent", True, None),
    "New ports since yesterday": (new_ports, "records", True, None),
    "Egress by service and price": (egress, "gb", True, None),
    "Between teams": (teams, "bytes", True, None),
    "Between two networks": (networks, "bytes", True, None),
    "Between Availability Zones": (zones, "bytes", True, None),
    "Long-lived connections": (long_lived, "seconds", True, 10),
    "Connections that are reset": (resets, "resets", True, 20),
    "One address's day": (one_address, "start", False, None),
    "Columns that cost most bytes": (column_bytes, "bytes", True, None),
}
SETUP = "The view `flows`"
# Headings without a block in each of the three.
PARTIAL = {"Columns that cost most bytes": {"DuckDB"}}

Block = collections.namedtuple("Block", "heading engines types text")


def blocks(page):
    """Blocks of the page, each with the engines that the line before it names. A block without such a line fails the test."""
    found, heading, label = [], None, None
    for part in re.split(r"^(```\w*\n.*?^```$)", page, flags=re.M | re.S):
        if not part.startswith("```"):
            for line in filter(None, part.splitlines()):
                heading = line.lstrip("# ") if line.startswith("#") else heading
                label = line
            continue
        named = re.fullmatch(r"((?:DuckDB|Athena|Polars|flowquet sql)(?:, Athena)?(?:, flowquet sql)?)(?:, of (AWS's|rich) types)?:", label or "")
        assert named, f"a block that the test does not know how to run, behind: {label}"
        text = part.split("\n", 1)[1].removesuffix("```")
        assert part.startswith("```python" if named[1] == "Polars" else "```sql"), label
        found += [Block(heading, named[1].split(", "), {"AWS's": "aws", "rich": "rich"}.get(named[2]), text)]
        label = None
    return found


BLOCKS = blocks((ROOT / "docs/QUERIES.md").read_text())


def plain(value):
    """A value as any of the readers gives it."""
    if isinstance(value, datetime.datetime):
        return int((value if value.tzinfo else value.replace(tzinfo=datetime.UTC)).timestamp())
    if isinstance(value, float | decimal.Decimal):
        return round(float(value), 9)
    return value


class Table:
    """A converted table, seen by the engines as the page's set-up says."""

    def __init__(self, folder, types, records):
        self.folder, self.types, self.records = folder, types, records

    def expected(self, heading):
        answer, *_ = ANSWERS[heading]
        return [tuple(map(plain, row)) for row in answer(self.records)]

    def check(self, heading, names, rows):
        _, order, downwards, limit = ANSWERS[heading]
        rows = [tuple(map(plain, row)) for row in rows]
        expected = self.expected(heading)
        at = names.index(order)
        keys = [row[at] for row in rows]
        assert keys == sorted(keys, reverse=downwards), f"{heading}: not in order"
        if limit is not None and len(expected) > limit:
            # Which of those that tie for the last place are shown is nobody's promise.
            expected.sort(key=lambda row: row[at], reverse=True)
            assert len(rows) == limit and keys == [row[at] for row in expected[:limit]], heading
            last = keys[-1]
            assert {row for row in rows if row[at] > last} == {row for row in expected if row[at] > last}, heading
            assert set(rows) <= set(expected) and len(set(rows)) == limit, heading
        else:
            assert collections.Counter(rows) == collections.Counter(expected), heading
        assert rows, f"{heading}: nothing was planted"


@pytest.fixture(scope="module", params=["rich", "aws"])
def table(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(f"queries-{request.param}")
    logs = Logs()
    logs.background()
    logs.planted()
    records = logs.write(folder / "logs")
    (folder / "networks.csv").write_text("cidr,team\n" + "".join(f"{net},{team}\n" for net, team in TEAMS.items()))
    enrich = ["--enrich", f"net={folder}/networks.csv"]
    if request.param == "rich":
        convert(folder / "logs", folder / "lake", "--types", "rich", *enrich)
    else:
        # Older files lack the columns of the format that came later.
        convert(folder / "logs/v2", folder / "lake", *enrich)
        convert(folder / "logs/v5", folder / "lake")
    before = os.getcwd()
    os.chdir(folder)
    yield Table(folder, request.param, records)
    os.chdir(before)


def of_types(types, engine):
    """The blocks of an engine that are for a table of these types; a set-up of such types replaces the general one."""
    chosen = [b for b in BLOCKS if engine in b.engines and b.types in (None, types)]
    special = any(b.heading == SETUP and b.types for b in chosen)
    return [b for b in chosen if not (b.heading == SETUP and special and b.types is None and engine != "Polars")]


def shown(connection, text):
    statements = duckdb.extract_statements(text)
    for statement in statements:
        result = connection.execute(statement)
    return [column[0] for column in result.description], result.fetchall()


def test_each_question_is_answered_for_each_engine():
    assert {b.heading for b in BLOCKS} == {SETUP, *ANSWERS}
    for heading in ANSWERS:
        assert {e for b in BLOCKS if b.heading == heading for e in b.engines} == PARTIAL.get(heading, {"DuckDB", "Athena", "Polars", "flowquet sql"}), heading


def test_duckdb(table):
    connection = duckdb.connect()
    for block in of_types(table.types, "DuckDB"):
        names, rows = shown(connection, block.text)
        if block.heading != SETUP:
            table.check(block.heading, names, rows)


def test_athena(table):
    """As Athena's grammar reads them, in DuckDB. What DuckDB lacks, a network that contains an address, Python gives it."""
    connection = duckdb.connect()
    # Athena's clock, and the one that timestamps without a zone are read by.
    connection.execute("set TimeZone = 'UTC'")
    source = "read_parquet('lake/date=*/*.parquet', union_by_name = true, hive_types = {'date': VARCHAR})"
    connection.execute(f"create view vpc_flow_logs as select * from {source}")
    contains = lambda network, address: ipaddress.ip_address(address) in ipaddress.ip_network(network)
    connection.create_function("network_contains", contains, ["VARCHAR", "VARCHAR"], "BOOLEAN")
    for block in of_types(table.types, "Athena"):
        for dialect in ["athena", "trino"]:
            (query,) = sqlglot.parse(block.text, read=dialect, error_level=sqlglot.ErrorLevel.RAISE)
            assert not query.find(sqlglot.exp.Command), block.text
            for select in query.find_all(sqlglot.exp.Select):
                # Unlike DuckDB, Athena knows no alias of a SELECT in its own conditions and groups.
                aliases = {e.alias for e in select.expressions if isinstance(e, sqlglot.exp.Alias)} - set(map(naive.column, V5))
                for clause in filter(None, map(select.args.get, ["where", "group", "having"])):
                    used = {c.name for c in clause.find_all(sqlglot.exp.Column)} - {c.name for e in select.expressions for c in e.find_all(sqlglot.exp.Column)}
                    assert not used & aliases, block.text
            for call in list(query.find_all(sqlglot.exp.ArrayContains)):
                call.replace(sqlglot.exp.func("network_contains", call.this, call.expression.this))
            names, rows = shown(connection, query.sql("duckdb"))
            if block.heading != SETUP:
                table.check(block.heading, names, rows)


def told(row):
    """Values as JSON has them, times as times."""
    is_time = lambda value: isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]+Z", value)
    return tuple(datetime.datetime.fromisoformat(value) if is_time(value) else value for value in row.values())


def test_flowquet_sql(table):
    """As the page says: where times are numbers, start_time and end_time in their place."""
    for block in of_types(table.types, "flowquet sql"):
        names = re.compile(r'"(start|end)"')
        text = names.sub(r"\1_time", block.text) if table.types == "aws" else block.text
        rows = json.loads(run("sql", "lake", text, "--as", "json", cwd=table.folder).stdout)
        columns = [re.sub(r"^(start|end)_time$", r"\1", name) for name in rows[0]]
        table.check(block.heading, columns, [told(row) for row in rows])


def run_python(text, names):
    """Runs a block as a notebook does: the value of its last expression."""
    *body, last = ast.parse(text).body
    exec(compile(ast.Module(body, []), "QUERIES.md", "exec"), names)
    if isinstance(last, ast.Expr):
        return eval(compile(ast.Expression(last.value), "QUERIES.md", "eval"), names)
    exec(compile(ast.Module([last], []), "QUERIES.md", "exec"), names)


def test_polars(table):
    connection = duckdb.connect()
    for block in of_types(table.types, "DuckDB"):
        if block.heading == SETUP:
            connection.execute(block.text)
    names = {}
    for block in of_types(table.types, "Polars"):
        if block.heading == SETUP and block.types and table.types == "aws":
            # Files of different ages: READING.md has the call to read them by.
            exec(run("schema", "lake", "--as", "polars", cwd=table.folder).stdout, names)
        answer = run_python(block.text, names)
        if block.heading == SETUP:
            continue
        assert isinstance(answer, polars.DataFrame), block.text
        table.check(block.heading, answer.columns, answer.rows())
        (same,) = [b for b in of_types(table.types, "DuckDB") if b.heading == block.heading and b.types == block.types]
        assert answer.columns == shown(connection, same.text)[0], block.heading


def test_without_the_day_every_file_is_opened(table):
    """Why each query names its days: files of other partitions are not opened."""
    connection = duckdb.connect()
    for block in of_types(table.types, "DuckDB"):
        if block.heading == SETUP:
            connection.execute(block.text)
    opened = lambda where: connection.execute(f"explain analyze select sum(bytes) from flows {where}").fetchall()[0][1]
    read = lambda where: int(re.search(r"Total Files Read: (\d+)", opened(where))[1])
    assert read(f"where \"date\" = '{LAST}'") < read("") == len(files("lake"))


def test_twins_let_readers_skip_row_groups(tmp_path):
    """Bytes read for a network, of files that are in their order: less than half of those for all, by DuckDB and by Polars."""
    flowlogs(tmp_path / "made", "--objects", 4, "--records", 16_000, "--format", "v5")
    lines = [line for path in sorted((tmp_path / "made").rglob("*.log*")) for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
    at = lines[0].split().index("srcaddr")
    number = lambda line: int(ipaddress.ip_address(line.split()[at])) if line.split()[at] != "-" else 0
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/sorted.log").write_text("\n".join([lines[0], *sorted((line for line in lines if line != lines[0]), key=number)]) + "\n")
    convert(tmp_path / "logs", tmp_path / "lake", "--types", "rich", "--row-group-rows", 4096)
    source = f"{tmp_path}/lake/date=*/*.parquet"
    connection = duckdb.connect(config={"threads": 1, "enable_external_file_cache": False})
    low, high = (bytes(10) + b"\xff\xff" + bytes([10, 0, 3, last]) for last in [0, 255])
    inside = polars.col("srcaddr_bin").is_between(polars.lit(low), polars.lit(high))
    columns = "count(*), sum(bytes), sum(srcport), sum(packets), min(dstaddr)"

    def read(query):
        before, answer = characters_read(), query()
        return characters_read() - before, answer

    where = f"where srcaddr_bin between from_hex('{low.hex()}') and from_hex('{high.hex()}')"
    every, whole = read(lambda: connection.execute(f"select {columns} from '{source}'").fetchall())
    some, part = read(lambda: connection.execute(f"select {columns} from '{source}' {where}").fetchall())
    assert 0 < part[0][0] < whole[0][0] / 8 and some < every / 2, (some, every)
    fields = polars.scan_parquet(source).select("srcaddr_bin", "srcaddr", "bytes", "srcport", "packets", "dstaddr")
    every, _ = read(fields.collect)
    some, found = read(fields.filter(inside).collect)
    assert found.height == part[0][0] and found["srcaddr"].str.starts_with("10.0.3.").all() and some < every / 2, (some, every)


def characters_read():
    """What this process has read so far, from the cache of the system or not."""
    with open("/proc/self/io") as told:
        return int(next(line for line in told if line.startswith("rchar")).split()[1])
