import { reloadStorm } from '../test/helpers/reload-storm.ts'

/** Reloads under load, with figures: `npm run bench:reload -- 1000`. */
const figures = await reloadStorm(Number(process.argv[2] ?? 1000))
process.stdout.write(`${JSON.stringify(figures, undefined, 2)}\n`)
