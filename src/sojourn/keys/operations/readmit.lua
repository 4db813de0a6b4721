-- Let an owner have keys again whose keys were destroyed. It stays known that these were: nobody
-- stores them again.
--
-- KEYS  1 marks of destroyed ones (hash)   ARGV  1 name as marks have it
-- Reply 1 if they were
local found, marks = find_destroyed(KEYS[1], ARGV[1]), marks_of(KEYS[1], ARGV[1])
for i = 1, #marks, 2 do
  redis.call('HSET', KEYS[1], marks[i], string.format('%.0f', -math.abs(at_of(marks[i + 1]))))
end
return found > 0 and 1 or 0
