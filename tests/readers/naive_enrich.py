"""What files say of addresses and interfaces, spelt out: every entry is looked at for every row."""

import ipaddress


def address(text):
    """The address that a text spells, IPv4 where it is mapped into IPv6."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def seconds(value):
    return float("-inf") if value in ("", None) else float(value)


def of_address(entries, key, text, start):
    """The entry of the longest network that an address lies in, of those that hold; the one that began last."""
    found = address(text)
    if found is None:
        return None
    best = None
    for entry in entries:
        network = ipaddress.ip_network(entry[key])
        if found.version != network.version or found not in network or not holds(entry, start):
            continue
        rank = (network.prefixlen, seconds(entry.get("from")))
        if best is None or rank > best[0]:
            best = (rank, entry)
    return best and best[1]


def of_interface(entries, key, text, start):
    holding = [entry for entry in entries if entry[key].lower() == text and holds(entry, start)]
    return max(holding, key=lambda entry: seconds(entry.get("from")), default=None)


def holds(entry, start):
    if "from" not in entry and "to" not in entry:
        return True
    if start is None:
        return False
    to = entry.get("to")
    return seconds(entry.get("from")) <= start and (to in ("", None) or start < float(to))


def enriched(record, name, entries, key, columns):
    """The columns that a list of this name fills for a record, by name."""
    start = record.get("start")
    if key in ("eni", "interface_id"):
        looked = {"interface": of_interface(entries, key, record.get("interface_id"), start)}
    else:
        ends = {"src": ("pkt_srcaddr", "srcaddr"), "dst": ("pkt_dstaddr", "dstaddr")}
        texts = {side: next((record[f] for f in fields if record.get(f) is not None), None) for side, fields in ends.items()}
        looked = {side: of_address(entries, key, text, start) for side, text in texts.items()}
    return {f"{side}_{name}_{column}": (entry or {}).get(column) or None for side, entry in looked.items() for column in columns}
