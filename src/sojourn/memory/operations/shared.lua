-- Before every script of this room. Nothing here writes unless its name says so.

-- The server's clock: milliseconds for lifetimes, seconds for people. Numbers go into commands as
-- whole integers; `..` would round them to 14 digits: `whole` writes them out.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local seconds = string.format('%.6f', clock[1] + clock[2] / 1000000)
local function whole(number) return string.format('%.0f', number) end

-- Whether a field is a whole number as scripts write it; one that is missing (false) is none.
local function is_count(field)
  return field and #field < 16 and string.find(field, '^%d+$')
end

-- The number of the last change in a scope, 0 before the first; nil when it cannot be read. And the
-- reply of a write that may not go on, as the head is of a newer format.
-- All that a scope's entries share is looked at here, so that a key of another type stops a script
-- before it writes. A head that was evicted is counted anew.
--
-- KEYS  1 head   2 names   3 expiry   4 changes   5 deleted   6 ops
local function last_change()
  local found = redis.call('HMGET', KEYS[1], 'id', 'seq', 'format')
  for i = 2, 6 do redis.call('ZCARD', KEYS[i]) end
  local major = major_of(found[3])
  if not major then return nil end
  local newer = major > 1 and {'newer', KEYS[1], found[3], ''} or nil
  if found[1] and is_count(found[2]) then return tonumber(found[2]), newer end
  if not newer and redis.call('EXISTS', KEYS[1]) == 1 then return nil end
  local last = 0
  for i = 4, 5 do
    last = math.max(last, tonumber(redis.call('ZREVRANGE', KEYS[i], 0, 0, 'WITHSCORES')[2] or 0))
  end
  return last, newer
end

-- An entry as far as scripts read it, nil when there is none: `version`, `created` (or false) and
-- `expires` ('' is never). `refused` is the reply of a write that would replace it and may not: it
-- cannot be read, a newer version wrote it, it is another tenant's, or has an encoding that the new
-- value has not. `touched` is that of a write
-- that would only let it live on.
--
-- `tenant` is '' for any, or '=' and the only tenant whose entries the caller may see. `value` is what
-- would replace its value.
local function entry_at(key, tenant, value)
  local found = redis.call('HMGET', key, 'version', 'created', 'expires', 'tenant', 'format',
    'value', 'metadata', 'text')
  if not found[1] and redis.call('EXISTS', key) == 0 then return nil end
  local major, refused, touched = major_of(found[5]), nil, nil
  if tenant ~= '' and '=' .. (found[4] or '') ~= tenant then
    refused = {'tenant', key}
    touched = refused
  elseif major and major > 1 then
    refused = {'newer', key, found[5], ''}
    touched = not is_count(found[1]) and refused or nil
  elseif not major or not is_count(found[1]) then
    refused = {'corrupt', key}
    touched = refused
  end
  for i = 6, 8 do
    if not refused and not may_replace(found[i], value) then refused = {'newer', key, '', found[i]} end
  end
  return {version = tonumber(found[1]), created = found[2], expires = found[3] or '',
    refused = refused, touched = touched}
end

-- The name of an operation on the entries KEYS[7…], as long for many as for one.
local function operation_on(operation)
  return operation .. ' ' .. redis.sha1hex(table.concat(KEYS, ' ', 7))
end

-- Names in an index that have expired, a bounded number at a time.
local function expired(expiry, many)
  return redis.call('ZRANGEBYSCORE', expiry, '-inf', '(' .. whole(now), 'LIMIT', 0, many)
end

-- Take entries that have expired out of a scope, at most 99 more than a put brings. Who knows an
-- older state of one than its last has to hear of it, as of one that was deleted.
local function write_pruned()
  for _, key in ipairs(expired(KEYS[3], 93 + #KEYS)) do
    local seq = redis.call('ZSCORE', KEYS[4], key)
    if seq then redis.call('ZADD', KEYS[5], seq, key) end
    for i = 2, 4 do redis.call('ZREM', KEYS[i], key) end
  end
end

-- Let keys live as long as the last of the names in an index, and `least` ms more than now.
local function write_lifetime(expiry, keys, least)
  local last = redis.call('ZREVRANGE', expiry, 0, 0, 'WITHSCORES')[2]
  local ends = last ~= 'inf' and whole(math.max(tonumber(last or 0), now + least))
  for _, key in ipairs(keys) do
    if ends then redis.call('PEXPIREAT', key, ends) else redis.call('PERSIST', key) end
  end
end

-- Enter the number of an entry's last change, and its expiry ('' is never), into the indexes.
local function write_indexed(entry, key, seq, expires)
  redis.call('ZADD', KEYS[2], 0, key)
  redis.call('ZADD', KEYS[3], expires == '' and '+inf' or expires, key)
  redis.call('ZADD', KEYS[4], seq, key)
  redis.call('ZREM', KEYS[5], key)
  if expires == '' then redis.call('PERSIST', entry) else redis.call('PEXPIREAT', entry, expires) end
end

-- Store an entry instead of the `old` one, or nil: its fields come last, as field, value, … Of the
-- old one stay its creation, its tenant, and the fields that only another version knows.
local function write_entry(entry, key, seq, expires, old, tenant, ...)
  if old then redis.call('HDEL', entry, 'text', 'vector', 'vector_encoding', 'digest') end
  redis.call('HSET', entry, 'version', whole(seq), 'created', old and old.created or seconds,
    'updated', seconds, 'expires', expires, ...)
  if #tenant > 1 then redis.call('HSET', entry, 'tenant', string.sub(tenant, 2)) end
  write_indexed(entry, key, seq, expires)
end

-- Take an entry out of a scope; the last thousand are remembered for those who know an older state.
local function write_deleted(entry, key, seq)
  redis.call('UNLINK', entry)
  for i = 2, 4 do redis.call('ZREM', KEYS[i], key) end
  redis.call('ZADD', KEYS[5], seq, key)
end

-- Where one of the three indexes of a scope was evicted, make it again from the others and the entries;
-- what leads nowhere goes. `id` becomes that of the scope: whoever searches it reads it anew.
-- One that was put back to an earlier moment may have as many names as the others: `differ` says so.
local function write_repaired(id, differ)
  local count = redis.call('ZCARD', KEYS[2])
  if not differ and count == redis.call('ZCARD', KEYS[3]) and count == redis.call('ZCARD', KEYS[4])
  then
    return
  end
  for _, key in ipairs(redis.call('ZUNION', 3, KEYS[2], KEYS[3], KEYS[4])) do
    local there = 0
    for i = 2, 4 do if redis.call('ZSCORE', KEYS[i], key) then there = there + 1 end end
    if there < 3 then
      local name = string.gsub(key, "[^A-Za-z0-9_.~@+=,!$'-]", function(byte)
        return string.format('%%%02X', string.byte(byte))
      end)
      local entry = redis.pcall('HMGET', KEYS[1] .. ':entry:' .. name, 'version', 'expires')
      local foreign = entry.err or not is_count(entry[1])
      if not entry.err and not entry[1] then
        for i = 2, 4 do redis.call('ZREM', KEYS[i], key) end
      else
        local expires = not foreign and entry[2] or ''
        if foreign or not (expires == '' or is_count(expires)) then expires = whole(now + 86400000) end
        redis.call('ZADD', KEYS[2], 0, key)
        redis.call('ZADD', KEYS[3], 'NX', expires == '' and '+inf' or expires, key)
        redis.call('ZADD', KEYS[4], 'NX', foreign and 0 or entry[1], key)
      end
    end
  end
  redis.call('HSET', KEYS[1], 'id', id)
end

-- End of every change: its number, what is remembered of it, and how long all that is kept.
local function write_change(seq, id, operation)
  write_repaired(id)
  redis.call('HSET', KEYS[1], 'seq', whole(seq))
  redis.call('HSETNX', KEYS[1], 'id', id)
  local many = redis.call('ZCARD', KEYS[5]) - 1000
  if many > 0 then
    local floor = redis.call('ZRANGE', KEYS[5], many - 1, many - 1, 'WITHSCORES')[2]
    redis.call('ZREMRANGEBYRANK', KEYS[5], 0, many - 1)
    redis.call('HSET', KEYS[1], 'floor', whole(tonumber(floor)))
  end
  redis.call('ZADD', KEYS[6], seq, operation)
  redis.call('ZREMRANGEBYRANK', KEYS[6], 0, -1001)
  redis.call('PEXPIRE', KEYS[6], 86400000)
  write_lifetime(KEYS[3], {KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]}, 86400000)
end
