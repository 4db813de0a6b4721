-- Delete an artifact with all of its versions, once.
--
-- KEYS  1 artifact (hash)   2 index (zset: name → expires, ms)   3 deleted (string: what was found)
--       4 … data of all versions
-- ARGV  1 name
-- Reply {'ok', 1 if there was one}   {'keys', data …}: these are wanted as keys, nothing was deleted
local done = redis.call('GET', KEYS[3])
if done then
  write_again(KEYS[3])
  return {'ok', done}
end
local head = head_of(KEYS[1]) -- of whatever format
if head then
  local names = data_of(KEYS[1], head.versions)
  if not are_given(KEYS[1], names, 4) then return ask(names) end
end
local found = (head ~= nil or absent(KEYS[2], ARGV[1]) == 'lost') and '1' or '0'
redis.call('ZREM', KEYS[2], ARGV[1])
write_index_expiry(KEYS[2])
redis.call('UNLINK', KEYS[1])
for i = 4, #KEYS do redis.call('UNLINK', KEYS[i]) end
redis.call('SET', KEYS[3], found, 'PX', DAY)
return {'ok', found}
