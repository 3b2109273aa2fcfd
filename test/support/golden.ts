import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { is } from 'uvu/assert'
import { root as project } from '../runner.ts'
import { temporaryRoot } from './ledger.ts'

export const goldenFolder = join(project, 'fixtures/golden')

/** What a golden ledger must show. */
export interface GoldenFacts {
  bundle: string
  origin: string
  root: string
  size: number
  state_digest: string
}

/** A copy of the golden ledger of a format. */
export function goldenLedger(format: string): { facts: GoldenFacts; root: string } {
  const root = temporaryRoot()
  untar(join(goldenFolder, `${format}.tar.gz`), root)
  const facts = JSON.parse(readFileSync(join(goldenFolder, `${format}.json`), 'utf8')) as GoldenFacts
  return { facts, root: join(root, 'ledger') }
}

export function untar(file: string, to: string): void {
  const words = ['--extract', '--gzip', '--no-same-owner', '--same-permissions', '--file', file, '--directory', to]
  const { status, stderr } = spawnSync('tar', words, { encoding: 'utf8' })
  is(status, 0, stderr)
}
