-- Append events to the log of a session and apply their state delta, once.
--
-- KEYS  1 session (hash)   2 events (list)      3 ops (zset: operation id → version)
--       4 ids (zset: event id → seq)            5 sessions (zset: session → updated)
--       6 sessions:expiry (zset: session → expires, ms)
--       7 state of the user (hash)              8 outbox (hash: operation id → app delta)
--       9 notices (stream), where they are wanted
-- ARGV  1 operation id     2 incarnation or ''  3 expected version or ''   4 session id
--       5 updated, s       6 shared ttl, ms or '' (never)   7 cap of a state, bytes
--       8 cap of the log, events or ''          9 app delta as JSON or ''
--      10 number of events, then the events; number of session pairs, then the pairs;
--         number of user pairs, then the pairs
-- Reply {'ok' | 'duplicate', version, last seq, stamp, entries to take out of the outbox, min lifetime,
--         expires or '', labels as JSON or ''}
--       {'missing'} {'stale', version} {'state' | 'user state', bytes} {'corrupt'}
--       {'event', how many of these are in the log, one of them}
--       {'sealed', a value that is sealed, where these are not}: nothing was written
local session, events, ops, ids = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local by_update, by_expiry, user, outbox = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local head = redis.call('HMGET', session,
  'incarnation', 'version', 'seq', 'dropped', 'ttl', 'expires', 'format', 'until', 'labels', 'chain',
  'status')
local incarnation, ttl, expires, last = head[1], head[5], head[6], head[8] or ''
local labels = head[9] or ''
if not incarnation then return {redis.call('EXISTS', session) == 1 and 'corrupt' or 'missing'} end
if ARGV[2] ~= '' and ARGV[2] ~= incarnation then return {'missing'} end
local version, seq, dropped = tonumber(head[2]), tonumber(head[3]), tonumber(head[4])
local known = head[7] == '1'
if not known then
  -- shared
  known = major_of(head[7])
end
if not (known and version and seq and dropped and ttl and expires)
    or string.find(head[2] .. head[3] .. head[4] .. ttl .. expires .. last, '%D')
    or version + seq + dropped > 1e15 or #ttl > 15 or #expires > 15 or #last > 15
    or (ttl == '' and last == '') ~= (expires == '')
then
  return {'corrupt'}
end

-- Where each part of ARGV starts.
local first_event, count = 11, ARGV[10] + 0
local at = first_event + count
local session_pairs, n_session = at + 1, ARGV[at] + 0
at = session_pairs + 2 * n_session
local user_pairs, n_user = at + 1, ARGV[at] + 0

local longer = ttl ~= '' and expires - now < ttl + 0 and expires ~= last
local lasting = ttl
if ttl == '' and last ~= '' then
  -- shared
  lasting = min_lifetime(ttl, last)
end
-- Numbers become text once: as arguments of commands they would each time, and that is dear.
local next_seq, next_version = string.format('%d', seq + count), string.format('%d', version + 1)

-- What is sealed stays sealed. The status of a session says whether it is.
local sealed
if head[11] and string.byte(head[11]) == 255 then
  -- shared
  local value = count > 0 and ARGV[first_event] or n_session > 0 and ARGV[session_pairs + 1]
  sealed = value and is_sealed(head[11]) and not is_sealed(value) and head[11]
end

-- The state of a session that is too large. One value, as most set, is asked for at once.
local bytes, sizes, added, refusal, size
if n_session > 0 then
  -- shared
  local said
  if n_session == 1 then
    local found = redis.call('HMGET', session, 'bytes', 'size:' .. ARGV[session_pairs])
    said, sizes = found[1], {[ARGV[session_pairs]] = found[2] or nil}
    local value = ARGV[session_pairs + 1]
    size = string.byte(value) == 255 and plain_size(value)
  else
    said = redis.call('HGET', session, 'bytes')
    sizes = encoded_sizes(session, session_pairs, n_session)
  end
  bytes, added = measured(session, state_bytes(session, said), session_pairs, n_session, sizes)
  local keys = added > 0 and too_many_keys(session, added)
  if bytes > tonumber(ARGV[7]) then
    refusal = {'state', bytes}
  elseif keys then
    refusal = {'state', keys, 'keys'}
  end
  sealed = sealed or next(sizes) and sealed_value(session, session_pairs, n_session, sizes)
end
if sealed then refusal = {'sealed', sealed} end

-- Whether it was done before. Where only the log can still refuse it, remembering it finds that out,
-- and is what a full server refuses; what stops the script after that forgets it again.
local name = 'a' .. ARGV[1]
local left = redis.call('PTTL', ops)
local simple = count == 1 and n_user == 0 and ARGV[3] == '' and ARGV[9] == '' and labels == ''
  and not longer
local done = simple and not refusal and redis.pcall('ZADD', ops, 'NX', next_version, name)
if done ~= 1 then
  -- shared
  refusal = refusal or done
  done = redis.call('ZSCORE', ops, name)
  if done then
    write_again(ops)
    return {'duplicate', done, seq, stamp, redis.call('HLEN', outbox), lasting, expires, labels}
  end
  if ARGV[3] ~= '' and tonumber(ARGV[3]) ~= version then return {'stale', version} end
  if refusal then return refusal end
end

-- That every other key is of its type, and no state too large, before the first write.
local user_bytes, user_left, user_sizes
if n_user > 0 then
  -- shared
  user_left = redis.call('PTTL', user)
  user_bytes = state_bytes(user, redis.call('HGET', user, 'bytes'))
  user_sizes = encoded_sizes(user, user_pairs, n_user)
  user_bytes, added = measured(user, user_bytes, user_pairs, n_user, user_sizes)
  if user_bytes > tonumber(ARGV[7]) then return {'user state', user_bytes} end
  local keys = too_many_keys(user, added)
  if keys then return {'user state', keys, 'keys'} end
  sealed = next(user_sizes) and sealed_value(user, user_pairs, n_user, user_sizes)
  if sealed then return {'sealed', sealed} end
end
if ARGV[9] ~= '' then redis.call('HLEN', outbox) end
if longer or labels ~= '' then redis.call('ZCARD', by_expiry) end

-- No event id is twice in a log. The first write finds that out, unless it was simple: it is one that
-- a full server refuses, and that stops at a key of another type, while nothing is written.
local rebuilt
if count == 1 then
  local id = string.match(ARGV[11], '^{"id":"([^"\\]*)"')
    or string.match(ARGV[11], '^\255[^\n]*\n"([^"\\\n]*)"\n')
  if not id then
    -- shared
    id = event_id(ARGV[11]) or ''
  end
  local added = redis.pcall('ZADD', ids, 'NX', '0', '', next_seq, id)
  if added ~= 1 and added ~= 2 then
    -- shared
    if simple then redis.call('ZREM', ops, name) end
    if added ~= 0 then return added end
    write_again(ids)
    return {'event', 1, id}
  end
  rebuilt = added == 2
else
  -- shared
  local rows = arguments(first_event, count)
  local known, one = known_ids(ids, rows, seq)
  if known > 0 then
    write_again(ids)
    return {'event', known, one}
  end
  rebuilt = write_ids(ids, rows, seq + 1)
end
if rebuilt then -- a new log, or an index that was evicted
  -- shared
  local known, one = 0, nil
  if seq > dropped then
    local log = redis.pcall('LRANGE', events, 0, -1)
    if log.err then
      redis.call('UNLINK', ids)
      if simple then redis.call('ZREM', ops, name) end
      return log
    end
    write_ids(ids, log, seq - #log + 1)
    known, one = known_ids(ids, arguments(first_event, count), seq)
    if known > 0 then redis.call('ZREMRANGEBYSCORE', ids, seq + 1, '+inf') end
  end
  write_expiry({ids}, expires)
  if known > 0 then
    if simple then redis.call('ZREM', ops, name) end
    return {'event', known, one}
  end
end

-- The checksums of all rows that were appended, one behind the other, as one number: who knows a part
-- of the log sees by it whether the rest was appended to just that.
local chain = tonumber(head[10] or 0) or 0

-- A key of another type stops the script; what was written before it is taken back.
local length, failed
for i = first_event, first_event + count - 1 do
  length = redis.pcall('RPUSH', events, ARGV[i])
  if type(length) == 'table' then
    failed = length
    break
  end
  local from, to = -10, -3
  if string.byte(ARGV[i]) == 255 then from, to = -8, -1 end -- it is encoded
  chain = (chain * 1000003 + (tonumber(string.sub(ARGV[i], from, to), 16) or 0)) % 4294967296
end
local absent = failed or redis.pcall('ZADD', by_update, 'GT', ARGV[5], ARGV[4])
if absent ~= 0 and absent ~= 1 then
  redis.call('ZREMRANGEBYSCORE', ids, seq + 1, '+inf')
  if simple then redis.call('ZREM', ops, name) end
  if not failed then redis.call('LTRIM', events, 0, -count - 1) end
  return absent
end
-- What others may have evicted of the indexes is made again with its lifetime.
absent = absent == 1 or not redis.pcall('ZRANK', by_expiry, ARGV[4])
if longer or absent then
  -- shared
  if longer then expires = expires_at(ttl, last) end
  local entered = redis.pcall('ZADD', by_expiry, expires == '' and '+inf' or expires, ARGV[4])
  if type(entered) == 'table' then -- only where the other index was evicted: nothing is left behind
    redis.call('ZREM', by_update, ARGV[4])
    redis.call('ZREMRANGEBYSCORE', ids, seq + 1, '+inf')
    redis.call('LTRIM', events, 0, -count - 1)
    if simple then redis.call('ZREM', ops, name) end
    return entered
  end
  write_index_lifetime(by_update, by_expiry, expires, write_mended)
end
if labels ~= '' then
  -- shared
  write_labelled(by_update, by_expiry, ARGV[4], expires, read_labels(labels) or {}, {})
end
if longer then
  -- shared
  redis.call('HSET', session, 'expires', expires)
  write_expiry({session, events, ids}, expires)
elseif length == count and expires ~= '' then
  -- shared
  write_expiry({events}, expires)
end
seq = seq + count
if ARGV[8] ~= '' and seq - dropped > tonumber(ARGV[8]) then
  dropped = seq - tonumber(ARGV[8])
  redis.call('LTRIM', events, -tonumber(ARGV[8]), -1)
  redis.call('ZREMRANGEBYSCORE', ids, 1, dropped)
  redis.call('HSET', session, 'dropped', dropped)
end

version = version + 1
local one = n_session == 1 and (size or not next(sizes))
if one and size then
  redis.call('HSET', session, 'version', next_version, 'seq', next_seq, 'updated', ARGV[5],
    'chain', chain, 'bytes', bytes, 'state:' .. ARGV[session_pairs], ARGV[session_pairs + 1],
    'size:' .. ARGV[session_pairs], size)
elseif one then
  redis.call('HSET', session, 'version', next_version, 'seq', next_seq, 'updated', ARGV[5],
    'chain', chain, 'bytes', bytes, 'state:' .. ARGV[session_pairs], ARGV[session_pairs + 1])
else
  redis.call('HSET', session, 'version', next_version, 'seq', next_seq, 'updated', ARGV[5],
    'chain', chain)
end
if n_session > 0 and not one then
  -- shared
  redis.call('HSET', session, 'bytes', bytes)
  write_state(session, session_pairs, n_session, sizes)
end
if not simple then redis.call('ZADD', ops, next_version, name) end
if version % 64 == 0 or left < 86400000 and left ~= -1 and (ttl == '' or left < ttl + 0) then
  -- shared
  write_horizon(ops, left, version, ttl)
end

if n_user > 0 then
  -- shared
  redis.call('HSET', user, 'bytes', user_bytes)
  write_state(user, user_pairs, n_user, user_sizes)
  write_lifetime(user, user_left, ARGV[6])
end
local waiting = 0
if ARGV[9] ~= '' then
  -- shared
  waiting = write_outbox(outbox, ARGV[1], ARGV[9], ARGV[6])
end
if KEYS[9] then
  -- shared
  write_notices(KEYS[9], ARGV[6], {{'appended', ARGV[4], version}}, {by_update, by_expiry})
end
return {'ok', version, seq, stamp, waiting, lasting, expires, labels}
