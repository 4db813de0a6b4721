-- Before every script of this room. Nothing here writes unless its name says so.
--
-- Every script but `invalidate` is given all keys of an entry:
-- KEYS  1 entry (hash)   2 lease (string)   3 tags (zset: tag → last invalidated, µs)
--       4 ops (zset: operation on an entry → when, µs)

-- The server's clock, in microseconds. `..` would round it to 14 digits: `whole` writes it out.
local clock = redis.call('TIME')
local stamp = clock[1] * 1000000 + clock[2]
local function whole(number) return string.format('%.0f', number) end

-- The reply about an entry of a newer format, nil for another. What was damaged is among these: the
-- client tells which.
local function newer_of(format)
  return major_of(format) ~= 1 and {'newer', format, ''} or nil
end

-- The reply about an entry that a value may not replace, nil where it may: {'newer', its format or
-- '', its value or ''}.
local function refused_at(key, value)
  local old = redis.call('HMGET', key, 'format', 'value')
  local newer = newer_of(old[1])
  if newer or may_replace(old[2], value) then return newer end
  return {'newer', '', old[2]}
end

-- A stamp behind all of a slot, whatever its clock says, or said before it was set: those of its
-- tagged entries and of its tags' invalidations. The latest of these is that of the tag ''.
local function latest(tags)
  return math.max(stamp, (tonumber(redis.call('ZSCORE', tags, '') or 0)) + 1)
end

-- Since when the tags of a slot are remembered without a gap: they may be evicted. No tag can
-- have its name.
local function write_begun(tags, at)
  if redis.call('EXISTS', tags) == 0 then redis.call('ZADD', tags, whole(at), '\n') end
end

-- Whether a tag of an entry was invalidated at or after `since`, or may have been: the slot has to
-- remember tags from before the entry on, if the entry was `stamped` (not by an older version).
local function is_invalid(tags, words, since, stamped)
  if words == '' then return false end
  if stamped then
    local last, begun = redis.call('ZSCORE', tags, ''), redis.call('ZSCORE', tags, '\n')
    if not last or tonumber(last) < since or begun and tonumber(begun) > since then return true end
  end
  for tag in string.gmatch(words, '[^\n]+') do
    local at = redis.call('ZSCORE', tags, tag)
    if at and tonumber(at) >= since then return true end
  end
  return false
end

-- Remember the latest stamp, for `life` ms at least.
local function write_latest(tags, at, life)
  write_begun(tags, at)
  redis.call('ZADD', tags, 'GT', whole(at), '')
  if redis.call('PTTL', tags) < tonumber(life) then redis.call('PEXPIRE', tags, life) end
end

-- Store a value for `fresh` ms, and `stale` ms after that; its computation began at `since`.
-- Fields that only another version knows stay.
local function write_entry(key, value, fresh, stale, tags, since)
  redis.call('HSET', key, 'value', value, 'tags', tags, 'since', since, 'stamped', since,
    'fresh', whole(stamp + fresh * 1000))
  redis.call('PEXPIRE', key, fresh + stale)
end

-- Remember an operation on an entry, the last thousand of a shard, for a day.
local function write_operation(ops, name)
  local last = redis.call('ZREVRANGE', ops, 0, 0, 'WITHSCORES')[2]
  redis.call('ZADD', ops, whole(math.max(stamp, tonumber(last or 0) + 1)), name)
  redis.call('ZREMRANGEBYRANK', ops, 0, -1001)
  redis.call('PEXPIRE', ops, 86400000)
end
