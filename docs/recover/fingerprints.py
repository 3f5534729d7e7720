#!/usr/bin/env python3
"""Reads a backup from the raw repository, decodes every row, and compares all fingerprints with the manifest's.

  REPO=/folder/of/the/repository BACKUP=id IDENTITY=/age/identity docs/recover/fingerprints.py [PART ...]

It follows docs/FORMAT.md and nothing else, and needs only Python 3.8, age and zstd; of plain data it writes nothing
anywhere. A line for each part: what was found (`same`, `DIFFERENT`, or `-` for a part without a fingerprint), the number of rows or
`-`, the name. The exit code is 1 if anything differs. It does not look at the signature: the first commands of the page do.
"""
import base64
import hashlib
import json
import os
import struct
import subprocess
import sys

# --- BLAKE3 -----------------------------------------------------------------------------------------------------------

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
CHUNK_START, CHUNK_END, PARENT, ROOT, KEYED, CONTEXT, MATERIAL = 1, 2, 4, 8, 16, 32, 64
QUARTERS = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15), (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))


def schedule():
    """What is mixed with which two words of the message, in each of seven rounds."""
    order = list(range(16))
    for _ in range(7):
        for n, quarter in enumerate(QUARTERS):
            yield quarter, order[2 * n], order[2 * n + 1]
        order = [order[n] for n in ORDER]


STEPS = tuple(schedule())


def spread(numbers):
    """Numbers side by side in one large integer, 64 bits each: what is done to it is done to all of them at once."""
    return int.from_bytes(struct.pack("<%dQ" % len(numbers), *numbers), "little")


def compress(chains, blocks, counters, flags):
    """One compression for each block, side by side."""
    n = len(blocks)
    ones = int.from_bytes((b"\1" + bytes(7)) * n, "little")
    mask = ones * 0xFFFFFFFF
    text = struct.unpack("<%dI" % (16 * n), b"".join(block.ljust(64, b"\0") for block in blocks))
    m = [spread(text[word::16]) for word in range(16)]
    counts = spread(counters)
    v = [*chains, *(word * ones for word in IV[:4]), counts & mask, counts >> 32 & mask, spread([len(block) for block in blocks]), spread(flags)]
    for (a, b, c, d), x, y in STEPS:
        va, vb, vc, vd = v[a], v[b], v[c], v[d]
        va = va + vb + m[x] & mask
        vd ^= va
        vd = (vd >> 16 | vd << 16) & mask
        vc = vc + vd & mask
        vb ^= vc
        vb = (vb >> 12 | vb << 20) & mask
        va = va + vb + m[y] & mask
        vd ^= va
        vd = (vd >> 8 | vd << 24) & mask
        vc = vc + vd & mask
        vb ^= vc
        v[a], v[b], v[c], v[d] = va, (vb >> 7 | vb << 25) & mask, vc, vd
    return [v[n] ^ v[n + 8] for n in range(8)]


def apart(chains, n):
    """The eight words of each of n chaining values."""
    return list(zip(*(struct.unpack("<%dQ" % n, chain.to_bytes(8 * n, "little")) for chain in chains)))


def batches(items):
    return (items[at:at + 4096] for at in range(0, len(items), 4096))


def chunks_hashed(chunks, key, flags):
    """The chaining values of chunks, each (bytes, number, flags of its last block), the longest first."""
    blocks = [max(1, (len(chunk) + 63) // 64) for chunk, _, _ in chunks]
    chains, ended = [spread([word] * len(chunks)) for word in key], [None] * len(chunks)
    for n in range(blocks[0]):
        open_ones = sum(count > n for count in blocks)
        chains = [chain & (1 << 64 * open_ones) - 1 for chain in chains]
        last = [CHUNK_END | last if count == n + 1 else 0 for count, (_, _, last) in zip(blocks[:open_ones], chunks)]
        texts = [chunk[64 * n:64 * n + 64] for chunk, _, _ in chunks[:open_ones]]
        chains = compress(chains, texts, [number for _, number, _ in chunks[:open_ones]], [flags | (CHUNK_START if n == 0 else 0) | each for each in last])
        if any(last):
            ended[:open_ones] = apart(chains, open_ones)
    return ended


def hashes(messages, key=IV, flags=0):
    """The first 32 bytes of BLAKE3 of each message."""
    trees = [[None] * max(1, (len(message) + 1023) // 1024) for message in messages]
    places = [(at, number) for at, tree in enumerate(trees) for number in range(len(tree))]
    places.sort(key=lambda place: place[1] * 1024 - len(messages[place[0]]) if place[1] + 1 == len(trees[place[0]]) else -1024)
    for some in batches(places):
        chunks = [(messages[at][1024 * number:1024 * number + 1024], number, ROOT if len(trees[at]) == 1 else 0) for at, number in some]
        for (at, number), chain in zip(some, chunks_hashed(chunks, key, flags)):
            trees[at][number] = chain
    while True:
        pairs = [(at, number) for at, tree in enumerate(trees) for number in range(0, len(tree) - 1, 2)]
        if not pairs:
            return [struct.pack("<8I", *tree[0]) for tree in trees]
        for some in batches(pairs):
            both = [struct.pack("<16I", *trees[at][number], *trees[at][number + 1]) for at, number in some]
            kinds = [flags | PARENT | (ROOT if len(trees[at]) == 2 else 0) for at, _ in some]
            chains = compress([spread([word] * len(some)) for word in key], both, [0] * len(some), kinds)
            for (at, number), chain in zip(some, apart(chains, len(some))):
                trees[at][number] = chain
        trees = [tree[::2] for tree in trees]


def words(key):
    return struct.unpack("<8I", key)


def derive_key(context, material):
    inner = hashes([context.encode()], IV, CONTEXT)[0]
    return hashes([material], words(inner), MATERIAL)[0]


def added_up(digests):
    """The sum of the first 16 bytes of each."""
    return sum(int.from_bytes(digest[:16], "little") for digest in digests) % (1 << 128)


class Fingerprint:
    """Count and sum of keyed hashes."""

    def __init__(self, key):
        self.key, self.rows, self.sum, self.waiting, self.bytes = words(key), 0, 0, [], 0

    def add(self, row):
        self.waiting.append(row)
        self.rows, self.bytes = self.rows + 1, self.bytes + len(row)
        if len(self.waiting) == 4096 or self.bytes > 1 << 22:
            self.flush()

    def flush(self):
        self.sum += added_up(hashes(self.waiting, self.key, KEYED))
        self.waiting, self.bytes = [], 0

    def __str__(self):
        self.flush()
        return "%d:%032x" % (self.rows, self.sum % (1 << 128))


# --- The repository ---------------------------------------------------------------------------------------------------


def opened(identity, sealed):
    """What age and zstd make of a file's bytes. The identity goes through a pipe."""
    inside, into = os.pipe()
    os.write(into, identity)
    os.close(into)
    age = subprocess.run(["age", "-d", "-i", "/dev/fd/%d" % inside], input=sealed, stdout=subprocess.PIPE, pass_fds=[inside], check=True)
    os.close(inside)
    return subprocess.run(["zstd", "-d", "-q", "-c"], input=age.stdout, stdout=subprocess.PIPE, check=True).stdout


def bech32(text):
    """The bytes of a text in bech32. Its checksum is taken for right: the keys would not fit."""
    digits = ["qpzry9x8gf2tvdw0s3jn54khce6mua7l".index(c) for c in text.lower().rpartition("1")[2]][:-6]
    number = 0
    for digit in digits:
        number = number << 5 | digit
    size = len(digits) * 5 // 8
    return (number >> len(digits) * 5 - size * 8).to_bytes(size, "big")


class Backup:
    def __init__(self, repository, backup, identity):
        self.root = repository
        read = lambda *name: open(os.path.join(repository, *name), "rb").read()
        manifest = json.loads(read("backups", backup, "manifest.json"))
        epoch = manifest["epoch"]
        keys = subprocess.run(["age", "-d", "-i", identity, os.path.join(repository, "keys", "%d.age" % epoch)], stdout=subprocess.PIPE, check=True).stdout
        secret = [line.split()[2] for line in keys.decode().splitlines() if line.startswith("# secret: ")][0]
        material = bech32(secret) + manifest["repository"].encode() + struct.pack("<I", epoch)
        derived = lambda purpose: derive_key("summitctl repository v1 " + purpose, material)
        self.identity, self.ids, self.fingerprints = keys, derived("segment ids"), derived("fingerprints")
        self.objects = {segment["id"]: segment for segment in manifest["segments"]}
        contents = json.loads(opened(keys, base64.b64decode(manifest["sealed"])))
        if (contents["repository"], contents["backup"]) != (manifest["repository"], backup):
            raise ValueError("the contents are another backup's")
        self.parts = [(part, store["segments"].get(part["name"], [])) for store in contents["stores"] for part in store["captured"]["parts"]]

    def segment(self, listed):
        """A segment's plain bytes."""
        found = self.objects[listed["id"]]
        name = found["id"] + ("." + found["copy"] if found.get("copy") else "")
        sealed = open(os.path.join(self.root, "segments", name[:2], name + ".zst.age"), "rb").read()
        if len(sealed) != found["size"] or hashlib.sha256(sealed).hexdigest() != found["sha256"]:
            raise ValueError("segment %s is not what the manifest lists" % name)
        plain = opened(self.identity, sealed)
        if len(plain) != listed["bytes"] or hashes([plain], words(self.ids), KEYED)[0].hex() != listed["id"]:
            raise ValueError("segment %s is another one's" % name)
        return plain


class Stream:
    """A part's bytes, one segment after the other."""

    def __init__(self, chunks):
        self.chunks, self.buffer, self.at, self.total = iter(chunks), b"", 0, 0

    def more(self):
        chunk = next(self.chunks, None)
        if chunk is None:
            return False
        self.buffer, self.at, self.total = self.buffer[self.at:] + chunk, 0, self.total + len(chunk)
        return True

    def over(self):
        return self.at == len(self.buffer) and not self.more()

    def take(self, count):
        while len(self.buffer) - self.at < count:
            if not self.more():
                raise ValueError("it ends too soon")
        self.at += count
        return self.buffer[self.at - count:self.at]

    def rest(self):
        while self.more():
            pass
        return self.take(len(self.buffer) - self.at)

    def line(self):
        while True:
            end = self.buffer.find(b"\n", self.at)
            if end >= 0:
                return self.take(end - self.at + 1)[:-1]
            if not self.more():
                raise ValueError("the last line has no end")

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]


# --- Postgres ---------------------------------------------------------------------------------------------------------


def copy_binary(part, stream):
    if stream.take(19) != b"PGCOPY\n\xff\r\n\0" + bytes(8):
        raise ValueError("it does not begin as COPY's binary format does")
    columns = len(part["meta"]["columns"])
    while True:
        row = [stream.take(2)]
        if row[0] == b"\xff\xff":
            return
        if row[0] != struct.pack(">H", columns):
            raise ValueError("a tuple does not have the table's number of fields")
        for _ in range(columns):
            row.append(stream.take(4))
            length = struct.unpack(">i", row[-1])[0]
            if length >= 0:
                row.append(stream.take(length))
            elif length != -1:
                raise ValueError("a field has a negative length")
        yield b"".join(row)


def copy_text(part, stream):
    columns = len(part["meta"]["columns"])
    while not stream.over():
        row = stream.line()
        fields = row.split(b"\t") if columns else []
        if len(fields) != columns or not columns and row:
            raise ValueError("a line does not have the table's number of fields")
        for field in fields:
            if any(len(rest) == 0 or rest[:1] not in b"bfnrtvN" for rest in field.replace(b"\\\\", b"").split(b"\\")[1:]):
                raise ValueError("a line has an unknown escape")
        yield row


def lines(part, stream):
    while not stream.over():
        row = stream.line()
        line = json.loads(row)
        if line.get("line") == "page":
            base64.b64decode(line["data"], validate=True)
        yield row


def archive(part, stream):
    if stream.take(5) != b"PGDMP":
        raise ValueError("it is no archive of pg_dump")
    while not stream.over():
        stream.at = len(stream.buffer)
    return ()


# --- Neo4j ------------------------------------------------------------------------------------------------------------


def packstream(stream):
    """A value as Python has it; a structure is a tuple of its byte and its fields."""
    marker = stream.take(1)[0]
    sized = lambda first, width: stream.number((">B", ">H", ">I")[marker - first]) if marker >= first else width
    if marker < 0x80 or marker >= 0xF0:
        return marker if marker < 0x80 else marker - 256
    if marker < 0x90 or 0xD0 <= marker <= 0xD2:
        return stream.take(sized(0xD0, marker & 15)).decode()
    if marker < 0xA0 or 0xD4 <= marker <= 0xD6:
        return [packstream(stream) for _ in range(sized(0xD4, marker & 15))]
    if marker < 0xB0 or 0xD8 <= marker <= 0xDA:
        return {packstream(stream): packstream(stream) for _ in range(sized(0xD8, marker & 15))}
    if marker < 0xC0:
        return (stream.take(1), *(packstream(stream) for _ in range(marker & 15)))
    if 0xC8 <= marker <= 0xCB:
        return stream.number((">b", ">h", ">i", ">q")[marker - 0xC8])
    if 0xCC <= marker <= 0xCE:
        return stream.take(sized(0xCC, 0))
    if marker == 0xC1:
        return stream.number(">d")
    return {0xC0: None, 0xC2: False, 0xC3: True}[marker]


def frames(part, stream):
    nodes = part["name"].endswith("/nodes")
    shape = (int, list, dict) if nodes else (int, str, int, int, dict)
    while not stream.over():
        row = stream.take(stream.number(">I"))
        inside = Stream([row])
        value = packstream(inside)
        if not inside.over() or tuple(type(item) for item in value) != shape:
            raise ValueError("a frame is not what it should be")
        if nodes:
            yield row
        else:
            after = Stream([row[1:]])
            packstream(after)
            yield b"\x94" + row[1 + after.at:]


def document(part, stream):
    for item in json.loads(stream.rest()):
        yield "\0".join((item["kind"], item["name"], item["create"])).encode()


# --- Redis ------------------------------------------------------------------------------------------------------------

LARGE = 1048576
CRC = []
for number in range(256):
    for _ in range(8):
        number = number >> 1 ^ (0x95AC9329AC4BC9B5 if number & 1 else 0)
    CRC.append(number)


def crc64(data):
    crc = 0
    for byte in data:
        crc = CRC[(crc ^ byte) & 255] ^ crc >> 8
    return crc


def decimal(number):
    return b"%d" % number


def length(value):
    first = value.take(1)[0]
    if first < 0x80:
        return first if first < 0x40 else (first & 63) << 8 | value.take(1)[0]
    return value.number({0x80: ">I", 0x81: ">Q"}[first])


def unpacked(packed, size):
    out, rest = bytearray(), Stream([packed])
    while not rest.over():
        control = rest.take(1)[0]
        if control < 32:
            out += rest.take(control + 1)
            continue
        count = control >> 5
        count += (rest.take(1)[0] if count == 7 else 0) + 2
        back = ((control & 31) << 8 | rest.take(1)[0]) + 1
        start = len(out) - back
        for at in range(start, start + count):
            out.append(out[at])
    if len(out) != size:
        raise ValueError("a compressed string has another length")
    return bytes(out)


def string(value):
    while value.at == len(value.buffer):
        if not value.more():
            raise ValueError("a value ends too soon")
    first = value.buffer[value.at]
    if first < 0xC0:
        return value.take(length(value))
    value.take(1)
    if first == 0xC3:
        packed, size = length(value), length(value)
        return unpacked(value.take(packed), size)
    return decimal(value.number({0xC0: "<b", 0xC1: "<h", 0xC2: "<i"}[first]))


def signed(bits, number):
    return number - (1 << bits) if number >> bits - 1 else number


def listpack(data):
    stream = Stream([data])
    if stream.number("<I") != len(data):
        raise ValueError("a listpack has another length")
    stream.number("<H")
    while True:
        begin = stream.at if stream.at else 6
        first = stream.take(1)[0]
        if first == 0xFF:
            break
        if first < 0x80:
            element = decimal(first)
        elif first < 0xC0:
            element = stream.take(first & 63)
        elif first < 0xE0:
            element = decimal(signed(13, (first & 31) << 8 | stream.take(1)[0]))
        elif first < 0xF0:
            element = stream.take((first & 15) << 8 | stream.take(1)[0])
        elif first == 0xF0:
            element = stream.take(stream.number("<I"))
        else:
            element = decimal(int.from_bytes(stream.take({0xF1: 2, 0xF2: 3, 0xF3: 4, 0xF4: 8}[first]), "little", signed=True))
        size = stream.at - begin
        stream.take(1 + sum(size > most for most in (127, 16382, 2097150, 268435454)))
        yield element
    if not stream.over():
        raise ValueError("a listpack goes on after its end")


def ziplist(data):
    stream = Stream([data])
    if stream.number("<I") != len(data):
        raise ValueError("a ziplist has another length")
    stream.take(6)
    while True:
        before = stream.take(1)[0]
        if before == 0xFF:
            return
        if before == 0xFE:
            stream.take(4)
        first = stream.take(1)[0]
        if first < 0x40:
            yield stream.take(first)
        elif first < 0x80:
            yield stream.take((first & 63) << 8 | stream.take(1)[0])
        elif first == 0x80:
            yield stream.take(stream.number(">I"))
        elif 0xF1 <= first <= 0xFD:
            yield decimal((first & 15) - 1)
        else:
            yield decimal(int.from_bytes(stream.take({0xC0: 2, 0xD0: 4, 0xE0: 8, 0xF0: 3, 0xFE: 1}[first]), "little", signed=True))


def intset(data):
    width, count = struct.unpack("<II", data[:8])
    if len(data) != 8 + width * count:
        raise ValueError("an intset has another length")
    return [decimal(int.from_bytes(data[at:at + width], "little", signed=True)) for at in range(8, len(data), width)]


def grouped(elements, size):
    elements = list(elements)
    if len(elements) % size:
        raise ValueError("a container has an element too many")
    return [tuple(elements[at:at + size]) for at in range(0, len(elements), size)]


def text_score(value):
    size = value.take(1)[0]
    special = {253: float("nan"), 254: float("inf"), 255: float("-inf")}
    return special[size] if size in special else float(value.take(size))


def stream_value(value, kind):
    entries, groups = [], []
    for _ in range(length(value)):
        base = struct.unpack(">QQ", string(value))
        pack = listpack(string(value))
        item = lambda: next(pack)
        count = int(item()) + int(item())
        usual = [item() for _ in range(int(item()))]
        item()
        for _ in range(count):
            flags = int(item())
            at = tuple((part + int(item())) % (1 << 64) for part in base)
            fields = [each for name in usual for each in (name, item())] if flags & 2 else [item() for _ in range(2 * int(item()))]
            item()
            if not flags & 1:
                entries.append((at, fields))
        if next(pack, None) is not None:
            raise ValueError("a stream's node holds more than it says")
    count, last, deleted = length(value), (length(value), length(value)), (0, 0)
    added = count
    if kind >= 19:
        length(value), length(value)
        deleted, added = (length(value), length(value)), length(value)
    for _ in range(length(value)):
        name, seen = string(value), (length(value), length(value))
        if kind >= 19:
            length(value)
        pending = {}
        for _ in range(length(value)):
            at = struct.unpack(">QQ", value.take(16))
            pending[at] = [None, value.number("<Q"), length(value)]
        consumers = []
        for _ in range(length(value)):
            who, was_seen = string(value), value.number("<Q")
            active = value.number("<Q") if kind >= 21 else was_seen
            consumers.append((who, was_seen, active))
            for _ in range(length(value)):
                pending[struct.unpack(">QQ", value.take(16))][0] = who
        groups.append((name, seen, pending, consumers))
    if kind == 26:
        length(value), length(value)
        for _ in range(length(value)):
            string(value)
            for _ in range(length(value)):
                string(value), length(value), length(value)
        length(value), length(value)
    return (last, deleted, added, entries, groups)


def module_value(value):
    length(value)
    while True:
        code = length(value)
        if code == 0:
            return
        {1: lambda: length(value), 2: lambda: length(value), 3: lambda: value.take(4), 4: lambda: value.take(8), 5: lambda: string(value)}[code]()


def decoded(payload):
    """A payload's tag and what it holds: a string, a list of strings, or of (member, score), or of (name, value, expiry)."""
    version, checksum = struct.unpack("<HQ", payload[-10:])
    if checksum and checksum != crc64(payload[:-8]):
        raise ValueError("a checksum is wrong")
    kind, body = payload[0], payload[1:-10]
    value = Stream([body])
    times = lambda each: [each() for _ in range(length(value))]
    text = lambda: string(value)
    if kind == 0:
        found = "s", text()
    elif kind in (1, 2):
        found = "lS"[kind - 1], times(text)
    elif kind in (3, 5):
        found = "z", times(lambda: (text(), text_score(value) if kind == 3 else value.number("<d")))
    elif kind == 4:
        found = "h", times(lambda: (text(), text(), 0))
    elif kind == 7:
        module_value(value)
        found = "m", body
    elif kind == 10:
        found = "l", list(ziplist(text()))
    elif kind == 11:
        found = "S", intset(text())
    elif kind in (12, 17):
        found = "z", [(member, float(score)) for member, score in grouped((ziplist if kind == 12 else listpack)(text()), 2)]
    elif kind in (13, 16):
        found = "h", [(name, data, 0) for name, data in grouped((ziplist if kind == 13 else listpack)(text()), 2)]
    elif kind == 14:
        found = "l", [each for node in times(text) for each in ziplist(node)]
    elif kind == 18:
        nodes = times(lambda: (length(value), text()))
        found = "l", [each for form, node in nodes for each in ({1: lambda n: [n], 2: listpack}[form](node))]
    elif kind == 20:
        found = "S", list(listpack(text()))
    elif kind in (15, 19, 21) or kind == 26 and version < 80:
        found = "x", stream_value(value, kind)
    elif kind == 22 and version >= 80:
        found = "h", times(lambda: (text(), text(), max(0, value.number("<q"))))
    elif kind in (22, 24) and version < 80:
        earliest = value.number("<Q") if kind == 24 else 1
        fields = times(lambda: (length(value), text(), text()))
        found = "h", [(name, data, at and at + earliest - 1) for at, name, data in fields]
    elif kind in (23, 25) and version < 80:
        if kind == 25:
            value.take(8)
        found = "h", [(name, data, int(at)) for name, data, at in grouped(listpack(text()), 3)]
    else:
        raise ValueError("type %d of version %d is not known" % (kind, version))
    if not value.over():
        raise ValueError("a value is longer than it says")
    return found


def u64(number):
    return struct.pack("<Q", number)


def behind(text):
    return u64(len(text)) + text


def score_bits(score):
    if score != score:
        return u64(0x7FF8000000000000)
    return struct.pack("<d", score + 0.0 if score else 0.0)


def stream_entries(entries):
    out = []
    for at, fields in entries:
        out += [u64(at[0]), u64(at[1]), u64(len(fields)), *map(behind, fields)]
    return b"".join(out)


def stream_head(found):
    last, deleted, added, _, _ = found
    return b"".join(u64(n) for n in (*last, *deleted, added))


def stream_groups(groups):
    out = [u64(len(groups))]
    for name, seen, pending, consumers in sorted(groups, key=lambda group: group[0]):
        out += [behind(name), u64(seen[0]), u64(seen[1]), u64(len(pending))]
        for at, (who, delivered, count) in sorted(pending.items()):
            out += [u64(at[0]), u64(at[1]), behind(who), u64(delivered), u64(count)]
        out.append(u64(len(consumers)))
        for who, was_seen, active in sorted(consumers):
            out += [behind(who), u64(was_seen), u64(active)]
    return b"".join(out)


def rows_of_key(database, key, expiry, pieces, form):
    """The rows of a key, whose value came in so many pieces."""
    divided = form > 1
    begin = lambda tag: tag.encode() + struct.pack("<I", database) + behind(key) + u64(expiry)
    tag = pieces[0][0]
    if any(other != tag for other, _ in pieces):
        raise ValueError("pieces of %r are of several types" % key)
    if tag == "m":
        bytes_of = pieces[0][1]
        if form == 3 and len(bytes_of) >= LARGE:
            yield begin("B") + b"m" + u64(len(bytes_of)) + bytes(16) + hashes([bytes_of])[0]
        else:
            yield begin("m") + behind(bytes_of)
        return
    if tag == "x":
        stream = pieces[0][1]
        entries, groups = stream_entries(stream[3]), stream_groups(stream[4])
        if form == 3 and sum(24 + sum(8 + len(each) for each in fields) for _, fields in stream[3]) >= LARGE:
            yield begin("B") + b"x" + u64(len(stream[3])) + hashes([entries])[0] + hashes([stream_head(stream) + groups])[0]
        else:
            yield begin("x") + stream_head(stream) + u64(len(stream[3])) + entries + groups
        return
    content = b"".join(p for _, p in pieces) if tag == "s" else [each for _, p in pieces for each in p]
    several = len(pieces) > 1
    if tag == "h":
        for name, data, until in content:
            if until:
                yield begin("f") + behind(name) + behind(data) + u64(until)
        lasting = [(name, data) for name, data, until in content if not until]
        if content and not lasting:
            return
        size = sum(16 + len(name) + len(data) for name, data in lasting)
        large, elements = size >= LARGE and (several or divided), [behind(n) + behind(d) for n, d in sorted(lasting)]
        extra = [u64(0)] * len(elements)
    elif tag == "z":
        content = sorted(content, key=lambda pair: pair[0])
        large = several or divided and sum(16 + len(member) for member, _ in content) >= LARGE
        elements, extra = [behind(member) for member, _ in content], [score_bits(score) for _, score in content]
    elif tag == "s":
        large, elements = several or divided and len(content) >= LARGE, [content]
    else:
        large = several or divided and sum(8 + len(each) for each in content) >= LARGE
        elements = [behind(each) for each in (sorted(content) if tag == "S" else content)]
        extra = [u64(0)] * len(elements)
    if not large:
        if tag == "s":
            yield begin(tag) + behind(content)
        else:
            scores = extra if tag == "z" else [b""] * len(elements)
            yield begin(tag) + u64(len(elements)) + b"".join(a + b for a, b in zip(elements, scores))
    elif tag in "sl":
        yield begin("B") + tag.encode() + u64(len(content)) + bytes(16) + hashes([b"".join(elements)])[0]
    else:
        total = added_up(hashes([element + score for element, score in zip(elements, extra)]))
        yield begin("B") + tag.encode() + u64(len(elements)) + total.to_bytes(16, "little") + hashes([b""])[0]


def keys(part, stream):
    name = part["meta"].get("rows", "redis-rows-3")
    form = {"redis-rows-1": 1, "redis-rows-2": 2, "redis-rows-3": 3}.get(name)
    if form is None:
        raise ValueError("rows in the form %s are not known" % name)
    if stream.take(20) not in (b"redis-dump-stream 1\n", b"redis-dump-stream 2\n"):
        raise ValueError("it does not begin as a redis-dump-stream")
    database, records, open_key, pieces, fragments = int(part["name"].split("/")[1]), 0, None, [], []
    while stream.take(1) == b"\x01":
        records += 1
        expiry, flags = stream.number("<Q"), stream.number("<B")
        if flags & 6:
            stream.take(8 if flags & 2 else 1)
        key = stream.take(stream.number("<I"))
        payload = stream.take(stream.number("<Q"))
        if flags & ~63 or flags & 32 and not flags & 24 or flags & 6 == 6 or bool(flags & 8) != (open_key is not None) or flags & 8 and key != open_key:
            raise ValueError("the records of %r do not fit together" % key)
        open_key = key if flags & 16 else None
        if flags & 32:
            fragments.append(payload)
        if not flags & 32 or not flags & 16:
            pieces.append(decoded(b"".join(fragments) if flags & 32 else payload))
        if not flags & 16:
            yield from rows_of_key(database, key, expiry, pieces, form)
            pieces, fragments = [], []
    if stream.number("<Q") != records or open_key is not None:
        raise ValueError("it does not hold as many records as it says")


def functions(part, stream):
    payload = stream.rest()
    if struct.unpack("<Q", payload[-8:])[0] not in (0, crc64(payload[:-8])):
        raise ValueError("the checksum is wrong")
    inside = Stream([payload[:-10]])
    while not inside.over():
        if inside.take(1) != b"\xf5":
            raise ValueError("it holds something else than libraries")
        yield b"F" + behind(string(inside))


def dump(part, stream):
    """What neo4j-admin wrote is its own: it has no rows."""
    if stream.rest()[:4] not in (b"DZV1", b"DGV1"):
        raise ValueError("it is no dump of neo4j-admin")
    return iter(())


# --- The comparison ---------------------------------------------------------------------------------------------------

FORMATS = {
    "pg-dump-custom": archive, "pg-copy-binary": copy_binary, "pg-copy-text": copy_text, "pg-sequences-jsonl": lines, "pg-large-objects-jsonl": lines,
    "pg-roles-jsonl": lines, "pg-catalogue-jsonl": lines, "pg-catalogue-jsonl-2": lines, "pg-catalogue-jsonl-3": lines, "neo4j-packstream": frames, "json": document,
    "redis-dump-stream": keys, "redis-function-dump": functions, "neo4j-dump": dump,
}


def main():
    backup = Backup(os.environ["REPO"], os.environ["BACKUP"], os.environ["IDENTITY"])
    wanted, wrong = sys.argv[1:], 0
    for part, segments in backup.parts:
        if wanted and part["name"] not in wanted:
            continue
        stream = Stream(backup.segment(listed) for listed in segments)
        found = Fingerprint(backup.fingerprints)
        try:
            for row in FORMATS[part["format"]](part, stream):
                found.add(row)
            if not stream.over() or stream.total != part["bytes"]:
                raise ValueError("it has %d bytes, and %d were captured" % (stream.total, part["bytes"]))
        except (ValueError, KeyError, IndexError, StopIteration, RuntimeError, struct.error) as problem:
            print("%s: %s" % (part["name"], problem), file=sys.stderr)
            found = "unreadable"
        expected = part["fingerprint"]
        same = str(found) == expected or expected is None and found != "unreadable"
        wrong += not same
        rows = "-" if expected is None or found == "unreadable" else found.rows
        print("%s %s %s" % ("DIFFERENT" if not same else "-" if expected is None else "same", rows, part["name"]), flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
