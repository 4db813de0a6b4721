-- Append events to the log of a session and apply their state delta, once.
--
-- KEYS  1 session (hash)   2 events (list)      3 ops (zset: operation id → version)
--       4 sessions (zset: session → updated)    5 sessions:expiry (zset: session → expires, ms)
--       6 state of the user (hash)              7 outbox (hash: operation id → app delta)
--       8 notices (stream), where they are wanted
-- ARGV  1 operation id     2 incarnation or ''  3 expected version or ''   4 session id
--       5 updated, s       6 shared ttl, ms or '' (never)   7 cap of a state, bytes
--       8 cap of the log, events or ''          9 app delta as JSON or ''
--      10 number of events, then the events; number of session pairs, then the pairs;
--         number of user pairs, then the pairs
-- Reply {'ok' | 'duplicate', version, last seq, stamp, entries to take out of the outbox, span}
--       {'missing'} {'stale', version} {'state' | 'user state', bytes} {'corrupt'}: nothing was
--       written
local session, events, ops = KEYS[1], KEYS[2], KEYS[3]
local head = redis.call('HMGET', session,
  'incarnation', 'version', 'seq', 'dropped', 'ttl', 'bytes', 'expires', 'format', 'until')
local incarnation, ttl, expires, last = head[1], head[5], head[7], head[9]
if not incarnation then return {redis.call('EXISTS', session) == 1 and 'corrupt' or 'missing'} end
if ARGV[2] ~= '' and ARGV[2] ~= incarnation then return {'missing'} end
local version, seq, dropped = tonumber(head[2]), tonumber(head[3]), tonumber(head[4])
if head[8] ~= '1' or not (version and seq and dropped and ttl and expires and last)
    or string.find(head[2] .. head[3] .. head[4] .. ttl .. expires .. last, '%D')
    or version + seq + dropped > 1e15 or #ttl > 15 or #expires > 15 or #last > 15
    or (ttl == '' and last == '') ~= (expires == '')
then
  return {'corrupt'}
end

local name = 'a' .. ARGV[1]
local done = redis.call('ZSCORE', ops, name)
if done then
  return {'duplicate', done, seq, stamp, redis.call('HLEN', KEYS[7]), span(ttl, last)}
end
if ARGV[3] ~= '' and tonumber(ARGV[3]) ~= version then return {'stale', version} end

-- Where each part of ARGV starts, and that every key is of its type, before the first write.
local first_event, count = 11, tonumber(ARGV[10])
local at = first_event + count
local session_pairs, n_session = at + 1, tonumber(ARGV[at])
at = session_pairs + 2 * n_session
local user_pairs, n_user = at + 1, tonumber(ARGV[at])

local cap = tonumber(ARGV[7])
local bytes
if n_session > 0 then
  bytes = measured(session, state_bytes(session, head[6]), session_pairs, n_session)
  if bytes > cap then return {'state', bytes} end
end
local user_bytes, user_left
if n_user > 0 then
  user_left = redis.call('PTTL', KEYS[6])
  user_bytes = state_bytes(KEYS[6], redis.call('HGET', KEYS[6], 'bytes'))
  user_bytes = measured(KEYS[6], user_bytes, user_pairs, n_user)
  if user_bytes > cap then return {'user state', user_bytes} end
end
if ARGV[9] ~= '' then redis.call('HLEN', KEYS[7]) end
redis.call('LLEN', events)
local longer = ttl ~= '' and tonumber(expires) < now + tonumber(ttl) and expires ~= last
if longer then redis.call('ZCARD', KEYS[5]) end

-- The index comes first: a key of another type stops the script while nothing is written. What
-- others may have evicted is made again with its lifetime.
local absent = redis.call('ZADD', KEYS[4], 'GT', ARGV[5], ARGV[4]) == 1
if longer then expires = later(ttl, last) end
if longer or absent then
  redis.call('ZADD', KEYS[5], expires == '' and '+inf' or expires, ARGV[4])
  write_index_lifetime(KEYS[4], KEYS[5], expires)
end
local length
for i = first_event, first_event + count - 1 do length = redis.call('RPUSH', events, ARGV[i]) end
if longer then
  redis.call('HSET', session, 'expires', expires)
  write_expiry({session, events}, expires)
elseif length == count and expires ~= '' then
  write_expiry({events}, expires)
end
seq = seq + count
if ARGV[8] ~= '' and seq - dropped > tonumber(ARGV[8]) then
  dropped = seq - tonumber(ARGV[8])
  redis.call('LTRIM', events, -tonumber(ARGV[8]), -1)
  redis.call('HSET', session, 'dropped', dropped)
end

version = version + 1
redis.call('HSET', session, 'version', version, 'seq', seq, 'updated', ARGV[5])
if n_session > 0 then
  redis.call('HSET', session, 'bytes', bytes)
  write_state(session, session_pairs, n_session)
end
write_operation(ops, name, version, ttl)

if n_user > 0 then
  redis.call('HSET', KEYS[6], 'bytes', user_bytes)
  write_state(KEYS[6], user_pairs, n_user)
  write_lifetime(KEYS[6], user_left, ARGV[6])
end
if ARGV[9] ~= '' then
  write_outbox(KEYS[7], ARGV[1], ARGV[9], ARGV[6])
end
if KEYS[8] then
  write_notices(KEYS[8], ARGV[6], {{'appended', ARGV[4], version}}, {KEYS[4], KEYS[5]})
end
return {'ok', version, seq, stamp, 0, span(ttl, last)}
