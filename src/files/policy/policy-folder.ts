import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative, sep } from 'node:path'
import { fileError, isAbsence, isThere, makeFolderBelow, writeDurably } from '../../disk/durable.ts'
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

/** Where policy files can be: in `.lockstep`, or in `contract/v1/policy` below the root. */
export type PolicyPlace = 'contract' | 'home'

const ownFolder = 'contract/v1/policy'
const shippedFolder = inPackage('contract/v1/policy')
const shippedNames = ['lanes.yaml', 'lanes.schema.json', 'roles.yaml', 'roles.schema.json']

/** The place that a policy file in force came from, by its path in the entry. */
export function placeOf(file: string): PolicyPlace {
  return file.startsWith(`${ownFolder}/`) ? 'contract' : 'home'
}

/** The place of a ledger without a policy in force: the folder below the root if it exists, otherwise `.lockstep`. */
function firstPlace({ root }: Layout): PolicyPlace {
  return isThere(join(root, ownFolder)) ? 'contract' : 'home'
}

/**
 * The location of the policy files in a place, even if they are missing. A reload must name the place that the policy
 * in force came from, because agents can write the root.
 */
export function policyFolder(layout: Layout, place = firstPlace(layout)): PolicyFolder {
  const folder = place === 'contract' ? join(layout.root, ownFolder) : layout.policy
  return { lanes: join(folder, 'lanes.yaml'), roles: join(folder, 'roles.yaml') }
}

/** The policy files that exist in the other place, which are not read. */
export function otherPolicyFiles(layout: Layout, place = firstPlace(layout)): string[] {
  const other = policyFolder(layout, place === 'contract' ? 'home' : 'contract')
  return Object.values(other)
    .filter((path) => isThere(path))
    .map((path) => shownName(layout, path))
}

/**
 * The policy files to keep with a copy of `.lockstep`: its own, or those of the root if it has none. If it has its own,
 * the root's files are never taken instead.
 */
export function keptPolicyFolder(layout: Layout): PolicyFolder {
  const home = policyFolder(layout, 'home')
  return isThere(home.lanes) || isThere(home.roles) ? home : policyFolder(layout)
}

/**
 * Copies the shipped policy files, and their schemas for editors, to a new ledger, unless the root has its own policy. No other step writes these files,
 * so a missing file is never replaced. Errors: FILE_DENIED, DISK_FULL.
 */
export async function placeShippedPolicy(layout: Layout): Promise<void> {
  if (isThere(join(layout.root, ownFolder))) return
  try {
    makeFolderBelow(layout.home, layout.policy, 0o700)
    for (const name of shippedNames) {
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
export function policyBytes(layout: Layout, path: string): { bytes: Uint8Array; file: string } {
  const file = shownName(layout, path)
  const read = readRegularFile(path, limits.policyFileBytes)
  if (read === undefined) throw unusable(file, 'is missing')
  if ('bytes' in read) return { bytes: read.bytes, file }
  throw unusable(file, 'is' in read ? read.is : `is larger than ${limits.policyFileBytes} bytes`)
}

function shownName({ policy, root }: Layout, path: string): string {
  const isCopy = dirname(path) === policy
  return isCopy ? `${homeName}/policy/${basename(path)}` : relative(root, path).split(sep).join('/')
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
