-- Append events to the log of a session and apply their state delta, once.
--
-- KEYS  1 session (hash)   2 events (list)      3 ops (zset: operation id → version)
--       4 sessions (zset: session → updated)    5 sessions:expiry (zset: session → expires, ms)
--       6 state of the user (hash)              7 outbox (hash: operation id → app delta)
-- ARGV  1 operation id     2 incarnation or ''  3 expected version or ''   4 session id
--       5 updated, s       6 shared ttl, ms or '' (never)   7 cap of a state, bytes
--       8 cap of the log, events or ''          9 app delta as JSON or ''
--      10 number of events, then the events; number of session pairs, then the pairs;
--         number of user pairs, then the pairs
-- Reply {'ok' | 'duplicate', version, last seq, stamp, entries to take out of the outbox, ttl}
--       {'missing'} {'stale', version} {'state' | 'user state', bytes}; nothing was written
local session, events, ops = KEYS[1], KEYS[2], KEYS[3]
local head = redis.call('HMGET', session, 'incarnation', 'version', 'seq', 'dropped', 'ttl', 'bytes')
local incarnation, version, seq, dropped = head[1], tonumber(head[2]), tonumber(head[3]), tonumber(head[4])
if not incarnation or (ARGV[2] ~= '' and ARGV[2] ~= incarnation) then return {'missing'} end

local done = redis.call('ZSCORE', ops, ARGV[1])
if done then
  return {'duplicate', done, seq, stamp, redis.call('HLEN', KEYS[7]), head[5]}
end
if ARGV[3] ~= '' and tonumber(ARGV[3]) ~= version then return {'stale', version} end

-- Where each part of ARGV starts, and that every key is of its type, before the first write.
local first_event, count = 11, tonumber(ARGV[10])
local at = first_event + count
local session_pairs, n_session = at + 1, tonumber(ARGV[at])
at = session_pairs + 2 * n_session
local user_pairs, n_user = at + 1, tonumber(ARGV[at])

local cap = tonumber(ARGV[7])
local bytes = measured(session, tonumber(head[6]), session_pairs, n_session)
if n_session > 0 and bytes > cap then return {'state', bytes} end
local user_bytes, user_left
if n_user > 0 then
  user_left = redis.call('PTTL', KEYS[6])
  user_bytes = measured(KEYS[6], tonumber(redis.call('HGET', KEYS[6], 'bytes') or 0), user_pairs, n_user)
  if user_bytes > cap then return {'user state', user_bytes} end
end
local index_left = redis.call('PTTL', KEYS[4])
if ARGV[9] ~= '' then redis.call('HLEN', KEYS[7]) end

-- The indexes come first: a key of another type stops the script while nothing has been written
-- but the session's place in its user's lists.
local ttl = head[5]
local expires = ttl == '' and '' or now + tonumber(ttl)
redis.call('ZADD', KEYS[4], ARGV[5], ARGV[4])
redis.call('ZADD', KEYS[5], ttl == '' and '+inf' or expires, ARGV[4])
for i = first_event, first_event + count - 1 do
  seq = seq + 1
  redis.call('RPUSH', events, ARGV[i])
end
if ARGV[8] ~= '' and seq - dropped > tonumber(ARGV[8]) then
  dropped = seq - tonumber(ARGV[8])
  redis.call('LTRIM', events, -tonumber(ARGV[8]), -1)
end

version = version + 1
redis.call('HSET', session, 'version', version, 'seq', seq, 'dropped', dropped,
  'updated', ARGV[5], 'expires', expires, 'bytes', bytes)
if n_session > 0 then write_state(session, session_pairs, n_session) end
redis.call('ZADD', ops, version, ARGV[1])
if version % 64 == 0 then redis.call('ZREMRANGEBYRANK', ops, 0, -1001) end

local horizon = now + 86400000
if ttl ~= '' then
  redis.call('PEXPIREAT', session, expires)
  redis.call('PEXPIREAT', events, expires)
  horizon = math.min(horizon, now + tonumber(ttl))
end
redis.call('PEXPIREAT', ops, horizon)
write_lifetime(KEYS[4], index_left, ttl)
write_lifetime(KEYS[5], index_left, ttl)

if n_user > 0 then
  redis.call('HSET', KEYS[6], 'bytes', user_bytes)
  write_state(KEYS[6], user_pairs, n_user)
  write_lifetime(KEYS[6], user_left, ARGV[6])
end
if ARGV[9] ~= '' then
  write_outbox(KEYS[7], ARGV[1], ARGV[9], ARGV[6])
end
return {'ok', version, seq, stamp, 0, head[5]}
