"""The Lua scripts: each is one step that nobody can come between.

Scripts about one call get its keys as KEYS: record, lease, deadlines. A repeated request (the connection broke before
the answer came) does no harm: a script that finds its own work done says so.
"""

from __future__ import annotations

from hashlib import sha1

from routing.store.layout import DUE_LIMIT, DUE_RETRY, ENDPOINT_TTL, RECORD_TTL
from routing.store.webhooks import DEAD_LENGTH, KEPT


class Script:
    """A script, and the hash by which Redis knows it once it has seen it."""

    __slots__ = ("sha", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        self.sha = sha1(source.encode(), usedforsecurity=False).hexdigest()


# ARGV: record, score, member
CREATE = Script(f"""
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EX', {RECORD_TTL}) then
  redis.call('ZADD', KEYS[3], ARGV[2], ARGV[3])
  redis.call('EXPIRE', KEYS[3], {RECORD_TTL})
end
return 1
""")

# ARGV: token, lease TTL in ms, call id, '1' to delete a plain call
# Gives the record, nil when there is none, 0 when another one holds the lease.
LEASE = Script("""
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[1] then return 0 end
local record = redis.call('GET', KEYS[1])
if not record then return false end
if ARGV[4] == '1' and string.sub(record, 1, 1) ~= 'T' then
  local head_end = string.find(record, '\\n', 1, true) or 1
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('ZREM', KEYS[3], ARGV[3] .. '@' .. string.sub(record, 2, head_end - 1))
else
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
end
return record
""")

# ARGV: token, record, score, member, member as stored, lease TTL in ms to keep it or '0'
SAVE = Script(f"""
local holder = redis.call('GET', KEYS[2])
if holder ~= ARGV[1] then
  local done = not holder and ARGV[6] == '0' and redis.call('GET', KEYS[1]) == ARGV[2]
  return done and 1 or 0
end
redis.call('SET', KEYS[1], ARGV[2], 'EX', {RECORD_TTL})
if ARGV[4] ~= ARGV[5] then redis.call('ZREM', KEYS[3], ARGV[5]) end
redis.call('ZADD', KEYS[3], ARGV[3], ARGV[4])
redis.call('EXPIRE', KEYS[3], {RECORD_TTL})
if ARGV[6] == '0' then
  redis.call('DEL', KEYS[2])
else
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[6])
end
return 1
""")

# ARGV: token, member
FORGET = Script("""
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return 1 - redis.call('EXISTS', KEYS[1])
end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('ZREM', KEYS[3], ARGV[2])
return 1
""")

# The one argument is the token.
RELEASE = Script("""
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
return 1
""")

# KEYS: deadlines, and what the names of the shard's records begin with.  ARGV: now, node, seconds ahead, grace
# What is given out is put off, so that one process deals with it; what has no record any more is dropped.
# Gives call ids and times in turn.
DUE = Script(f"""
local members = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1] + ARGV[3], 'WITHSCORES')
local found = {{}}
for i = 1, #members, 2 do
  local at = string.find(members[i], '@', 1, true) or 1  -- one without is not ours, and has no record
  local id = string.sub(members[i], 1, at - 1)
  local overdue = tonumber(members[i + 1]) <= ARGV[1] - ARGV[4]
  if overdue or string.sub(members[i], at + 1) == ARGV[2] then
    if redis.call('EXISTS', KEYS[2] .. id) == 1 then
      redis.call('ZADD', KEYS[1], ARGV[1] + {DUE_RETRY}, members[i])
      found[#found + 1] = id
      found[#found + 1] = members[i + 1]
      if #found == 2 * {DUE_LIMIT} then break end
    else
      redis.call('ZREM', KEYS[1], members[i])
    end
  end
end
return found
""")

# KEYS: the calls of an endpoint.  ARGV: Call-ID of a leg, most calls or '0'
# What is before the "-" names the call; legs of one call count as one.
OCCUPY = Script(f"""
local limit, calls, others = tonumber(ARGV[2]), {{[string.match(ARGV[1], '^[^-]*')] = true}}, 0
for _, leg in ipairs(limit > 0 and redis.call('SMEMBERS', KEYS[1]) or {{}}) do
  local call = string.match(leg, '^[^-]*')
  if not calls[call] then calls[call], others = true, others + 1 end
end
if limit > 0 and others >= limit then return 0 end
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], {ENDPOINT_TTL})
return 1
""")

# KEYS: the endpoints that fail.  ARGV: URI, why, now, failures after which it rests, seconds of the rest
# The same as routing.hunting.fail_again; gives the JSON.
FAIL = Script(f"""
local known = redis.call('HGET', KEYS[1], ARGV[1])
local state = known and cjson.decode(known) or {{failures = 0, since = 0, ends = 0}}
local now = tonumber(ARGV[3])
state.failures, state.at, state.why = state.failures + 1, now, ARGV[2]
if state.failures >= tonumber(ARGV[4]) then
  if state.ends <= now then state.since = now end
  state.ends = now + ARGV[5]
end
local text = cjson.encode(state)
redis.call('HSET', KEYS[1], ARGV[1], text)
redis.call('EXPIRE', KEYS[1], {ENDPOINT_TTL})
return text
""")

# KEYS: the phones of a user.  ARGV: what this node's fields begin with, TTL in seconds, then URIs with the node before
# them and phones in turn.
KEEP_CONTACTS = Script("""
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(field, 1, #ARGV[1]) == ARGV[1] then redis.call('HDEL', KEYS[1], field) end
end
for i = 3, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
""")

# Scripts about posts get as KEYS: posts, lanes by the time at which their first post is due, posts given up, and lanes:
# the ids of the posts of each, with spaces between them.
_LANES = """
local function first(lane) return string.match(redis.call('HGET', KEYS[4], lane) or '', '^%S+') end
local function append(lane, id, time)
  local ids = redis.call('HGET', KEYS[4], lane)
  redis.call('HSET', KEYS[4], lane, ids and ids .. ' ' .. id or id)
  if not ids then redis.call('ZADD', KEYS[2], time, lane) end
end
local function advance(lane, time)
  local rest = string.match(redis.call('HGET', KEYS[4], lane) or '', '^%S+ (.+)$')
  if rest then
    redis.call('HSET', KEYS[4], lane, rest)
    redis.call('ZADD', KEYS[2], time, lane)
  else
    redis.call('HDEL', KEYS[4], lane)
    redis.call('ZREM', KEYS[2], lane)
  end
end
"""

# KEYS also: position, stages.  ARGV: the position now, the new one, that among the stages, then id, lane, time and JSON
# of each post.  Stages that have been read are not needed any more.
QUEUE_POSTS = Script(f"""{_LANES}
if redis.call('GET', KEYS[5]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[5], ARGV[2], 'EX', {KEPT})
redis.call('XTRIM', KEYS[6], 'MINID', ARGV[3])
for i = 4, #ARGV, 4 do
  if redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 3]) == 1 then append(ARGV[i + 1], ARGV[i], ARGV[i + 2]) end
end
for i = 1, 4 do redis.call('EXPIRE', KEYS[i], {KEPT}) end
return 1
""")

# ARGV: now, how many, seconds until they come back
# Looking keeps all of it alive. One that is not there any more, since two had it in hand, must not hold up its lane.
CLAIM_POSTS = Script(f"""{_LANES}
for i = 1, 4 do redis.call('EXPIRE', KEYS[i], {KEPT}) end
local found = {{}}
for _, lane in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])) do
  local post = redis.call('HGET', KEYS[1], first(lane) or '')
  if post then
    redis.call('ZADD', KEYS[2], ARGV[1] + ARGV[3], lane)
    found[#found + 1] = post
  else
    advance(lane, ARGV[1])
  end
end
return found
""")

# ARGV: id, lane, now
DROP_POST = Script(f"""{_LANES}
if first(ARGV[2]) == ARGV[1] then advance(ARGV[2], ARGV[3]) end
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('HDEL', KEYS[1], ARGV[1])
return 1
""")

# ARGV: id, lane, JSON, time
DELAY_POST = Script(f"""{_LANES}
if first(ARGV[2]) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[2])
return 1
""")

# ARGV: id, lane, JSON, time, now
PART_POST = Script(f"""{_LANES}
if first(ARGV[2]) ~= ARGV[1] then return 0 end
advance(ARGV[2], ARGV[5])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
append(ARGV[1], ARGV[1], ARGV[4])
return 1
""")

# ARGV: id, lane, JSON, now
BURY_POST = Script(f"""{_LANES}
if first(ARGV[2]) ~= ARGV[1] then return 0 end
advance(ARGV[2], ARGV[4])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1])
for _, id in ipairs(redis.call('ZRANGE', KEYS[3], 0, -{DEAD_LENGTH + 1})) do
  redis.call('ZREM', KEYS[3], id)
  redis.call('HDEL', KEYS[1], id)
end
return 1
""")

# ARGV: id, lane, JSON, now
REVIVE_POST = Script(f"""{_LANES}
if redis.call('ZREM', KEYS[3], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
append(ARGV[2], ARGV[1], ARGV[4])
return 1
""")

_ALL = (CREATE, LEASE, SAVE, FORGET, RELEASE, DUE, OCCUPY, FAIL, KEEP_CONTACTS)
_OF_POSTS = (QUEUE_POSTS, CLAIM_POSTS, DROP_POST, DELAY_POST, PART_POST, BURY_POST, REVIVE_POST)
SOURCES = {script.sha: script.source for script in (*_ALL, *_OF_POSTS)}
"""What to send when Redis does not know the hash (it was restarted, or never saw the script)."""
