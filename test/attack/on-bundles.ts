import { type Bundle, changed, relisted, unpack } from '../support/bundle.ts'
import type { AttackScene } from './scene.ts'

/** The files that a reader gets instead of the bundle. */
export type AttackOnBundle = (bundle: Bundle, scene: AttackScene) => Bundle

const lines = (change: (all: string[]) => string[]) => (text: string) =>
  change(text.trimEnd().split('\n'))
    .map((line) => `${line}\n`)
    .join('')

/** Changes the lines of entries, and the lines of their proofs at the same places. */
function atLines(bundle: Bundle, change: <T>(all: readonly T[], entries: readonly string[]) => T[]): Bundle {
  const entries = String(bundle.get('entries.jsonl')).trimEnd().split('\n')
  const both = ['entries.jsonl', 'proofs/inclusion.jsonl'].reduce(
    (files, name) =>
      changed(
        files,
        name,
        lines((all) => change(all, entries)),
      ),
    bundle,
  )
  return relisted(both)
}

const without =
  (text: string): AttackOnBundle =>
  (bundle) =>
    atLines(bundle, (all, entries) => all.filter((_, at) => !entries[at]?.includes(text)))
const replaced =
  (name: string, from: string, to: string): AttackOnBundle =>
  (bundle) =>
    relisted(changed(bundle, name, (text) => text.replaceAll(from, to)))

/** The attacks of somebody who can only change what a reader is given. */
export const onBundles: Readonly<Record<string, AttackOnBundle>> = {
  'edit and recompute': replaced('entries.jsonl', '"run.completed"', '"run.cancelled"'),
  'cut the tail': (bundle) => atLines(bundle, (all) => all.slice(0, -1)),
  'roll back': (_, { olderBundle }) => unpack(olderBundle),
  'database and head together': (bundle, { olderBundle }) =>
    new Map([...bundle, ...[...unpack(olderBundle)].filter(([name]) => !name.startsWith('entries'))]),
  drop: (bundle) => atLines(bundle, (all) => all.toSpliced(2, 1)),
  swap: (bundle) => atLines(bundle, ([first, second, ...rest]) => [second as never, first as never, ...rest]),
  replay: (bundle) => atLines(bundle, (all) => [...all.slice(0, 1), ...all]),
  fork: (bundle) =>
    changed(bundle, 'checkpoint', (text) => text.replace(/\n(\d+)\n/, (_, size) => `\n${Number(size) + 1}\n`)),
  'hide a run': without('run_hidden_1'),
  'hide a refusal': without('"decision":'),
  'change approvals': replaced('approvals/entries.jsonl', '"ana"', '"eve"'),
  'change the configuration around an export': replaced('manifest.json', '"lanes":"', '"lanes":"0'),
}
