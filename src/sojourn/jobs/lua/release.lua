-- Leave a job to others: it goes on where it was, or is done.
--
-- KEYS  1 job (hash)
-- ARGV  1 who has it       2 '1' when it is done
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
if ARGV[2] == '1' then return redis.call('UNLINK', KEYS[1]) end
return redis.call('HDEL', KEYS[1], 'owner', 'until')
