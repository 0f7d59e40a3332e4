# SPDX-License-Identifier: Apache-2.0
"""Evaluates what standard input asks for with the Python provider of OFREP; one line of JSON for each case.

Usage: probe.py URL TOKEN < cases.json
"""
import json
import sys

from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext


def evaluate(client, case):
    context = dict(case["context"])
    detail = getattr(client, f"get_{case['type']}_details")(
        case["flag"], case["default"], EvaluationContext(context.pop("targetingKey", None), context)
    )
    return {
        "name": case["name"],
        "value": detail.value,
        "type": type(detail.value).__name__,
        "variant": detail.variant,
        "reason": detail.reason,
        "errorCode": detail.error_code,
        "errorMessage": detail.error_message,
        "metadata": dict(detail.flag_metadata),
    }


def main():
    url, token = sys.argv[1:]
    api.set_provider(OFREPProvider(url, headers_factory=lambda: {"Authorization": f"Bearer {token}"}))
    client = api.get_client()
    for case in json.load(sys.stdin):
        print(json.dumps(evaluate(client, case)))
    api.shutdown()


main()
