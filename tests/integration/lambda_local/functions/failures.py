"""Stores each failure record it gets; one that asks for it, fails."""

import json
import os

import boto3


def handler(event, context):
    s3 = boto3.client("s3")
    failed = []
    for message in event["Records"]:
        record = json.loads(message["body"])
        if record.get("poison"):
            failed.append({"itemIdentifier": message["messageId"]})
            continue
        key = f"failures/{record['requestContext']['requestId']}.json"
        s3.put_object(Bucket=os.environ["TARGET_BUCKET"], Key=key, Body=message["body"].encode())
    return {"batchItemFailures": failed}
