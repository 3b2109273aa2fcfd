import type { ConsumedStaging, StagingApi, StagingFolder } from '../../api/staging.ts'
import { objectFromBytes } from '../../domain/turn/json-object.ts'
import type { StagingCleaned } from '../../domain/turn/staging.ts'
import type { StagedSet } from '../../domain/turn/triplet.ts'
import { textObjectOf } from '../../files/staging/staging.ts'
import { type PartName, readStagingFiles, type StagingFile } from '../../files/staging/staging-files.ts'
import { stagingFolder } from '../../files/staging/staging-folder.ts'
import { type Core, sha256Hex, submit } from '../../writer/core.ts'
import type { Handlers } from '../served.ts'
import { turnOf } from './turn-answers.ts'

interface OfTurn {
  run_id: string
  turn_id: string
}

/** The files that turns are staged from. */
export class Staging implements Handlers<StagingApi> {
  readonly #core: Core

  constructor(core: Core) {
    this.#core = core
  }

  async folder({ run_id, turn_id }: OfTurn): Promise<StagingFolder> {
    return { folder: stagingFolder(this.#core.layout, run_id, turn_id) }
  }

  /** The removal is recorded before any file is removed. */
  async consume({ directory, run_id, turn_id }: OfTurn & { directory: string }): Promise<ConsumedStaging> {
    const staged = await this.#staged({ run_id, turn_id })
    const bounds = this.#core.config.turn_limits
    const { files } = await readStagingFiles(directory, { bounds })
    const found = files.filter((file) => isStaged(staged, file))
    const size = { bytes: found.reduce((sum, { bytes }) => sum + bytes.length, 0), files: found.length }
    if (found.length === 0) return size
    await submit(this.#core, { type: 'staging.clean', data: { ...size, reason: 'consumed', run_id, turn_id } })
    await readStagingFiles(directory, { bounds, take: (file) => isStaged(staged, file) })
    return size
  }

  /** The digests of a turn's contents, by part and stem. Tombstones are hashed as text. */
  async #staged(turn: OfTurn): Promise<Map<string, string>> {
    const { manifest_digest } = await turnOf(this.#core, turn)
    const staged = new Map<string, string>()
    if (manifest_digest === null) return staged
    const { tombstones, triplets } = (await this.#core.views.object(manifest_digest)) as StagedSet
    for (const { body_digest, links_digest, manifest_digest, stem } of triplets) {
      const digests = { body: body_digest, links: links_digest, manifest: manifest_digest }
      staged.set(keyOf({ part: 'text', stem }), body_digest)
      for (const [part, digest] of Object.entries(digests)) staged.set(keyOf({ part: part as PartName, stem }), digest)
    }
    for (const { base_digest: _, ...tombstone } of tombstones) {
      const read = objectFromBytes(Buffer.from(JSON.stringify(tombstone)))
      if ('object' in read) staged.set(keyOf({ part: 'tombstone', stem: tombstone.stem }), sha256Hex(read.object.text))
    }
    return staged
  }
}

/** Records a cleanup in the name of the ledger, once however often it is started. */
export async function recordCleaned(core: Core, data: StagingCleaned, key: string): Promise<void> {
  const { reason, run_id, turn_id } = data
  // A repeated cleanup may find fewer files, so the size is not part of the request's content.
  const request = { key, content: { command: 'staging.clean', reason, run_id, turn_id } }
  await submit(core, { type: 'staging.clean', data }, { actor: itself, request })
}

const itself = { actor_id: 'lockstep', actor_type: 'system' } as const

function isStaged(staged: ReadonlyMap<string, string>, file: StagingFile): boolean {
  const digest = staged.get(keyOf(file))
  if (digest === undefined) return false
  const read = file.part === 'text' ? textObjectOf(file) : objectFromBytes(file.bytes)
  return 'object' in read && sha256Hex(read.object.text) === digest
}

function keyOf({ part, stem }: { part: PartName; stem: string }): string {
  return `${part} ${stem}`
}
