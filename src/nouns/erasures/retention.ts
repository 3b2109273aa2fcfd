import { nanoid } from 'nanoid'
import type { z } from 'zod'
import type { RetentionApi } from '../../api/retention.ts'
import type * as shapes from '../../api/shapes/retention.ts'
import type { ErasureEventData } from '../../domain/erasure/events.ts'
import { holdsIn, retentionStream } from '../../domain/erasure/state.ts'
import { retentionFloor } from '../../domain/log/configuration.ts'
import { ledgerStream } from '../../domain/log/stream.ts'
import { invariant } from '../../errors.ts'
import type { Json } from '../../kernel/canonical.ts'
import { isoTime } from '../../kernel/clock.ts'
import type { Entry } from '../../kernel/entry.ts'
import { limits } from '../../kernel/limits.ts'
import { classOf, type ObjectKind, secondsOf } from '../../kernel/retention.ts'
import { namedObjects } from '../../views/named-objects.ts'
import type { ConfigInForce } from '../../writer/config-in-force.ts'
import { type Core, submit } from '../../writer/core.ts'
import type { Handlers } from '../served.ts'
import { Pace } from './pace.ts'
import { mayRemain } from './remains.ts'
import { Survey } from './survey.ts'
import { eraseExamined, findTexts, pageMax } from './texts.ts'

type Given<Schema extends z.ZodType> = z.output<Schema>
type GivenHold = Given<(typeof shapes.hold)[keyof typeof shapes.hold]>

/** The objects of one class that are due. */
interface Due {
  class: string
  digests: string[]
}

/** The time before which the last entry that names an object must be, by class. */
type Cutoffs = ReadonlyMap<string, string>

/** How many objects are kept from new commands at once, while they are examined and erased. */
const groupMax = 8_192

/** Erases texts by their class of retention, unless a legal hold covers them. */
export class Retention implements Handlers<RetentionApi> {
  readonly #core: Core
  readonly #inForce: ConfigInForce
  #sweeping: Promise<unknown> = Promise.resolve()

  constructor(core: Core, inForce: ConfigInForce) {
    this.#core = core
    this.#inForce = inForce
  }

  async show(): Promise<shapes.ShownRetention> {
    const minimum_s = await this.#minimumSeconds()
    const { classes } = this.#core.config.retention
    return {
      classes: Object.entries(classes).map(([name, { covers, delete_after }]) => {
        return { class: name, covers, delete_after_s: Math.max(minimum_s, secondsOf(delete_after)) }
      }),
      holds: holdsIn(await this.#core.views.row(retentionStream)).map((hold) => ({ ...hold })),
      minimum_s,
    }
  }

  async hold({ actor, idempotency_key, reason, ...covers }: GivenHold): Promise<shapes.HeldTexts> {
    const command = { covers, hold_id: `hld_${nanoid()}`, reason, type: 'retention.hold' as const }
    const content = { command: command.type, covers, reason } as Json
    const request = idempotency_key === undefined ? undefined : { key: idempotency_key, content }
    const { entries, replayed } = await submit(this.#core, command, { actor, request })
    const [entry] = entries
    invariant(entry?.type === 'retention.held', 'a hold is set by one entry')
    const { data, event_id, seq } = entry as Entry<'retention.held', ErasureEventData<'retention.held'>>
    return { ...data, event_id, replayed, seq }
  }

  async lift({ actor, hold_id }: Given<typeof shapes.lift>): Promise<shapes.LiftedHold> {
    const { entries } = await submit(this.#core, { hold_id, type: 'retention.lift' }, { actor })
    const [entry] = entries
    invariant(entry?.type === 'retention.lifted', 'a hold is lifted by one entry')
    return { event_id: entry.event_id, hold_id, seq: entry.seq }
  }

  async sweep({ actor, dry_run }: Given<typeof shapes.sweep>): Promise<shapes.SweptTexts> {
    await submit(this.#core, { type: 'retention.sweep' }, { actor })
    return this.sweepDue({ isDry: dry_run })
  }

  /** Erases what is due, for the service. One sweep runs at a time. Not an operation. */
  sweepDue({ isDry = false } = {}): Promise<shapes.SweptTexts> {
    const swept = this.#sweeping.then(() => this.#sweep(isDry))
    this.#sweeping = swept.catch(() => {})
    return swept
  }

  async #sweep(isDry: boolean): Promise<shapes.SweptTexts> {
    const cutoffs = await this.#cutoffs()
    const erased = new Map([...cutoffs.keys()].map((name) => [name, 0]))
    let held = 0
    for (let from = cutoffs.size > 0 ? 0 : undefined; from !== undefined; ) {
      const found: { digests: string[]; next: number | undefined } = await this.#dueFrom(from, cutoffs)
      const survey = new Survey(this.#core, found.digests)
      await survey.read()
      const needed = await survey.needed()
      const isFree = (digest: string) => !needed.has(digest) && this.#classDue(survey, digest, cutoffs) !== undefined
      const due = found.digests.filter(isFree)
      const free = due.filter((digest) => survey.of(digest)?.held === null)
      held += due.length - free.length
      for (let at = 0; at < free.length; at += groupMax) {
        const group = free.slice(at, at + groupMax)
        for (const part of await this.#group(survey, group, { cutoffs, isDry }))
          erased.set(part.class, (erased.get(part.class) ?? 0) + part.digests.length)
      }
      from = found.next
    }
    const texts = await this.#sweepTexts(cutoffs, isDry)
    held += texts.held
    if (texts.class !== undefined) erased.set(texts.class, (erased.get(texts.class) ?? 0) + texts.erased)
    const files = isDry ? 'current' : await this.#core.purge()
    const classes = [...erased].map(([name, count]) => ({ class: name, erased: count }))
    return { classes, dry_run: isDry, files, held, may_remain: mayRemain(this.#core) }
  }

  /** Erases the free texts that are due, as many with each entry as it can name. */
  async #sweepTexts(cutoffs: Cutoffs, isDry: boolean): Promise<{ class?: string; erased: number; held: number }> {
    const name = classOf(this.#core.config.retention, 'text')
    const until = name === undefined ? undefined : cutoffs.get(name)
    if (name === undefined || until === undefined) return { erased: 0, held: 0 }
    const isPath = () => true
    const wanted = { isEntry: isPath, isPath, skipsHeld: true, to: this.#core.log.head().size, until }
    const swept = { class: name, erased: 0, held: 0 }
    for (let from: number | undefined = 0; from !== undefined; ) {
      const { count, held, next, texts } = await findTexts(this.#core, { ...wanted, from }, pageMax)
      if (texts.length > 0 && !isDry) await this.#eraseTexts(name, { isPath, texts })
      swept.erased += count
      swept.held += held
      from = next
    }
    return swept
  }

  async #eraseTexts(name: string, due: Parameters<typeof eraseExamined>[1]): Promise<void> {
    const { sha256: config_sha256 } = this.#inForce.current
    await eraseExamined(this.#core, due, (found) => {
      return submit(this.#core, { class: name, config_sha256, found, type: 'retention.erase_texts' })
    })
  }

  /** Examines a group once more while no command can name its objects, and erases it. */
  #group(survey: Survey, digests: readonly string[], { cutoffs, isDry }: { cutoffs: Cutoffs; isDry: boolean }) {
    return this.#core.stored.alone(digests, async () => {
      await survey.read()
      const needed = await survey.needed()
      const parts = new Map<string, string[]>()
      for (const digest of digests) {
        const name = needed.has(digest) ? undefined : this.#classDue(survey, digest, cutoffs)
        if (name === undefined) continue
        const part = parts.get(name)
        if (part === undefined) parts.set(name, [digest])
        else part.push(digest)
      }
      const all = [...parts].flatMap(([name, of]) => pagesOf(of).map((page): Due => ({ class: name, digests: page })))
      const pace = new Pace(this.#core.log)
      for (const due of isDry ? [] : all) {
        await this.#erase(survey, due, needed)
        await pace.rest()
      }
      return all
    })
  }

  async #erase(survey: Survey, due: Due, needed: Awaited<ReturnType<Survey['needed']>>): Promise<void> {
    const { sha256: config_sha256 } = this.#inForce.current
    const found = survey.found(due.digests, needed)
    await submit(this.#core, { ...due, config_sha256, found, type: 'retention.erase' })
  }

  /**
   * Stored objects that entries from a seq on name, if the entry is old enough: a limited number at once. `next` is where
   * the next search begins; undefined at the end.
   */
  async #dueFrom(from: number, cutoffs: Cutoffs): Promise<{ digests: string[]; next: number | undefined }> {
    const { log } = this.#core
    const latest = [...cutoffs.values()].sort().at(-1) ?? ''
    const due = new Set<string>()
    const pace = new Pace(log)
    for await (const { entry, objects } of namedObjects(log, from, log.head().size)) {
      if (entry.time >= latest) break
      await pace.rest()
      const old = objects.filter(({ kind }) => entry.time < (cutoffs.get(this.#classOf(kind) ?? '') ?? ''))
      const fresh = old.map(({ digest }) => digest).filter((digest) => !due.has(digest))
      const missing = new Set(await log.objects.missing(fresh))
      for (const digest of fresh) if (!missing.has(digest)) due.add(digest)
      if (due.size >= limits.retentionDueMax) return { digests: [...due], next: entry.seq + 1 }
    }
    return { digests: [...due], next: undefined }
  }

  /** The class by which an object is due, if it is due by the class of each of its kinds. */
  #classDue(survey: Survey, digest: string, cutoffs: Cutoffs): string | undefined {
    const seen = survey.of(digest)
    const names = [...(seen?.kinds ?? [])].map((kind) => this.#classOf(kind))
    const isDue = names.every((name) => name !== undefined && (seen?.time ?? '') < (cutoffs.get(name) ?? ''))
    return isDue ? names[0] : undefined
  }

  #classOf(kind: ObjectKind): string | undefined {
    return classOf(this.#core.config.retention, kind)
  }

  /** A wall clock that is ahead must erase nothing early, so the time of the last entry counts if it is earlier. */
  async #cutoffs(): Promise<Cutoffs> {
    const { log, now, views } = this.#core
    const last = await views.entry(log.head().size - 1)
    const atMillis = Math.min(now().wall_ms, Date.parse(last?.time ?? isoTime(0)))
    const { classes } = await this.show()
    return new Map(classes.map(({ class: name, delete_after_s }) => [name, isoTime(atMillis - delete_after_s * 1_000)]))
  }

  /** The configured minimum, but not less than an entry confirmed. */
  async #minimumSeconds(): Promise<number> {
    const floor = retentionFloor(await this.#core.views.row(ledgerStream))
    return Math.max(secondsOf(this.#core.config.retention.minimum), secondsOf(floor))
  }
}

function pagesOf(digests: readonly string[]): string[][] {
  const sorted = [...digests].sort()
  const count = Math.ceil(sorted.length / limits.erasedPerEntry)
  return Array.from({ length: count }, (_, at) =>
    sorted.slice(at * limits.erasedPerEntry, (at + 1) * limits.erasedPerEntry),
  )
}
