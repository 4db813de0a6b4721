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
-- Reply {'ok' | 'duplicate', version, last seq, stamp, entries to take out of the outbox, span,
--         expires or '', labels as JSON or ''}
--       {'missing'} {'stale', version} {'state' | 'user state', bytes} {'corrupt'}
--       {'event', how many of these are in the log, one of them}: nothing was written
local session, events, ops, ids = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local by_update, by_expiry, user, outbox = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local head = redis.call('HMGET', session,
  'incarnation', 'version', 'seq', 'dropped', 'ttl', 'bytes', 'expires', 'format', 'until',
  'labels', 'chain')
local incarnation, ttl, expires, last = head[1], head[5], head[7], head[9] or ''
local labels = head[10] or ''
if not incarnation then return {redis.call('EXISTS', session) == 1 and 'corrupt' or 'missing'} end
if ARGV[2] ~= '' and ARGV[2] ~= incarnation then return {'missing'} end
local version, seq, dropped = tonumber(head[2]), tonumber(head[3]), tonumber(head[4])
if not ((head[8] == '1' or major_of(head[8])) and version and seq and dropped and ttl and expires)
    or string.find(head[2] .. head[3] .. head[4] .. ttl .. expires .. last, '%D')
    or version + seq + dropped > 1e15 or #ttl > 15 or #expires > 15 or #last > 15
    or (ttl == '' and last == '') ~= (expires == '')
then
  return {'corrupt'}
end

local name = 'a' .. ARGV[1]
local done = redis.call('ZSCORE', ops, name)
if done then
  write_again(ops)
  return {'duplicate', done, seq, stamp, redis.call('HLEN', outbox), span(ttl, last), expires,
    labels}
end
if ARGV[3] ~= '' and tonumber(ARGV[3]) ~= version then return {'stale', version} end

-- Where each part of ARGV starts, and that every key is of its type, before the first write.
local first_event, count = 11, tonumber(ARGV[10])
local at = first_event + count
local session_pairs, n_session = at + 1, tonumber(ARGV[at])
at = session_pairs + 2 * n_session
local user_pairs, n_user = at + 1, tonumber(ARGV[at])

local cap = tonumber(ARGV[7])
local bytes, sizes, added
if n_session > 0 then
  sizes = encoded_sizes(session, session_pairs, n_session)
  bytes, added = measured(session, state_bytes(session, head[6]), session_pairs, n_session, sizes)
  if bytes > cap then return {'state', bytes} end
  local keys = too_many_keys(session, added)
  if keys then return {'state', keys, 'keys'} end
end
local user_bytes, user_left, user_sizes
if n_user > 0 then
  user_left = redis.call('PTTL', user)
  user_bytes = state_bytes(user, redis.call('HGET', user, 'bytes'))
  user_sizes = encoded_sizes(user, user_pairs, n_user)
  user_bytes, added = measured(user, user_bytes, user_pairs, n_user, user_sizes)
  if user_bytes > cap then return {'user state', user_bytes} end
  local keys = too_many_keys(user, added)
  if keys then return {'user state', keys, 'keys'} end
end
if ARGV[9] ~= '' then redis.call('HLEN', outbox) end
local longer = ttl ~= '' and tonumber(expires) < now + tonumber(ttl) and expires ~= last
if longer or labels ~= '' then redis.call('ZCARD', by_expiry) end

-- No event id is twice in a log. The first write finds that out: it is one that a full server
-- refuses, and that stops at a key of another type, while nothing is written.
-- Numbers become text once: as arguments of commands they would each time, and that is dear.
local next_seq, next_version = string.format('%.0f', seq + count), string.format('%.0f', version + 1)
local rebuilt
if count == 1 then
  local id = event_id(ARGV[11]) or ''
  local added = redis.call('ZADD', ids, 'NX', '0', '', next_seq, id)
  if added == 0 then
    write_again(ids)
    return {'event', 1, id}
  end
  rebuilt = added == 2
else
  local rows = arguments(first_event, count)
  local known, one = known_ids(ids, rows, seq)
  if known > 0 then
    write_again(ids)
    return {'event', known, one}
  end
  rebuilt = write_ids(ids, rows, seq + 1)
end
if rebuilt then -- a new log, or an index that was evicted
  local known, one = 0, nil
  if seq > dropped then
    local log = redis.pcall('LRANGE', events, 0, -1)
    if log.err then
      redis.call('UNLINK', ids)
      return log
    end
    write_ids(ids, log, seq - #log + 1)
    known, one = known_ids(ids, arguments(first_event, count), seq)
    if known > 0 then redis.call('ZREMRANGEBYSCORE', ids, seq + 1, '+inf') end
  end
  write_expiry({ids}, expires)
  if known > 0 then return {'event', known, one} end
end

-- The checksums of all rows that were appended, one behind the other, as one number: who knows a part
-- of the log sees by it whether the rest was appended to just that.
local chain = tonumber(head[11] or 0) or 0

-- A key of another type stops the script; what was written before it is taken back.
local length
for i = first_event, first_event + count - 1 do
  length = redis.pcall('RPUSH', events, ARGV[i])
  if type(length) == 'table' then break end
  chain = (chain * 1000003 + (tonumber(string.sub(ARGV[i], -10, -3), 16) or 0)) % 4294967296
end
local absent = type(length) == 'table' and length or redis.pcall('ZADD', by_update, 'GT', ARGV[5], ARGV[4])
if type(absent) == 'table' then
  redis.call('ZREMRANGEBYSCORE', ids, seq + 1, '+inf')
  if absent ~= length then redis.call('LTRIM', events, 0, -count - 1) end
  return absent
end
-- What others may have evicted of the indexes is made again with its lifetime.
absent = absent == 1 or not redis.pcall('ZSCORE', by_expiry, ARGV[4])
if longer then expires = later(ttl, last) end
if longer or absent then
  local entered = redis.pcall('ZADD', by_expiry, expires == '' and '+inf' or expires, ARGV[4])
  if type(entered) == 'table' then -- only where the other index was evicted: nothing is left behind
    redis.call('ZREM', by_update, ARGV[4])
    redis.call('ZREMRANGEBYSCORE', ids, seq + 1, '+inf')
    redis.call('LTRIM', events, 0, -count - 1)
    return entered
  end
  write_index_lifetime(by_update, by_expiry, expires, write_mended)
end
if labels ~= '' then
  write_labelled(by_update, by_expiry, ARGV[4], expires, read_labels(labels) or {}, {})
end
if longer then
  redis.call('HSET', session, 'expires', expires)
  write_expiry({session, events, ids}, expires)
elseif length == count and expires ~= '' then
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
redis.call('HSET', session, 'version', next_version, 'seq', next_seq, 'updated', ARGV[5],
  'chain', chain .. '')
if n_session > 0 then
  redis.call('HSET', session, 'bytes', bytes)
  write_state(session, session_pairs, n_session, sizes)
end
write_operation(ops, name, next_version, ttl)

if n_user > 0 then
  redis.call('HSET', user, 'bytes', user_bytes)
  write_state(user, user_pairs, n_user, user_sizes)
  write_lifetime(user, user_left, ARGV[6])
end
local waiting = 0
if ARGV[9] ~= '' then
  waiting = write_outbox(outbox, ARGV[1], ARGV[9], ARGV[6])
end
if KEYS[9] then
  write_notices(KEYS[9], ARGV[6], {{'appended', ARGV[4], version}}, {by_update, by_expiry})
end
return {'ok', version, seq, stamp, waiting, span(ttl, last), expires, labels}
