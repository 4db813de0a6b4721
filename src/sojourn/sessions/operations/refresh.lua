-- Lengthen the lives of shared state that exists.
--
-- KEYS  1… keys of one slot
-- ARGV  1 ttl, ms or '' (never)
-- Reply {'ok'}
for _, key in ipairs(KEYS) do
  if redis.call('TYPE', key).ok == 'hash' then -- what others put there is theirs
    write_lifetime(key, redis.call('PTTL', key), ARGV[1])
  end
end
return {'ok'}
