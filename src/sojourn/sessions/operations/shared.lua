-- Before every script of this room. Nothing here writes unless its name says so.

-- The server's clock: milliseconds for lifetimes, microseconds for stamps. Numbers go into commands
-- and replies as whole integers; `..` would round them to 14 digits.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local stamp = clock[1] * 1000000 + clock[2]

-- The same in seconds, as fields have it.
local function seconds()
  return string.format('%.6f', clock[1] + clock[2] / 1000000)
end

-- Text as a part of a key's name.
local function escaped(text)
  return (string.gsub(text, "[^A-Za-z0-9_.~@+=,!$'-]", function(byte)
    return string.format('%%%02X', string.byte(byte))
  end))
end

-- Let a shared key live for `ttl` ms at least, '' meaning for ever; it had `left` ms before this
-- change. It is only ever lengthened, by a hundredth more than asked, so that not every change has
-- to. A key that never expires stays so.
local function write_lifetime(key, left, ttl)
  if ttl == '' then
    if left >= 0 then redis.call('PERSIST', key) end
  elseif left ~= -1 and left < tonumber(ttl) then
    redis.call('PEXPIRE', key, math.ceil(ttl * 1.01))
  end
end

-- When a session expires that lives for `ttl` ms at least: a hundredth later than asked, so that not
-- every change has to set it again; but never after `last`. '' is never.
local function expires_at(ttl, last)
  local expires = ttl == '' and '' or now + math.ceil(ttl * 1.01)
  if last == '' or expires ~= '' and expires <= tonumber(last) then return expires end
  return last
end

-- How many ms the keys that a session shares must live because of it: its ttl, or what is left until
-- its last instant. '' is for ever.
local function min_lifetime(ttl, last)
  if ttl ~= '' or last == '' then return ttl end
  return math.max(1, last - now)
end

-- Let the keys of a session expire at an instant, or never.
local function write_expiry(keys, expires)
  for _, key in ipairs(keys) do
    if expires == '' then redis.call('PERSIST', key) else redis.call('PEXPIREAT', key, expires) end
  end
end

-- Keep operation ids, of which one was added, for as long and as many as `write_operation` says; they
-- had `left` ms before.
local function write_horizon(ops, left, version, ttl)
  write_lifetime(ops, left, ttl == '' and 86400000 or math.min(86400000, tonumber(ttl)))
  if version % 64 == 0 then redis.call('ZREMRANGEBYRANK', ops, 0, -1001) end
end

-- Remember an operation id, the last thousand at least, as long as the session and a day at most.
local function write_operation(ops, operation, version, ttl)
  local left = redis.call('PTTL', ops)
  redis.call('ZADD', ops, version, operation)
  write_horizon(ops, left, version, ttl)
end

-- What a user's operation is remembered as. Ids may hold any characters: the length tells them apart.
local function operation_name(what, session, operation)
  return what .. ':' .. #session .. ':' .. session .. ':' .. operation
end

-- Remember a create, save or delete of a user, the last thousand, for a day; `result` with it. When
-- the clock went back, it still stands behind those before.
local function write_user_operation(operations, name, result)
  local last = tonumber(redis.call('ZREVRANGE', operations, 0, 0, 'WITHSCORES')[2] or 0)
  local at = string.format('%.0f', last > now and last + 1 or now)
  redis.call('ZADD', operations, at, name)
  if result then redis.call('ZADD', operations, at, result) end
  redis.call('ZREMRANGEBYSCORE', operations, '-inf', now - 86400000)
  redis.call('ZREMRANGEBYRANK', operations, 0, -1001)
  redis.call('PEXPIRE', operations, 86400000)
end

-- Whether a field is a whole number as scripts write it; one that is missing (false) is none.
local function is_count(field)
  return field and #field < 16 and string.find(field, '^%d+$')
end

-- Whether a field is a number of ms, or '' for never.
local function is_lifetime(field)
  return field == '' or is_count(field)
end

-- Whether a field is a time as scripts and clients write it.
local function is_time(field)
  local number = field and string.find(field, '^-?%d[%d.e+-]*$') and tonumber(field)
  return number and math.abs(number) < math.huge
end

-- Where one of a user's two indexes was evicted, make it again from the other one and the sessions, a
-- thousand at a time; what leads nowhere goes.
local function write_mended(by_update, by_expiry)
  local start, tag = string.match(by_update, '^(.-)sessions(:{.*})$')
  local left = 1000
  for _, pair in ipairs({{by_expiry, by_update}, {by_update, by_expiry}}) do
    for _, id in ipairs(redis.call('ZDIFF', 2, pair[1], pair[2])) do
      left = left - 1
      if left < 0 then return end
      local session = start .. 'session' .. tag .. ':' .. escaped(id)
      local head = redis.pcall('HMGET', session, 'updated', 'expires')
      if not (head.err or head[1] or head[2]) then
        redis.call('ZREM', by_update, id)
        redis.call('ZREM', by_expiry, id)
      else -- of one that cannot be read a list tells
        local updated, expires = tonumber(head[1] or ''), head[2] == '' and '+inf' or tonumber(head[2] or '')
        redis.call('ZADD', by_update, 'NX', updated and head[1] or 0, id)
        redis.call('ZADD', by_expiry, 'NX', expires or now + 86400000, id)
      end
    end
  end
end

-- Keep a user's indexes as long as the longest-lived session in them, the one just entered, which
-- expires then, included; where one was evicted, `evicted` makes it again.
local function write_index_lifetime(by_update, by_expiry, expires, evicted)
  if evicted and redis.call('ZCARD', by_update) ~= redis.call('ZCARD', by_expiry) then
    evicted(by_update, by_expiry)
  end
  local ttl = expires == '' and '' or math.max(0, expires - now) / 1.01 -- `expires_at` has added that
  local last = ttl ~= '' and redis.call('ZREVRANGE', by_expiry, 0, 0, 'WITHSCORES')[2]
  for _, key in ipairs({by_update, by_expiry}) do
    local left = redis.call('PTTL', key)
    if left == -1 and last and last ~= 'inf' then -- new, or kept for a session that has gone
      redis.call('PEXPIRE', key, math.ceil(math.max(ttl * 1.01, tonumber(last) - now)))
    else
      write_lifetime(key, left, ttl)
    end
  end
end

-- The reply about a session without an incarnation: there is none, or it cannot be read.
local function not_there(session)
  return {redis.call('EXISTS', session) == 1 and 'corrupt' or 'missing'}
end

-- Put a session that was changed in its place in its user's indexes.
local function write_indexed(by_update, by_expiry, id, updated, expires)
  redis.call('ZADD', by_update, 'GT', updated, id)
  redis.call('ZADD', by_expiry, expires == '' and '+inf' or expires, id)
end

-- Take some sessions that have expired out of their user's indexes; gives their ids.
local function write_pruned(by_update, by_expiry)
  local dead = redis.call('ZRANGEBYSCORE', by_expiry, '-inf', now, 'LIMIT', 0, 100)
  if #dead > 0 then
    redis.call('ZREM', by_update, unpack(dead))
    redis.call('ZREM', by_expiry, unpack(dead))
  end
  return dead
end

-- How many sessions of a user are alive, if that is too many for another one; '' is no cap.
local function too_many_sessions(by_expiry, id, most)
  if most == '' then return nil end
  local alive = redis.call('ZCOUNT', by_expiry, string.format('(%.0f', now), '+inf')
  local evicted = redis.call('ZSCORE', by_expiry, id) -- it has this place already
  if evicted and tonumber(evicted) > now then alive = alive - 1 end
  return alive >= tonumber(most) and alive or nil
end

-- Bytes of a value before it was encoded: then it says so in its header.
local function plain_size(value)
  if string.byte(value) ~= 255 then return #value end
  return tonumber(string.match(value, '^.%d+ size:(%d+) ') or '') or #value
end

-- Bytes of the state in `key`: what its field `bytes` says, or counted when that cannot be read.
-- An encoded value has its plain size in a field beside it.
local function state_bytes(key, said)
  if is_count(said) then return tonumber(said) end
  local bytes, sizes, fields = 0, {}, redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 5) == 'size:' then sizes[string.sub(fields[i], 6)] = fields[i + 1] end
  end
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 6) == 'state:' then
      local name = string.sub(fields[i], 7)
      bytes = bytes + #name + (tonumber(sizes[name]) or #fields[i + 1])
    end
  end
  return bytes
end

-- The plain sizes of encoded values that the pairs ARGV[first .. first + 2n - 1] replace, by key.
local function encoded_sizes(key, first, n)
  local sizes = {}
  for from = 1, n, 1000 do
    local names, upto = {}, math.min(n, from + 999)
    for i = from, upto do names[#names + 1] = 'size:' .. ARGV[first + 2 * i - 2] end
    for i, size in ipairs(redis.call('HMGET', key, unpack(names))) do
      if size then sizes[string.sub(names[i], 6)] = size end
    end
  end
  return sizes
end

-- Bytes that the state in `key` would have after those pairs, and how many keys they add.
local function measured(key, bytes, first, n, sizes)
  local added = 0
  for i = first, first + 2 * n - 2, 2 do
    local old = redis.call('HSTRLEN', key, 'state:' .. ARGV[i])
    if old == 0 then bytes, added = bytes + #ARGV[i], added + 1 end
    bytes = bytes - (tonumber(sizes[ARGV[i]]) or old) + plain_size(ARGV[i + 1])
  end
  return bytes, added
end

-- The first sealed value in `key` that one of those pairs may not replace, if any. `sizes` are those
-- of the encoded ones.
local function sealed_value(key, first, n, sizes)
  for i = first, first + 2 * n - 2, 2 do
    if sizes[ARGV[i]] then
      local old = redis.call('HGET', key, 'state:' .. ARGV[i])
      if is_sealed(old) and not is_sealed(ARGV[i + 1]) then return old end
    end
  end
end

-- How many keys the state in `key` would have with `added` more, if that is too many (`caps.py`).
-- Other fields stand beside them: they are counted one by one only when all together are many.
local function too_many_keys(key, added)
  local most = 10000
  if added == 0 or redis.call('HLEN', key) + added <= most then return nil end
  for _, name in ipairs(redis.call('HKEYS', key)) do
    if string.sub(name, 1, 6) == 'state:' then added = added + 1 end
  end
  return added > most and added or nil
end

-- HSET of any number of fields: unpack() has room for some thousand values.
local function write_hash(key, fields)
  for i = 1, #fields, 2000 do
    redis.call('HSET', key, unpack(fields, i, math.min(i + 1999, #fields)))
  end
end

-- Write those pairs, beside an encoded value its plain size. `sizes` are those that stand there.
local function write_state(key, first, n, sizes)
  local fields, stale = {}, {}
  for name in pairs(sizes or {}) do stale[name] = true end
  for i = first, first + 2 * n - 2, 2 do
    fields[#fields + 1] = 'state:' .. ARGV[i]
    fields[#fields + 1] = ARGV[i + 1]
    if string.byte(ARGV[i + 1]) == 255 then
      fields[#fields + 1] = 'size:' .. ARGV[i]
      fields[#fields + 1] = plain_size(ARGV[i + 1])
      stale[ARGV[i]] = nil
    end
  end
  for name in pairs(stale) do redis.call('HDEL', key, 'size:' .. name) end
  write_hash(key, fields)
end

-- Bytes of those pairs as a state of its own.
local function state_size(first, n)
  local bytes = 0
  for i = first, first + 2 * n - 2, 2 do bytes = bytes + #ARGV[i] + plain_size(ARGV[i + 1]) end
  return bytes
end

-- The id of an event: the first member of its row, or the line behind the header of an encoded one.
-- nil when it cannot be read.
local function event_id(row)
  local id = string.match(row, '^{"id":"([^"\\]*)"')
  if id then return id end
  local text
  if string.byte(row) == 255 then
    id = string.match(row, '^[^\n]*\n"([^"\\\n]*)"\n')
    if id then return id end
    text = string.match(row, '^[^\n]*\n("[^\n]*")\n')
  elseif string.sub(row, 1, 7) == '{"id":"' then
    local at = 8
    while at do
      at = string.find(row, '["\\]', at)
      if at and string.sub(row, at, at) == '"' then break end
      at = at and at + 2
    end
    text = at and string.sub(row, 7, at)
  end
  local read, found = pcall(cjson.decode, '[' .. (text or '') .. ']')
  return read and type(found[1]) == 'string' and found[1] or nil
end

-- Enter the ids of rows into the index of a log: the first row is event `seq`. '' is in every such
-- index from its first entry on. Whether it was not there.
local function write_ids(ids, rows, seq)
  local begun = redis.call('ZADD', ids, 0, '') == 1
  for from = 1, #rows, 1000 do
    local entries = {}
    for i = from, math.min(#rows, from + 999) do
      local id = event_id(rows[i])
      if id then
        entries[#entries + 1] = seq + i - 1
        entries[#entries + 1] = id
      end
    end
    if #entries > 0 then redis.call('ZADD', ids, unpack(entries)) end
  end
  return begun
end

-- How many of the events in some rows have an id that a log has up to event `seq`, and one of them.
local function known_ids(ids, rows, seq)
  local known, one = 0, nil
  for from = 1, #rows, 1000 do
    local names = {}
    for i = from, math.min(#rows, from + 999) do names[#names + 1] = event_id(rows[i]) or '' end
    for i, place in ipairs(redis.call('ZMSCORE', ids, unpack(names))) do
      if place and tonumber(place) <= seq and names[i] ~= '' then known, one = known + 1, names[i] end
    end
  end
  return known, one
end

-- Some arguments of the script, as a table.
local function arguments(first, n)
  local found = {}
  for i = 1, n do found[i] = ARGV[first + i - 1] end
  return found
end

-- Take the state out of a session's hash, before all of it is written anew. What this version does
-- not know stays.
local function write_no_state(session)
  local names = {}
  for _, name in ipairs(redis.call('HKEYS', session)) do
    if string.find(name, '^state:') or string.find(name, '^size:') then names[#names + 1] = name end
  end
  for from = 1, #names, 2000 do
    redis.call('HDEL', session, unpack(names, from, math.min(#names, from + 1999)))
  end
end

-- Leave an app delta to be carried to the app's own slot. Its `stamp` is a later one than that of any
-- that waits there already, whatever the clock said then; gives how many these are.
local function write_outbox(key, operation, delta, ttl)
  local left = redis.call('PTTL', key)
  local waiting = left == -2 and {} or redis.call('HVALS', key)
  for _, entry in ipairs(waiting) do
    local before = string.match(entry, '^{"stamp":(%d+),')
    if before and #before < 17 then stamp = math.max(stamp, before + 1) end
  end
  redis.call('HSET', key, operation, string.format('{"stamp":%.0f,"delta":', stamp) .. delta .. '}')
  write_lifetime(key, left, ttl)
  return #waiting
end

-- When the latest tombstones were added, ms: of what was revoked, of what was forgotten; 0 for none.
-- `names` are those that it may have, a space between them; tombstones have hashes of names.
-- A word that is not known counts as 'revoked': what a newer version ended does not come back.
local function find_tombstones(tombstones, names)
  local found = {revoked = 0, forgotten = 0}
  local fields = redis.call('HGETALL', tombstones)
  for i = 1, #fields, 2 do
    local salt, hash = string.match(fields[i], '^(%x+):(%x+)$')
    local at, what = string.match(fields[i + 1], '^(%d+) (%a+)')
    if salt and at then
      local kind = what == 'forgotten' and what or 'revoked'
      for name in string.gmatch(names, '%S+') do
        if redis.sha1hex(salt .. ':' .. name) == hash then
          found[kind] = math.max(found[kind], tonumber(at))
        end
      end
    end
  end
  return found.revoked, found.forgotten
end

-- Tell who listens of changes, each {kind, session, version}: entries of the user's stream, and one
-- wake-up. An entry's id holds the server's clock, ms, and a number one higher than that of the
-- entry before; a new stream's first number is its time in microseconds. What fails here (a key of
-- another type, a channel that this user may not use) fails no write. A user's indexes, where they
-- are given, outlive the sessions in them by as much as notices: else nobody would come upon the last
-- that expires.
local function write_notices(key, ttl, changes, indexes)
  local lasting = ttl == '' and '2592000000' or ttl
  for _, index in ipairs(indexes or {}) do write_lifetime(index, redis.call('PTTL', index), lasting) end
  local last = redis.pcall('XREVRANGE', key, '+', '-', 'COUNT', 1)
  if last.err then return end
  local ms, number = now, stamp
  if last[1] then
    local at, before = string.match(last[1][1], '^(%d+)-(%d+)$')
    ms, number = math.max(now, tonumber(at)), tonumber(before) + 1
  end
  local left = redis.call('PTTL', key)
  for i, change in ipairs(changes) do
    redis.pcall('XADD', key, 'MAXLEN', '~', 1000, string.format('%.0f-%.0f', ms, number + i - 1),
      'kind', change[1], 'session', change[2], 'version', change[3])
  end
  write_lifetime(key, left, ttl)
  if type(redis.pcall('SPUBLISH', key, '')) == 'table' then redis.pcall('PUBLISH', key, '') end
end

-- Tell of a session that was written as a whole, and of those that were found to have expired.
local function write_found(key, ttl, dead, change, indexes)
  local changes = {}
  for i, expired in ipairs(dead) do changes[i] = {'expired', expired, 0} end
  changes[#changes + 1] = change
  write_notices(key, ttl, changes, indexes)
end

-- The labels in a field, by name; nil when they cannot be read.
local function read_labels(field)
  if not field or field == '' then return {} end
  local sound, labels = pcall(cjson.decode, field)
  if not sound or type(labels) ~= 'table' then return nil end
  for name, word in pairs(labels) do
    if type(name) ~= 'string' or type(word) ~= 'string' then return nil end
  end
  return labels
end

-- The value of a field among the pairs ARGV[first .. first + 2n - 1]; nil where there is none.
local function given(field, first, n)
  for i = first, first + 2 * n - 2, 2 do
    if ARGV[i] == field then return ARGV[i + 1] end
  end
end

-- Keep a session in the sets of its labels, where it stands in the index, and take it out of those
-- of labels that it had before. It is in the index already, or not any more, and expires then. What
-- fails here (a key of another type) fails no write. Of each set a few members are looked at: those
-- that the index does not know any more, or that have expired `grace` ms ago, go. A set without a TTL
-- gets one again when nothing in it is for ever: of more than a hundred members that is asked of the
-- whole index.
local function write_labelled(by_update, by_expiry, id, expires, labels, former, grace)
  if not (next(labels) or next(former)) then return end
  local function label_set(name, word)
    return by_update .. ':label:' .. escaped(name) .. ':' .. escaped(word)
  end
  local function last(set)
    local latest = redis.call('ZREVRANGE', by_expiry, 0, 0, 'WITHSCORES')[2] or now
    if latest ~= 'inf' or redis.call('ZCARD', set) > 100 then return latest end
    latest = now
    local members = redis.call('ZRANGE', set, 0, -1)
    for _, ends in ipairs(redis.call('ZMSCORE', by_expiry, unpack(members))) do
      if ends == 'inf' then return ends end
      latest = math.max(latest, ends and tonumber(ends) + (grace or 0) or 0)
    end
    return latest
  end
  for name, word in pairs(former) do
    local set = label_set(name, word)
    if labels[name] ~= word and type(redis.pcall('ZREM', set, id)) == 'number'
        and redis.call('PTTL', set) == -1 then
      local ends = last(set)
      if ends ~= 'inf' then redis.call('PEXPIREAT', set, ends) end -- it was the last for ever
    end
  end
  local place = next(labels) and redis.call('ZSCORE', by_update, id)
  for name, word in pairs(place and labels or {}) do
    local set = label_set(name, word)
    local left = redis.call('PTTL', set)
    if type(redis.pcall('ZADD', set, place, id)) == 'number' then
      for _, some in ipairs({redis.call('ZRANGE', set, 0, 1), redis.call('ZRANDMEMBER', set, 2)}) do
        for _, other in ipairs(some) do
          local ends = redis.call('ZSCORE', by_expiry, other)
          if other ~= id and (not ends or tonumber(ends) + (grace or 0) <= now) then
            redis.call('ZREM', set, other)
          end
        end
      end
      if expires == '' then
        if left >= 0 then redis.call('PERSIST', set) end
      elseif redis.call('ZCARD', set) == 1 then -- none but this one
        redis.call('PEXPIREAT', set, expires)
      elseif left == -1 then -- kept for one that never expires, here or elsewhere in the index
        local ends = last(set)
        if ends ~= 'inf' then
          redis.call('PEXPIREAT', set, math.max(tonumber(expires), tonumber(ends)))
        end
      elseif left < expires - now then
        redis.call('PEXPIREAT', set, expires)
      end
    end
  end
end
