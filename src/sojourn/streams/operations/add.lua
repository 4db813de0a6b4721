-- Keep a message, once, and drop the oldest beyond the bounds.
--
-- KEYS  1 connection (hash)
-- ARGV  1 operation id   2 message (JSON)   3 ttl, ms   4 most messages   5 most bytes
--       6 size of the message and its stream, bytes, whatever encoding it has
-- Reply its number; 0 when there is no such connection, or none that can be read
local operation_id, message, ttl, max_messages, max_bytes, bytes_added = unpack(ARGV, 1, 6)
local head = redis.call('HMGET', KEYS[1], 'seq', 'dropped', 'bytes', 'op:' .. operation_id)
for i = 1, 3 do
  if not head[i] or #head[i] > 15 or string.find(head[i], '%D') or head[i] == '' then return 0 end
end
local seq, dropped, size = tonumber(head[1]), tonumber(head[2]), tonumber(head[3])
if seq - dropped > redis.call('HLEN', KEYS[1]) then return 0 end -- it has not so many messages
redis.call('PEXPIRE', KEYS[1], ttl)
if head[4] then return tonumber(head[4]) end
seq = seq + 1
size = size + tonumber(bytes_added)
redis.call('HSET', KEYS[1], seq, operation_id .. '\n' .. bytes_added .. '\n' .. message,
  'op:' .. operation_id, seq)
while dropped + 1 < seq and (seq - dropped > tonumber(max_messages) or size > tonumber(max_bytes)) do
  dropped = dropped + 1
  local old = redis.call('HGET', KEYS[1], dropped)
  if old then
    local operation, bytes = string.match(old, '^([^\n]*)\n(%d+)\n')
    if bytes then size = size - tonumber(bytes) end
    redis.call('HDEL', KEYS[1], dropped, 'op:' .. (operation or ''))
  end
end
redis.call('HSET', KEYS[1], 'seq', seq, 'dropped', dropped, 'bytes', size)
return seq
