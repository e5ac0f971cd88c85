"""Reads JSON of protobuf, which writes 64-bit integers as strings; they become numbers again."""

import json
import re

_INTEGER = re.compile(r"-?\d+")


def loads(text):
    return numbers(json.loads(text))


def numbers(value):
    """Makes numbers of the integers in JSON that is parsed already."""
    if isinstance(value, dict):
        return {key: numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [numbers(item) for item in value]
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    return value
