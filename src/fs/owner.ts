import { rmSync, statSync } from 'node:fs'
import * as z from 'zod'
import { readIfThere, replaceFile } from './durable.ts'
import { isRunning } from './process.ts'

/**
 * `.lockstep/owner`: who has the ledger open, or how it was left. A hint only, never the decision: LevelDB's own
 * lock decides who may open, and a missing or odd file means that the ledger is looked at more closely.
 */
const ownerSchema = z.discriminatedUnion('state', [
  z.strictObject({
    state: z.literal('open'),
    pid: z.int(),
    since: z.string(),
    command: z.string(),
    /** Drawn anew for each open: the owner file with our nonce is what shows that the ledger is still ours. */
    nonce: z.string().nullish(),
    /** The boot the owner runs in, and the pid namespace that its pid counts in; null where they are unknown. */
    boot_id: z.string().nullish(),
    pid_ns: z.string().nullish(),
    /** Should this process die, the next one reads every byte: it checks the files just now, or came after a crash. */
    suspect: z.enum(['after_crash', 'checking']).optional(),
  }),
  z.strictObject({ state: z.literal('closed'), files: z.record(z.string(), z.string()) }),
])
export type Owner = z.infer<typeof ownerSchema>

export function readOwner(path: string): Owner | undefined {
  try {
    return ownerSchema.parse(JSON.parse(readIfThere(path) ?? 'null'))
  } catch {
    return undefined
  }
}

/** Reads the file again only where it was replaced since: many look at it many times a second while they wait. */
export function ownerReader(path: string): () => Owner | undefined {
  let read: { file: string; owner: Owner | undefined } | undefined
  return () => {
    const file = fileAt(path)
    // A read may have failed that the next one does not.
    if (read?.owner === undefined || read.file !== file) read = { file, owner: readOwner(path) }
    return read.owner
  }
}

/** Which file has the name now; what cannot be looked at is as good as missing. */
function fileAt(path: string): string {
  try {
    const stat = statSync(path, { bigint: true })
    return `${stat.ino}:${stat.mtimeNs}:${stat.size}`
  } catch {
    return 'none'
  }
}

/** Where it cannot be written, a full disk for one, none is left: an old one would be believed. */
export function writeOwner(path: string, owner: Owner): void {
  try {
    replaceFile(path, JSON.stringify(owner))
  } catch {
    removeOwner(path)
  }
}

/**
 * Removes the file, or whatever else has its name. A hint never blocks: one that stays speaks of files that have changed
 * since, or of a process that is gone, and makes the next open look closer.
 */
export function removeOwner(path: string): void {
  try {
    rmSync(path, { force: true, recursive: true })
  } catch {
    // What cannot be removed could not be written either.
  }
}

/** Whether somebody seems to have the ledger open just now. */
export function isHeldOpen(owner: Owner | undefined): owner is Extract<Owner, { state: 'open' }> {
  return owner?.state === 'open' && isRunning(owner.pid)
}
