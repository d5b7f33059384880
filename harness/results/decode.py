# SPDX-License-Identifier: Apache-2.0
"""Text to typed records and back: strict, and with the place and the reason of what is wrong.

What is whole is decoded in one pass by msgspec. What is not is read again by the standard library,
for the reason: so a damaged record costs more than a whole one.
"""

from __future__ import annotations

import json
import math
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NoReturn, get_args, get_origin

import msgspec
from msgspec.structs import fields

from harness.results.run import COLLECTION, FORMAT, VERSION, Collection, Run

_DEEPEST = 50  # Python ends at 1000 calls, and nothing of ours is deeper than 5
_MANY_DIGITS = 300  # below that, no integer is beyond a float's range
_OLD_FORMAT = "hostroute-bench"  # version 1 was called so
_TYPES: dict[str, type[Run] | type[Collection]] = {COLLECTION: Collection, FORMAT: Run}
_DECODER = msgspec.json.Decoder(Run | Collection)


@dataclass
class NoRecordError(Exception):
    """A text that is none of our records.

    Attributes:
        kind: `json`: not whole JSON; `foreign`: JSON of others; `older`, `newer`: of another
            version; `damaged`: what breaks the schema.
        why: The reason, short; of another version its number.
    """

    kind: Literal["json", "foreign", "older", "newer", "damaged"]
    why: str

    def __str__(self) -> str:
        return self.why


def decode(text: bytes) -> Run | Collection:
    """The record, or the records, that a text holds.

    Raises:
        NoRecordError: It holds none, or one that breaks the schema or contradicts itself.
    """
    try:
        found = _DECODER.decode(text)
    except (msgspec.DecodeError, RecursionError):
        found = _decode_slowly(text)
    runs = {"": found} if isinstance(found, Run) else {
        f".records[{number}]": run for number, run in enumerate(found.records)
    }  # fmt: skip
    for where, run in runs.items():
        if any(_is_too_deep(part) for part in _free_parts(run)):
            raise NoRecordError("damaged", f"${where}: nested more than {_DEEPEST} deep")
        for number, comparison in enumerate(run.comparisons):
            for flaw in comparison.flaws():
                raise NoRecordError("damaged", f"${where}.comparisons[{number}]{flaw}")
    return found


def _free_parts(run: Run) -> Iterator[object]:
    """What a record may hold that has no type of its own."""
    for comparison in run.comparisons:
        yield from (comparison.plan, comparison.criteria)
    built = [arm for entry in run.comparisons for arm in entry.arms.values()]
    yield from (arm.extra for arm in built)
    for each in (*built, *(arm for entry in run.growth for arm in entry.arms.values())):
        yield from (each.settings, each.topology)


def _is_too_deep(value: object) -> bool:
    """Whether it is deeper than what walks through records can bear."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            item
            for each in level
            if isinstance(each, dict | list)
            for item in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return True


def encode(record: Run | Collection) -> str:
    """A record as compact JSON.

    Raises:
        ValueError: It holds what JSON has not, such as infinity.
        TypeError: It holds what is neither text, number, list nor mapping.
    """
    return json.dumps(document(record), allow_nan=False, separators=(",", ":"))


def document(record: Run | Collection) -> object:
    """A record as lists, mappings, texts and numbers."""
    return msgspec.to_builtins(record)


def as_far_as_json(run: Run) -> str:
    """A run that `encode` refuses: what it cannot take is written in Python's words."""
    found = msgspec.to_builtins(run, enc_hook=repr)
    return json.dumps(found, default=repr, skipkeys=True)


def _decode_slowly(text: bytes) -> Run | Collection:
    """The record, which may hold lone surrogates, unknown to msgspec; or why it is none."""
    found = _parsed(text)
    if not isinstance(found, dict):
        raise NoRecordError("foreign", "it holds no JSON object")
    name, version = found.get("format"), found.get("version")
    if not isinstance(name, str) or name not in (*_TYPES, _OLD_FORMAT) or type(version) is not int:
        raise NoRecordError("foreign", f"its format is {str(name)[:40]!r}")
    if name == _OLD_FORMAT or version < VERSION:
        raise NoRecordError("older", str(version))
    if version > VERSION:
        raise NoRecordError("newer", str(version))
    kind = _TYPES[name]
    try:
        return _converted(found, kind)
    except UnicodeEncodeError:  # a lone surrogate where only certain words may stand
        return _converted(_without_surrogates(found), kind)


def _converted(found: Any, kind: type[Run] | type[Collection]) -> Run | Collection:
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        raise NoRecordError("damaged", _located(str(error), found, kind)) from None
    except RecursionError as error:
        raise NoRecordError("json", str(error)) from None


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return [*map(_without_surrogates, value)] if isinstance(value, list) else value


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(
            text.decode(), parse_constant=_refuse_constant, parse_float=_finite, parse_int=_whole
        )
    except json.JSONDecodeError as error:
        why = f"{error.msg} at byte {error.pos} of {len(text)}"
    except UnicodeDecodeError as error:
        why = f"no UTF-8 at byte {error.start} of {len(text)}"
    except (ValueError, RecursionError) as error:
        why = str(error)
    raise NoRecordError("json", why)


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{digits[:40]} is beyond the range of numbers")
    return value


def _whole(digits: str) -> int:
    """An integer that is within a float's range too: there are ratios to be made."""
    value = int(digits)
    if len(digits) >= _MANY_DIGITS:
        _finite(digits)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


# --------------------------------------------------------------------------- what is wrong, where

_PLACE = re.compile(r" - at `(key` in `)?\$([^`]*)`$")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]|\[(\.\.\.)\]")
_NAMES = {dict: "an object", list: "an array", str: "a text", bool: "a boolean",
          int: "a number", float: "a number", type(None): "null"}  # fmt: skip
_WANTED = {"object": "object", "array": "array", "str": "string", "bool": "boolean",
           "int": "integer", "float": "number", "null": "null"}  # fmt: skip


def _located(error: str, found: Any, kind: Any) -> str:
    """What msgspec says is wrong, in plainer words and with the names of all keys on the way."""
    place = _PLACE.search(error)
    said, of_key, steps = (error, None, "") if place is None else (
        error[: place.start()], place[1], place[2]
    )  # fmt: skip
    where = "$"
    for name, number, _ in _STEP.findall(steps):
        if name:
            kind = _field(kind, name)
            found, where = found[name], f"{where}.{name}"
        elif number:
            kind = get_args(_plain(kind, list))[0]
            found, where = found[int(number)], f"{where}[{number}]"
        else:
            kind = get_args(_plain(kind, dict))[1]
            key = next(key for key, value in found.items() if not _fits(value, kind))
            found, where = found[key], f"{where}.{key}"
    if of_key:
        kind = get_args(_plain(kind, dict))[0]
        found = next(key for key in found if not _fits(key, kind))
    return f"{where}: {_words(said, found)}"


def _words(said: str, found: object) -> str:
    if match := re.match(r"Expected `([^`]*)`, got `", said):
        wanted = " or ".join(dict.fromkeys(_WANTED.get(w, w) for w in match[1].split(" | ")))
        return f"is {_NAMES[type(found)]}, not {wanted}"
    if match := re.match(r"Object missing required field `([^`]*)`", said):
        return f"{match[1]!r} is a required property"
    if match := re.match(r"Object contains unknown field `(.*)`", said, re.S):
        return f"Additional properties are not allowed ({_short(match[1])!r} was unexpected)"
    if said.startswith("Invalid enum value"):
        return f"{_short(found)!r} is not one of those that are known"
    if match := re.match(r"Expected `str` matching regex (.*)", said):
        return f"{_short(found)!r} does not match {match[1]}"
    return f"{_short(found)!r}: {said[:1].lower()}{said[1:]}"


def _short(value: object) -> str:
    return textwrap.shorten(str(value)[:200], 100, placeholder=" …")


def _fits(value: object, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _plain(kind: Any, origin: type) -> Any:
    """The list or mapping in an annotation that also allows null, or has limits."""
    if get_origin(kind) in (origin, None):
        return kind
    parts = get_args(kind)[:1] if get_origin(kind) is Annotated else get_args(kind)
    return next(part for part in parts if get_origin(_plain(part, origin)) is origin)


def _field(kind: Any, name: str) -> Any:
    """The type of a field, by the name that it has in a record."""
    return next(field.type for field in fields(kind) if field.encode_name == name)
