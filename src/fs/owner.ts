import { readlinkSync, rmSync, statSync } from 'node:fs'
import * as z from 'zod'
import { limits } from '../core/limits.ts'
import { evidenceSchema } from '../core/lock/liveness.ts'
import { replaceFile } from './durable.ts'
import { evidenceOf, probeHolder, thisMachine } from './process.ts'
import { readHint } from './regular-file.ts'

/**
 * `.lockstep/owner`: who has the ledger open, or how it was left. It never decides who may open: the guard does
 * (ADR 0026). A missing or odd file means that the ledger is looked at more closely. The owner looks at it before each
 * write: without its own nonce there it stops (ADR 0027).
 */
const ownerSchema = z.discriminatedUnion('state', [
  z.strictObject({
    state: z.literal('open'),
    pid: z.int(),
    since: z.string(),
    command: z.string(),
    /** Drawn anew for each open: the owner file with our nonce is what shows that the ledger is still ours. */
    nonce: z.string().nullish(),
    /** What shows that the process has died. A pid means nothing without its boot and its namespace. */
    evidence: evidenceSchema.nullish(),
    /** The network namespace in which the process holds the ledger's socket name; null where it holds none. */
    net_ns: z.string().nullish(),
    /** The inode of the folder of the database: in a copy of the ledger it is another one. */
    folder: z.string().nullish(),
    /** Should this process die, the next one reads every byte: it checks the files just now, or came after a crash. */
    suspect: z.enum(['after_crash', 'checking']).optional(),
  }),
  z.strictObject({ state: z.literal('closed'), files: z.record(z.string(), z.string()) }),
])
export type Owner = z.infer<typeof ownerSchema>
export type OpenOwner = Extract<Owner, { state: 'open' }>

export function readOwner(path: string): Owner | undefined {
  try {
    return ownerSchema.parse(JSON.parse(readHint(path, limits.homeFileBytes) ?? 'null'))
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

/**
 * Only who has the guard writes it; whether it was written. Where it cannot be, a full disk for one, none is left: an old
 * one would be believed.
 */
export function writeOwner(path: string, owner: Owner): boolean {
  try {
    replaceFile(path, JSON.stringify(owner))
    return true
  } catch {
    removeOwner(path)
    return false
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

/** What this process says of itself. `holdsName`: it holds the ledger's socket name in its network namespace. */
export function thisOwner(said: { command: string; folder: string; holdsName: boolean; nonce: string }) {
  const { command, folder, holdsName, nonce } = said
  return {
    state: 'open' as const,
    pid: process.pid,
    since: new Date().toISOString(),
    command,
    nonce,
    evidence: ownEvidence(),
    net_ns: holdsName ? networkNamespace() : null,
    folder,
  }
}

/**
 * Whether the process that the file names is known to be gone: it held the socket name that `here` holds now, or it was
 * seen to be dead, or the file came here with a copy of another ledger. Whoever cannot be seen from here is not known
 * to be gone.
 */
export function isKnownGone(owner: OpenOwner, here: { folder: string; holdsName: boolean }): boolean {
  const { evidence, folder, net_ns, since } = owner
  if (folder != null && folder !== here.folder) return true
  const isSameBoot = evidence != null && evidence.boot_id !== null && evidence.boot_id === thisMachine().boot_id
  if (here.holdsName && isSameBoot && net_ns != null && net_ns === networkNamespace()) return true
  return evidence != null && probeHolder([evidence], Date.parse(since)).alive === 'no'
}

/** Whether the process that the file names is seen to live. */
export function isKnownAlive({ evidence, since }: OpenOwner): boolean {
  return evidence != null && probeHolder([evidence], Date.parse(since)).alive === 'yes'
}

/** On macOS the start time would cost a process at each open, and the kernel's own lock decides there. */
function ownEvidence(): z.infer<typeof evidenceSchema> {
  if (process.platform === 'linux') return evidenceOf(process.pid)
  const { boot_id, host, host_id, pid_ns } = thisMachine()
  return { boot_id, host, host_id, pid: process.pid, pid_ns, start_time: null }
}

function networkNamespace(): string | null {
  try {
    return readlinkSync('/proc/self/ns/net')
  } catch {
    return null
  }
}
