import { relative } from 'node:path'
import { nanoid } from 'nanoid'
import type { Layout } from '../disk/layout.ts'
import { governingLayout } from '../disk/permissions.ts'
import { LockstepError } from '../errors.ts'
import { type Found, type Repaired, repair } from '../log/level/repair/repair.ts'
import { folderOf } from './context.ts'
import type { Globals } from './globals.ts'
import { print } from './output.ts'

/** Runs `doctor --repair`. Errors: LEDGER_CORRUPT if the resulting database does not verify; those of `repair`. */
export async function repairLedger(globals: Globals): Promise<void> {
  const layout = governingLayout(folderOf(globals))
  const repaired = await repair(layout, () => nanoid(12))
  const { in_place, put_back } = repaired
  if (put_back === undefined && in_place.problem !== undefined) {
    throw new LockstepError(
      'LEDGER_CORRUPT',
      `nothing was restored, because no kept database is better: ${in_place.problem}`,
      {
        details: { ...repaired },
        hint: 'Keep a copy of .lockstep. Then restore a backup that is at least as new as .lockstep/head and run "lockstep verify".',
      },
    )
  }
  print(globals, { ok: true, ...repaired }, () => linesOf(layout, repaired))
}

function linesOf(layout: Layout, { evidence, in_place, put_back, set_aside }: Repaired): string[] {
  const lines = [`current   ${stateOf(in_place)}`]
  for (const found of evidence) lines.push(`kept      ${relative(layout.root, found.path)}: ${stateOf(found)}`)
  if (put_back === undefined) return [...lines, 'nothing was changed: the current database verifies']
  return [
    ...lines,
    `restored  ${relative(layout.root, put_back.path)}: ${put_back.size} entries`,
    `replaced  the previous files are in ${relative(layout.root, set_aside ?? '')}`,
  ]
}

function stateOf({ problem, size }: Found): string {
  if (size === undefined) return `${problem}`
  return problem === undefined ? `${size} entries, verified` : `${size} entries, verified, but ${problem}`
}
