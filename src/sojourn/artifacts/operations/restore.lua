-- Make an artifact of versions that were uploaded, all at once.
--
-- KEYS  1 artifact (hash)   2 index (zset: name → expires, ms)   3 … data of its versions, uploaded
-- ARGV  1 name   2 expires, ms or '' (never)
--       3 … for each version: what its data are called, number of chunks, bytes of them, its record
--           as `write_version` takes it, created
-- Reply {'ok'}   {'expired'} {'exists'} {'incomplete'}: nothing was written
local name, expires = ARGV[1], ARGV[2]
if expires ~= '' and tonumber(expires) <= now then return {'expired'} end
if redis.call('EXISTS', KEYS[1]) == 1 then
  local ours = redis.call('TYPE', KEYS[1]).ok == 'hash' and redis.call('HGET', KEYS[1], 'data:0')
  write_again(KEYS[1])
  return {ours == ARGV[3] and 'ok' or 'exists'}
end
for i = 3, #KEYS do
  local at, size = 3 + 5 * (i - 3), 0
  for number = 0, ARGV[at + 1] - 1 do size = size + redis.call('HSTRLEN', KEYS[i], whole(number)) end
  if size ~= tonumber(ARGV[at + 2]) then return {'incomplete'} end
end
-- The index comes first: a key of another type stops the script while nothing is written.
write_index(KEYS[2], name, expires)
redis.call('HSET', KEYS[1], 'format', '1', 'versions', whole(#KEYS - 2), 'expires', expires)
for i = 3, #KEYS do
  local at, number = 3 + 5 * (i - 3), whole(i - 3)
  write_version(KEYS[1], number, ARGV[at + 3], ARGV[at + 4], ARGV[at])
  redis.call('HSET', KEYS[i], 'version', number)
  write_expiry(KEYS[i], expires)
end
write_expiry(KEYS[1], expires)
return {'ok'}
