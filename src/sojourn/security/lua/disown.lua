-- Take a user off those whose session an id is or was; the others stay for as long as before. What
-- a newer version wrote there, in a way that this one cannot read, stays as it is.
-- KEYS: owner (string). ARGV: a digest.
local digest = ARGV[1]
local owners, left = redis.call('GET', KEYS[1]) or '', ''
if is_encoded(owners) then return 0 end
for i = 1, #owners, #digest do
  local each = string.sub(owners, i, i + #digest - 1)
  if each ~= digest then left = left .. each end
end
if left == owners then return 0 end
if left == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], left, 'KEEPTTL')
end
return 1
