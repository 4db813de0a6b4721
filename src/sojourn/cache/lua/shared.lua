-- Before every script of this room. Nothing here writes unless its name says so.

-- The server's clock, in microseconds. `..` would round it to 14 digits: `whole` writes it out.
local clock = redis.call('TIME')
local stamp = clock[1] * 1000000 + clock[2]
local function whole(number) return string.format('%.0f', number) end

-- The reply about an entry that a newer version wrote, in a way that this one cannot read, nil for
-- another: {'newer', its format or '', a value with an encoding or ''}. What was damaged is among
-- these: the client tells which.
local function newer_of(format, value)
  if major_of(format) ~= 1 then return {'newer', format, ''} end
  if is_encoded(value) then return {'newer', '', value} end
  return nil
end

local function newer_at(key)
  return newer_of(unpack(redis.call('HMGET', key, 'format', 'value')))
end

-- Store a value for `fresh` ms, and `stale` ms after that; its computation began at `since`.
-- Fields that only another version knows stay.
local function write_entry(key, value, fresh, stale, tags, since)
  redis.call('HSET', key, 'value', value, 'tags', tags, 'since', since,
    'fresh', whole(stamp + fresh * 1000))
  redis.call('PEXPIRE', key, fresh + stale)
end

-- Remember an operation on an entry, the last thousand of a shard, for a day.
local function write_operation(ops, name)
  redis.call('ZADD', ops, stamp, name)
  redis.call('ZREMRANGEBYRANK', ops, 0, -1001)
  redis.call('PEXPIRE', ops, 86400000)
end
