-- Before every script of this room. Data keys are one hash: `format`, `active`, `idle` (since when it
-- is known that nothing is left that they sealed, ms), and key:ID → MASTER BASE64 MS.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- How long it is known that keys were destroyed, ms.
local remembered = 2592000000

-- When, of a mark SALT:HASH → MS. It is negative when the owner was readmitted since.
local function at_of(value)
  return tonumber(string.match(value, '^%-?%d+') or 0)
end

-- Of the marks of a name their fields and values in turn.
local function marks_of(key, name)
  local found, marks = {}, redis.call('HGETALL', key)
  for i = 1, #marks, 2 do
    local salt, hash = string.match(marks[i], '^(%x+):(%x+)$')
    if salt and redis.sha1hex(salt .. ':' .. name) == hash then
      found[#found + 1], found[#found + 2] = marks[i], marks[i + 1]
    end
  end
  return found
end

-- When the keys of a name were destroyed, ms; 0 if they were not.
local function find_destroyed(key, name)
  local at, marks = 0, marks_of(key, name)
  for i = 2, #marks, 2 do at = math.max(at, at_of(marks[i])) end
  return at > now - remembered and at or 0
end
