// limit: 240
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { suite } from 'uvu'
import { is, ok } from 'uvu/assert'
import { below, randomFrom } from '../../fixtures/random.ts'
import { root as project } from '../runner.ts'
import { lockstep } from '../support/command.ts'
import { temporaryRoot } from '../support/ledger.ts'
import { append, filledLedger, goesOn, reading, refusesCommands } from '../support/moving.ts'
import { asPlainError } from '../support/scene.ts'
import { printedSeed } from '../support/seed.ts'

// A move is killed at random moments and run again until it ends. At no moment do both places take commands.

const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 1)
const random = randomFrom(printedSeed('move-killed'))
const command = join(process.env.LOCKSTEP_TEST_DIST ?? join(project, 'dist'), 'cli/main.js')
const becca = ['--actor', 'human:BECCA']

const killed = suite('a move that is killed')

killed('goes on where it was, there and back', () => movedAndBack().catch(asPlainError))

killed.run()

async function movedAndBack(): Promise<void> {
  const { root: home } = await filledLedger(2_000)
  const away = temporaryRoot()
  const kept = await reading(home, (ledger) => ledger.head.signed())
  for (let round = 0; round < rounds; round += 1) {
    for (const [from, to] of [
      [home, away],
      [away, home],
    ] as const) {
      const kills = await moveKilled(from, to)
      const { json, status, stdout } = await lockstep(['--dir', from, ...becca, 'migrate', '--to', to])
      is(status, 0, stdout)
      await refusesCommands(from)
      await goesOn(to, Number(json.size))
      await reading(to, async (ledger) => {
        is((await ledger.head.signed({ size: kept.size })).checkpoint, kept.checkpoint)
        await append(ledger, 500)
      })
      console.log(`round ${round + 1}: ${json.size} entries, killed ${kills} times`)
    }
  }
}

/** Runs the command and kills it, each time a little later, until it ends before it is killed. Returns how often. */
async function moveKilled(from: string, to: string): Promise<number> {
  const words = [command, '--dir', from, ...becca, 'migrate', '--to', to, '--json']
  for (let kills = 0, millis = 300; ; kills += 1, millis += 200 + below(600, random)) {
    const child = spawn(process.execPath, words, { stdio: 'ignore' })
    const exited = once(child, 'exit')
    const timer = setTimeout(() => child.kill('SIGKILL'), millis)
    const [status] = await exited
    clearTimeout(timer)
    ok(status === null || status === 0, `the move ended with ${status}`)
    if (status === 0) return kills
  }
}
