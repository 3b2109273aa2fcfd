import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createKey } from '../disk/key-file.ts'
import { userName } from '../disk/user.ts'
import { configSchema, defaultConfig } from '../kernel/config.ts'
import { sha256 } from '../log/sha256.ts'
import { offeredVkey } from '../log/signer.ts'
import { formatVkey } from '../merkle/vkey.ts'
import { parse } from '../writer/parse.ts'

/** What the files of a home folder follow from. */
export interface Home {
  /** Members of the configuration that differ from a new ledger's. */
  config?: Record<string, unknown> | undefined
  /** The text of a configuration, if it is known already. */
  configText?: string | undefined
  origin: string
  withoutModes?: boolean | undefined
}

/** What the configuration of a new ledger sets, where an older ledger keeps the default. */
export const newConfig = { workflows: { optimistic: true } } as const

/**
 * Makes the files of a ledger's home folder, apart from its database, and returns the line of its key: a new one, or the
 * one that the command of a new configuration offers. Errors: INVALID_INPUT, SIGNER_FAILED.
 */
export async function makeHome(
  home: string,
  { config = {}, configText, origin, withoutModes = false }: Home,
): Promise<string> {
  const { signer } = parse(configSchema.pick({ signer: true }), { signer: config.signer }, 'signer')
  const vkey =
    signer === undefined
      ? formatVkey({ name: origin, publicKey: createKey(join(home, 'key')).publicKey }, sha256)
      : await offeredVkey(signer.command, origin)
  if (signer !== undefined) {
    // Processes exclude each other by a name that otherwise follows from the private key.
    writeFileSync(join(home, 'guard.secret'), randomBytes(32), { mode: 0o600, flush: true })
  }
  writeFileSync(join(home, 'key.pub'), `${vkey}\n`, { mode: 0o644, flush: true })
  const accepted = withoutModes ? { accept_permissions: true } : {}
  const known = configText === undefined ? undefined : (JSON.parse(configText) as object)
  const whole = known ?? { release_authority: defaultConfig.release_authority, operators: [userName()] }
  const text = `${JSON.stringify({ ...whole, ...accepted, ...config }, null, 2)}\n`
  const written = configText === undefined || withoutModes ? text : configText
  writeFileSync(join(home, 'config.json'), written, { mode: 0o600, flush: true })
  for (const folder of ['evidence', 'claims']) mkdirSync(join(home, folder), { mode: 0o700 })
  return vkey
}
