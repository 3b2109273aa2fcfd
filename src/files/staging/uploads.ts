import { createHash } from 'node:crypto'
import { createReadStream, readdirSync, statSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { nanoid } from 'nanoid'
import { fileError, isAbsence, makeFolderBelow, syncFolder } from '../../disk/durable.ts'
import { adopt } from '../../disk/ownership.ts'
import { LockstepError } from '../../errors.ts'
import type { Config } from '../../kernel/config.ts'
import { limits } from '../../kernel/limits.ts'

/** An upload on disk: its bytes, when it was last put, and whether a turn was staged from it. */
interface Kept {
  atMillis: number
  bytes: number
  isStaged: boolean
}

/**
 * Proposals that callers of a service put before they stage them, each a file under its SHA-256 (ADR 0061). No entry
 * names an upload, so it can be dropped at any time: a caller whose upload is gone puts it again. Only the process that
 * has the ledger open uses the folder. What a crash left is removed at first use.
 */
export class Uploads {
  readonly #folder: string
  readonly #turnLimits: () => Pick<Config['turn_limits'], 'stems' | 'turn_bytes'>
  #kept: Map<string, Kept> | undefined
  /** The bytes of uploads that are still arriving. */
  #arriving = 0
  #reading: Promise<unknown> = Promise.resolve()

  constructor(folder: string, turnLimits: () => Pick<Config['turn_limits'], 'stems' | 'turn_bytes'>) {
    this.#folder = folder
    this.#turnLimits = turnLimits
  }

  /** The most bytes of one upload. */
  get bytesMax(): number {
    const { stems, turn_bytes } = this.#turnLimits()
    // Each stem has a name and the names of its members beside the bytes that count.
    return turn_bytes + stems * limits.uploadStemBytes
  }

  /** LIMIT_EXCEEDED for a longer one. */
  tooLarge(): LockstepError {
    return new LockstepError('LIMIT_EXCEEDED', `an upload can have at most ${this.bytesMax} bytes`, {
      details: { bytes_max: this.bytesMax },
    })
  }

  /**
   * Keeps the bytes that arrive, if their SHA-256 is the digest; durable when this resolves. Errors: INVALID_INPUT
   * (another digest), LIMIT_EXCEEDED, LEDGER_UNAVAILABLE (no room now), those of `chunks`, FILE_DENIED, DISK_FULL,
   * FILE_FAILED. Nothing is kept after an error.
   */
  async put(digest: string, chunks: AsyncIterable<Uint8Array>): Promise<{ bytes: number; digest: string }> {
    const kept = await this.#begun()
    const beside = join(this.#folder, `${nanoid()}${partial}`)
    const sha256 = createHash('sha256')
    let bytes = 0
    try {
      // Nothing is made again where the ledger was moved away.
      makeFolderBelow(dirname(this.#folder), this.#folder, 0o700)
      const handle = await open(beside, 'wx', 0o600)
      try {
        adopt(beside)
        for await (const chunk of chunks) {
          bytes += chunk.length
          this.#arriving += chunk.length
          if (bytes > this.bytesMax) throw this.tooLarge()
          await this.#makeRoom()
          sha256.update(chunk)
          await handle.writeFile(chunk)
        }
        const found = sha256.digest('hex')
        if (found !== digest) throw new LockstepError('INVALID_INPUT', `the body has the SHA-256 ${found}`)
        await handle.sync()
      } finally {
        await handle.close()
      }
      await rename(beside, join(this.#folder, digest))
      syncFolder(this.#folder)
      // The upload is durable under its digest. After a crash it is found there.
      kept.set(digest, { atMillis: Date.now(), bytes, isStaged: false })
      return { bytes, digest }
    } catch (error) {
      await rm(beside, { force: true }).catch(leftToTheNextStart)
      throw fileError(error, `keeping the upload ${digest}`)
    } finally {
      this.#arriving -= bytes
    }
  }

  /** The bytes of an upload and their number; undefined if there is none. */
  async get(digest: string): Promise<{ bytes: number; chunks: AsyncIterable<Uint8Array> } | undefined> {
    const kept = (await this.#begun()).get(digest)
    return kept && { bytes: kept.bytes, chunks: createReadStream(join(this.#folder, digest)) }
  }

  /**
   * Reads an upload for a turn. The work gets its bytes, and its answer counts only if their SHA-256 is the digest. One
   * upload is read at a time, because a whole turn is then in memory. Errors: NOT_FOUND, those of the work.
   */
  stage<T>(digest: string, work: (chunks: AsyncIterable<Uint8Array>) => Promise<T>): Promise<T> {
    const staged = this.#reading.then(() => this.#stage(digest, work))
    this.#reading = staged.catch(() => {})
    return staged
  }

  async #stage<T>(digest: string, work: (chunks: AsyncIterable<Uint8Array>) => Promise<T>): Promise<T> {
    const kept = (await this.#begun()).get(digest)
    if (kept === undefined) throw notFound(digest)
    const sha256 = createHash('sha256')
    const path = join(this.#folder, digest)
    const chunks = async function* () {
      for await (const chunk of createReadStream(path)) {
        sha256.update(chunk)
        yield chunk as Uint8Array
      }
      if (sha256.digest('hex') !== digest) throw damaged
    }
    try {
      const answer = await work(chunks())
      kept.isStaged = true
      return answer
    } catch (error) {
      if (error !== damaged && !isAbsence(error)) throw fileError(error, `reading the upload ${digest}`)
      await this.#drop(digest)
      throw notFound(digest)
    }
  }

  /** Removes all uploads, because they may have a text that was erased. A caller whose upload is gone puts it again. */
  async forget(): Promise<void> {
    for (const digest of [...(await this.#begun()).keys()]) await this.#drop(digest)
  }

  /** Removes uploads that are older than `limits.uploadMillisMax`, and what a crash left. */
  async clean(): Promise<void> {
    const until = Date.now() - limits.uploadMillisMax
    for (const [digest, { atMillis }] of await this.#begun()) if (atMillis < until) await this.#drop(digest)
  }

  /**
   * Removes the oldest uploads until all have room. A fresh upload whose turn is not staged yet is kept. Errors:
   * LEDGER_UNAVAILABLE.
   */
  async #makeRoom(): Promise<void> {
    const kept = await this.#begun()
    const total = () => [...kept.values()].reduce((sum, { bytes }) => sum + bytes, this.#arriving)
    const isFull = () => total() > limits.uploadBytesInTotal || kept.size >= limits.uploadsMax
    if (!isFull()) return
    const fresh = Date.now() - limits.uploadMillisMin
    const droppable = [...kept].filter(([, { atMillis, isStaged }]) => isStaged || atMillis <= fresh)
    droppable.sort(([, one], [, other]) => one.atMillis - other.atMillis)
    for (const [digest] of droppable) {
      if (!isFull()) return
      await this.#drop(digest)
    }
    if (!isFull()) return
    throw new LockstepError('LEDGER_UNAVAILABLE', 'there is no room for another upload now', {
      details: { outcome: 'not_applied' },
      hint: 'Repeat the request a little later.',
    })
  }

  async #drop(digest: string): Promise<void> {
    this.#kept?.delete(digest)
    await rm(join(this.#folder, digest), { force: true })
  }

  /** Looks at the folder once. */
  async #begun(): Promise<Map<string, Kept>> {
    if (this.#kept !== undefined) return this.#kept
    const kept = new Map<string, Kept>()
    this.#kept = kept
    for (const name of namesIn(this.#folder)) {
      const path = join(this.#folder, name)
      if (!/^[0-9a-f]{64}$/.test(name)) {
        if (name.endsWith(partial)) await rm(path, { force: true })
        continue
      }
      const { mtimeMs, size } = statSync(path)
      kept.set(name, { atMillis: mtimeMs, bytes: size, isStaged: false })
    }
    return kept
  }
}

const partial = '.part'

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if (isAbsence(error)) return []
    throw fileError(error, `reading ${folder}`)
  }
}
const damaged = new Error('the bytes of the upload have another SHA-256')

/** The file takes up space until the next start, which removes it. */
function leftToTheNextStart(): void {}

function notFound(digest: string): LockstepError {
  return new LockstepError('NOT_FOUND', `there is no upload ${digest}`, {
    details: { proposal_digest: digest },
    hint: 'Put it to the service again.',
  })
}
