-- One line: requests, seconds, responses that are neither 2xx nor 3xx, errors, milliseconds of the median and of the 99th
-- percentile.
function done(summary, latency)
  local errors = summary.errors
  local broken = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format("RESULT %d %.3f %d %d %.3f %.3f\n", summary.requests, summary.duration / 1e6, errors.status,
    broken, latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
