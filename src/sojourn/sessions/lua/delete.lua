-- Delete a session, once: a repeated delete does not touch a session created since.
--
-- KEYS  1 session (hash)   2 events (list)   3 ops (zset)
--       4 sessions (zset: session → updated)   5 sessions:expiry (zset: session → expires, ms)
--       6 operations of the user (zset: operation id → ms)
-- ARGV  1 operation id     2 incarnation or ''   3 session id
-- Reply {'ok'} {'duplicate'} {'missing'}
local operations = KEYS[6]
if redis.call('ZSCORE', operations, ARGV[1]) then return {'duplicate'} end
local incarnation = redis.call('HGET', KEYS[1], 'incarnation')
redis.call('ZSCORE', KEYS[4], ARGV[3])
redis.call('ZSCORE', KEYS[5], ARGV[3])

redis.call('ZADD', operations, now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', operations, '-inf', now - 86400000)
redis.call('ZREMRANGEBYRANK', operations, 0, -1001)
redis.call('PEXPIRE', operations, 86400000)
if incarnation and ARGV[2] ~= '' and ARGV[2] ~= incarnation then return {'missing'} end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
redis.call('ZREM', KEYS[4], ARGV[3])
redis.call('ZREM', KEYS[5], ARGV[3])
if not incarnation then return {'missing'} end
return {'ok'}
