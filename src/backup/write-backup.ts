import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { nanoid } from 'nanoid'
import { fileError, makeFolderBelow, syncFolder } from '../disk/durable.ts'
import type { Layout } from '../disk/layout.ts'
import { dropProcessFolders, processFolderName } from '../disk/process-folder.ts'
import { readRegularFile } from '../disk/regular-file.ts'
import { LockstepError } from '../errors.ts'
import { writeArchive } from '../files/bundle/bundle-file.ts'
import { isThere, placeNew } from '../files/bundle/export-files.ts'
import type { TarFile } from '../files/bundle/tar.ts'
import { keptPolicyFolder, keptPolicyTexts } from '../files/policy/policy-folder.ts'
import { limits } from '../kernel/limits.ts'
import { storedPairs } from '../log/engines.ts'
import { ranges } from '../log/keyed/rows/keys.ts'
import { databaseFiles } from '../log/level/files.ts'
import { LevelLog } from '../log/level/level-log.ts'
import { problemError } from '../log/level/open/child.ts'
import { examine } from '../log/level/repair/examine.ts'
import { openStore } from '../log/level/store.ts'
import type { Log } from '../log/log.ts'
import { keyTextOf, signersOf } from '../log/signer.ts'
import { treeHeadOf } from '../log/tiles.ts'

export interface BackupOptions {
  /** Absolute. No file may be there yet. */
  file: string
  /** Called with the number of entries verified so far. */
  onProgress?: ((done: number, total: number) => void) | undefined
}

/** A backup that was written: the tree head that it contains, signed. */
export interface WrittenBackup {
  bytes: number
  checkpoint: string
  file: string
  origin: string
  root: string
  /** SHA-256 of the uncompressed archive, in hex. */
  sha256: string
  size: number
}

/** The files of a backup. The signing key is not among them: a restored ledger gets a new key (ADR 0049). */
export const backupFiles =
  /^(?:checkpoint|config\.json|key\.pub|policy\/(?:lanes\.yaml|objects\/[0-9a-f]{64}|roles\.yaml)|ledger\/(?:CURRENT|MANIFEST-\d+|\d+\.(?:ldb|log|sst)))$/

/** A ledger to back up. */
export interface BackupGround {
  /** Whether the log is a private copy already. It is used up: it can only be closed afterwards. */
  isSnapshot?: boolean | undefined
  layout: Layout
  log: Log
}

/**
 * Writes a backup of a log, and verifies every byte of the same files meanwhile. The archive gets its name only once it
 * is complete, verified and durable, so a crash leaves at most a temporary file, which the next backup to that name
 * removes.
 * Errors: INVALID_INPUT (FILE exists), LEDGER_CORRUPT, VERIFY_FAILED, DISK_FULL, FILE_DENIED, FILE_FAILED, NOT_FOUND (no
 * such folder, or no key).
 * Cost: two passes over the database.
 */
export async function writeBackup(
  { isSnapshot = false, layout, log }: BackupGround,
  options: BackupOptions,
): Promise<WrittenBackup> {
  const { file } = options
  if (statSync(file, { throwIfNoEntry: false }) !== undefined) throw isThere(file)
  if (!statSync(dirname(file), { throwIfNoEntry: false })?.isDirectory()) {
    throw new LockstepError('NOT_FOUND', `there is no folder ${dirname(file)}`, { details: { file } })
  }
  if (isSnapshot) return writeCopy(log, layout, options)
  const copy = await log.copy()
  return writeCopy(copy, layout, options).finally(() => copy.close())
}

async function writeCopy(copy: Log, layout: Layout, { file, onProgress }: BackupOptions): Promise<WrittenBackup> {
  const head = await treeHeadOf(copy)
  await signersOf(copy, layout, head.size)
  const { note: checkpoint } = await copy.sign(head.size)
  const vkey = await keyTextOf(copy)
  const prefix = `.${basename(file)}-`.slice(0, 100)
  const beside = join(dirname(file), processFolderName(prefix, nanoid(12)))
  const { drop, folder } = await databaseOf(copy, layout)
  try {
    dropProcessFolders(dirname(file), prefix)
    const files: TarFile[] = [
      { name: 'checkpoint', bytes: Buffer.from(checkpoint) },
      { name: 'key.pub', bytes: Buffer.from(vkey) },
      ...settingsOf(layout),
      ...databaseFiles(folder).map((name) => {
        const path = join(folder, name)
        return { name: `ledger/${name}`, path, size: statSync(path).size }
      }),
    ]
    const [written, examined] = await Promise.allSettled([
      writeArchive(beside, files),
      examine(dirname(folder), folder, { nonce: nanoid(12), onProgress, sizes: [] }),
    ])
    if (examined.status === 'rejected') throw examined.reason
    if ('problem' in examined.value) throw problemError({ details: {}, ...examined.value.problem })
    if (written.status === 'rejected') throw written.reason
    if (examined.value.root !== head.root || examined.value.size !== head.size) {
      throw new LockstepError('LEDGER_CORRUPT', `the copy has ${examined.value.size} entries, not ${head.size}`)
    }
    placeNew(beside, file)
    rmSync(beside, { force: true })
    syncFolder(dirname(file))
    return { bytes: statSync(file).size, checkpoint, file, ...head, sha256: written.value }
  } catch (error) {
    dropFile(beside)
    throw fileError(error, `writing the backup ${file}`)
  } finally {
    drop()
  }
}

/** A temporary file that cannot be removed only takes space. The next backup to that name removes it. */
function dropFile(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch {
    // The error that led here is the one to report.
  }
}

/** The configuration and the policy files, as far as they exist. Errors: INVALID_INPUT, FILE_DENIED, FILE_FAILED. */
export function settingsOf(layout: Layout): { bytes: Buffer; name: string }[] {
  const { lanes, roles } = keptPolicyFolder(layout)
  const places = [
    { name: 'config.json', path: layout.config, bytesMax: limits.homeFileBytes },
    { name: 'policy/lanes.yaml', path: lanes, bytesMax: limits.policyFileBytes },
    { name: 'policy/roles.yaml', path: roles, bytesMax: limits.policyFileBytes },
    ...keptPolicyTexts(layout).map((path) => ({
      name: `policy/objects/${basename(path)}`,
      path,
      bytesMax: limits.policyFileBytes,
    })),
  ]
  return places.flatMap(({ bytesMax, name, path }) => {
    const read = readRegularFile(path, bytesMax)
    if (read === undefined) return []
    if ('bytes' in read) return [{ name, bytes: read.bytes }]
    throw new LockstepError('INVALID_INPUT', `${path} ${'is' in read ? read.is : 'is too large'}`)
  })
}

/** The folder of a closed database with the content of a copy. */
async function databaseOf(copy: Log, layout: Layout): Promise<{ drop: () => void; folder: string }> {
  if (copy instanceof LevelLog) return { drop: () => {}, folder: await copy.closeToFiles() }
  // An engine without files: the pairs are written to a database of their own.
  makeFolderBelow(layout.home, layout.snapshots, 0o700)
  const above = mkdtempSync(join(layout.snapshots, processFolderName('', nanoid(12))))
  const folder = join(above, 'ledger')
  mkdirSync(folder, { mode: 0o700 })
  const store = await openStore(folder, { create: true })
  try {
    const stored = await storedPairs(copy)
    for await (const page of stored.scan(ranges.all)) {
      await store.write({ puts: page.map(([key, value]) => ({ key, value })), deletes: [] })
    }
    await stored.close()
  } finally {
    await store.close()
  }
  return { drop: () => rmSync(above, { recursive: true, force: true }), folder }
}
