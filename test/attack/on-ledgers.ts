import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { layoutOf } from '../../src/disk/layout.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import { openLedger } from '../../src/open.ts'
import { testActor } from '../support/ledger.ts'
import { type Change, forge } from './forge.ts'
import type { AttackScene } from './scene.ts'

/** Changes a copy of the ledger, in `root`. */
export type AttackOnLedger = (root: string, scene: AttackScene) => Promise<void>

const isNote = ({ type }: Entry) => type === 'audit.recorded'
const rewrite =
  (change: Change): AttackOnLedger =>
  (root) =>
    forge(root, change)
const without = (isHidden: (entry: Entry) => boolean) => rewrite((all) => all.filter((entry) => !isHidden(entry)))
const mapped = (change: (entry: Entry) => Entry) => rewrite((all) => all.map(change))

/** Without the two reloads around an export, and with the strict configuration in every entry that names one. */
function configured(all: Entry[]): Entry[] {
  const reloads = all.filter(({ type }) => type === 'config.loaded').slice(-2)
  const kept = all.filter((entry) => !reloads.includes(entry))
  const strict = all.find(({ type }) => type === 'run.decided')?.data.config_sha256 as string
  return kept.map((entry) =>
    entry.data.config_sha256 === undefined ? entry : { ...entry, data: { ...entry.data, config_sha256: strict } },
  )
}

/** The attacks of somebody who can write the folder of a ledger. */
export const onLedgers: Readonly<Record<string, AttackOnLedger>> = {
  'edit and recompute': mapped((entry) =>
    isNote(entry) && entry.data.outcome === 'failure'
      ? { ...entry, data: { ...entry.data, outcome: 'success' } }
      : entry,
  ),
  'cut the tail': rewrite((all) => all.slice(0, -2)),
  'roll back': async (root, { earlier }) => {
    rmSync(join(root, '.lockstep'), { recursive: true })
    cpSync(join(earlier, '.lockstep'), join(root, '.lockstep'), { recursive: true })
  },
  'database and head together': async (root, { earlier }) => {
    const [from, to] = [layoutOf(earlier), layoutOf(root)]
    for (const name of ['ledger', 'head', 'owner'] as const) {
      rmSync(to[name], { force: true, recursive: true })
      cpSync(from[name], to[name], { recursive: true })
    }
  },
  drop: rewrite((all) => all.toSpliced(all.findIndex(isNote), 1)),
  swap: rewrite((all) => {
    const [one = 0, other = 0] = all.flatMap((entry, at) => (isNote(entry) ? [at] : [])).slice(0, 2)
    const [first, second] = [all[one] as Entry, all[other] as Entry]
    return all.with(one, { ...first, data: second.data }).with(other, { ...second, data: first.data })
  }),
  replay: rewrite((all) => {
    const at = all.findIndex(isNote)
    const { request, ...again } = all[at] as Entry
    return all.toSpliced(at + 1, 0, again)
  }),
  fork: async (root, { earlier }) => {
    await onLedgers['roll back']?.(root, { earlier } as AttackScene)
    const ledger = await openLedger({ actor: testActor, dir: root })
    await ledger.locks.acquire({ holder: 'agent-1', name: 'only-here' })
    await ledger.close()
  },
  'hide a run': without(({ run_id }) => run_id === 'run_hidden_1'),
  'hide a refusal': without(({ type }) => type === 'approval.refused'),
  'change approvals': mapped((entry) =>
    entry.type === 'approval.given' ? { ...entry, actor: { ...entry.actor, actor_id: 'eve' } } : entry,
  ),
  'change the configuration around an export': rewrite(configured),
}
