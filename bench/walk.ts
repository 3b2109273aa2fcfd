import { mkdtempSync, rmSync } from 'node:fs'
import { Session } from 'node:inspector/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Ledger } from '../src/index.ts'
import { built, newLedger } from './built.ts'

/**
 * `npm run walk`: the files of Lockstep that one call enters, from the API to the disk and back. A file counts if one
 * of its functions was called. Each call is made once before, so that only the way of the call itself is counted.
 *
 *   npm run walk [-- --list]
 */
const { list = false } = parseArgs({ options: { list: { type: 'boolean' } } }).values
const folder = mkdtempSync(join(tmpdir(), 'lockstep-walk-'))
const ledger = await newLedger(join(folder, 'root'), { policy: true })
const run_id = 'run_walk_1'
const actor = { actor_id: 'lawyer-1', actor_type: 'human' } as const

/** Each call with the most files that it may enter. Its preparation is not counted. `time` is 1, then 2. */
const walks: { what: string; at_most: number; call: (of: Ledger, time: number) => Promise<() => Promise<unknown>> }[] =
  [
    {
      what: 'acquire',
      at_most: 25,
      call:
        async ({ locks }, time) =>
        () =>
          locks.acquire({ name: `name-${time}`, holder: 'walk', pids: [process.pid] }),
    },
    {
      what: 'audit append',
      at_most: 22,
      call:
        async ({ audit }) =>
        () =>
          audit.append({ events: [{ action_type: 'system', outcome: 'success' }] }),
    },
    {
      what: 'promote',
      at_most: 35,
      call: async ({ turns }, time) => {
        const turn = { run_id, turn_id: `turn-000${time}` }
        const triplets = [{ stem: `stem-${time}`, body: { text: 'x' }, links: {}, manifest: {} }]
        await turns.stage({ ...turn, triplets })
        await turns.validate(turn)
        return () => turns.promote(turn)
      },
    },
    {
      what: 'export',
      at_most: 45,
      call: async ({ exports }, time) => {
        const scope = { case_id: 'CASE-1', export_reason: 'asked' }
        const lane = { lane_id: 'release', role_id: 'operator', scope }
        const file = join(folder, `bundle-${time}.tar.gz`)
        return () => exports.create({ actor, file, ...lane, select: { lock: 'name-1' } })
      },
    },
  ]

const session = new Session()
session.connect()
await session.post('Profiler.enable')
await ledger.runs.create({ run_id, run_kind: 'orchestrator' })
await ledger.runs.start({ run_id })
for (const { at_most, call, what } of walks) {
  await (await call(ledger, 1))()
  const once = await call(ledger, 2)
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
  await once()
  const { result } = await session.post('Profiler.takePreciseCoverage')
  await session.post('Profiler.stopPreciseCoverage')
  const entered = result
    .filter(({ url }) => url.startsWith(built.href))
    .filter(({ functions }) =>
      functions.some(({ functionName, ranges }) => functionName !== '' && (ranges[0]?.count ?? 0) > 0),
    )
    .map(({ url }) => url.slice(built.href.length).replace(/\.js$/, '.ts'))
    .sort()
  console.log(`${what.padEnd(14)} ${String(entered.length).padStart(3)} files, at most ${at_most}`)
  if (list) console.log(entered.map((file) => `  ${file}`).join('\n'))
}
await ledger.close()
rmSync(folder, { recursive: true })
