-- Enter sessions of an app into the index by last change, or take them out: those of one shard.
--
-- A touch within a minute of another one is not told here, so entries stay for two minutes after
-- they expire.
--
-- KEYS  1 recent (zset: user:session, escaped → updated)
--       2 recent:expiry (zset: the same → expires, ms)
-- ARGV  for each session: its name; updated, s, or '' (it is gone); expires, ms or '' (never), of
--       one that is gone the place that it must still have or ''; its labels as JSON or ''; those
--       that it had before, likewise
-- Reply how many that are gone were taken out
local grace, gone = 120000, 0
redis.call('ZCARD', KEYS[1])
if redis.call('ZCARD', KEYS[2]) ~= redis.call('ZCARD', KEYS[1]) then -- one was evicted
  local left = redis.call('PTTL', KEYS[1])
  for _, name in ipairs(redis.call('ZDIFF', 2, KEYS[2], KEYS[1])) do
    redis.call('ZADD', KEYS[1], 0, name) -- its next change gives it its place
  end
  for _, name in ipairs(redis.call('ZDIFF', 2, KEYS[1], KEYS[2])) do
    redis.call('ZADD', KEYS[2], left < 0 and '+inf' or now + left, name)
  end
end
for i = 1, #ARGV, 5 do
  local name, updated, expires = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local labels, former = read_labels(ARGV[i + 3]) or {}, read_labels(ARGV[i + 4]) or {}
  if updated ~= '' then
    local last = expires == '' and '' or expires + grace
    redis.call('ZADD', KEYS[1], 'GT', updated, name)
    redis.call('ZADD', KEYS[2], expires == '' and '+inf' or expires, name)
    write_index_lifetime(KEYS[1], KEYS[2], last)
    write_labelled(KEYS[1], KEYS[2], name, last, labels, former, grace)
  else
    local place = redis.call('ZSCORE', KEYS[1], name)
    if expires == '' or not place or tonumber(place) == tonumber(expires) then
      gone = gone + redis.call('ZREM', KEYS[1], name)
      redis.call('ZREM', KEYS[2], name)
      write_index_lifetime(KEYS[1], KEYS[2], now + grace) -- it may have been the last for ever
      write_labelled(KEYS[1], KEYS[2], name, now, {}, former, grace)
    end
  end
end
local dead = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - grace, 'LIMIT', 0, 100)
if #dead > 0 then
  redis.call('ZREM', KEYS[1], unpack(dead))
  redis.call('ZREM', KEYS[2], unpack(dead))
end
return gone
