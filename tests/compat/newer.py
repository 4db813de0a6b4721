"""The next version: this code with one more field, member and kind in every record.

It is made of a build of this code. What scripts write is changed in one place, before every script;
what Python writes, at the end of the module that encodes it. A patch that finds nothing to change
fails, so that nothing is left out unnoticed.
"""

from __future__ import annotations

import re
from pathlib import Path

WORD = "next-version"
"""Names all that only the next version knows."""

MEMBER = f'"{WORD}":{{"x":[1]}}'
"""A member of a JSON object."""

LUA = """
-- The next version writes more: see the tests of both versions.
local server, added = redis, 0
local redis = setmetatable({}, {__index = server})

local function next_version(run, command, key, ...)
  if not key then return run(command) end
  local words = {...}
  if command == 'HSET' and string.find(key, 'outbox:{', 1, true) then
    words[2] = string.gsub(words[2], '^{', '{MEMBER,')
  elseif command == 'HSET' and not string.find(key, 'quarantine:{', 1, true) then
    for i = 1, #words, 2 do
      if words[i] == 'format' and tostring(words[i + 1]) == '1' then words[i + 1] = '1.1' end
      if string.find(key, 'mcp:{', 1, true) and tonumber(words[i]) then
        words[i + 1] = string.gsub(words[i + 1], ']$', ',{MEMBER}]')
      end
    end
    words[#words + 1], words[#words + 2] = 'WORD', 'more'
  elseif command == 'ZADD' and
    (string.find(key, ':ops$') or string.find(key, 'operations:{', 1, true)) then
    run('ZADD', key, words[1], 'WORD:' .. words[2])
  elseif command == 'XADD' then
    local ms, number = string.match(words[4], '^(%d+)-(%d+)$')
    words[4] = ms .. '-' .. string.format('%.0f', number + added)
    words[#words + 1], words[#words + 2] = 'WORD', 'more'
    local done = run(command, key, unpack(words))
    added = added + 1
    words[4] = ms .. '-' .. string.format('%.0f', number + added)
    for i = 5, #words, 2 do if words[i] == 'kind' then words[i + 1] = 'WORD' end end
    run(command, key, unpack(words))
    return done
  end
  return run(command, key, unpack(words))
end

redis.call = function(command, ...) return next_version(server.call, command, ...) end
redis.pcall = function(command, ...) return next_version(server.pcall, command, ...) end
""".replace("MEMBER", MEMBER).replace("WORD", WORD)

SCRIPTS = f"""
_known_load = Script.load.__func__


def _load(cls, folder, name):
    script = _known_load(cls, folder, name)
    return cls(name, {LUA!r} + script.body.decode())


Script.load = classmethod(_load)
"""

EVENTS = f"""
_known_row = encode_row


def encode_row(*args, **options):
    body = _known_row(*args, **options)[:-_TAIL_BYTES] + b',' + {MEMBER.encode()!r}
    return body + _TAIL % crc32(body)
"""

VERSIONS = f"""
_known_record = record_of


def record_of(*args, **options):
    return {MEMBER.encode()!r} + b',' + _known_record(*args, **options)
"""

JOURNAL = f"""
_known_encode = _encode


def _encode(value):
    return _known_encode(value)[:-1] + b',' + {MEMBER.encode()!r} + b'}}'
"""

ARCHIVE = f"""
from sojourn.transfer.lines import UnknownLine
from sojourn.transfer.sealing import sealed

_known_seal, _known_write = seal, Writer.write
_more = {MEMBER.encode()!r}


def seal(line, before):
    return sealed(_known_seal(line, before)[0][:-_SEAL] + b',' + _more, before)


_SEAL = len(b',"sum":""}}') + 32


def _write(self, line):
    _known_write(self, line)
    if isinstance(line, Header):
        self.walk.step(UnknownLine({WORD!r}))
        data, self._sum = sealed(b'{{"kind":"{WORD}",' + _more, self._sum)
        self._file.write(data + b"\\n")
        self.bytes += len(data) + 1


Writer.write = _write
"""

PATCHES = (
    ("calls/call.py", r"def load\(cls, folder: Traversable, name: str\) -> Script:", SCRIPTS),
    ("sessions/event_codec.py", r"^def encode_row\(", EVENTS),
    ("artifacts/records.py", r"^def record_of\(", VERSIONS),
    ("sessions/replay.py", r"^_encode = ", JOURNAL),
    ("transfer/writing.py", r"    def write\(self, line: ", ARCHIVE),
)
"""For each module: what it must have, and what is put behind it."""


def patch(tree: Path) -> None:
    """Make the next version of a tree of this code."""
    for name, there, more in PATCHES:
        module = tree / "sojourn" / name
        text = module.read_text()
        assert re.search(there, text, re.MULTILINE), f"newer.py does not fit {name}: {there}"
        module.write_text(text + more)
