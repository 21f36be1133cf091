"""DescribeFlowLogs as EC2 answers it and moto does not: page by page, throttled, refused, and only where the signature is right."""

import contextlib
import http.server
import threading
import urllib.parse
import xml.sax.saxutils

import signatures

KEY, SECRET, TOKEN = "ec2-key", "ec2-secret", "ec2-session"


class Stub:
    def __init__(self):
        # By region: what `FlowLogs` of the JSON would be.
        self.flow_logs, self.page, self.calls = {}, 2, []
        # What to answer instead: a function of the call's number that returns (status, body), or None.
        self.fault = lambda number: None

    def answer(self, region, form):
        assert (form["Action"], form["Version"]) == ("DescribeFlowLogs", "2016-11-15") and int(form["MaxResults"]) <= 1000
        logs = self.flow_logs.get(region, [])
        # A token that has to be escaped.
        start = int(form["NextToken"].removeprefix("a+/= &")) if "NextToken" in form else 0
        end = start + self.page
        token = f"<nextToken>{xml.sax.saxutils.escape(f'a+/= &{end}')}</nextToken>" if end < len(logs) else ""
        items = "".join(item(log) for log in logs[start:end])
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<DescribeFlowLogsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId><flowLogSet>{items}</flowLogSet>{token}</DescribeFlowLogsResponse>'


NAMES = {"FlowLogId": "flowLogId", "LogGroupName": "logGroupName", "LogFormat": "logFormat", "LogDestination": "logDestination"}


def item(log):
    tags = "".join(
        f"<item><resourceType>{t['ResourceType']}</resourceType><tagKeySet>{''.join(f'<item>{k}</item>' for k in t['TagKeys'])}</tagKeySet></item>"
        for t in log.get("TagFieldSpecifications", [])
    )
    values = "".join(f"<{NAMES[n]}>{xml.sax.saxutils.escape(v)}</{NAMES[n]}>" for n, v in log.items() if n in NAMES)
    return f"<item><trafficType>ALL</trafficType>{values}<tagSet><item><key>Name</key><value>x</value></item></tagSet><tagFieldSpecificationSet>{tags}</tagFieldSpecificationSet></item>"


def error(code, message):
    return f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>r</RequestID></Response>"


@contextlib.contextmanager
def serve():
    stub = Stub()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            form = dict(urllib.parse.parse_qsl(body.decode()))
            service, region = signatures.scope(self)
            is_right = service == "ec2" and signatures.is_right(self, body, KEY, SECRET, TOKEN)
            stub.calls.append((region, form))
            fault = stub.fault(len(stub.calls))
            if fault is not None:
                status, answer = fault
            elif not is_right:
                status, answer = 401, error("AuthFailure", "AWS was not able to validate the provided access credentials")
            else:
                status, answer = 200, stub.answer(region, form)
            answer = answer.encode()
            with contextlib.suppress(ConnectionError):
                self.send_response(status)
                self.send_header("Content-Type", "text/xml;charset=UTF-8")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        stub.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield stub
    finally:
        server.shutdown()
        server.server_close()
