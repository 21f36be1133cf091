"""What added columns hold, a record at a time, from the text of its fields. Shares no code with flowquet.

Scopes are those of Python's `ipaddress`, which has its own reading of IANA's registries, but for what the registries have said since (RFC 8190 and
later) and its older versions do not know.
"""

import ipaddress
import pathlib

REGISTRIES = pathlib.Path(__file__).resolve().parents[2] / "schemas/registries"
PORTS_OF = {6: 1, 17: 2, 132: 3, 33: 4}
AWS = {
    "169.254.169.123", "169.254.169.249", "169.254.169.250", "169.254.169.251", "169.254.169.253", "169.254.169.254", "169.254.170.2",
    "169.254.170.23",
}  # fmt: skip
PRIVATE = [ipaddress.ip_network(n) for n in ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]]
DOCUMENTATION = [ipaddress.ip_network(n) for n in ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"]]
REACHABLE = ["192.0.0.9/32", "192.0.0.10/32", "2001:1::1/128", "2001:1::2/128", "2001:3::/32", "2001:4:112::/48", "2001:20::/28", "2001:30::/28"]
UNREACHABLE = ["192.0.0.0/24", "2002::/16", "64:ff9b:1::/48", "5f00::/16"]
SINCE = [(ipaddress.ip_network(n), "public") for n in REACHABLE] + [(ipaddress.ip_network(n), "reserved") for n in UNREACHABLE]
PATHS = [
    "same-vpc", "internet-gateway-or-gateway-endpoint", "virtual-private-gateway", "peering-in-region", "peering-across-regions",
    "local-gateway-or-zone", "gateway-endpoint", "internet-gateway",
]  # fmt: skip
FLAGS = {"SYN": 2, "ACK": 16, "FIN": 1, "RST": 4, "PSH": 8, "URG": 32, "ECE": 64, "CWR": 128}


def table(name):
    lines = (REGISTRIES / name).read_text("utf-8").splitlines()
    return {int(words[0]): words for words in (line.split("\t") for line in lines if not line.startswith("#"))}


PROTOCOLS, SERVICES = table("protocols.tsv"), table("services.tsv")


def address(text):
    try:
        return ipaddress.ip_address(text or "")
    except ValueError:
        return None


def within(ip, networks):
    return any(ip.version == n.version and ip in n for n in networks)


def scope(text):
    ip = address(text)
    if ip is None:
        return None
    if str(ip) in AWS or within(ip, [ipaddress.ip_network("fd00:ec2::/32")]):
        return "aws-reserved"
    if within(ip, PRIVATE):
        return "private"
    if within(ip, [ipaddress.ip_network("100.64.0.0/10")]):
        return "cgnat"
    if within(ip, DOCUMENTATION):
        return "documentation"
    for name in ["loopback", "multicast", "link_local"]:
        if getattr(ip, f"is_{name}"):
            return name.replace("_", "-")
    since = [name for network, name in SINCE if within(ip, [network])]
    return since[0] if since else "public" if ip.is_global else "reserved"


def service(protocol, port):
    row = SERVICES.get(port) if protocol in PORTS_OF else None
    return row[PORTS_OF[protocol]] if row and row[PORTS_OF[protocol]] != "-" else None


def flag_names(flags, protocol):
    if flags is None or protocol != 6 or flags > 255:
        return None
    return "+".join(name for name, bit in FLAGS.items() if flags & bit)


def other(record, own, packet):
    """Whether an address of the packet is another one than the interface's; None if that cannot be told."""
    own, packet = address(record.get(own)), address(record.get(packet))
    return None if own is None or packet is None else own != packet


def direction(record):
    if record.get("flow_direction") in ("ingress", "egress"):
        return record["flow_direction"]
    replaced = other(record, "srcaddr", "pkt_srcaddr"), other(record, "dstaddr", "pkt_dstaddr")
    return {(True, False): "egress", (False, True): "ingress"}.get(replaced)


def is_nat(record):
    replaced = other(record, "srcaddr", "pkt_srcaddr"), other(record, "dstaddr", "pkt_dstaddr")
    # A pair that the log format does not have says nothing.
    replaced = [r for r, name in zip(replaced, ["pkt_srcaddr", "pkt_dstaddr"]) if name in record]
    return 1 if True in replaced else 0 if replaced and None not in replaced else None


def initiator(record):
    protocol, flags = record.get("protocol"), record.get("tcp_flags")
    if protocol == 6 and flags is not None and flags & 2:
        return "dst" if flags & 16 else "src"
    src, dst = record.get("srcport"), record.get("dstport")
    if protocol not in PORTS_OF or src is None or dst is None:
        return None
    serves = [port in range(1, 1024) and port != 20 for port in (src, dst)]
    asks = [port in range(1024, 65536) for port in (src, dst)]
    return "src" if asks[0] and serves[1] else "dst" if serves[0] and asks[1] else None


def time_ms(number):
    if number is None:
        return None
    ms = number * 1000 if number < 253402300800 else number
    return ms if ms < 4102444800000 else None


def derived(record):
    """All derived columns of a record; times in milliseconds."""
    protocol, start, end = record.get("protocol"), time_ms(record.get("start")), time_ms(record.get("end"))
    path = record.get("traffic_path")
    return {
        "protocol_name": PROTOCOLS[protocol][1] if protocol in PROTOCOLS else None,
        "src_service_name": service(protocol, record.get("srcport")),
        "dst_service_name": service(protocol, record.get("dstport")),
        "tcp_flag_names": flag_names(record.get("tcp_flags"), protocol),
        "direction": direction(record),
        "traffic_path_name": PATHS[path - 1] if path in range(1, 9) else None,
        "initiator": initiator(record),
        "is_nat": is_nat(record),
        "start_time": start,
        "end_time": end,
        "duration_s": (end - start) // 1000 if None not in (start, end) and end >= start else None,
        "src_scope": scope(record.get("srcaddr")),
        "dst_scope": scope(record.get("dstaddr")),
    }
