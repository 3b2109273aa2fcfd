import type { Api } from './api.ts'
import type { Kinds } from './kinds.ts'

/** The name of an operation: `locks.acquire`. */
export type OperationName = { [Noun in keyof Api]: `${Noun}.${keyof Api[Noun] & string}` }[keyof Api]

/**
 * What a caller of a service has to know about inputs without loading their schemas. The tables say the same, and a
 * test compares the two.
 */
const alwaysWaits: ReadonlySet<string> = new Set<OperationName>([
  'erasures.erase',
  'erasures.preview',
  'exports.create',
  'log.backup',
  'log.subscribe',
  'log.verify',
  'retention.sweep',
  'workspaces.check',
  'workspaces.digest',
  'workspaces.files',
  'workspaces.pin',
])
const actorless: ReadonlySet<string> = new Set<OperationName>(['log.backup', 'staging.consume', 'workspaces.check'])
const keyed: ReadonlySet<string> = new Set<keyof Kinds>(['audit', 'runs', 'tokens', 'turns'])

/** Whether a call may take long: such a call is never sent in a batch with others. */
export function waits(name: OperationName, input: object): boolean {
  return alwaysWaits.has(name) || (name === 'locks.acquire' && 'wait_s' in input && Number(input.wait_s) > 0)
}

/** Whether the input of an operation has the member `actor`. */
export function takesActor(name: OperationName, kind: string, input: object): boolean {
  if (name === 'policy.explain') return 'run_id' in input
  return kind === 'command' && !actorless.has(name)
}

/** Whether the input of an operation has the member `idempotency_key`. */
export function takesKey(name: OperationName, kind: string): boolean {
  if (name === 'erasures.approve' || name === 'exports.approve' || name === 'retention.hold') return true
  return kind === 'command' && name !== 'tokens.revoke' && keyed.has(name.slice(0, name.indexOf('.')))
}
