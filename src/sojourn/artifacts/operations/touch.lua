-- Let an artifact live on, if less than its lifetime is left; enter it again into an index that was
-- evicted.
--
-- KEYS  1 artifact (hash)   2 index (zset: name → expires, ms)   3 … data of all versions
-- ARGV  1 name              2 ttl, ms or '' (never)
local head = head_of(KEYS[1])
if not head then return 0 end
if not redis.call('ZSCORE', KEYS[2], ARGV[1]) then write_index(KEYS[2], ARGV[1], head.expires) end
if not is_due(head.expires, ARGV[2]) then return 0 end
if not are_given(KEYS[1], data_of(KEYS[1], head.versions), 3) then return 0 end
local expires = expires_at(ARGV[2])
write_index(KEYS[2], ARGV[1], expires)
redis.call('HSET', KEYS[1], 'expires', expires)
for i, key in ipairs(KEYS) do if i ~= 2 then write_expiry(key, expires) end end
return 1
