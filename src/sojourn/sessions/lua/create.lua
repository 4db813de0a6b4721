-- Create a session, once, with its first state.
--
-- KEYS  1 session (hash)   2 events (list)      3 ops (zset)
--       4 ids (zset)                            5 sessions (zset: session → updated)
--       6 sessions:expiry (zset: session → expires, ms)
--       7 state of the user (hash)              8 outbox (hash: operation id → app delta)
--       9 operations of the user (zset: operation id → ms)
--      10 tombstones of the slot (hash), for one that has waited in an outage buffer
--      10 or 11 notices (stream), where they are wanted
-- ARGV  1 operation id, which becomes the incarnation       2 session id
--       3 created, s, or '' (the server's)      4 ttl of the session, ms or '' (never)
--       5 shared ttl, ms or ''                  6 cap of a state, bytes
--       7 app delta as JSON or ''               8 age that it reaches at most, ms or ''
--       9 when it expires at the latest, ms or ''             10 cap of a user's sessions or ''
--      11 for how many ms it has waited, or ''                12 what it may be buried as, or ''
--      13 number of fields, then the pairs (title, status, …); number of session pairs, then the
--         pairs; number of user pairs, then the pairs
-- Reply {'ok' | 'duplicate', created, expires or '', stamp, entries left in the outbox,
--         until or '', 1 if the user had no session}
--       {'erased', 'revoked' | 'forgotten'} {'past', ms} {'exists'} {'gone'} {'full', sessions} {'state' | 'user state', bytes} {'corrupt'}:
--       nothing was written
local session, operations, notices = KEYS[1], KEYS[9], KEYS[ARGV[11] == '' and 10 or 11]
local by_update, by_expiry, user, outbox = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
if ARGV[11] ~= '' then
  local kind = buried(KEYS[10], ARGV[11], ARGV[12])
  if kind ~= '' then return {'erased', kind} end
end
local incarnation = redis.call('HGET', session, 'incarnation')
local ours = incarnation == ARGV[1]
if incarnation and not ours then return {'exists'} end
if ours then
  local head = redis.call('HMGET', session, 'created', 'expires', 'until')
  if not (is_time(head[1]) and is_span(head[2]) and is_span(head[3] or '')) then return {'corrupt'} end
  write_again(session)
  return {'duplicate', head[1], head[2], stamp, redis.call('HLEN', outbox), head[3] or '', 0}
end
if redis.call('EXISTS', session) == 1 then return {'corrupt'} end
local name = operation_name('create', ARGV[2], ARGV[1])
for _, made in ipairs({name, operation_name('save', ARGV[2], ARGV[1])}) do -- no incarnation comes again
  if redis.call('ZSCORE', operations, made) then return {'gone'} end
end

-- One that has waited was acknowledged: what it leaves for others is written all the same.
if ARGV[11] == '' and ARGV[9] ~= '' and tonumber(ARGV[9]) <= now then
  return {'past', now - ARGV[9]}
end

local first_field, n_fields = 14, tonumber(ARGV[13])
local at = first_field + 2 * n_fields
local session_pairs, n_session = at + 1, tonumber(ARGV[at])
at = session_pairs + 2 * n_session
local user_pairs, n_user = at + 1, tonumber(ARGV[at])
local cap = tonumber(ARGV[6])
local bytes = 0
for i = session_pairs, session_pairs + 2 * n_session - 1 do bytes = bytes + #ARGV[i] end
if bytes > cap then return {'state', bytes} end
local user_bytes, user_left, user_sizes
if n_user > 0 then
  user_left = redis.call('PTTL', user)
  user_bytes = state_bytes(user, redis.call('HGET', user, 'bytes'))
  user_sizes = encoded_sizes(user, user_pairs, n_user)
  local added
  user_bytes, added = measured(user, user_bytes, user_pairs, n_user, user_sizes)
  if user_bytes > cap then return {'user state', user_bytes} end
  local keys = too_many_keys(user, added)
  if keys then return {'user state', keys, 'keys'} end
end
redis.call('LLEN', KEYS[2])
redis.call('ZCARD', KEYS[3])
local first = redis.call('ZCARD', by_update) == 0 and 1 or 0
redis.call('ZCARD', by_expiry)
if ARGV[10] ~= '' then
  if redis.call('ZCARD', by_update) ~= redis.call('ZCARD', by_expiry) then
    write_mended(by_update, by_expiry)
  end
  local alive = redis.call('ZCOUNT', by_expiry, string.format('(%.0f', now), '+inf')
  local evicted = redis.call('ZSCORE', by_expiry, ARGV[2]) -- it has this place already
  if evicted and tonumber(evicted) > now then alive = alive - 1 end
  if alive >= tonumber(ARGV[10]) then return {'full', alive} end
end
local pending = redis.call('HLEN', outbox)

local created = ARGV[3]
if created == '' then created = string.format('%.6f', clock[1] + clock[2] / 1000000) end
local ttl, last = ARGV[4], ARGV[9]
if ARGV[8] ~= '' and (last == '' or now + ARGV[8] < tonumber(last)) then last = now + ARGV[8] end
local expires = later(ttl, last)
-- The first write is one that a full server refuses, before anything is changed.
redis.call('ZADD', by_update, created, ARGV[2])
-- What an evicted or expired session of this id may have left behind is not part of this one.
redis.call('UNLINK', session, KEYS[2], KEYS[3], KEYS[4])
local dead = write_pruned(by_update, by_expiry)
if #dead > 0 then redis.call('ZADD', by_update, created, ARGV[2]) end -- one may have had this id

redis.call('HSET', session,
  'format', '1', 'incarnation', ARGV[1], 'version', '1', 'epoch', '0', 'seq', '0', 'dropped', '0',
  'created', created, 'updated', created, 'expires', expires, 'ttl', ttl, 'until', last,
  'bytes', bytes, unpack(ARGV, first_field, first_field + 2 * n_fields - 1))
if n_session > 0 then write_state(session, session_pairs, n_session) end
redis.call('ZADD', by_expiry, expires == '' and '+inf' or expires, ARGV[2])
write_expiry({session}, expires)
write_index_lifetime(by_update, by_expiry, expires, write_mended)
write_labelled(by_update, by_expiry, ARGV[2], expires,
  read_labels(given('labels', first_field, n_fields)) or {}, {})

write_user_operation(operations, name)

if n_user > 0 then
  redis.call('HSET', user, 'bytes', user_bytes)
  write_state(user, user_pairs, n_user, user_sizes)
  write_lifetime(user, user_left, ARGV[5])
end
if ARGV[7] ~= '' then
  write_outbox(outbox, ARGV[1], ARGV[7], ARGV[5])
end
if notices then
  local changes = {}
  for i, expired in ipairs(dead) do changes[i] = {'expired', expired, 0} end
  changes[#changes + 1] = {'created', ARGV[2], 1}
  write_notices(notices, ARGV[5], changes, {by_update, by_expiry})
end
return {'ok', created, expires, stamp, pending, last, first}
