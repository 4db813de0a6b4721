-- Count a decision, and a session that was attempted by somebody else.
-- KEYS: counts, flagged. ARGV: what to count, a session's digest or nothing.
redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
redis.call('PEXPIRE', KEYS[1], MONTH)
if ARGV[2] ~= '' then
  redis.call('PFADD', KEYS[2], ARGV[2])
  redis.call('PEXPIRE', KEYS[2], MONTH)
end
return 1
