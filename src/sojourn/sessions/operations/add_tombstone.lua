-- Remember that a session, a user or an app was revoked or forgotten now; repeated, that it was then.
--
-- KEYS  1 tombstones of the slot (hash: SALT:HASH → MS KIND)
-- ARGV  1 salt and hash of its name   2 'revoked' or 'forgotten'   3 how long that is remembered, ms
-- Reply when that was, ms
local name, kind, remembered = ARGV[1], ARGV[2], ARGV[3]
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local at = tonumber(string.match(fields[i + 1], '^%d+') or 0)
  if fields[i] == name then
    write_again(KEYS[1])
    return at
  end
  if at < now - remembered then redis.call('HDEL', KEYS[1], fields[i]) end
end
-- What follows frees memory: a full server, which refuses the HSET as a script's first write, lets it
-- pass behind one that needs none.
redis.call('HDEL', KEYS[1], name)
redis.call('HSET', KEYS[1], name, string.format('%.0f ', now) .. kind)
redis.call('PEXPIRE', KEYS[1], remembered)
return now
