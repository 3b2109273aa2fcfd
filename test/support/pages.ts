import type { Ledger } from '../../src/ledger.ts'

/** A triplet of the API: an identity, and refs by the keys of its links. */
export function triplet(stem: string, body: object = {}, links: object = {}) {
  return { body, links, manifest: { of: stem }, stem }
}

/** A page that carries its stem as its id, and points to others. */
export function page(stem: string, version = 1, ...targets: string[]) {
  const links = Object.fromEntries(targets.map((id, index) => [`to${index}`, { id, type: 'page' }]))
  return triplet(stem, { dto_type: 'page', id: stem, version }, links)
}

/** The tombstone of such a page. */
export function tombstone(stem: string, turnId: string) {
  return { kind: 'tombstone', stem, dto_type: 'page', id: stem, deleted_by_turn_id: turnId }
}

/** Creates a run that turns can happen in, and starts it. */
export async function startRun(ledger: Ledger, run_id: string, workflow_id?: string): Promise<void> {
  if (!(await hasPolicy(ledger))) await ledger.policy.reload()
  await ledger.runs.create({ run_id, run_kind: 'orchestrator', workflow_id })
  await ledger.runs.start({ run_id })
}

function hasPolicy(ledger: Ledger): Promise<boolean> {
  return ledger.policy.show().then(
    () => true,
    () => false,
  )
}

/** The name of a run's nth turn. */
export function turnId(number: number): string {
  return `turn-${String(number).padStart(4, '0')}`
}
