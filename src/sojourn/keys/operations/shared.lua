-- Before every script of this room. Data keys are one hash: `format`, `active`, `idle` (since when it
-- is known that nothing is left that they sealed, ms), and key:ID → MASTER BASE64 MS.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- How long it is known that keys were destroyed, ms.
local remembered = 2592000000

-- When the keys of a name were destroyed, ms; 0 if they were not. A mark is SALT:HASH → MS.
local function find_destroyed(key, name)
  local at, marks = 0, redis.call('HGETALL', key)
  for i = 1, #marks, 2 do
    local salt, hash = string.match(marks[i], '^(%x+):(%x+)$')
    if salt and redis.sha1hex(salt .. ':' .. name) == hash then
      at = math.max(at, tonumber(string.match(marks[i + 1], '^%d+') or 0))
    end
  end
  return at > now - remembered and at or 0
end
