"""JSON as protobuf writes it: 64-bit integers come as strings. Here they are numbers again."""

import json
import re

_INTEGER = re.compile(r"-?\d+")


def loads(text):
    return _numbers(json.loads(text))


def _numbers(value):
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    return value
