-- Add a data key and make it the active one, unless another process was faster, or the owner's were
-- destroyed.
--
-- KEYS  1 data keys (hash)   2 marks of destroyed ones (hash)
-- ARGV  1 name as marks have it   2 id   3 master and wrapped key   4 the active one that it follows, or ''
-- Reply as of read.lua, afterwards
local erased = find_destroyed(KEYS[2], ARGV[1])
local head = redis.call('HMGET', KEYS[1], 'format', 'active')
if erased == 0 and major_of(head[1]) == 1 then
  if (head[2] or '') == ARGV[4] then
    redis.call('HSETNX', KEYS[1], 'format', '1')
    redis.call('HSET', KEYS[1], 'active', ARGV[2],
      'key:' .. ARGV[2], ARGV[3] .. string.format(' %.0f', now))
    redis.call('HDEL', KEYS[1], 'idle')
    redis.call('PERSIST', KEYS[1])
  else
    write_again(KEYS[1])
  end
end
return {erased, redis.call('HGETALL', KEYS[1])}
