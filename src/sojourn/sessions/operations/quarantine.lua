-- Keep records that cannot be read, each once, as long as there is room.
--
-- KEYS  1 quarantine (hash: id → what is known of it as JSON, a newline, its bytes; bytes → sum)
--       2 outbox (hash: operation id → app delta)
-- ARGV  1 shared ttl, ms or '' (never)   2 records at most   3 bytes at most, all together
--       4… id, what is known as JSON, bytes, field of the outbox that they are taken out of or ''
-- Reply number of those that are kept now
local key = KEYS[1]
local left = redis.call('PTTL', key)
local bytes = tonumber(redis.call('HGET', key, 'bytes')) or 0
local count = math.max(0, redis.call('HLEN', key) - 1)
local kept = 0
for i = 4, #ARGV, 4 do
  local id, raw, field = ARGV[i], ARGV[i + 2], ARGV[i + 3]
  local record = string.format('{"time":%.3f,', now / 1000) .. string.sub(ARGV[i + 1], 2) .. '\n' .. raw
  local known = redis.call('HEXISTS', key, id) == 1
  if not known and count < tonumber(ARGV[2]) and bytes + #record <= tonumber(ARGV[3]) then
    bytes, count, known = bytes + #record, count + 1, true
    redis.call('HSET', key, id, record, 'bytes', bytes)
  end
  if known then
    kept = kept + 1
    if field ~= '' and redis.call('HGET', KEYS[2], field) == raw then
      redis.call('HDEL', KEYS[2], field)
    end
  end
end
write_lifetime(key, left, ARGV[1])
return kept
