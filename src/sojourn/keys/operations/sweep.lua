-- Remove the data keys of an owner of whom nothing is left, once that is known for long enough.
-- Whoever uses them meanwhile keeps them: read.lua and add.lua remove `idle`.
--
-- KEYS  1 data keys (hash)
-- ARGV  1 how long that has to be known, ms   2 how old the keys have to be, ms
-- Reply 'removed', 'idle', or 'young'
local fields = redis.call('HGETALL', KEYS[1])
local idle
for i = 1, #fields, 2 do
  if fields[i] == 'idle' then idle = tonumber(fields[i + 1]) end
  if string.sub(fields[i], 1, 4) == 'key:' then
    local made = string.match(fields[i + 1], '^%S+ %S+ (%d+)')
    if not made or now - made < tonumber(ARGV[2]) then return 'young' end
  end
end
if #fields == 0 then return 'young' end
if not idle then
  redis.call('HSET', KEYS[1], 'idle', string.format('%.0f', now))
  idle = now
end
if now - idle < tonumber(ARGV[1]) then return 'idle' end
redis.call('UNLINK', KEYS[1])
return 'removed'
