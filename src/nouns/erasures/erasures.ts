import { nanoid } from 'nanoid'
import type { z } from 'zod'
import type { ErasuresApi } from '../../api/erasures.ts'
import type * as shapes from '../../api/shapes/erasures.ts'
import type { AskedTexts } from '../../domain/erasure/commands.ts'
import type { ErasureEventData, TextSelection } from '../../domain/erasure/events.ts'
import { isField, isSelected } from '../../domain/erasure/selection.ts'
import { erasureIn, streamOfErasure } from '../../domain/erasure/state.ts'
import { invariant, LockstepError } from '../../errors.ts'
import type { Json } from '../../kernel/canonical.ts'
import type { Entry } from '../../kernel/entry.ts'
import { type Core, submit } from '../../writer/core.ts'
import type { Outcome } from '../../writer/submission.ts'
import type { Handlers } from '../served.ts'
import { mayRemain } from './remains.ts'
import { Survey } from './survey.ts'
import { eraseExamined, erasureMax, findTexts, type WantedTexts } from './texts.ts'

type Given<Schema extends z.ZodType> = z.output<Schema>
type GivenApproval = Given<(typeof shapes.approve)[keyof typeof shapes.approve]>
type GivenErasure = Given<(typeof shapes.erase)[keyof typeof shapes.erase]>

/** Erasures of texts that a person asks for and another person approves. */
export class Erasures implements Handlers<ErasuresApi> {
  readonly #core: Core

  constructor(core: Core) {
    this.#core = core
  }

  async preview({ texts: asked }: Given<typeof shapes.preview>): Promise<shapes.PreviewedErasure> {
    const selection = this.#selection(asked)
    const { count, hold_id, next, texts } = await findTexts(this.#core, wantedBy(selection), erasureMax)
    return { count, hold_id, more: next !== undefined, selection: { ...selection, to: next ?? selection.to }, texts }
  }

  async approve(input: GivenApproval): Promise<shapes.ApprovedErasure> {
    const { actor, expires_in_s, idempotency_key, reason } = input
    const command = { approval_id: `era_${nanoid()}`, expires_in_s, type: 'erasure.approve' as const }
    // The request's content excludes the generated id and the end of the log, because they differ at each retry.
    const asked = 'digests' in input ? { digests: input.digests } : { texts: input.texts }
    const content = { ...asked, command: command.type, expires_in_s: expires_in_s ?? null, reason } as Json
    const request = idempotency_key === undefined ? undefined : { key: idempotency_key, content }
    const { entries, replayed } = await submit(
      this.#core,
      'digests' in input
        ? { ...command, erasure: { digests: input.digests, reason } }
        : { ...command, ...(await this.#foundFor(input)) },
      { actor, request },
    )
    const [entry] = entries
    invariant(entry?.type === 'erasure.approved', 'an approval is given by one entry')
    const { data, event_id, seq } = entry as Entry<'erasure.approved', ErasureEventData<'erasure.approved'>>
    const { approval_id, erasure, expires_at } = data
    return { approval_id, digests: [], texts: null, ...erasure, event_id, expires_at, replayed, seq }
  }

  async erase(input: GivenErasure): Promise<shapes.ErasedTexts> {
    const { entries, replayed } = await ('digests' in input ? this.#objects(input) : this.#texts(input))
    const [entry] = entries
    invariant(entry !== undefined, 'an erasure is recorded')
    const { approval_id } = input
    const { data, event_id, seq } = entry
    const { erasure } = erasureIn(await this.#core.views.row(streamOfErasure(approval_id))) ?? {}
    invariant(erasure !== undefined, 'an erasure has an approval')
    const digests = 'digests' in erasure ? erasure.digests : []
    const texts = 'digests' in erasure ? 0 : (data as ErasureEventData<'erasure.used'>).texts
    const written = await this.#core.filesDrained()
    const purged = await this.#core.purge()
    const files = written === 'current' ? purged : written
    const may_remain = mayRemain(this.#core)
    return { approval_id, digests, event_id, files, may_remain, reason: erasure.reason, replayed, seq, texts }
  }

  #objects({ actor, approval_id, digests, reason }: Extract<GivenErasure, { digests: unknown }>): Promise<Outcome> {
    return this.#core.stored.alone(digests, async () => {
      const survey = new Survey(this.#core, digests)
      await survey.read()
      const unknown = digests.find((digest) => survey.of(digest) === undefined)
      if (unknown !== undefined)
        throw new LockstepError('NOT_FOUND', `no entry names the object ${unknown}`, { details: { digest: unknown } })
      const found = survey.found(digests, await survey.needed())
      return submit(this.#core, { type: 'erasure.erase', approval_id, erasure: { digests, reason }, found }, { actor })
    })
  }

  async #texts({ actor, approval_id }: Omit<GivenErasure, 'digests'>): Promise<Outcome> {
    const { views } = this.#core
    const { erasure, used = null } = erasureIn(await views.row(streamOfErasure(approval_id))) ?? {}
    const selection = erasure !== undefined && 'texts' in erasure && used === null ? erasure.texts : nothing
    const wanted = wantedBy(selection)
    const { texts } = await findTexts(this.#core, wanted, erasureMax)
    return eraseExamined(this.#core, { ...wanted, texts }, (found) => {
      return submit(this.#core, { type: 'erasure.erase_texts', approval_id, found }, { actor })
    })
  }

  async #foundFor({ reason, texts }: Extract<GivenApproval, { texts: unknown }>) {
    const selection = this.#selection(texts)
    const { count, next } = await findTexts(this.#core, wantedBy(selection), erasureMax)
    return { erasure: { reason, texts: selection }, found: { count, next } }
  }

  /** Only entries that exist are selected, so that nothing is erased that its approver could not see. */
  #selection({ to: asked, ...selection }: AskedTexts): TextSelection {
    const { size } = this.#core.log.head()
    const to = asked ?? size
    if (to <= size && selection.from < to) return { ...selection, to }
    throw new LockstepError('INVALID_INPUT', `the texts must be of entries from 0 up to, and without, ${size}`, {
      details: { from: selection.from, size, to },
    })
  }
}

function wantedBy(selection: TextSelection): WantedTexts {
  const { from, to } = selection
  return { from, isEntry: (entry) => isSelected(selection, entry), isPath: (path) => isField(selection, path), to }
}

const nothing: TextSelection = { from: 0, to: 0 }
