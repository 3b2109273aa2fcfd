import { randomBytes } from 'node:crypto'
import { readdirSync, rmSync } from 'node:fs'
import { link, mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { syncFolder } from '../disk/durable.ts'
import { readTextFile } from '../disk/regular-file.ts'
import { LockstepError, systemCodeOf } from '../errors.ts'
import { limits } from '../kernel/limits.ts'

/** The checkpoint that a witness cosigned last for a log, and its number in the order of that log's checkpoints. */
export interface Head {
  count: number
  note: string
}

/**
 * The last checkpoint of each log that a witness cosigned: `<folder>/<SHA-256 of the origin>/<count>`. The file with
 * the highest count is in force. A new one is made by a hard link to a complete and synced file, which fails if the
 * count exists. So a crash leaves the old head or the new one, and of two processes that advance one log only one
 * succeeds.
 */
export class WitnessHeads {
  readonly #folder: string

  /** Removes what a killed process left half written. */
  constructor(folder: string) {
    this.#folder = folder
    for (const name of this.logs()) {
      for (const file of readdirSync(join(folder, name))) {
        if (file.endsWith('.tmp')) rmSync(join(folder, name, file), { force: true })
      }
    }
  }

  /** The logs with a head, by the SHA-256 of their origins. */
  logs(): string[] {
    return readdirSync(this.#folder).filter((name) => /^[0-9a-f]{64}$/.test(name))
  }

  /** The head of a log; undefined if none was ever cosigned. Errors: LEDGER_CORRUPT, FILE_DENIED, FILE_FAILED. */
  newest(log: string): Head | undefined {
    const count = countsIn(join(this.#folder, log)).at(-1)
    if (count === undefined) return undefined
    const path = join(this.#folder, log, String(count))
    const unusable = (is: string) => new LockstepError('LEDGER_CORRUPT', `${path} ${is}`)
    const note = readTextFile(path, limits.witnessBodyBytes, unusable)
    if (note === undefined) throw unusable('is missing')
    return { count, note }
  }

  /**
   * Makes a note the head of a log, durably, if the head is still the one with the count `from` (0: none). Returns false
   * if another request or process was first.
   */
  async advance(log: string, from: number, note: string): Promise<boolean> {
    const folder = join(this.#folder, log)
    if ((await mkdir(folder, { recursive: true, mode: 0o700 })) !== undefined) syncFolder(this.#folder)
    const path = join(folder, String(from + 1))
    const beside = `${path}.${randomBytes(8).toString('hex')}.tmp`
    try {
      await writeSynced(beside, note)
      await link(beside, path)
    } catch (error) {
      if (systemCodeOf(error) === 'EEXIST') return false
      throw error
    } finally {
      await rm(beside, { force: true })
    }
    syncFolder(folder)
    // Another process may have advanced further and removed the file of this count before the link was made.
    const counts = countsIn(folder)
    if (counts.at(-1) !== from + 1) {
      await rm(path, { force: true })
      return false
    }
    // The previous head stays, so that a reader that has just seen its count still finds it.
    for (const old of counts.slice(0, -2)) await rm(join(folder, String(old)), { force: true })
    return true
  }
}

async function writeSynced(path: string, text: string): Promise<void> {
  const handle = await open(path, 'wx', 0o600)
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** The counts of a log's files in ascending order; empty without a folder. */
function countsIn(folder: string): number[] {
  try {
    const names = readdirSync(folder).filter((name) => /^[1-9][0-9]{0,15}$/.test(name))
    return names.map(Number).sort((left, right) => left - right)
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return []
    throw error
  }
}
