import { layoutOf } from '../disk/layout.ts'
import type { Actor } from '../kernel/ids.ts'
import type { LocalLedger } from '../ledger.ts'
import { callsFor } from '../nouns/served.ts'
import type { Asked } from './asked.ts'
import { type HarnessName, type Reply, written } from './forms.ts'
import { harnessProcess } from './harness-process.ts'
import { readers } from './harnesses.ts'
import { recordCall } from './records.ts'
import { begin, Sessions } from './sessions.ts'
import { actorOf, type Stated } from './who.ts'

/** A call of a hook, as the service gets it. */
export interface HookCall {
  authn: string
  /** The document from the harness. */
  document: unknown
  harness: HarnessName
  /** The process above the hook, as the hook states it; undefined from another machine. */
  process: string | undefined
  stated: Stated
}

/** Answers the hooks of coding agents: guards their edits, and records their calls of tools. */
export class Hooks {
  readonly #ledger: LocalLedger
  readonly #sessions: Sessions

  constructor(ledger: LocalLedger) {
    this.#ledger = ledger
    this.#sessions = new Sessions(layoutOf(ledger.dir).hooks)
  }

  /**
   * The text for the hook's stdout: a document in the form of the harness, or nothing. `admit` may refuse the actor.
   * Errors: INVALID_INPUT (not a document of this harness), those of the operations.
   */
  async answer(
    { authn, document, harness, process, stated }: HookCall,
    admit: (actor: Actor) => void,
  ): Promise<string> {
    const event = readers[harness](document)
    const actor = actorOf(harness, event, stated)
    admit(actor)
    const known = { ...actor, authn }
    const api = { audit: callsFor(this.#ledger.audit, known), locks: callsFor(this.#ledger.locks, known) }
    const session = this.#sessions.of(harness, event, harnessProcess(process))
    const reply = await this.#reply({ actor, api, event, session })
    const told = reply && written(harness, event.name, reply)
    return told === undefined ? '' : JSON.stringify(told)
  }

  async #reply(asked: Asked): Promise<Reply | undefined> {
    const { event, session } = asked
    switch (event.kind) {
      case 'before_tool':
        begin(session, event.tool.id, { at: Date.now(), paths: event.tool.paths ?? [] })
        return undefined
      case 'after_tool':
        await recordCall({ ...asked, event })
        return undefined
      default:
        return undefined
    }
  }
}
