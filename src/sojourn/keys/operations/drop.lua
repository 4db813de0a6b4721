-- Remove a data key that seals nothing any more.
--
-- KEYS  1 data keys (hash)
-- ARGV  1 id   2 how long the active one has to be there, so that every process uses it, ms
-- Reply 'dropped', 'absent', 'active' (it is), or 'early'
local field, active = 'key:' .. ARGV[1], redis.call('HGET', KEYS[1], 'active')
if active == ARGV[1] then return 'active' end
if redis.call('HEXISTS', KEYS[1], field) == 0 then return 'absent' end
local made = string.match(redis.call('HGET', KEYS[1], 'key:' .. (active or '')) or '', '^%S+ %S+ (%d+)')
if not made or now - made < tonumber(ARGV[2]) then return 'early' end
redis.call('HDEL', KEYS[1], field)
return 'dropped'
