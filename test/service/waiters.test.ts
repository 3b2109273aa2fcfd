import { type ChildProcess, spawn } from 'node:child_process'
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { type Client, connect } from '../../src/client.ts'
import { withServiceProcess } from '../client/service-process.ts'
import { until } from '../ledger/stage.ts'
import { lockstep } from '../support/command.ts'

const waiters = suite('processes that wait in a known order')
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 1)
const processes = 8
const leaseSeconds = 1

/** How each holder of a round ends. */
const endings = ['is released', 'is killed', 'lets its lease expire'] as const
type Ending = (typeof endings)[number]

for (const ending of endings) {
  waiters(
    `are served in that order, each once, when each holder ${ending}`,
    withServiceProcess(async ({ root, start }) => {
      await start()
      const client = await connect({ dir: root })
      try {
        for (let round = 0; round < rounds; round += 1) await played(client, { ending, name: `name-${round}`, root })
      } finally {
        await client.close()
      }
    }),
  )
}

waiters.run()

interface Round {
  ending: Ending
  name: string
  root: string
}

async function played(client: Client, { ending, name, root }: Round): Promise<void> {
  const sleepers: ChildProcess[] = []
  const words = (holder: number): string[] => {
    const lease = ending === 'lets its lease expire' ? `${leaseSeconds}s` : '10m'
    const common = ['--dir', root, 'lock', 'acquire', name, '--holder', `holder-${holder}`, '--lease', lease]
    if (ending !== 'is killed') return common
    const sleeper = spawn('sleep', ['600'], { stdio: 'ignore' })
    sleepers[holder] = sleeper
    return [...common, '--pid', String(sleeper.pid)]
  }
  const end = async (holder: number, lock_id: string) => {
    if (ending === 'is released') await client.locks.release({ lock_id })
    if (ending === 'is killed') sleepers[holder]?.kill('SIGKILL')
  }
  try {
    // The first holds it under a long lease until all others wait.
    const first = await client.locks.acquire({ name, holder: 'first', lease_duration_s: 600 })
    const ends: Promise<{ status: number | null; json: Record<string, unknown> }>[] = []
    for (let holder = 0; holder < processes; holder += 1) {
      ends.push(lockstep([...words(holder), '--wait', '10m']))
      await until(`${holder + 1} wait`, async () => (await client.locks.status({ name })).waiting === holder + 1)
    }
    await client.locks.release({ lock_id: first.lock_id })
    for (let holder = 0; holder < processes; holder += 1) {
      const served = await Promise.race(ends.slice(holder))
      equal([served.status, served.json.holder], [0, `holder-${holder}`], JSON.stringify(served.json))
      await end(holder, String(served.json.lock_id))
    }
    const { entries } = await client.locks.history({ name })
    const granted = entries.filter(({ type }) => type === 'lock.acquired').map(({ data }) => data.holder)
    equal(granted.reverse(), ['first', ...Array.from({ length: processes }, (_, holder) => `holder-${holder}`)])
    is(new Set(entries.filter(({ type }) => type === 'lock.acquired').map(({ data }) => data.lock_ref)).size, 9)
  } finally {
    for (const sleeper of sleepers) sleeper?.kill('SIGKILL')
  }
}
