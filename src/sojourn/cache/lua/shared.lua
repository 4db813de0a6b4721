-- Before every script of this room. Nothing here writes unless its name says so.

-- The server's clock, in microseconds. `..` would round it to 14 digits: `whole` writes it out.
local clock = redis.call('TIME')
local stamp = clock[1] * 1000000 + clock[2]
local function whole(number) return string.format('%.0f', number) end

-- Store a value for `fresh` ms, and `stale` ms after that; its computation began at `since`.
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
