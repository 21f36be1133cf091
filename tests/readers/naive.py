"""A naive reading of flow-log text, to compare tables with. Shares no code with flowquet and knows nothing of its."""

import datetime
import functools
import gzip
import re

INT32 = {"version", "srcport", "dstport", "protocol", "tcp_flags", "traffic_path", "encryption_status"}
INT64 = {
    "packets", "bytes", "start", "end", "packets_lost_no_route", "packets_lost_blackhole", "packets_lost_mtu_exceeded",
    "packets_lost_ttl_expired",
}  # fmt: skip
V2 = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


class Reject(Exception):
    pass


def column(field):
    return field.lower().replace("-", "_")


KNOWN = INT32 | INT64 | {
    "account_id", "interface_id", "srcaddr", "dstaddr", "action", "log_status", "vpc_id", "subnet_id",
    "instance_id", "type", "pkt_srcaddr", "pkt_dstaddr", "region", "az_id", "flow_direction",
}  # fmt: skip


def is_header(words):
    shaped = all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", w) for w in words)
    return shaped and 2 * sum(column(w) in KNOWN for w in words) >= len(words)


def value(name, text):
    if text == "-":
        return None
    if name not in INT32 and name not in INT64:
        return text
    if not (text.isascii() and text.isdigit()) or int(text) >= 2 ** (31 if name in INT32 else 63):
        raise Reject(name)
    return int(text)


def read(data, format=None):
    """Records as dicts, and the line numbers of rejects. `format` is bare field names, for text without a header."""
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    names = [column(n) for n in format.split()] if format else None
    records, rejects = [], []
    lines = data.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    for number, raw in enumerate(lines, 1):
        try:
            line = raw.decode("utf-8").removeprefix("\ufeff").rstrip("\r").strip("\t\0")
        except UnicodeDecodeError:
            rejects.append(number)
            continue
        words = line.split()
        if not line.strip(" \t\r\0\x1a"):
            continue
        if is_header(words):
            names = [column(w) for w in words]
            continue
        values = line.split(" ")
        if len(values) != len(names):
            values = [v for v in re.split("[ \t]", line) if v]
        try:
            if len(values) != len(names):
                raise Reject("count")
            records.append({n: value(n, v) for n, v in zip(names, values)})
        except Reject:
            rejects.append(number)
    return records, rejects


def date_of(record, field="start", delivered=None):
    """The date partition that a record belongs in."""
    time = record.get(field)
    if time is None or not 946684800 <= time < 4102444800:
        return delivered or NULL_PARTITION
    return day(time // 86_400)


@functools.cache
def day(days):
    return (datetime.date(1970, 1, 1) + datetime.timedelta(days)).isoformat()
