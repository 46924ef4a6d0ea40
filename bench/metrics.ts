import { compareVariants } from './variants.ts'

/** What metrics, the access log and traces cost: `npm run bench:metrics -- 9`, the number of rounds. */
await compareVariants(Number(process.argv[2] ?? 9), (upstreamUrl) => {
  // The service takes spans too, and throws them away.
  const traces = (sample: number) => ({ plugins: { telemetry: { endpoint: `${upstreamUrl}/v1/traces`, sample } }, sample: 0 })
  return {
    off: { plugins: {}, sample: 0 },
    metrics: { plugins: { metrics: {} }, sample: 0 },
    'access log': { plugins: {}, sample: 1 },
    both: { plugins: { metrics: {} }, sample: 1 },
    'traces of 0': traces(0),
    'traces of 1%': traces(0.01),
    'traces of all': traces(1),
  }
})
