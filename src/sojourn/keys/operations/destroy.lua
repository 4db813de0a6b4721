-- Destroy the data keys of an owner, and remember that they were.
--
-- KEYS  1 data keys (hash)   2 marks of destroyed ones (hash)
-- ARGV  1 mark
-- Reply how many keys there were
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local count = 0
if redis.call('TYPE', KEYS[1])['ok'] == 'hash' then
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.sub(field, 1, 4) == 'key:' then count = count + 1 end
  end
end
redis.call('UNLINK', KEYS[1]) -- first: a full server takes what follows only behind it
local marks = redis.call('HGETALL', KEYS[2])
for i = 1, #marks, 2 do
  if math.abs(at_of(marks[i + 1])) < now - remembered then redis.call('HDEL', KEYS[2], marks[i]) end
end
redis.call('HSET', KEYS[2], ARGV[1], string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[2], remembered)
return count
