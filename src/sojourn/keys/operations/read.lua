-- Read the data keys of an owner.
--
-- KEYS  1 data keys (hash)   2 marks of destroyed ones (hash)
-- ARGV  1 name as marks have it   2 '1' if they are to be used: then they are not idle
-- Reply {when they were destroyed, ms, or 0; all fields}
if ARGV[2] == '1' and redis.call('HEXISTS', KEYS[1], 'idle') == 1 then
  redis.call('HDEL', KEYS[1], 'idle')
end
return {find_destroyed(KEYS[2], ARGV[1]), redis.call('HGETALL', KEYS[1])}
