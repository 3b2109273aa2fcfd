// limit: 400
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { suite } from 'uvu'
import { is } from 'uvu/assert'
import { below, randomFrom } from '../../fixtures/random.ts'
import { root as project } from '../runner.ts'
import { temporaryRoot } from '../support/ledger.ts'
import { newLedgerDatabase } from '../support/ledger-database.ts'
import { append, filledLedger, goesOn, reading, refusesCommands } from '../support/moving.ts'
import { postgresMissing, startPostgres } from '../support/postgres.ts'
import { asPlainError } from '../support/scene.ts'
import { printedSeed } from '../support/seed.ts'

// A move is killed at random moments and run again until it ends. At no moment do both places take commands.

const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 1)
/** How large the ledger is, and how much later each kill comes than the one before. */
const entries = Number(process.env.LOCKSTEP_ENTRIES ?? 1_000)
const stepMillis = entries > 10_000 ? 6_000 : 1_200
const random = randomFrom(printedSeed('move-killed'))
const command = join(process.env.LOCKSTEP_TEST_DIST ?? join(project, 'dist'), 'cli/main.js')
const becca = ['--actor', 'human:BECCA']

const killed = suite('a move that is killed')

killed('goes on where it was, to another folder and back', () =>
  movedAndBack(async (home) => {
    const away = temporaryRoot()
    return [
      { from: home, left: home, to: away, goesOnIn: away },
      { from: away, left: away, to: home, goesOnIn: home },
    ]
  }).catch(asPlainError),
)

if (postgresMissing !== undefined) console.log(postgresMissing)
else {
  killed('goes on where it was, to a database and back', async () => {
    const server = await startPostgres()
    const url = await newLedgerDatabase(server)
    await movedAndBack(async (home) => [
      { from: home, left: home, engine: 'level', to: url, goesOnIn: home },
      { from: home, to: home, goesOnIn: home },
    ])
      .finally(() => server.close())
      .catch(asPlainError)
  })
}

killed.run()

interface Step {
  from: string
  to: string
  /** Where the ledger is opened afterwards. */
  goesOnIn: string
  /** Where the place that it left is opened. */
  left?: string
  engine?: 'level'
}

async function movedAndBack(stepsOf: (home: string) => Promise<Step[]>): Promise<void> {
  const { root: home } = await filledLedger(entries)
  const steps = await stepsOf(home)
  const kept = await reading(home, (ledger) => ledger.head.signed())
  for (let round = 0; round < rounds; round += 1) {
    for (const { engine, from, goesOnIn, left, to } of steps) {
      const begun = performance.now()
      const { kills, size } = await moveKilled(from, to)
      const seconds = Math.round((performance.now() - begun) / 1_000)
      if (left !== undefined) await refusesCommands(left, engine)
      await goesOn(goesOnIn, size)
      await reading(goesOnIn, async (ledger) => {
        is((await ledger.head.signed({ size: kept.size })).checkpoint, kept.checkpoint)
        await append(ledger, 500)
      })
      console.log(`${size} entries moved in ${seconds} s, killed ${kills} times`)
    }
  }
}

/** Runs the command and kills it, each time a little later, until it ends before it is killed. */
async function moveKilled(from: string, to: string): Promise<{ kills: number; size: number }> {
  const words = [command, '--dir', from, ...becca, 'migrate', '--to', to, '--json']
  for (let kills = 0, millis = 300; ; kills += 1, millis += 200 + below(stepMillis, random)) {
    const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'ignore'] })
    const printed: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => printed.push(chunk))
    const timer = setTimeout(() => child.kill('SIGKILL'), millis)
    const [status] = await once(child, 'close')
    clearTimeout(timer)
    const text = Buffer.concat(printed).toString()
    if (status === null) continue
    const answer = JSON.parse(text) as { code?: string; message?: string; size: number }
    // The seat of a writer that was killed stays its own until the lease ends.
    if (answer.code === 'LEDGER_UNAVAILABLE') continue
    // The kill came between the end of the move and its answer.
    if (answer.code === 'LEDGER_EXISTS') return { kills, size: await sizeOf(from) }
    is(status, 0, text)
    return { kills, size: answer.size }
  }
}

const sizeOf = (dir: string) => reading(dir, async (ledger) => (await ledger.head.get()).size)
