"""Links as docs/protocols/files.md has them, taken apart and put together: for a link that is right in form and wrong in what it says."""

import base64

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
MASK = 0xFFFFFFFF
IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
CHUNK_START, CHUNK_END, ROOT = 1, 2, 8


def rotate(value, bits):
    return (value >> bits | value << (32 - bits)) & MASK


def mix(v, a, b, c, d, x, y):
    for word, first, second in ((x, 16, 12), (y, 8, 7)):
        v[a] = (v[a] + v[b] + word) & MASK
        v[d] = rotate(v[d] ^ v[a], first)
        v[c] = (v[c] + v[d]) & MASK
        v[b] = rotate(v[b] ^ v[c], second)


def compress(chain, block, length, flags):
    words = [int.from_bytes(block[i : i + 4], "little") for i in range(0, 64, 4)]
    v = [*chain, *IV[:4], 0, 0, length, flags]
    for _ in range(7):
        for column in range(4):
            mix(v, column, column + 4, column + 8, column + 12, words[2 * column], words[2 * column + 1])
        for i, (a, b, c, d) in enumerate(((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))):
            mix(v, a, b, c, d, words[8 + 2 * i], words[9 + 2 * i])
        words = [words[i] for i in ORDER]
    return [v[i] ^ v[i + 8] for i in range(8)]


def blake3(data):
    """BLAKE3 of at most 1,024 bytes."""
    blocks = [data[i : i + 64] for i in range(0, len(data), 64)] or [b""]
    chain = IV
    for i, block in enumerate(blocks):
        flags = (CHUNK_START if i == 0 else 0) | (CHUNK_END | ROOT if i == len(blocks) - 1 else 0)
        chain = compress(chain, block.ljust(64, b"\0"), len(block), flags)
    return b"".join(word.to_bytes(4, "little") for word in chain)


def base58_decode(text, length):
    number = 0
    for char in text:
        number = number * 58 + BASE58.index(char)
    return number.to_bytes(length, "big")


def base58_encode(data):
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return text


def parts(link):
    """The root's CID and the key of a link."""
    root, secret = link.removeprefix("pangea:").split("#")
    cid = base64.b32decode(root[1:].upper() + "=" * (-len(root[1:]) % 8))
    return cid, base58_decode(secret, 37)[1:33]


def make(cid, key):
    payload = b"\x01" + key
    secret = payload + blake3(b"pangea link" + cid + payload)[:4]
    root = base64.b32encode(cid).decode().lower().rstrip("=")
    return f"pangea:b{root}#{base58_encode(secret)}"
