"""As much of Protocol Buffers' wire format as two of the kubelet's interfaces need: numbers, and fields with a length.

A library for it would want its descriptions compiled. Who speaks it: gpu_plugin.py, devices.py.
"""

from __future__ import annotations

Message = list[tuple[int, int | bytes]]  #: field numbers and values, in order


def _number(value: int) -> bytes:
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        out.append(low | 0x80 if value else low)
        if not value:
            return bytes(out)


def field(number: int, value: str | bytes) -> bytes:
    """One field: a text, or an encoded message."""
    data = value.encode() if isinstance(value, str) else value
    return _number(number << 3 | 2) + _number(len(data)) + data


def parse(data: bytes) -> Message:
    """The fields of a message; what is a message itself stays bytes."""
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    fields: Message = []
    while at < len(data):
        key = number()
        if key & 7 == 0:
            fields.append((key >> 3, number()))
            continue
        assert key & 7 == 2, f"wire type {key & 7} is none that these interfaces use"
        length = number()
        fields.append((key >> 3, data[at : at + length]))
        at += length
    return fields


def messages(data: bytes, number: int) -> list[bytes]:
    """Every value of a repeated field."""
    return [value for at, value in parse(data) if at == number and isinstance(value, bytes)]


def texts(data: bytes, number: int) -> list[str]:
    """Every value of a repeated text."""
    return [value.decode() for value in messages(data, number)]


def text(data: bytes, number: int) -> str:
    """One text; "" where it is left out, as the format wants."""
    return next(iter(texts(data, number)), "")
