"""Writes MaxMind databases: https://maxmind.github.io/MaxMind-DB/. No more of the format than what flowquet reads."""

import ipaddress
import struct


def head(kind, size):
    """Control bytes of a value: its kind, and its size."""
    first, more = (kind << 5, b"") if kind < 8 else (0, bytes([kind - 7]))
    assert size < 29 + 256
    return bytes([first | min(size, 29)]) + more + (bytes([size - 29]) if size >= 29 else b"")


class Uint16(int):
    """A number of two bytes, as metadata wants some."""


class Uint64(int):
    """A number of eight."""


def encoded(value):
    if isinstance(value, str):
        data = value.encode()
        return head(2, len(data)) + data
    if isinstance(value, dict):
        return head(7, len(value)) + b"".join(encoded(k) + encoded(v) for k, v in value.items())
    if isinstance(value, list):
        return head(11, len(value)) + b"".join(map(encoded, value))
    kind = {Uint16: 5, Uint64: 9}.get(type(value), 6)
    data = int(value).to_bytes(8, "big").lstrip(b"\0")
    return head(kind, len(data)) + data


def database(kind, networks):
    """The bytes of a database of this kind; `networks` are records by network."""
    data, places = b"", {}
    nodes = [[None, None]]
    for network, record in sorted(((ipaddress.ip_network(n), r) for n, r in networks.items()), key=lambda pair: pair[0].prefixlen):
        key = encoded(record)
        if key not in places:
            places[key] = len(data)
            data += key
        value = ("data", places[key])
        # IPv4 lies in the first 96 bits of zeros.
        bits = f"{int(network.network_address):0{network.max_prefixlen}b}"[: network.prefixlen]
        bits = "0" * (128 - network.max_prefixlen) + bits
        at = 0
        for bit in bits[:-1]:
            side = int(bit)
            if not isinstance(nodes[at][side], int):
                # What was known of a larger network holds for both halves.
                nodes.append([nodes[at][side]] * 2)
                nodes[at][side] = len(nodes) - 1
            at = nodes[at][side]
        nodes[at][int(bits[-1])] = value

    def record_of(side):
        if side is None:
            return len(nodes)
        return side if isinstance(side, int) else len(nodes) + 16 + side[1]

    tree = b"".join(struct.pack(">II", *map(record_of, node)) for node in nodes)
    metadata = {
        "binary_format_major_version": Uint16(2),
        "binary_format_minor_version": Uint16(0),
        "build_epoch": Uint64(1_700_000_000),
        "database_type": kind,
        "description": {"en": "made up"},
        "ip_version": Uint16(6),
        "languages": ["en"],
        "node_count": len(nodes),
        "record_size": Uint16(32),
    }
    return tree + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + encoded(metadata)
