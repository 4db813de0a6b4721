-- When something was revoked or forgotten last.
--
-- KEYS  1 tombstones of the slot (hash: SALT:HASH → MS KIND)
-- ARGV  1 the names of its tombstones, a space between them
-- Reply {the time now, when it was revoked, when it was forgotten}, ms; 0 if it was not
return {now, find_tombstones(KEYS[1], ARGV[1])}
