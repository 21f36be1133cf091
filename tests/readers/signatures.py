"""Whether a request is signed as botocore would sign it."""

import botocore.auth
import botocore.awsrequest
import botocore.credentials


def scope(handler):
    """The service and region that a request is signed for."""
    parts = handler.headers["Authorization"].split("Credential=")[1].split(",")[0].split("/")
    return parts[3], parts[2]


def is_right(handler, body, key, secret, token=None):
    """For a POST request with these credentials."""
    service, region = scope(handler)
    names = handler.headers["Authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    headers = {n: handler.headers[n] for n in names if n not in ("host", "x-amz-date", "x-amz-security-token")}
    request = botocore.awsrequest.AWSRequest("POST", f"http://{handler.headers['Host']}{handler.path}", headers=headers, data=body)
    auth = botocore.auth.SigV4Auth(botocore.credentials.Credentials(key, secret, token), service, region)
    request.context["timestamp"] = handler.headers["X-Amz-Date"]
    request.headers["X-Amz-Date"] = handler.headers["X-Amz-Date"]
    if token:
        request.headers["X-Amz-Security-Token"] = token
    signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    return handler.headers["X-Amz-Security-Token"] == token and signature in handler.headers["Authorization"]
