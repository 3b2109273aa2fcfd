/**
 * The check that failed: the shape of the input, the entry, its leaf hash, a free text, a proof, the key, the checkpoint,
 * its witnesses, or what this platform can do.
 */
export type Check =
  | 'document'
  | 'entry'
  | 'leaf_hash'
  | 'disclosure'
  | 'inclusion'
  | 'consistency'
  | 'key'
  | 'checkpoint'
  | 'witnesses'
  | 'platform'

/** The check that failed, and the reason as a sentence. */
export type Failed = { ok: false; check: Check; reason: string }

/** The result of a verification. A getter that throws or a revoked proxy in the input is a failure like others. */
export async function guarded<Verified>(verification: () => Promise<Verified | Failed>): Promise<Verified | Failed> {
  if (globalThis.crypto?.subtle === undefined) {
    return failed('platform', 'WebCrypto is missing here; browsers offer it only to pages from https or localhost')
  }
  try {
    return await verification()
  } catch {
    return failed('document', 'the input cannot be read')
  }
}

/** The failure of a check. */
export function failed(check: Check, reason: string): Failed {
  return { ok: false, check, reason }
}
