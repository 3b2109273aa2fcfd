import { ignoresCase, layoutOf } from '../disk/layout.ts'
import { nameOfPath } from '../domain/lock/names.ts'
import { LockstepError } from '../errors.ts'
import { namedPaths } from '../files/paths/path-names.ts'
import type { Actor, RecordedActor } from '../kernel/ids.ts'
import type { LocalLedger } from '../ledger.ts'
import { callsFor } from '../nouns/served.ts'
import { Activity } from './activity.ts'
import type { Asked } from './asked.ts'
import { Changes } from './changes.ts'
import { beforeEdit, release } from './edits.ts'
import { type HarnessName, type Reply, written } from './forms.ts'
import { harnessProcess } from './harness-process.ts'
import { readers } from './harnesses.ts'
import { recordCall, recordDenial } from './records.ts'
import { beginCall, endCall, endSession, stopCall } from './runs.ts'
import { heldAtStart } from './sentences.ts'
import { type Begun, begin, Sessions } from './sessions.ts'
import { actorOf, type Stated } from './who.ts'

/** A call of a hook, as the service gets it. */
export interface HookCall {
  authn: string
  /** The document from the harness. */
  document: unknown
  harness: HarnessName
  /** The process above the hook, as the hook states it. */
  process: string | undefined
  /** A lock_id that the hook shows. */
  shown: string | undefined
  stated: Stated
}

/** Answers the hooks of coding agents: guards their edits, and records their calls of tools. */
export class Hooks {
  readonly #ledger: LocalLedger
  readonly #activity = new Activity()
  readonly #changes: Changes
  readonly #sessions: Sessions
  readonly #ignoresCase: boolean

  constructor(ledger: LocalLedger) {
    const { hooks, root } = layoutOf(ledger.dir)
    this.#ledger = ledger
    this.#changes = new Changes(hooks)
    this.#sessions = new Sessions(hooks)
    this.#ignoresCase = ignoresCase(root)
  }

  /**
   * The text for the hook's stdout: a document in the form of the harness, or nothing. `admit` may refuse the actor.
   * Errors: INVALID_INPUT (not a document of this harness), those of the operations.
   */
  async answer(call: HookCall, admit: (actor: Actor) => void): Promise<string> {
    const { authn, document, harness, process, shown, stated } = call
    const event = readers[harness](document)
    if (event.kind === 'other') return ''
    const actor = actorOf(harness, event, stated)
    admit(actor)
    const known = { ...actor, authn }
    const api = this.#apiFor(known)
    const session = this.#sessions.of(harness, event, harnessProcess(process))
    const mainActor = { ...actorOf(harness, { agent_id: undefined, session_id: event.session_id }, stated), authn }
    const main = { actor: mainActor, runs: callsFor(this.#ledger.runs, mainActor) }
    const reply = await this.#reply({ actor, api, event, main, session, shown })
    const told = reply && written(harness, event.name, reply)
    return told === undefined ? '' : JSON.stringify(told)
  }

  /** The operations in the name of an actor. Queries have no actor. */
  #apiFor(actor: RecordedActor): Asked['api'] {
    const { audit, locks } = this.#ledger
    const { list, status } = locks
    return { audit: callsFor(audit, actor), locks: { ...callsFor(locks, actor), list, status } }
  }

  async #reply(asked: Asked): Promise<Reply | undefined> {
    const { event, session } = asked
    const keep = () => this.#sessions.keep(session)
    switch (event.kind) {
      case 'before_tool':
        return this.#before({ ...asked, event })
      case 'after_tool': {
        const begun = session.begun.get(event.tool.id)
        begun?.end()
        session.begun.delete(event.tool.id)
        if (begun?.run === undefined) await recordCall({ ...asked, event }, begun)
        else await endCall({ ...asked, event }, begun.run)
        return this.#changed({ ...asked, event }, begun)
      }
      case 'session_start': {
        const [held, found] = await Promise.all([this.#held(asked), this.#changed({ ...asked, event })])
        const text = [held, found?.text].filter((one) => one !== undefined).join('\n')
        return text === '' ? undefined : { kind: 'tell', text }
      }
      case 'agent_end': {
        const { agent_id: ended } = event
        // Without the name of the agent that ended, its locks end with the session.
        const own = session.held.filter(({ agent_id }) => ended !== undefined && agent_id === ended)
        await release(asked, own, keep)
        return undefined
      }
      case 'session_end':
        await Promise.all([release(asked, session.held, keep), endSession(asked)])
        keep()
        return undefined
      default:
        return undefined
    }
  }

  async #before(asked: Asked<'before_tool'>): Promise<Reply | undefined> {
    const { actor, event, session } = asked
    const { runs } = this.#ledger.expiring
    const { settings } = this.#ledger
    const keep = () => this.#sessions.keep(session)
    const namesOf = (path: string) => this.#namesOf(path)
    const again = session.begun.get(event.tool.id)?.run
    const run = settings.hooks.runs
      ? (again ?? (await beginCall(asked, { keep, runs, settings: settings.hooks })))
      : undefined
    if (run !== undefined && 'kind' in run) return run
    const denied = await beforeEdit(asked, { keep, namesOf, settings: settings.hooks })
    if (denied !== undefined) {
      await (run === undefined ? recordDenial(asked, denied.code) : stopCall(asked, run, denied.code))
      return denied
    }
    const isWork = event.tool.kind === 'edit' || event.tool.kind === 'shell'
    const end = isWork ? this.#activity.begin(actor.actor_id) : () => {}
    begin(session, event.tool.id, { at: Date.now(), end, run })
    return undefined
  }

  async #changed(asked: Asked<'after_tool' | 'session_start'>, begun?: Begun): Promise<Reply | undefined> {
    const namesOf = (path: string) => {
      try {
        return this.#namesOf(path)
      } catch (error) {
        // No lock can govern such a path.
        if (error instanceof LockstepError) return []
        throw error
      }
    }
    const text = await this.#changes.after(asked, { activity: this.#activity, begun, namesOf })
    return text === undefined ? undefined : { kind: 'tell', text }
  }

  async #held({ actor, api }: Asked): Promise<string | undefined> {
    const { locks } = await api.locks.list({})
    const listed = locks
      .filter(({ kind, state }) => kind === 'path' && state === 'held')
      .map(({ actor_id, holder = '', lease_remaining_s: remaining, paths = [], reason }) => {
        return { actor_id, holder, paths, reason, remaining }
      })
    const isOwn = ({ actor_id }: { actor_id: string | undefined }) => actor_id === actor.actor_id
    return heldAtStart(
      listed.filter(isOwn),
      listed.filter((one) => !isOwn(one)),
    )
  }

  /** The names of the locks of a path. Errors: those of `namedPaths`. */
  #namesOf(path: string): string[] {
    const place = { ignoresCase: this.#ignoresCase, isSeen: true, root: this.#ledger.dir }
    return namedPaths([path], place).paths.map(nameOfPath)
  }
}
