import fsPromises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'

/** What the lock file of the tests says. */
export const ref = '0123456789abcdef'
const evidence = [{ boot_id: 'b', host: 'h', host_id: 'i', pid: 7, pid_ns: 'n', start_time: '1' }]
export const facts = {
  acquired: '2026-02-02T12:00:00.000Z',
  deliverable_id: 'DEL-08-05',
  evidence,
  holder: 'agent-1',
  lease_duration_s: 900,
  ledger: 'lockstep.local/x',
  lock_ref: ref,
}

/** Something that exists, or the test ends here. */
export function there<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('nothing there')
  return value
}

/** Lets one call of the operating system fail, or happen otherwise, while the work is done. */
export async function withCall<Name extends 'link' | 'open' | 'rename' | 'unlink'>(
  name: Name,
  instead: (original: (typeof fsPromises)[Name]) => unknown,
  work: () => Promise<void>,
): Promise<void> {
  const original = fsPromises[name]
  Object.assign(fsPromises, { [name]: instead(original) })
  syncBuiltinESMExports()
  try {
    await work()
  } finally {
    Object.assign(fsPromises, { [name]: original })
    syncBuiltinESMExports()
  }
}
