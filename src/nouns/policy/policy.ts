import type { z } from 'zod'
import type { PolicyApi } from '../../api/policy.ts'
import type * as shapes from '../../api/shapes/policy.ts'
import { approvalStreamsOf, brokenApprovals } from '../../domain/approval/judge.ts'
import type { Action } from '../../domain/policy/action.ts'
import { authorize, type PolicyVerdict } from '../../domain/policy/authorize.ts'
import type { PolicyProblem } from '../../domain/policy/document.ts'
import type { LoadedFile, PolicyEventData } from '../../domain/policy/events.ts'
import type { Lane, Policy } from '../../domain/policy/policy.ts'
import {
  type Policies,
  type PolicyState,
  policyKey,
  policyKeyOf,
  policyPinnedBy,
  policyStream,
  stateIn,
} from '../../domain/policy/state.ts'
import type { Pins } from '../../domain/run/events.ts'
import { verdictOn, withMore } from '../../domain/run/facts.ts'
import type { RunState } from '../../domain/run/state.ts'
import { LockstepError } from '../../errors.ts'
import { type PolicyFile, readPolicy } from '../../files/policy/policy-file.ts'
import { policyToLoad, textOf } from '../../files/policy/policy-files.ts'
import {
  keptPolicyText,
  type PolicyPlace,
  placeOf,
  policyBytes,
  policyFolder,
} from '../../files/policy/policy-folder.ts'
import { isoTime } from '../../kernel/clock.ts'
import type { Config } from '../../kernel/config.ts'
import type { LoadedRows, Row } from '../../kernel/decider.ts'
import type { Entry } from '../../kernel/entry.ts'
import { wallTimeOf } from '../../kernel/entry-time.ts'
import { given } from '../../kernel/given.ts'
import { after, type Maybe } from '../../kernel/maybe.ts'
import { streamOfRun } from '../../kernel/run-fact.ts'
import { chainOfStream, walked } from '../../views/chains.ts'
import { type Core, sha256Hex, submit } from '../../writer/core.ts'
import { endedAbove, stateOfRun } from '../runs/run-status.ts'
import type { Handlers } from '../served.ts'
import { imagined } from './imagined.ts'
import { checkedPolicy } from './policy-check.ts'

type ShownFile = shapes.PolicyInForce['lanes']

/** The lanes and roles that govern runs. */
export class PolicyOfLedger implements Handlers<PolicyApi> {
  readonly #core: Core
  /** The policies that were read, and the configuration under which they were read. */
  #read = new Map<string, Policy>()
  #readUnder: Config

  constructor(core: Core) {
    this.#core = core
    this.#readUnder = core.config
  }

  /**
   * The policies read so far, for decisions to look up. They include the policy in force and those that the named runs
   * are pinned to, as far as they can be read.
   */
  known(...runIds: readonly (string | undefined)[]): Maybe<Policies> {
    this.#forgetOthers()
    return after(this.#state(), (state) => {
      if (state === undefined || this.#read.has(policyKeyOf(state))) return this.#knownTo(runIds)
      return after(this.#core.views.entry(state.seq), (entry) => {
        if (entry !== undefined) this.#readLoaded(entry)
        return this.#knownTo(runIds)
      })
    })
  }

  /** A run that is pinned later has the policy in force then, which this process has loaded. */
  #knownTo([runId, ...others]: readonly (string | undefined)[]): Maybe<Policies> {
    if (runId === undefined) return others.length === 0 ? this.#read : this.#knownTo(others)
    return after(this.#core.views.row(streamOfRun(runId)), (row) => {
      const { pins = null } = (row?.state ?? {}) as Partial<RunState>
      if (pins === null || policyPinnedBy(pins, this.#read) !== undefined) return this.#knownTo(others)
      return this.#readPinned(pins).then(() => this.#knownTo(others))
    })
  }

  /** Reads the policy of earlier pins. Cost: one read per policy that was loaded since. */
  async #readPinned({ lanes, roles }: Pins): Promise<void> {
    const { views } = this.#core
    for await (const entry of walked(views, await chainOfStream(views, policyStream))) {
      if (entry.type !== 'policy.loaded') continue
      const loaded = entry.data as PolicyEventData<'policy.loaded'>
      if (loaded.lanes.sha256 === lanes.sha256 && loaded.roles.sha256 === roles.sha256) return this.#readLoaded(entry)
    }
  }

  /** A lane of the policy in force; undefined if there is none of that name. */
  async lane(laneId: string): Promise<Lane | undefined> {
    const policies = await this.known()
    const state = await this.#state()
    return state && policies.get(policyKeyOf(state))?.lanes.get(laneId)
  }

  async show(): Promise<shapes.PolicyInForce> {
    const state = await this.#state()
    const entry = state && (await this.#core.views.entry(state.seq))
    if (state === undefined || entry === undefined) {
      throw new LockstepError('NOT_FOUND', 'no policy is in force', { hint: 'Load one with "lockstep policy reload".' })
    }
    const { lanes, roles } = entry.data as PolicyEventData<'policy.loaded'>
    const policy = (await this.known()).get(policyKeyOf(state))
    const grants = [...(policy?.lanes.values() ?? [])].map(({ allowed_callers, lane_id, purpose }) => {
      return { lane_id, purpose, roles: allowed_callers.roles }
    })
    return {
      lanes: this.#shown('lanes', lanes),
      roles: this.#shown('roles', roles),
      seq: state.seq,
      loaded: wallTimeOf(entry),
      grants,
    }
  }

  async check({ from }: z.output<typeof shapes.check> = {}): Promise<shapes.CheckedPolicy> {
    const { config, layout } = this.#core
    const state = await this.#state()
    const inForce = state && (await this.known()).get(policyKeyOf(state))
    const place = from ?? (await this.#placeInForce())
    return checkedPolicy(layout, { inForce, place, promotionRoles: config.promotion_roles, state })
  }

  async explain(
    asked: z.output<typeof shapes.explainInRun> | z.output<typeof shapes.explainForRole>,
  ): Promise<shapes.PolicyVerdict> {
    const state = await this.#state()
    const policy = state && (await this.known()).get(policyKeyOf(state))
    const { actor: self, config } = this.#core
    const { action } = asked
    const ground = { rows: await this.#approvalsOf(action), time: await this.#time() }
    if ('run_id' in asked) {
      const caller = asked.actor ?? self
      const run = await stateOfRun(this.#core, asked.run_id)
      const pinned = run.pins === null ? policy : policyPinnedBy(run.pins, await this.known(run.run_id))
      const above = await endedAbove(this.#core, run)
      const stopped = above === null ? [] : [`run/ended_ancestor/${above.run_id}`]
      return copied(withMore(verdictOn(action, { caller, config, pinned, policy, run, ...ground }), stopped))
    }
    const unapproved = brokenApprovals(action, { config, exporters: [self], ...ground })
    return copied(withMore(authorize({ action, policy, run: imagined(asked, action, state) }), unapproved))
  }

  async reload(asked: z.output<typeof shapes.reload>): Promise<shapes.ReloadedPolicy> {
    const { config, layout } = this.#core
    const { actor, from, lanes_sha256: lanes, roles_sha256: roles } = asked
    const place = from ?? (await this.#placeInForce())
    const checked = { place, sha256: given({ lanes, roles }) }
    const read = policyToLoad(layout, config.promotion_roles, checked)
    const { command, policy } = await read.catch(async (error: unknown) => {
      // Who may not change the policy is told so, and not what is wrong with the files.
      await submit(this.#core, { type: 'policy.load', lanes: null, roles: null }, { actor })
      throw error
    })
    this.#forgetOthers()
    this.#read.set(policyKey(policy.sha256), policy)
    const { replayed } = await submit(this.#core, command, { actor })
    return { ...(await this.show()), replayed }
  }

  /** The rows of the approvals that an action names. */
  async #approvalsOf(action: Action): Promise<LoadedRows> {
    const rows = new Map<string, Row>()
    for (const stream of approvalStreamsOf(action)) {
      const row = await this.#core.views.row(stream)
      if (row !== undefined) rows.set(stream, row)
    }
    return rows
  }

  /** The time that the next entry would have. */
  async #time(): Promise<string> {
    const { log, now, views } = this.#core
    const last = await views.entry(log.head().size - 1)
    return isoTime(Math.max(now().wall_ms, Date.parse(last?.time ?? '') || 0))
  }

  /** The place of the policy in force, from which a reload reads again; undefined if there is none. */
  async #placeInForce(): Promise<PolicyPlace | undefined> {
    const state = await this.#state()
    const entry = state && (await this.#core.views.entry(state.seq))
    return entry && placeOf((entry.data as PolicyEventData<'policy.loaded'>).lanes.file)
  }

  /** Whether the policy in force can be read depends on the configuration: it is read anew when that changes. */
  #forgetOthers(): void {
    if (this.#readUnder === this.#core.config) return
    this.#readUnder = this.#core.config
    this.#read = new Map()
  }

  #state(): Maybe<PolicyState | undefined> {
    return after(this.#core.views.row(policyStream), stateIn)
  }

  /**
   * What would make the policy in force invalid if only these roles could promote. Empty if there is no policy in force,
   * or if it cannot be read as it is.
   */
  async problemsUnder(promotionRoles: readonly string[]): Promise<PolicyProblem[]> {
    const state = await this.#state()
    const entry = state && (await this.#core.views.entry(state.seq))
    if (entry === undefined || !(await this.known()).has(policyKeyOf(state as PolicyState))) return []
    const read = readPolicy(this.#filesIn(entry), promotionRoles)
    return 'problems' in read ? read.problems : []
  }

  /** If the policy's text is missing or does not match its hash, there is no policy, and runs are denied. */
  #readLoaded(entry: Entry): void {
    const read = readPolicy(this.#filesIn(entry), this.#core.config.promotion_roles)
    if ('policy' in read) this.#read.set(policyKey(read.policy.sha256), read.policy)
  }

  #filesIn({ data }: Entry): { lanes: PolicyFile; roles: PolicyFile } {
    const { lanes, roles } = data as PolicyEventData<'policy.loaded'>
    const fileOf = ({ file, sha256, text = keptPolicyText(this.#core.layout, sha256) }: LoadedFile): PolicyFile => {
      return { file, bytes: Buffer.from(text ?? '') }
    }
    return { lanes: fileOf(lanes), roles: fileOf(roles) }
  }

  #shown(name: 'lanes' | 'roles', { file, pin, sha256, source }: LoadedFile): ShownFile {
    return { file, pin, source, sha256, on_disk: this.#onDisk(name, { file, sha256 }) }
  }

  #onDisk(name: 'lanes' | 'roles', { file, sha256 }: Pick<LoadedFile, 'file' | 'sha256'>): ShownFile['on_disk'] {
    try {
      const { layout } = this.#core
      return sha256Hex(textOf(policyBytes(layout, policyFolder(layout, placeOf(file))[name]))) === sha256
        ? 'same'
        : 'changed'
    } catch {
      return 'missing'
    }
  }
}

/** A verdict whose lists belong to the caller. */
function copied({ missing, rule_ids, ...verdict }: PolicyVerdict): shapes.PolicyVerdict {
  return { ...verdict, missing: [...missing], rule_ids: [...rule_ids] }
}
