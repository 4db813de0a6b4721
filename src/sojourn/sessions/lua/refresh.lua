-- Lengthen the lives of shared keys that exist.
--
-- KEYS  1… keys of one slot
-- ARGV  1 ttl, ms or '' (never)
-- Reply {'ok'}
for _, key in ipairs(KEYS) do
  local left = redis.call('PTTL', key)
  if left ~= -2 then write_lifetime(key, left, ARGV[1]) end
end
return {'ok'}
