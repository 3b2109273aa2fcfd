import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { is } from 'uvu/assert'
import { openLedger } from '../../src/open.ts'
import { type CommandOptions, lockstep } from './command.ts'
import { endsWithVerify, temporaryRoot } from './ledger.ts'

/** Runs a command in the root, demands its exit code, and gives its document and its output. */
export type Call = (status: number, words: string[], options?: CommandOptions) => Promise<Record<string, unknown>>

/** A running run of the default actor. */
export interface StartedRun {
  run_id: string
  workflow_id?: string
}

/** A ledger in a folder with a space, with running runs. Commands work on it, and it is verified at the end. */
export async function governed(
  runs: readonly StartedRun[],
  work: (call: Call, root: string) => Promise<void>,
): Promise<void> {
  const root = join(temporaryRoot(), 'a root')
  mkdirSync(root)
  const ledger = await openLedger({ dir: root, create: true })
  for (const { run_id, workflow_id } of runs) {
    await ledger.runs.create({
      run_id,
      run_kind: 'orchestrator',
      ...(workflow_id === undefined ? {} : { workflow_id }),
    })
    await ledger.runs.start({ run_id })
  }
  await ledger.close()
  await work(async (status, words, options = {}) => {
    const ended = await lockstep(['--dir', root, ...words], options)
    is(ended.status, status, `${words.join(' ')}: ${ended.stdout}${ended.stderr}`)
    return { ...ended.json, stdout: ended.stdout }
  }, root)
  await endsWithVerify(root)
}
