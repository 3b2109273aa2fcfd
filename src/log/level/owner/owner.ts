import { readlinkSync, rmSync, statSync } from 'node:fs'
import * as z from 'zod'
import { replaceFile } from '../../../disk/durable.ts'
import { evidenceOf, probeHolder, thisMachine } from '../../../disk/process.ts'
import { readHint } from '../../../disk/regular-file.ts'
import { evidenceSchema } from '../../../domain/lock/liveness.ts'
import { limits } from '../../../kernel/limits.ts'

/**
 * `.lockstep/owner`: the process that has the ledger open, or how the last one left it. It never decides which process
 * may open the ledger; the guard does (ADR 0026). If the file is missing or invalid, the next open checks more. The
 * owner reads it before each write, and stops if it no longer contains the owner's nonce (ADR 0027).
 */
const ownerSchema = z.discriminatedUnion('state', [
  z.strictObject({
    state: z.literal('open'),
    pid: z.int(),
    since: z.string(),
    command: z.string(),
    /** Whether the process serves the ledger to others, so that waiting for it to end is of no use. */
    is_service: z.boolean().optional(),
    /** Drawn anew for each open. While the file contains our nonce, the ledger is still ours. */
    nonce: z.string().nullish(),
    /** Evidence for telling whether the process has died. A pid means nothing without its boot and its namespace. */
    evidence: evidenceSchema.nullish(),
    /** The network namespace in which the process holds the ledger's socket name; null if it holds none. */
    net_ns: z.string().nullish(),
    /** The inode of the database folder. A copy of the ledger has a different one. */
    folder: z.string().nullish(),
    /**
     * If this process dies, the next one reads every byte. The process is either checking the files or opened them
     * after a crash.
     */
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

/** Reads the file again only after it was replaced, because waiting processes poll it many times a second. */
export function ownerReader(path: string): () => Owner | undefined {
  let read: { file: string; owner: Owner | undefined } | undefined
  return () => {
    const file = fileAt(path)
    // A missing result may come from a failed read, so it is not cached.
    if (read?.owner === undefined || read.file !== file) read = { file, owner: readOwner(path) }
    return read.owner
  }
}

/** The identity of the file that has this name now. A file that cannot be examined counts as missing. */
function fileAt(path: string): string {
  try {
    const stat = statSync(path, { bigint: true })
    return `${stat.ino}:${stat.mtimeNs}:${stat.size}`
  } catch {
    return 'none'
  }
}

/**
 * Writes the owner file and returns whether it was written. Only the process with the guard may call this. If the write
 * fails, for example on a full disk, the old file is removed so that no process believes it.
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
 * Removes whatever has the file's name. A failure is ignored, because the file is only a hint. A file that stays
 * describes files that have changed since, or a process that is gone, so the next open checks more.
 */
export function removeOwner(path: string): void {
  try {
    rmSync(path, { force: true, recursive: true })
  } catch {
    // If the file cannot be removed, it could not be written either.
  }
}

/**
 * The facts about this process for the owner file. `holdsName`: it holds the ledger's socket name in its network
 * namespace.
 */
export function thisOwner(said: {
  command: string
  folder: string
  holdsName: boolean
  isService?: boolean
  nonce: string
}) {
  const { command, folder, holdsName, isService = false, nonce } = said
  return {
    state: 'open' as const,
    pid: process.pid,
    since: new Date().toISOString(),
    command,
    ...(isService ? { is_service: true } : {}),
    nonce,
    evidence: ownEvidence(),
    net_ns: holdsName ? networkNamespace() : null,
    folder,
  }
}

/**
 * Whether the process in the file is known to be gone. This is so if it held the socket name that `here` holds now, or
 * if it was seen to be dead. It is also so if the file came here with a copy of another ledger. A process that is not
 * visible from here is not known to be gone.
 */
export function isKnownGone(owner: OpenOwner, here: { folder: string; holdsName: boolean }): boolean {
  const { evidence, folder, net_ns, since } = owner
  if (folder != null && folder !== here.folder) return true
  const isSameBoot = evidence != null && evidence.boot_id !== null && evidence.boot_id === thisMachine().boot_id
  if (here.holdsName && isSameBoot && net_ns != null && net_ns === networkNamespace()) return true
  return evidence != null && probeHolder([evidence], Date.parse(since)).alive === 'no'
}

/** Whether the process in the file was seen to be running. */
export function isKnownAlive({ evidence, since }: OpenOwner): boolean {
  return evidence != null && probeHolder([evidence], Date.parse(since)).alive === 'yes'
}

/**
 * On macOS, reading the start time would start a process at each open. It is not needed there, because the kernel's
 * lock decides.
 */
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
