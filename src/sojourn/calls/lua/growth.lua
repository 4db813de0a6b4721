-- Before every script of every room: records that another version of Sojourn may have written.

-- The major version in a `format` field. A missing one (false) means 1; nil: it is no version.
local function major_of(format)
  if not format or format == '1' then return 1 end
  local major, minor = string.match(format, '^(%d+)%.?(%d*)$')
  if not major or #major > 9 or #minor > 9 or string.sub(format, -1) == '.' then return nil end
  return tonumber(major) > 0 and tonumber(major) or nil
end

-- Whether a value has an encoding: no text starts with this byte. What was damaged says so, too;
-- the client, which is given the value, looks at its checksum.
local function is_encoded(value)
  return value and string.byte(value) == 255
end
