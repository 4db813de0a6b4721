-- Add a user to those whose session an id is or was.
-- What a newer version wrote there, in a way that this one cannot read, stays as it is.
-- KEYS: owner (string). ARGV: a digest, the state TTL in ms or '' (never), how many bytes at most.
local owners = redis.call('GET', KEYS[1]) or ''
if is_encoded(owners) then return 0 end
for i = 1, #owners, #ARGV[1] do
  if string.sub(owners, i, i + #ARGV[1] - 1) == ARGV[1] then return 0 end
end
if #owners + #ARGV[1] > tonumber(ARGV[3]) then return 0 end
if ARGV[2] == '' then
  redis.call('SET', KEYS[1], owners .. ARGV[1])
else
  redis.call('SET', KEYS[1], owners .. ARGV[1], 'PX', ARGV[2])
end
return 1
