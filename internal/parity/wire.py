"""What passes through the pipe between opinfo.py and the program it tests.

Version 1. The program under test is a child process: it reads requests from its standard input and writes one reply to
each, in order, to its standard output. Both are frames:

    uint32  length of the header        all numbers little-endian
    uint64  length of the body
    header  JSON, UTF-8
    body    the bytes of the tensors that the header describes

A tensor T in a header is {"dtype", "shape", "stride", "at", "size"}: its storage, from its first to its last element,
is the `size` bytes at `at` of the body; strides count elements and are never negative, 0 repeats. A reply may leave
"stride" out: row-major then. dtypes have PyTorch's names (float32, int64, bool ...). A bool is one byte, 0 or 1.

A value V is null, true, false, a string, a number (with a point or an exponent exactly when Python has a float), a list,
or one of
    {"tensor": index into the request's tensors}      {"float": "inf" | "-inf" | "nan"}
    {"dtype": name}      {"slice": [V, V, V]}         {"ellipsis": true}
    {"python": repr}     anything else; a program that cannot do without its meaning answers "inexpressible"

Requests
    {"id", "do": "list"}
        -> {"id", "version": 1, "ops": [names as in torch's op_db]}
    {"id", "do": "call", "op", "input": V, "args": [V], "kwargs": {name: V}, "tensors": [T],
     "wrt": [tensor index], "cotangents": [tensor index | null], "second": [tensor index | null]}
        op(input, *args, **kwargs). Outputs are numbered depth first. With "wrt" not empty the gradients with respect to
        those tensors are asked for, given the cotangents: one entry an output, null where it has no gradient. With "second"
        not empty, so are the gradients of sum_i <gradient_i, second_i>, first with respect to wrt, then with respect to the
        cotangents that are not null.
        -> {"id", "outputs": [T], "grads": [T | null], "second": [T | null], "error": {"stage", "kind", "text"}}
        null is a gradient of zero. A stage that was not asked for may be absent. With "error", "stage" (outputs, grads or
        second) says where it stopped: what comes before stands. "kind" is
            error           the library's own checked error: in Go a *tensor.Error
            panic           anything else that went wrong
            inexpressible   the library's interface has no way to say this call; "text" tells why
"""

import json
import math
import struct

import torch

VERSION = 1
FRAME = struct.Struct("<IQ")
STAGES = ("outputs", "grads", "second")

DTYPES = {
    str(d).removeprefix("torch."): d
    for d in (torch.float64, torch.float32, torch.float16, torch.bfloat16,
              torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
}
NAMES = {d: n for n, d in DTYPES.items()}


class Inexpressible(Exception):
    """The protocol has no way to say this value."""


class Body:
    """Collects tensors for one frame; a tensor that occurs twice is sent once."""

    def __init__(self):
        self.chunks, self.size = [], 0
        self.tensors, self.index = [], {}

    def add(self, t):
        if id(t) not in self.index:
            self.index[id(t)] = len(self.tensors)
            self.tensors.append(self.describe(t))
        return self.index[id(t)]

    def describe(self, t):
        if t.dtype not in NAMES:
            raise Inexpressible(f"a tensor of {t.dtype}")
        if t.layout != torch.strided or t.device.type != "cpu":
            raise Inexpressible(f"a tensor with {t.layout} on {t.device.type}")
        t = t.detach().resolve_neg()
        extent = 0
        if t.numel():
            extent = 1 + sum((n - 1) * s for n, s in zip(t.shape, t.stride()))
        flat = t.as_strided((extent,), (1,), t.storage_offset())
        raw = flat.view(torch.uint8).numpy().tobytes()
        at = self.size
        self.chunks.append(raw)
        self.size += len(raw)
        return {"dtype": NAMES[t.dtype], "shape": list(t.shape), "stride": list(t.stride()), "at": at, "size": len(raw)}

    def value(self, v):
        if isinstance(v, torch.Tensor):
            return {"tensor": self.add(v)}
        if v is None or isinstance(v, (bool, int, str)):
            return v
        if isinstance(v, float):
            return v if math.isfinite(v) else {"float": str(v)}
        if isinstance(v, (list, tuple)):
            return [self.value(x) for x in v]
        if isinstance(v, torch.dtype):
            return {"dtype": str(v).removeprefix("torch.")}
        if isinstance(v, slice):
            return {"slice": [self.value(x) for x in (v.start, v.stop, v.step)]}
        if v is Ellipsis:
            return {"ellipsis": True}
        return {"python": repr(v)}

    def frame(self, header):
        text = json.dumps(header, allow_nan=False).encode()
        return b"".join([FRAME.pack(len(text), self.size), text, *self.chunks])


def read_exactly(stream, n):
    parts = []
    while n:
        part = stream.read(n)
        if not part:
            raise EOFError
        parts.append(part)
        n -= len(part)
    return b"".join(parts)


def read_frame(stream):
    """Returns the header and the body of the next frame; EOFError where the stream ends, also inside a frame."""
    head, body = FRAME.unpack(read_exactly(stream, FRAME.size))
    return json.loads(read_exactly(stream, head)), read_exactly(stream, body)


def tensor(t, body):
    """The tensor that t describes, with its strides; it shares no memory with body."""
    raw = bytearray(body[t["at"] : t["at"] + t["size"]])
    if len(raw) != t["size"]:
        raise ValueError(f"a tensor lies outside the body: {t}")
    dtype, shape, stride = DTYPES[t["dtype"]], t["shape"], t.get("stride")
    if math.prod(shape) == 0:
        return torch.empty(shape, dtype=dtype)
    flat = torch.frombuffer(raw, dtype=torch.uint8).view(dtype)
    if stride is None:
        return flat.reshape(shape)
    return flat.as_strided(shape, stride)
