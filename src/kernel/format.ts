import { LockstepError } from '../errors.ts'

/**
 * The format of everything in `.lockstep/ledger` and of `.lockstep/head`. The meta row states it. A ledger of an older
 * format is raised at its first open for writing (ADR 0063).
 */
export const formatVersion = 2

/** The version of entries, manifests and other documents that this version of Lockstep reads. */
const contractVersion = 1

/** FORMAT_TOO_NEW for something in a format above the one that is read. */
export function formatTooNew(what: string, { found, read }: { found: number; read: number }): LockstepError {
  return new LockstepError('FORMAT_TOO_NEW', `${what} has format ${found}; this version of Lockstep reads ${read}`, {
    details: { format: found, format_max: read },
    hint: 'Use the version of Lockstep that wrote it, or a newer one. Nothing was changed.',
  })
}

/** Errors: FORMAT_TOO_NEW if a document states a contract version above the one that is read. */
export function refuseNewerContract(what: string, document: unknown): void {
  const { contract_version: stated } = (document ?? {}) as { contract_version?: unknown }
  const [, digits] = /^v([1-9]\d{0,8})$/.exec(typeof stated === 'string' ? stated : '') ?? []
  const found = Number(digits ?? 0)
  if (found > contractVersion) throw formatTooNew(what, { found, read: contractVersion })
}
