import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { below } from '../../fixtures/random.ts'
import { layoutOf } from '../../src/disk/layout.ts'
import { copyFiles, type Damageable, filesIn } from './damage.ts'

/** What is done to one file of a database, or to all. */
export interface Damage {
  file: string
  what: string
  /** Whether something is gone for sure, so that nothing can read back as it was. */
  isLoss: boolean
  /** Whether a disk may do this by itself. */
  isRot: boolean
  apply: (database: string) => void
}

const blockBytes = 4_096

/** Every kind of damage of one file, or of all; those at a random place as often as there are rounds. */
export function damagesOf(
  whole: Damageable,
  file: string,
  { random, rounds }: { random: () => number; rounds: number },
): Damage[] {
  const path = join(layoutOf(whole.root).ledger, file)
  if (file === 'all files') return rollbacks(whole, file)
  const bytes = readFileSync(path)
  const damages: Damage[] = []
  const add = (what: string, content: Uint8Array | undefined, kind: 'loss' | 'rot' | 'cut' = 'loss') => {
    const apply = (folder: string) => replace(join(folder, file), content)
    damages.push({ file, what, isLoss: kind === 'loss', isRot: kind === 'rot', apply })
  }
  for (let round = 0; round < rounds; round += 1) {
    const [bit, from, length] = [
      below(bytes.length * 8, random),
      below(bytes.length, random),
      below(bytes.length, random),
    ]
    add(`with bit ${bit} of ${bytes.length * 8} flipped`, flipped(bytes, bit), 'rot')
    add(`with zeros from ${from} of ${bytes.length}`, zeroed(bytes, from, from + blockBytes), 'rot')
    add(`cut to ${length} of ${bytes.length} bytes`, bytes.subarray(0, length), 'cut')
  }
  add('all zeros', zeroed(bytes, 0, bytes.length))
  add('deleted', undefined)
  for (const { when, folder } of olderFolders(whole)) {
    const older = olderOf(file, bytes, folder)
    if (older !== undefined) add(`replaced by the one ${when}`, older)
  }
  return damages
}

/** The database as it was, while the head file stays as it is. */
function rollbacks(whole: Damageable, file: string): Damage[] {
  return olderFolders(whole).map(({ when, folder }) => ({
    file,
    what: `put back as they were ${when}`,
    isLoss: true,
    isRot: false,
    apply: (database) => {
      for (const name of filesIn(database)) rmSync(join(database, name))
      copyFiles(folder, database)
    },
  }))
}

function olderFolders({ inSession, sessionBefore }: Damageable): { when: string; folder: string }[] {
  return [
    { when: 'in the middle of the last session', folder: inSession },
    { when: 'before the last session', folder: sessionBefore },
  ]
}

/** An older file of the same kind, under whatever number it had; undefined where there is none but itself. */
function olderOf(file: string, bytes: Uint8Array, folder: string): Uint8Array | undefined {
  const kindOf = (name: string) => name.replace(/\d+/, '')
  return filesIn(folder)
    .filter((name) => kindOf(name) === kindOf(file))
    .map((name) => readFileSync(join(folder, name)))
    .find((candidate) => Buffer.compare(candidate, bytes) !== 0)
}

function replace(path: string, content: Uint8Array | undefined): void {
  if (content === undefined) rmSync(path)
  else writeFileSync(path, content)
}

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const changed = Buffer.from(bytes)
  changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return changed
}

function zeroed(bytes: Uint8Array, from: number, to: number): Uint8Array {
  return Buffer.from(bytes).fill(0, from, Math.min(to, bytes.length))
}
