"""What a server saw, as AWS's actions on resources, and whether a policy allows it.

Written from AWS's list of actions (https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html).
"""

import fnmatch
import json
import re
import urllib.parse
from typing import NamedTuple, Optional


class Request(NamedTuple):
    """One request: what a policy must allow. `prefix` is that of a listing."""

    action: str
    resource: str
    prefix: Optional[str] = None


def of_access_log(text):
    """Requests to S3 in the access log of moto's server: `"GET /bucket/key?query HTTP/1.1" 200`."""
    found = set()
    # Werkzeug colours what is not 200.
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    for method, target in re.findall(r'"([A-Z]+) (\S+) HTTP/1\.1" \d+', text):
        path, _, query = target.partition("?")
        if path.startswith("/moto-api") or path == "/":
            continue
        bucket, _, key = urllib.parse.unquote(path.lstrip("/")).partition("/")
        found.add(request_of(method, bucket, key, dict(urllib.parse.parse_qsl(query, keep_blank_values=True))))
    return found


def request_of(method, bucket, key, query):
    here = f"arn:aws:s3:::{bucket}"
    if not key:
        assert method == "GET" and "list-type" in query, (method, bucket, query)
        return Request("s3:ListBucket", here, query.get("prefix", ""))
    if method in ("GET", "HEAD"):
        assert query.keys() <= {"x-id"}, query
        return Request("s3:GetObject", f"{here}/{key}")
    if method == "DELETE":
        return Request("s3:AbortMultipartUpload" if "uploadId" in query else "s3:DeleteObject", f"{here}/{key}")
    if method == "POST" and "restore" in query:
        return Request("s3:RestoreObject", f"{here}/{key}")
    assert method in ("PUT", "POST") and query.keys() <= {"x-id", "uploads", "uploadId", "partNumber"}, (method, query)
    return Request("s3:PutObject", f"{here}/{key}")


def pairs(policy):
    """Each action on each resource that a policy allows, with the prefixes to which a listing is held."""
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow" and set(statement) <= {"Sid", "Effect", "Action", "Resource", "Condition"}
        condition = statement.get("Condition", {"StringLike": {}})
        assert set(condition) == {"StringLike"} and set(condition["StringLike"]) <= {"s3:prefix"}
        prefixes = several(condition["StringLike"].get("s3:prefix", []))
        for action in several(statement["Action"]):
            assert "*" not in action, "actions are named one by one"
            for resource in several(statement["Resource"]):
                yield action, resource, prefixes


def several(value):
    return value if isinstance(value, list) else [value]


def like(value, pattern):
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))


def covers(pair, request):
    """Whether one allowed pair allows a request."""
    action, resource, prefixes = pair
    if action != request.action or not like(request.resource, resource):
        return False
    return not prefixes or any(like(request.prefix or "", prefix) for prefix in prefixes)


def denied(policy, requests):
    """Requests that the policy does not allow."""
    return sorted(r for r in requests if not any(covers(pair, r) for pair in pairs(policy)))


def unused(policy, requests):
    """What the policy allows that nothing asked for."""
    return sorted((pair[0], pair[1]) for pair in pairs(policy) if not any(covers(pair, r) for r in requests))


def read(path):
    return json.loads(path.read_text())
