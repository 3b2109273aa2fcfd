import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { nanoid } from 'nanoid'
import type { z } from 'zod'
import type { ErasuresApi } from '../../api/erasures.ts'
import type * as shapes from '../../api/shapes/erasures.ts'
import { fileError, isAbsence } from '../../disk/durable.ts'
import type { ErasureEventData } from '../../domain/erasure/events.ts'
import { invariant, LockstepError } from '../../errors.ts'
import type { Json } from '../../kernel/canonical.ts'
import type { Entry } from '../../kernel/entry.ts'
import { type Core, submit } from '../../writer/core.ts'
import type { Handlers } from '../served.ts'
import { Survey } from './survey.ts'

type Given<Schema extends z.ZodType> = z.output<Schema>

/** Erasures of texts that a person asks for and another person approves. */
export class Erasures implements Handlers<ErasuresApi> {
  readonly #core: Core

  constructor(core: Core) {
    this.#core = core
  }

  async approve(input: Given<typeof shapes.approve>): Promise<shapes.ApprovedErasure> {
    const { actor, digests, expires_in_s, idempotency_key, reason } = input
    const asked = { erasure: { digests, reason }, expires_in_s }
    const command = { ...asked, approval_id: `era_${nanoid()}`, type: 'erasure.approve' as const }
    // The request's content excludes the generated id, because it differs at each retry.
    const content = { command: command.type, digests, expires_in_s: expires_in_s ?? null, reason } as Json
    const request = idempotency_key === undefined ? undefined : { key: idempotency_key, content }
    const { entries, replayed } = await submit(this.#core, command, { actor, request })
    const [entry] = entries
    invariant(entry?.type === 'erasure.approved', 'an approval is given by one entry')
    const { data, event_id, seq } = entry as Entry<'erasure.approved', ErasureEventData<'erasure.approved'>>
    const { approval_id, erasure, expires_at } = data
    return { approval_id, ...erasure, event_id, expires_at, replayed, seq }
  }

  async erase({ actor, approval_id, ...erasure }: Given<typeof shapes.erase>): Promise<shapes.ErasedTexts> {
    const { digests } = erasure
    const { entries, replayed } = await this.#core.stored.alone(digests, async () => {
      const survey = new Survey(this.#core, digests)
      await survey.read()
      const unknown = digests.find((digest) => survey.of(digest) === undefined)
      if (unknown !== undefined)
        throw new LockstepError('NOT_FOUND', `no entry names the object ${unknown}`, { details: { digest: unknown } })
      const found = survey.found(digests, await survey.needed())
      return submit(this.#core, { type: 'erasure.erase', approval_id, erasure, found }, { actor })
    })
    const [entry] = entries
    invariant(entry?.type === 'object.erased', 'texts are erased by one entry')
    const { event_id, seq } = entry
    const files = await this.#core.purge()
    return { ...erasure, approval_id, event_id, files, may_remain: mayRemain(this.#core), replayed, seq }
  }
}

/** The folders in `.lockstep` that can have copies of database files from before an erasure. */
export function mayRemain({ layout: { evidence, snapshots } }: Pick<Core, 'layout'>): string[] {
  return [evidence, snapshots].flatMap((folder) => {
    try {
      return readdirSync(folder)
        .sort()
        .map((name) => join(folder, name))
    } catch (error) {
      if (isAbsence(error)) return []
      throw fileError(error, `reading ${folder}`)
    }
  })
}
