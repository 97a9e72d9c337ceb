"""A reader of docs/protocols/files.md that shares no line with the program, written from the page alone: what it restores, the page is enough
to restore. Blocks come from a function that gives the bytes of a CID's text, or None.
"""

import base64
import hmac

import blake3 as blake3_module
import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
CID_PREFIX = bytes([0x01, 0x55, 0x1E, 0x20])  # version 1, raw, BLAKE3 of 32 bytes
COMPRESSED, PADDED_FULL = 1, 2


class Refused(Exception):
    """What the page tells a reader to refuse."""


def check(condition, why):
    if not condition:
        raise Refused(why)


def blake3(data):
    return blake3_module.blake3(data).digest()


def cid_text(cid):
    return "b" + base64.b32encode(cid).decode("ascii").lower().rstrip("=")


def hkdf(key, salt, info):
    return HKDF(hashes.SHA256(), 32, salt, b"pangea files v1 " + info).derive(key)


def unseal(key, nonce, sealed, associated):
    try:
        return AESGCM(key).decrypt(nonce, sealed, associated)
    except InvalidTag as error:
        raise Refused("the seal does not open") from error


# Messages: fields in order, shortest varints, nothing of value zero


def varint_read(data, at):
    value = shift = 0
    while True:
        check(at < len(data), "cut off in a number")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            check(byte or shift == 7, "a number is longer than it need be")
            return value, at


def message_read(data, spec):
    """Read a message. `spec`: number -> (name, kind), kinds "number", "bytes", "list" of bytes."""
    fields = {name: [] if kind == "list" else 0 if kind == "number" else b"" for name, kind in spec.values()}
    at = last = 0
    while at < len(data):
        tag, at = varint_read(data, at)
        number, wire = tag >> 3, tag & 7
        check(number in spec, f"an unknown field {number}")
        name, kind = spec[number]
        check(number > last or (number == last and kind == "list"), "fields are not in order")
        last = number
        check(wire == (0 if kind == "number" else 2), "a field of another kind")
        value, at = varint_read(data, at)
        if kind != "number":
            check(value <= len(data) - at, "cut off in a field")
            value, at = data[at : at + value], at + value
        if kind == "list":
            fields[name].append(value)
        else:
            check(value, "a field of value zero")
            fields[name] = value
    return fields


ROOT = {1: ("version", "number"), 2: ("salt", "bytes"), 3: ("commitment", "bytes"), 4: ("nonce", "bytes"), 5: ("sealed", "bytes")}
ROOT_SEALED = {
    1: ("size_bytes", "number"),
    2: ("name", "bytes"),
    3: ("kind", "number"),
    4: ("level", "number"),
    5: ("content", "bytes"),
    6: ("extents", "bytes"),
}
EXTENT_LIST = {1: ("extents", "list")}
EXTENT = {1: ("descriptor", "bytes"), 2: ("plain_bytes", "number"), 3: ("hosts", "list")}
DESCRIPTOR = {1: ("version", "number"), 2: ("public", "bytes"), 3: ("nonce", "bytes"), 4: ("sealed", "bytes")}
PUBLIC = {
    1: ("data_shards", "number"),
    2: ("parity_shards", "number"),
    3: ("extent_id", "bytes"),
    4: ("lease_key", "bytes"),
    5: ("segment_bytes", "number"),
    6: ("segments", "list"),
}
SEGMENT_PUBLIC = {1: ("shard_bytes", "number"), 2: ("digests", "bytes")}
SEALED = {1: ("segments", "list")}
SEGMENT_SEALED = {1: ("nonce", "bytes"), 2: ("plain_bytes", "number"), 3: ("stored_bytes", "number"), 4: ("flags", "number")}


# The code


def field_tables():
    power, log, value = [0] * 512, [0] * 256, 1
    for i in range(255):
        power[i] = power[i + 255] = value
        log[value] = i
        value = value << 1 ^ (0x11D if value & 0x80 else 0)
    return power, log


POWER, LOG = field_tables()


def times(a, b):
    return POWER[LOG[a] + LOG[b]] if a and b else 0


def inverse(a):
    return POWER[255 - LOG[a]]


def row_of(shard, k):
    """The row of the code's matrix that gives a shard from the data shards."""
    return [int(j == shard) for j in range(k)] if shard < k else [inverse(shard ^ j) for j in range(k)]


def invert(matrix):
    k = len(matrix)
    work = [row[:] + [int(i == j) for j in range(k)] for i, row in enumerate(matrix)]
    for column in range(k):
        pivot = next(i for i in range(column, k) if work[i][column])
        work[column], work[pivot] = work[pivot], work[column]
        scale = inverse(work[column][column])
        work[column] = [times(scale, value) for value in work[column]]
        for i in range(k):
            factor = work[i][column]
            if i != column and factor:
                work[i] = [a ^ times(factor, b) for a, b in zip(work[i], work[column])]
    return [row[k:] for row in work]


def combine(row, shards):
    """The sum of shards times coefficients, byte by byte."""
    total = 0
    for factor, shard in zip(row, shards):
        if factor:
            table = bytes(times(factor, value) for value in range(256))
            total ^= int.from_bytes(shard.translate(table), "big")
    return total.to_bytes(len(shards[0]), "big")


def data_shards(shards, k):
    """The k data shards from any k shards, by their numbers."""
    numbers = sorted(shards)[:k]
    if numbers == list(range(k)):
        return [shards[i] for i in range(k)]
    rows = invert([row_of(number, k) for number in numbers])
    have = [shards[number] for number in numbers]
    return [shards[i] if i in shards else combine(rows[i], have) for i in range(k)]


# Lengths


def padme(length):
    if length < 2:
        return length
    exponent = length.bit_length() - 1
    step = 1 << (exponent - exponent.bit_length())
    return (length + step - 1) // step * step


def shard_length(padded, k):
    whole = (padded + 16 + k - 1) // k
    return (whole + 63) // 64 * 64


# A file


def link_read(link):
    check(link.startswith("pangea:"), "no pangea link")
    check(len(link) == 117 and "#" in link, "cut off")
    root, secret = link[len("pangea:") :].split("#")
    cid = base64.b32decode(root[1:].upper() + "=" * (-len(root[1:]) % 8))
    number = 0
    for char in secret:
        number = number * 58 + BASE58.index(char)
    payload = number.to_bytes(37, "big")
    check(blake3(b"pangea link" + cid + payload[:33])[:4] == payload[33:], "mistyped")
    check(payload[0] == 1, f"a link of version {payload[0]}")
    return cid, payload[1:33]


class File:
    """What a link names, read from blocks."""

    def __init__(self, link, fetch):
        self.cid, self.key = link_read(link)
        self.fetch = fetch
        self.missing = []  # CIDs of shards that were not there, or were wrong
        root = self.root_read()
        self.size, self.name, self.kind = root["size_bytes"], root["name"].decode("utf-8"), root["kind"]
        if root["extents"]:
            level, extents = root["level"], root["extents"]
            while level > 0:  # the list is a file of its own
                extents = self.extents_read(extents, level)
                level -= 1
            self.content = self.extents_read(extents, 0)
        else:
            self.content = root["content"]
        check(len(self.content) == self.size, "another length than the root says")

    def block(self, cid):
        block = self.fetch(cid_text(cid))
        if block is None or blake3(block) != cid[4:]:
            return None
        return block

    def root_read(self):
        check(self.cid[:4] == CID_PREFIX, "another kind of CID")
        block = self.block(self.cid)
        check(block is not None, "the root is not there")
        check(block[:2] == b"\x08\x01", "another version of the root")
        root = message_read(block, ROOT)
        commitment = hkdf(self.key, root["salt"], b"commitment")
        check(hmac.compare_digest(commitment, root["commitment"]), "the key is wrong")
        associated = bytes([1, 1]) + root["salt"] + root["commitment"]
        text = unseal(hkdf(self.key, root["salt"], b"root"), root["nonce"], root["sealed"], associated)
        length = int.from_bytes(text[:4], "big")
        check(len(text) == padme(4 + length) and not any(text[4 + length :]), "padding")
        return message_read(text[4 : 4 + length], ROOT_SEALED)

    def extents_read(self, encoded, level):
        content = b""
        for item in message_read(encoded, EXTENT_LIST)["extents"]:
            extent = message_read(item, EXTENT)
            content += self.extent_read(extent, level)
        return content

    def extent_read(self, extent, level):
        block = self.block(extent["descriptor"])
        check(block is not None, "a descriptor is not there")
        check(block[:2] == b"\x08\x01", "another version of the descriptor")
        descriptor = message_read(block, DESCRIPTOR)
        public = message_read(descriptor["public"], PUBLIC)
        associated = bytes([2, 1, level]) + descriptor["public"]
        key = hkdf(self.key, public["extent_id"], b"descriptor")
        sealed = message_read(unseal(key, descriptor["nonce"], descriptor["sealed"], associated), SEALED)
        check(len(sealed["segments"]) == len(public["segments"]), "numbers of segments")
        segments = [
            {**message_read(one, SEGMENT_PUBLIC), **message_read(other, SEGMENT_SEALED)}
            for one, other in zip(public["segments"], sealed["segments"])
        ]
        content = b"".join(self.segment_read(public, number, level, segment) for number, segment in enumerate(segments))
        check(len(content) == extent["plain_bytes"], "another length than the list says")
        return content

    def shards_find(self, public, segment):
        k, n = public["data_shards"], public["data_shards"] + public["parity_shards"]
        check(len(segment["digests"]) == 32 * n, "digests")
        found = {}
        for number in range(n):
            digest = segment["digests"][32 * number : 32 * number + 32]
            shard = self.block(CID_PREFIX + digest)
            if shard is None or len(shard) != segment["shard_bytes"]:
                self.missing.append(cid_text(CID_PREFIX + digest))
            else:
                found[number] = shard
        check(len(found) >= k, f"{len(found)} of {n} shards, {k} are needed")
        return found

    def segment_read(self, public, number, level, segment):
        k, full = public["data_shards"], public["segment_bytes"]
        plain, flags = segment["plain_bytes"], segment["flags"]
        stored = segment["stored_bytes"]
        check(flags & ~(COMPRESSED | PADDED_FULL) == 0, "unknown flags")
        check((stored < plain) if flags & COMPRESSED else (stored == plain), "stored length")
        padded = full if flags & PADDED_FULL else min(padme(stored), full)
        check(segment["shard_bytes"] == shard_length(padded, k), "shard length")
        joined = b"".join(data_shards(self.shards_find(public, segment), k))
        head = bytes([3, 1, level, flags]) + public["extent_id"]
        associated = head + b"".join(value.to_bytes(4, "big") for value in (number, plain, stored, padded))
        check(len(associated) == 52, "associated data")
        key = hkdf(self.key, public["extent_id"], b"segment")
        text = unseal(key, segment["nonce"], joined[: padded + 16], associated)[:stored]
        if flags & COMPRESSED:
            reader = zstandard.ZstdDecompressor().decompressobj()
            text = reader.decompress(text)
            check(reader.eof and not reader.unused_data, "not one frame")
        check(len(text) == plain, "another length than the descriptor says")
        return text
