import * as z from 'zod'
import { ofTurnSchema } from '../../domain/turn/commands.ts'
import { objectFromBytes } from '../../domain/turn/json-object.ts'
import type { StagingCleaned } from '../../domain/turn/staging.ts'
import type { StagedSet } from '../../domain/turn/triplet.ts'
import { readStaging, type StagingProposal } from '../../files/staging/staging.ts'
import {
  type PartName,
  readStagingFiles,
  type StagingFile,
  type StagingRead,
} from '../../files/staging/staging-files.ts'
import { type StagingSize, stagingFolder } from '../../files/staging/staging-folder.ts'
import { limits } from '../../kernel/limits.ts'
import { type Core, sha256Hex, submit } from '../../writer/core.ts'
import { parse } from '../../writer/parse.ts'
import { turnOf } from './turn-answers.ts'

interface OfTurn {
  run_id: string
  turn_id: string
}

const consumeSchema = ofTurnSchema.extend({ directory: z.string().min(1).max(limits.pathBytes) })

/** `ledger.staging`: the files that turns are staged from. */
export class Staging {
  readonly #core: Core

  constructor(core: Core) {
    this.#core = core
  }

  /** The folder for a turn's files. Lockstep owns it and removes it as configured. Errors: INVALID_INPUT. */
  folder(request: OfTurn): string {
    const { run_id, turn_id } = parse(ofTurnSchema, request, 'turn')
    return stagingFolder(this.#core.layout, run_id, turn_id)
  }

  /**
   * Reads a directory into the input of `turns.stage`, with all problems of the directory itself. It reads no file
   * outside the directory. Errors: FILE_DENIED, FILE_FAILED. Cost: memory for all files.
   */
  read(directory: string, options: Pick<StagingRead, 'isWorkspace' | 'onProgress'> = {}): Promise<StagingProposal> {
    return readStaging(directory, { ...options, bounds: this.#core.config.turn_limits })
  }

  /**
   * Removes from a directory only the files whose content the turn has staged or promoted. The removal is recorded
   * first. Errors: NOT_FOUND (the turn), FILE_DENIED, FILE_READ_ONLY.
   */
  async consume(request: z.input<typeof consumeSchema>): Promise<StagingSize> {
    const { directory, run_id, turn_id } = parse(consumeSchema, request, 'turn')
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

  /** Records a cleanup in the name of the ledger, once however often it is started. */
  async recordCleaned(data: StagingCleaned, key: string): Promise<void> {
    const { reason, run_id, turn_id } = data
    // A repeated cleanup may find fewer files, so the size is not part of the request's content.
    const request = { key, content: { command: 'staging.clean', reason, run_id, turn_id } }
    await submit(this.#core, { type: 'staging.clean', data }, { actor: itself, request })
  }

  /** The digests of a turn's contents, by part and stem. Tombstones are hashed as text. */
  async #staged(turn: OfTurn): Promise<Map<string, string>> {
    const { manifest_digest } = await turnOf(this.#core, turn)
    const staged = new Map<string, string>()
    if (manifest_digest === null) return staged
    const { tombstones, triplets } = (await this.#core.views.object(manifest_digest)) as StagedSet
    for (const { body_digest, links_digest, manifest_digest, stem } of triplets) {
      const digests = { body: body_digest, links: links_digest, manifest: manifest_digest }
      for (const [part, digest] of Object.entries(digests)) staged.set(keyOf({ part: part as PartName, stem }), digest)
    }
    for (const { base_digest: _, ...tombstone } of tombstones) {
      const read = objectFromBytes(Buffer.from(JSON.stringify(tombstone)))
      if ('object' in read) staged.set(keyOf({ part: 'tombstone', stem: tombstone.stem }), sha256Hex(read.object.text))
    }
    return staged
  }
}

const itself = { actor_id: 'lockstep', actor_type: 'system' } as const

function isStaged(staged: ReadonlyMap<string, string>, { bytes, part, stem }: StagingFile): boolean {
  const digest = staged.get(keyOf({ part, stem }))
  if (digest === undefined) return false
  const read = objectFromBytes(bytes)
  return 'object' in read && sha256Hex(read.object.text) === digest
}

function keyOf({ part, stem }: { part: PartName; stem: string }): string {
  return `${part} ${stem}`
}
