"""A Glue Data Catalog that holds callers to what AWS does and moto does not: batches of at most 100, the version on update, throttling,
and partitions that are refused one by one."""

import contextlib
import datetime
import http.server
import json
import threading
import time

import signatures


class Stub:
    def __init__(self):
        self.databases, self.tables, self.partitions, self.calls = {"lake"}, {}, {}, []
        # What to do wrong: a function of the call's name and its body, which may raise Refuse or Broken.
        self.fault = lambda name, body: None
        # Refuses single partitions: values -> (code, how many times).
        self.refused = {}
        # Seconds that its clock is ahead of this machine's.
        self.ahead_s = 0
        # How many more times partitions are asked for and none is read.
        self.idle_rounds = 0
        # Key, secret and token that requests must be signed with, if any; the regions that they were signed for.
        self.credentials, self.regions = None, set()
        # Whether indexes of columns that are no partition keys are refused.
        self.minds_indexes = True

    def count(self, name):
        return sum(called == name for called, _ in self.calls)

    def location(self, *values):
        return self.partitions[values]["StorageDescriptor"]["Location"]

    def call(self, name, body):
        self.calls.append((name, body))
        self.fault(name, body)
        return getattr(self, name)(body)

    def CreateDatabase(self, body):
        name = body["DatabaseInput"]["Name"]
        if name in self.databases:
            raise Refuse("AlreadyExistsException")
        self.databases.add(name)
        return {}

    def GetDatabase(self, body):
        if body["Name"] not in self.databases:
            raise Refuse("EntityNotFoundException")
        return {"Database": {"Name": body["Name"]}}

    def GetTable(self, body):
        self.database(body)
        if body["Name"] not in self.tables:
            raise Refuse("EntityNotFoundException")
        return {"Table": self.tables[body["Name"]]}

    def CreateTable(self, body):
        self.database(body)
        if body["TableInput"]["Name"] in self.tables:
            raise Refuse("AlreadyExistsException")
        keys = {key["Name"] for key in body["TableInput"].get("PartitionKeys", [])}
        if self.minds_indexes and any(set(index["Keys"]) - keys for index in body.get("PartitionIndexes", [])):
            raise Refuse("InvalidInputException")
        self.tables[body["TableInput"]["Name"]] = {**body["TableInput"], "VersionId": "0"}
        return {}

    def DeleteTable(self, body):
        del self.tables[body["Name"]]
        return {}

    def UpdateTable(self, body):
        self.database(body)
        table = self.tables.get(body["TableInput"]["Name"])
        if table is None:
            raise Refuse("EntityNotFoundException")
        if body.get("VersionId") != table["VersionId"]:
            raise Refuse("ConcurrentModificationException")
        self.tables[body["TableInput"]["Name"]] = {**body["TableInput"], "VersionId": str(int(table["VersionId"]) + 1)}
        return {}

    def BatchGetPartition(self, body):
        wanted = [tuple(p["Values"]) for p in body["PartitionsToGet"]]
        assert len(wanted) <= 1000
        # As AWS may, leaves some for the next call.
        read = 0 if self.idle_rounds else 400
        self.idle_rounds = max(self.idle_rounds - 1, 0)
        now, later = wanted[:read], wanted[read:]
        return {"Partitions": [self.partitions[v] for v in now if v in self.partitions], "UnprocessedKeys": [{"Values": list(v)} for v in later]}

    def BatchCreatePartition(self, body):
        return {"Errors": self.each(body["PartitionInputList"], lambda p: p["Values"], "PartitionValues", False)}

    def BatchUpdatePartition(self, body):
        inputs = [entry["PartitionInput"] for entry in body["Entries"]]
        assert [entry["PartitionValueList"] for entry in body["Entries"]] == [p["Values"] for p in inputs]
        return {"Errors": self.each(inputs, lambda p: p["Values"], "PartitionValueList", True)}

    def each(self, inputs, values, key, is_update):
        if len(inputs) > 100:
            raise Refuse("InvalidInputException")
        errors = []
        for partition in inputs:
            at = tuple(values(partition))
            code, left = self.refused.get(at, (None, 0))
            if left:
                self.refused[at] = (code, left - 1)
            elif at in self.partitions and not is_update:
                code, left = "AlreadyExistsException", 1
            elif at not in self.partitions and is_update:
                code, left = "EntityNotFoundException", 1
            if left:
                errors.append({key: list(at), "ErrorDetail": {"ErrorCode": code, "ErrorMessage": f"{code} of the stub"}})
            else:
                self.partitions[at] = partition
        return errors

    def database(self, body):
        if body["DatabaseName"] not in self.databases:
            raise Refuse("EntityNotFoundException")


class Refuse(Exception):
    pass


class Broken(Exception):
    """A status and a body that are none of Glue's."""


@contextlib.contextmanager
def serve():
    stub = Stub()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            service, name = self.headers["X-Amz-Target"].split(".")
            assert service == "AWSGlue" and self.headers["Content-Type"] == "application/x-amz-json-1.1"
            service, region = signatures.scope(self)
            stub.regions.add(region)
            try:
                signed = datetime.datetime.strptime(self.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
                if abs(signed.timestamp() - time.time() - stub.ahead_s) > 300:
                    raise Refuse("InvalidSignatureException")
                if service != "glue" or stub.credentials and not signatures.is_right(self, body, *stub.credentials):
                    raise Refuse("InvalidSignatureException")
                status, answer = 200, json.dumps(stub.call(name, json.loads(body)))
            except Refuse as refused:
                status, answer = 400, json.dumps({"__type": str(refused), "message": f"{refused} of the stub"})
            except Broken as broken:
                status, answer = broken.args
            answer = answer.encode()
            # Whoever asked may have been killed.
            with contextlib.suppress(ConnectionError):
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        def date_time_string(self, timestamp=None):
            return super().date_time_string(time.time() + stub.ahead_s)

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
