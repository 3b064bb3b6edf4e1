"""Has an extension within its process: a thread that registers and asks for events."""

import http.client
import json
import os
import threading
import time

import graceful

API = os.environ["AWS_LAMBDA_RUNTIME_API"]
told = []


def call(method, path, headers, body=None):
    connection = http.client.HTTPConnection(API)
    connection.request(method, f"/2020-01-01/extension/{path}", body, headers)
    answer = connection.getresponse()
    return answer, json.loads(answer.read())


def listen(identifier):
    while True:
        _, event = call("GET", "event/next", {"Lambda-Extension-Identifier": identifier})
        told.append(event["requestId"])
        time.sleep(0.3)


registered, _ = call("POST", "register", {"Lambda-Extension-Name": "inner"}, json.dumps({"events": ["INVOKE"]}))
threading.Thread(target=listen, args=[registered.headers["Lambda-Extension-Identifier"]], daemon=True).start()


graceful.will_end = True


def handler(event, context):
    refused, content = call("POST", "register", {"Lambda-Extension-Name": "late"}, "{}")
    return {"told": told, "request_id": context.aws_request_id, "late": [refused.status, content["errorType"]]}
