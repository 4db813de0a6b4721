-- Before every script of this room. Nothing here writes unless its name says so.
--
-- KEYS  1 thread (hash)   2 checkpoints (hash: NAMESPACE:CHECKPOINT → parent, references, names without
--       a value, JSON)   3 writes (hash: the same → a line for each)   4 values (hash: digest → object)
--       5 refs (hash: digest → by how many it is used, if by more than one)   6 ops (list: operations)
--       7 threads of the user (zset: thread → updated)   8 the same (zset: thread → expires, ms)
--       9 operations on threads that are gone (zset)

-- The server's clock, in milliseconds. `..` would round large numbers: `whole` writes them out.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function whole(number) return string.format('%.0f', number) end

-- How long operations on threads that are gone are remembered, ms, and how many of each user.
local DAY = 86400000
local REMEMBERED = 1000
-- How many of a thread.
local OPS = 200

-- Whether there is a thread; and the reply about one that cannot be used: {'newer', its format}, {'corrupt'},
-- or {'lost'} when the index still promises it, so it was evicted.
local function head_of(thread)
  local head = redis.call('HMGET', KEYS[1], 'format', 'expires', 'created')
  if not head[1] and redis.call('EXISTS', KEYS[1]) == 0 then
    local expires = thread ~= '' and redis.call('ZSCORE', KEYS[8], thread)
    if expires and tonumber(expires) > now then return nil, {'lost'} end
    return nil
  end
  local major = major_of(head[1])
  if not major then return nil, {'corrupt'} end
  if major > 1 then return nil, {'newer', head[1]} end
  return {expires = head[2] or '', created = head[3]}
end

-- The name under which an operation on a thread that is gone is remembered.
local function name_of(word, thread, operation)
  return word .. ':' .. #thread .. ':' .. thread .. ':' .. operation
end

-- Whether a write was done before: those on the thread, and on one that was here before it.
local function is_done(head, thread, operation)
  return head and redis.call('LPOS', KEYS[6], operation)
    or redis.call('ZSCORE', KEYS[9], name_of('done', thread, operation))
end

-- A write that changes nothing.
local function write_done_again(head) write_again(head and KEYS[1] or KEYS[9]) end

-- The digests in references.
local function digests_in(line)
  local digests = {}
  for token in string.gmatch(line, '[^ ,]+') do
    digests[#digests + 1] = string.match(token, '^%*?([^:]+)')
  end
  return digests
end

-- Those of the children of an object; none of a leaf.
local function children_of(object)
  local line = string.match(object, '^%*([^\n]*)')
  return line and digests_in(line) or {}
end

-- The parent of a checkpoint, the digests of its values, and the names that have none.
local function lead_of(checkpoint)
  local parent, line, names = string.match(checkpoint, '^([^\n]*)\n([^\n]*)\n([^\n]*)\n')
  if not parent then return '', {}, '' end
  return parent, digests_in(line), names
end

-- How often each object is used by some digests: those, and those below the ones that are new here.
-- `objects` were given. Returns counts by digest, which of them are new, and which are nowhere.
local function count_uses(uses, objects)
  local counts, new, missing, known = {}, {}, {}, {}
  local todo = {}
  for i, digest in ipairs(uses) do todo[i] = digest end
  while #todo > 0 do
    local digest = table.remove(todo)
    if known[digest] == nil then
      known[digest] = redis.call('HEXISTS', KEYS[4], digest) == 1
      if not known[digest] then
        if objects[digest] then
          new[digest] = true
          for _, child in ipairs(children_of(objects[digest])) do todo[#todo + 1] = child end
        else
          missing[#missing + 1] = digest
        end
      end
    end
    counts[digest] = (counts[digest] or 0) + 1
  end
  return counts, new, missing
end

-- Store those that are new, and count what is used.
local function write_uses(counts, new, objects)
  for digest, count in pairs(counts) do
    if new[digest] then
      redis.call('HSET', KEYS[4], digest, objects[digest])
    else
      count = count + (redis.call('HGET', KEYS[5], digest) or 1)
    end
    if count > 1 then redis.call('HSET', KEYS[5], digest, whole(count)) end
  end
end

-- Use some digests no more: objects that nothing uses are deleted, and use their children no more.
local function write_release(digests)
  local todo = {}
  for i, digest in ipairs(digests) do todo[i] = digest end
  while #todo > 0 do
    local digest = table.remove(todo)
    local count = tonumber(redis.call('HGET', KEYS[5], digest) or 1)
    if count > 2 then
      redis.call('HSET', KEYS[5], digest, whole(count - 1))
    elseif count == 2 then
      redis.call('HDEL', KEYS[5], digest)
    else
      local object = redis.call('HGET', KEYS[4], digest)
      if object then
        redis.call('HDEL', KEYS[4], digest)
        for _, child in ipairs(children_of(object)) do todo[#todo + 1] = child end
      end
    end
  end
end

-- The digests of the values of writes.
local function used_by(writes)
  local digests = {}
  for tokens in string.gmatch(writes, '\n[^ ]* [^ ]+ [^ ]+ ([^ ]+)') do
    if tokens ~= '-' then
      for _, digest in ipairs(digests_in(tokens)) do digests[#digests + 1] = digest end
    end
  end
  return digests
end

-- Whether an id comes behind another, byte by byte: `<` would follow the server's locale.
local function is_after(id, other)
  for i = 1, math.min(#id, #other) do
    local a, b = string.byte(id, i), string.byte(other, i)
    if a ~= b then return a > b end
  end
  return #id > #other
end

-- The namespace of a checkpoint, with the colon.
local function space_of(place) return string.match(place, '^[^:]*:') end

-- The checkpoints of a namespace, the newest first: `space` is its name and a colon.
local function places_in(space)
  local places = {}
  for _, place in ipairs(redis.call('HKEYS', KEYS[2])) do
    if string.sub(place, 1, #space) == space then places[#places + 1] = place end
  end
  table.sort(places, is_after)
  return places
end

-- The last checkpoint of a namespace.
local function last_of(space) return redis.call('HGET', KEYS[1], 'last:' .. space) end

-- Remember which is the last.
local function write_last(space, place)
  local last = last_of(space)
  if not last or is_after(place, last) then redis.call('HSET', KEYS[1], 'last:' .. space, place) end
end

-- Delete a checkpoint with its writes.
local function write_removal(place)
  local checkpoint = redis.call('HGET', KEYS[2], place)
  local writes = redis.call('HGET', KEYS[3], place)
  redis.call('HDEL', KEYS[2], place)
  redis.call('HDEL', KEYS[3], place)
  if checkpoint then
    local _, digests = lead_of(checkpoint)
    write_release(digests)
  end
  if writes then write_release(used_by(writes)) end
  local space = space_of(place)
  if last_of(space) == place then
    local last = places_in(space)[1]
    if last then
      redis.call('HSET', KEYS[1], 'last:' .. space, last)
    else
      redis.call('HDEL', KEYS[1], 'last:' .. space)
    end
  end
end

-- Of those names that a checkpoint has no value for, the ones whose value is in those before it.
local function delta_in(names)
  local delta, any = {}, false
  for name in string.gmatch(names, '%*([^ ]+)') do delta[name], any = true, true end
  return delta, any
end

-- Delete what is not kept of a namespace: the newest are; and those that these need; and the last of a
-- branch, while a task waits there for an answer.
local function write_pruning(space, keep)
  if redis.call('HLEN', KEYS[2]) <= keep then return 0 end
  local places = places_in(space)
  if #places <= keep then return 0 end
  local leads, has_child, kept = {}, {}, {}
  for i, place in ipairs(places) do
    local parent, _, names = lead_of(redis.call('HGET', KEYS[2], place) or '')
    leads[place] = {parent = space .. parent, names = names}
    if parent ~= '' then has_child[space .. parent] = true end
  end
  for i, place in ipairs(places) do
    local waits = i <= keep
    if not waits and not has_child[place] then
      waits = string.find(redis.call('HGET', KEYS[3], place) or '', '\n[^ ]* [^ ]+ w ') ~= nil
    end
    if waits then
      kept[place] = true
      local wanted, any = delta_in(leads[place].names)
      local at = leads[place].parent
      while any and leads[at] do
        kept[at] = true
        local here = delta_in(leads[at].names)
        any = false
        for name in pairs(wanted) do
          if here[name] then any = true else wanted[name] = nil end
        end
        at = leads[at].parent
      end
    end
  end
  local removed = 0
  for _, place in ipairs(places) do
    if not kept[place] then
      write_removal(place)
      removed = removed + 1
    end
  end
  return removed
end

-- Whether less than `ttl` ms is left, '' meaning for ever.
local function is_due(expires, ttl)
  return expires ~= '' and (ttl == '' or tonumber(expires) < now + ttl)
end

-- When a thread expires that shall live for `ttl` ms at least: a hundredth more than asked, so that
-- not every write has to set it anew. '' is never.
local function expires_at(ttl)
  return ttl == '' and '' or whole(now + math.ceil(ttl * 1.01))
end

-- Let a key expire at an instant, or never.
local function write_expiry(key, expires)
  if expires == '' then redis.call('PERSIST', key) else redis.call('PEXPIREAT', key, expires) end
end

-- Forget in the indexes what has expired, and let them live as long as the longest-lived in them.
local function write_index_expiry()
  for _, thread in ipairs(redis.call('ZRANGEBYSCORE', KEYS[8], '-inf', now, 'LIMIT', 0, 100)) do
    redis.call('ZREM', KEYS[7], thread)
    redis.call('ZREM', KEYS[8], thread)
  end
  local last = redis.call('ZREVRANGE', KEYS[8], 0, 0, 'WITHSCORES')[2]
  if last then
    local expires = last == 'inf' and '' or last
    write_expiry(KEYS[7], expires)
    write_expiry(KEYS[8], expires)
  end
end

-- After each write: when the thread changed and expires, that of all its keys, and the operation.
local function write_touch(head, thread, operation, ttl)
  local seconds = string.format('%d.%06d', clock[1], clock[2])
  local expires = head and head.expires
  if not head or is_due(expires, ttl) then
    expires = expires_at(ttl)
    redis.call('HSET', KEYS[1], 'format', '1', 'expires', expires)
  end
  redis.call('HSET', KEYS[1], 'updated', seconds)
  if not head then redis.call('HSET', KEYS[1], 'created', seconds) end
  redis.call('RPUSH', KEYS[6], operation)
  redis.call('LTRIM', KEYS[6], -OPS, -1)
  for i = 1, 6 do write_expiry(KEYS[i], expires) end
  if thread ~= '' then
    redis.call('ZADD', KEYS[7], seconds, thread)
    redis.call('ZADD', KEYS[8], expires == '' and '+inf' or expires, thread)
    write_index_expiry()
  end
end

-- Remember operations when the thread is gone on which they were done.
local function write_done(operations)
  for _, operation in ipairs(operations) do redis.call('ZADD', KEYS[9], now, operation) end
  redis.call('ZREMRANGEBYSCORE', KEYS[9], '-inf', now - DAY)
  redis.call('ZREMRANGEBYRANK', KEYS[9], 0, -REMEMBERED - 1)
  redis.call('PEXPIRE', KEYS[9], DAY)
end

-- Delete the whole thread; `name` is that of the operation.
local function write_deletion(thread, name)
  local operations = redis.call('LRANGE', KEYS[6], 0, -1)
  for i, operation in ipairs(operations) do operations[i] = name_of('done', thread, operation) end
  operations[#operations + 1] = name
  write_done(operations)
  for i = 1, 6 do redis.call('UNLINK', KEYS[i]) end
  if thread ~= '' then
    redis.call('ZREM', KEYS[7], thread)
    redis.call('ZREM', KEYS[8], thread)
    write_index_expiry()
  end
end
