import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { below } from '../../fixtures/random.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import { openLedger } from '../../src/open.ts'
import { type Ended, lockstep } from '../support/command.ts'
import { compiled } from '../support/compiled.ts'
import { temporaryRoot, testActor } from '../support/ledger.ts'
import { unexplainedIn } from './unexplained.ts'

/** A command that ends itself by a signal at one of the steps it takes on files. */
export interface Interruption {
  root: string
  words: readonly string[]
  signal: 'SIGINT' | 'SIGKILL'
}

/** What the command does on files below the root, step by step, when nothing ends it. */
export async function stepsOf({ root, words }: Omit<Interruption, 'signal'>): Promise<string[]> {
  const list = join(temporaryRoot(), 'steps')
  const ended = await lockstep(words, {
    preload: compiled('fixtures/crash/preload.ts'),
    env: { CRASH_ROOT: root, CRASH_LIST: list },
  })
  if (ended.status !== 0 || !existsSync(list)) throw new Error(`${words.join(' ')}: ${ended.stdout}${ended.stderr}`)
  return readFileSync(list, 'utf8').trim().split('\n')
}

/** Runs the command and ends it after a step of so many, chosen at random. Returns how it ended, and where. */
export async function interrupted(
  { root, words, signal }: Interruption,
  steps: number,
  random: () => number,
): Promise<Ended & { step: number }> {
  const step = 1 + below(steps, random)
  const ended = await lockstep(words, {
    preload: compiled('fixtures/crash/preload.ts'),
    env: { CRASH_ROOT: root, CRASH_STEP: String(step), CRASH_PHASE: 'after', CRASH_SIGNAL: signal },
  })
  return { ...ended, step }
}

/** Opens and verifies a root as the next command would, and returns its entries and what nothing explains. */
export async function lookAt(root: string): Promise<{ entries: Entry[]; findings: string[] }> {
  const ledger = await openLedger({ dir: root, actor: testActor, open_wait_s: 20 })
  const entries: Entry[] = []
  try {
    await ledger.log.verify()
    for await (const entry of ledger.log.read()) entries.push(entry)
  } finally {
    await ledger.close()
  }
  return { entries, findings: unexplainedIn(root, entries) }
}
