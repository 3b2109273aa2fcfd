import { createHash } from 'node:crypto'
import { accessSync, constants, existsSync, realpathSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, dirname, isAbsolute, join, sep } from 'node:path'
import { makeFolderBelow, writeDurably } from '../disk/durable.ts'
import type { Layout } from '../disk/layout.ts'
import { readHint, readTextFile } from '../disk/regular-file.ts'
import { LockstepError, messageOf } from '../errors.ts'
import type { Actor } from '../kernel/ids.ts'
import { limits } from '../kernel/limits.ts'
import type { LocalLedger } from '../ledger.ts'
import { say } from './output.ts'

/**
 * Creates a token with the grant `operator` that does not expire, and writes its secret to the user's configuration
 * folder. Returns the path of the file; null, after a warning, if the file cannot be written. No token is valid then.
 */
export async function keepOperatorToken(ledger: LocalLedger, origin: string, user: Actor): Promise<string | null> {
  const file = await orWarn(async () => fileFor(origin, ledger.dir))
  if (file === undefined) return null
  const token_actor = { actor_id: user.actor_id, actor_type: user.actor_type }
  const { secret, token_id } = await ledger.tokens.create({ actor: user, grants: ['operator'], token_actor })
  const kept = await orWarn(async () => {
    await writeDurably(file, `${secret}\n`, 0o600)
    return file
  })
  if (kept !== undefined) return kept
  await ledger.tokens.revoke({ actor: user, reason: 'its file could not be written', token_id })
  return null
}

/** The operator's token of a ledger, as `keepOperatorToken` wrote it. Errors: NOT_FOUND, FILE_DENIED, FILE_FAILED. */
export function operatorTokenOf(layout: Pick<Layout, 'vkey'>): string {
  // The name of a key is the origin of its ledger, and has no plus sign.
  const [origin = ''] = (readHint(layout.vkey, limits.homeFileBytes) ?? '').split('+')
  const file = join(tokenFolder(), nameOf(origin))
  const unusable = (is: string) => new LockstepError('FILE_FAILED', `${file} ${is}`)
  const token = readTextFile(file, limits.homeFileBytes, unusable)?.trim()
  if (token !== undefined) return token
  throw new LockstepError('NOT_FOUND', `there is no operator token for this ledger at ${file}`, {
    hint: 'While no service runs, create one with "lockstep token create --grant operator", and write its secret to this file.',
  })
}

const tokenFolder = () => join(configFolder(), 'lockstep', 'tokens')
const nameOf = (origin: string) => createHash('sha256').update(origin).digest('hex')

/** The folders are made if only they are missing; a missing home is not made. Errors: those of files. */
function fileFor(origin: string, root: string): string {
  const folder = tokenFolder()
  if (`${realPathOf(folder)}${sep}`.startsWith(`${realPathOf(root)}${sep}`)) {
    throw new LockstepError('FILE_DENIED', `${folder} is inside the root of the ledger, where agents work`)
  }
  makeFolderBelow(dirname(configFolder()), folder, 0o700)
  accessSync(folder, constants.W_OK)
  return join(folder, nameOf(origin))
}

/** `$XDG_CONFIG_HOME` or `~/.config`. A relative path in the variable is ignored, as its specification demands. */
function configFolder(): string {
  const { XDG_CONFIG_HOME = '' } = process.env
  if (isAbsolute(XDG_CONFIG_HOME)) return join(XDG_CONFIG_HOME)
  const home = homedir()
  if (!isAbsolute(home)) throw new LockstepError('NOT_FOUND', 'the user has no home folder')
  return join(home, '.config')
}

/** The path without links, of which the last folders may be missing. */
function realPathOf(path: string): string {
  return existsSync(path) || path === dirname(path)
    ? realpathSync(path)
    : join(realPathOf(dirname(path)), basename(path))
}

async function orWarn<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    say(`warning: no operator token was written: ${messageOf(error)}`)
    say('"lockstep token create" creates one when you need it.')
    return undefined
  }
}
