-- Add a user to those whose session an id is or was.
-- What a newer version wrote there, in a way that this one cannot read, stays as it is.
-- KEYS: owner (string). ARGV: a digest, the state TTL in ms or '' (never), how many bytes at most.
local digest, ttl, max_bytes = ARGV[1], ARGV[2], ARGV[3]
local owners = redis.call('GET', KEYS[1]) or ''
if is_encoded(owners) then return 0 end
for i = 1, #owners, #digest do
  if string.sub(owners, i, i + #digest - 1) == digest then return 0 end
end
if #owners + #digest > tonumber(max_bytes) then return 0 end
if ttl == '' then
  redis.call('SET', KEYS[1], owners .. digest)
else
  redis.call('SET', KEYS[1], owners .. digest, 'PX', ttl)
end
return 1
