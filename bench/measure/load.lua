-- For wrk: what is sent comes from the environment, what was measured goes out in one line.
wrk.method = os.getenv('BENCH_METHOD') or 'GET'
local file = os.getenv('BENCH_BODY')
if file then
  local handle = io.open(file, 'rb')
  wrk.body = handle:read('*a')
  handle:close()
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('BENCH {"requests":%d,"durationUs":%d,"p50Us":%d,"p99Us":%d,"bytes":%d,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), summary.bytes,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
