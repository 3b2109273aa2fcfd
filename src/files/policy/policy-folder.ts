import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative, sep } from 'node:path'
import { fileError, isAbsence, makeFolderBelow, writeDurably } from '../../disk/durable.ts'
import { homeName, type Layout } from '../../disk/layout.ts'
import { inPackage } from '../../disk/package-folder.ts'
import { readHint, readRegularFile } from '../../disk/regular-file.ts'
import { LockstepError } from '../../errors.ts'
import { limits } from '../../kernel/limits.ts'

/** The two policy files of a ledger: the root's own files, or copies of the shipped ones in `.lockstep`. */
export interface PolicyFolder {
  lanes: string
  roles: string
}

const ownFolder = 'contract/v1/policy'
const shippedFolder = inPackage('contract/v1/policy')

/**
 * The location of a ledger's policy files: the policy folder below the root if there is one, otherwise `.lockstep`. If
 * the policy in force came from the folder below the root (`inForce` is its file), it stays that folder, even if the
 * folder is missing.
 */
export function policyFolder({ policy, root }: Layout, inForce?: string): PolicyFolder {
  const own = join(root, ownFolder)
  const isOwn = inForce?.startsWith(`${ownFolder}/`) === true || isThere(own)
  const folder = isOwn ? own : policy
  return { lanes: join(folder, 'lanes.yaml'), roles: join(folder, 'roles.yaml') }
}

/** Whether anything has this path, even a link that leads nowhere. If that cannot be known, the answer is yes. */
function isThere(path: string): boolean {
  try {
    lstatSync(path)
    return true
  } catch (error) {
    return !isAbsence(error)
  }
}

/**
 * Copies the shipped policy files to a new ledger, unless the root has its own policy. No other step writes these files,
 * so a missing file is never replaced. Errors: FILE_DENIED, DISK_FULL.
 */
export async function placeShippedPolicy(layout: Layout): Promise<void> {
  if (isThere(join(layout.root, ownFolder))) return
  try {
    makeFolderBelow(layout.home, layout.policy, 0o700)
    for (const name of ['lanes.yaml', 'roles.yaml']) {
      await writeDurably(join(layout.policy, name), readFileSync(join(shippedFolder, name), 'utf8'))
    }
  } catch (error) {
    throw fileError(error, `copying the policy to ${layout.policy}`)
  }
}

/**
 * The bytes of a policy file, and its path relative to the root.
 * Errors: POLICY_INVALID (missing, too large, or not a regular file), FILE_DENIED.
 */
export function policyBytes({ policy, root }: Layout, path: string): { bytes: Uint8Array; file: string } {
  const isCopy = dirname(path) === policy
  const file = isCopy ? `${homeName}/policy/${basename(path)}` : relative(root, path).split(sep).join('/')
  const read = readRegularFile(path, limits.policyFileBytes)
  if (read === undefined) throw unusable(file, 'is missing')
  if ('bytes' in read) return { bytes: read.bytes, file }
  throw unusable(file, 'is' in read ? read.is : `is larger than ${limits.policyFileBytes} bytes`)
}

function unusable(file: string, message: string): LockstepError {
  return new LockstepError('POLICY_INVALID', `${file} ${message}`, {
    details: { problems: [{ file, line: 1, message }] },
  })
}

/** Stores a policy text under its SHA-256, for texts too long for an entry. The text is durable when this resolves. */
export async function keepPolicyText({ home, policy }: Layout, sha256: string, text: string): Promise<void> {
  const folder = join(policy, 'objects')
  makeFolderBelow(home, folder, 0o700)
  await writeDurably(join(folder, sha256), text, 0o600)
}

/** A stored text, or undefined if it no longer exists. */
export function keptPolicyText({ policy }: Layout, sha256: string): string | undefined {
  return readHint(join(policy, 'objects', sha256), limits.policyFileBytes)
}

/** The paths of all stored texts. */
export function keptPolicyTexts({ policy }: Layout): string[] {
  const folder = join(policy, 'objects')
  try {
    return readdirSync(folder)
      .filter((name) => /^[0-9a-f]{64}$/.test(name))
      .map((name) => join(folder, name))
  } catch (error) {
    if (isAbsence(error)) return []
    throw fileError(error, `reading ${folder}`)
  }
}
