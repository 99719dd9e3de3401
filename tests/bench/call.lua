-- wrk: POST the same tools/call over and over; prints one line of figures. KEY: bearer key. HOST: under
-- which name, where that is another than the address's.
local body = '{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{"message":"hello world"}}}'
local headers = {
  ["Content-Type"] = "application/json",
  ["Accept"] = "application/json, text/event-stream",
  ["MCP-Protocol-Version"] = "2025-11-25",
  ["Host"] = os.getenv("HOST"),
  ["Authorization"] = "Bearer " .. (os.getenv("KEY") or ""),
}

local call
function init() call = wrk.format("POST", nil, headers, body) end
function request() return call end

done = function(summary, latency, _)
  local e = summary.errors
  io.write(string.format("FIGURES %.1f %.3f %.3f %d %d\n", summary.requests / (summary.duration / 1e6),
    latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    e.connect + e.read + e.write + e.status + e.timeout, summary.requests))
end
