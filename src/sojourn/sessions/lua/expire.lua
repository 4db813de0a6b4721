-- Set when a session expires, which is no change of it: its version and times stay.
--
-- KEYS  1 session (hash)   2 events (list)
--       3 sessions (zset: session → updated)    4 sessions:expiry (zset: session → expires, ms)
-- ARGV  1 incarnation      2 expected version   3 session id
--       4 ttl, ms or '' (never)                 5 expires, ms or ''
-- Reply {'ok'}   {'missing'} {'stale', version} {'corrupt'}: nothing was written
local head = redis.call('HMGET', KEYS[1], 'incarnation', 'version', 'until', 'format')
if not head[1] then return {redis.call('EXISTS', KEYS[1]) == 1 and 'corrupt' or 'missing'} end
if ARGV[1] ~= head[1] then return {'missing'} end
if head[4] ~= '1' or not (is_count(head[2]) and is_span(head[3])) then return {'corrupt'} end
if tonumber(ARGV[2]) ~= tonumber(head[2]) then return {'stale', tonumber(head[2])} end
redis.call('LLEN', KEYS[2])
redis.call('ZCARD', KEYS[3])
redis.call('ZCARD', KEYS[4])

local ttl, last, expires = ARGV[4], head[3], ARGV[5]
if last ~= '' and (expires == '' or tonumber(expires) > tonumber(last)) then expires = last end
redis.call('ZADD', KEYS[4], expires == '' and '+inf' or expires, ARGV[3])
redis.call('HSET', KEYS[1], 'ttl', ttl, 'expires', expires)
write_expiry({KEYS[1], KEYS[2]}, expires)
write_index_lifetime(KEYS[3], KEYS[4], expires)
return {'ok'}
