import type { Api } from '../../src/api/api.ts'
import type { CallOptions } from '../../src/api/operation.ts'
import { type Code, LockstepError } from '../../src/errors.ts'
import type { Now } from '../../src/kernel/clock.ts'
import type { Actor } from '../../src/kernel/ids.ts'
import { temporaryRoot, testActor, testClock } from '../support/ledger.ts'
import { asPlainError } from '../support/scene.ts'
import { type Observed, observed } from './observed.ts'

/** What a ledger is opened with; it does not exist yet. */
export interface ApiOptions {
  /** The folder that the ledger governs. */
  dir: string
  /** Who calls, unless a call says otherwise. */
  actor: Actor
  now: () => Now
  /** Members of the configuration that differ from their defaults. */
  config: Record<string, unknown>
}

/** Makes and opens a ledger: in this process, in memory, or behind a service. */
export type ApiFactory = (options: ApiOptions) => Promise<{ ledger: Api; close: () => Promise<void> }>

/** An open ledger whose every call is held to its table. */
export interface Stage {
  api: Api
  clock: ReturnType<typeof testClock>
  root: string
  /** Does the work on a ledger of its own. */
  apart: (config: Record<string, unknown>, work: Work) => Promise<void>
}

export type Work = (stage: Stage) => Promise<void>

/** The cases of a noun: for every operation at least one, by its title. */
export interface Cases<Noun extends keyof Api> {
  /** What all cases need, once. */
  begin?: Work
  of: { readonly [Verb in keyof Api[Noun]]: { readonly [title: string]: Work } }
}

export async function openStage(
  factory: ApiFactory,
  seen: Map<string, Observed>,
  config: Record<string, unknown> = {},
): Promise<Stage & { close: () => Promise<void> }> {
  const clock = testClock()
  const root = temporaryRoot()
  const { close, ledger } = await factory({ actor: testActor, config, dir: root, now: clock.now })
  return {
    api: observed(ledger, seen),
    apart: async (changed, work) => {
      const stage = await openStage(factory, seen, changed)
      try {
        await work(stage)
        await stage.api.log.verify()
      } finally {
        await stage.close()
      }
    },
    clock,
    close,
    root,
  }
}

/** uvu breaks on errors with `details`, so that they are made plain. */
export function readable(work: () => Promise<void>): () => Promise<void> {
  return () => work().catch(asPlainError)
}

/** The refusal that a call ends with. Fails for another code, and for an answer. */
export async function refused(call: Promise<unknown>, code: Code): Promise<LockstepError> {
  const error = await call.then(
    (answer) => new Error(`${code} was expected, not the answer ${JSON.stringify(answer)}`),
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof LockstepError)) throw error
  if (error.code !== code) throw new Error(`${code} was expected, not ${error.code}: ${error.message}`)
  return error
}

/** All items of a stream that ends. */
export async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of stream) items.push(item)
  return items
}

/** The first items of a stream that has no end. */
export async function first<T>(count: number, stream: (options: CallOptions) => AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  const stop = new AbortController()
  for await (const item of stream({ signal: stop.signal })) if (items.push(item) === count) stop.abort()
  return items
}

let ids = 0
/** A name that no other case has. */
export function newName(prefix: string): string {
  ids += 1
  return `${prefix}_${ids}`
}

export const becca = { actor_id: 'BECCA', actor_type: 'human' } as const
export const stranger = { actor_id: 'agent-9', actor_type: 'agent' } as const
export const newLockId = () => `lck_${newName('abcdefghijklmnop')}`
