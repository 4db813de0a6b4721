-- Store a data key again that the server has lost, unless the owner's were destroyed, even if the
-- owner was readmitted since.
--
-- KEYS  1 data keys (hash)   2 marks of destroyed ones (hash)
-- ARGV  1 name as marks have it   2 id   3 value as it was stored
-- Reply as of read.lua, afterwards
local erased = find_destroyed(KEYS[2], ARGV[1])
local marked = #marks_of(KEYS[2], ARGV[1]) > 0
local head = redis.call('HMGET', KEYS[1], 'format', 'active')
if not marked and major_of(head[1]) == 1 then
  redis.call('HSETNX', KEYS[1], 'format', '1')
  redis.call('HSETNX', KEYS[1], 'active', ARGV[2])
  redis.call('HSETNX', KEYS[1], 'key:' .. ARGV[2], ARGV[3])
  write_again(KEYS[1])
end
return {erased, redis.call('HGETALL', KEYS[1])}
