import { deepStrictEqual, ok, strictEqual } from 'node:assert'
import type { LedgerCommand } from '../../../src/domain/aggregates.ts'
import { evolveRow } from '../../../src/domain/aggregates.ts'
import type { Acquire, Death } from '../../../src/domain/lock/commands.ts'
import type { LockEventData } from '../../../src/domain/lock/events.ts'
import { judgeHolder, judgeLiveness } from '../../../src/domain/lock/liveness.ts'
import { isoTime } from '../../../src/kernel/clock.ts'
import type { Row } from '../../../src/kernel/decider.ts'
import type { Entry } from '../../../src/kernel/entry.ts'
import type { Actor } from '../../../src/kernel/ids.ts'
import type { Op } from './history.ts'
import { type Asked, type Held, LockModel, type Verdict, verdictOf } from './lock-model.ts'
import { environments, Machines, type Process } from './machines.ts'
import { refOf } from './steps.ts'
import { becca, other, replayed, World, worker } from './world.ts'

const lockNames = ['resource:a', 'resource:b', 'deliverable:DEL-01-01', 'project:A/B/c'] as const
const folder = 'work/DEL-01-01'
const actors = [worker, other, { actor_id: 'agent-3', actor_type: 'agent' }] as const
const leases = [1, 60, 600, 1_800] as const

/** Plays a history against the pure deciders and the model, and holds them to each other at every step. */
export class Simulation {
  /** How often each command came to each verdict, and each grant to each end, in all histories played. */
  static readonly reached = new Map<string, number>()
  readonly #machines = new Machines()
  readonly #model = new LockModel(this.#machines)
  readonly #world = new World()
  /** The rows a restart finds: from the entries as they were stored, nothing else. */
  readonly #replica = new Map<string, Row>()
  readonly #asked: Asked[] = []
  readonly #granted = new Set<string>()
  readonly #tokens: number[] = []
  /** When and where the lease of the command under way began: at its claim, or with the decision. */
  #claimed: Pick<Held, 'began' | 'since' | 'wallOffset'>
  /** The last death that a probe found, by name: handed to a later decision it must still do no harm. */
  readonly #deaths = new Map<string, Death>()

  constructor() {
    this.#claimed = this.#claimNow()
  }

  play(step: Op): void {
    this.#do(step)
    this.#check()
  }

  #do(step: Op): void {
    const machines = this.#machines
    switch (step.op) {
      case 'pass':
        machines.time += step.ms
        break
      case 'passTo':
        this.#passTo(nameAt(step.name), step.ms)
        break
      case 'jump':
        machines.wallOffset += step.ms
        break
      case 'sleep':
        machines.time += step.ms
        machines.host.asleep += step.ms
        break
      case 'spawn':
        machines.spawn(step.host, step.ns, step.pid, !step.hidden)
        break
      case 'end': {
        const process = machines.processes[step.process % machines.processes.length]
        if (process !== undefined) machines.end(process, step.zombie)
        break
      }
      case 'reboot':
        machines.reboot(step.host)
        if (step.host === machines.ledger.host) this.#restart()
        break
      case 'move':
        machines.ledger = { host: step.host, ns: step.ns, environment: environments[step.environment] ?? 'normal' }
        this.#restart()
        break
      default:
        this.#command(step)
    }
  }

  #command(
    step: Exclude<Op, { op: 'end' | 'jump' | 'move' | 'pass' | 'passTo' | 'reboot' | 'sleep' | 'spawn' }>,
  ): void {
    switch (step.op) {
      case 'acquire':
        this.#acquire(this.#newRequest(step), step)
        break
      case 'acquireAll':
        this.#acquireAll(step)
        break
      case 'again':
      case 'renew':
      case 'release':
      case 'releaseProject': {
        const asked = this.#asked[step.request % this.#asked.length]
        if (asked !== undefined) this.#askedAgain(step, asked)
        break
      }
      case 'recover': {
        const name = nameAt(step.name)
        const death = this.#death(name, step.stale)
        this.#submit({ type: 'lock.recover', name, reason: 'x', death }, worker, this.#model.recover(name, death))
        break
      }
      case 'retire': {
        const name = lockNames[2]
        const death = this.#death(name, step.stale)
        const command = { type: 'lock.retire', name, folder, reason: null, death } as const
        this.#submit(command, worker, this.#model.retire(name, death))
        break
      }
      case 'break': {
        const name = nameAt(step.name)
        const command = { type: 'lock.break', name, reason: 'x' } as const
        this.#submit(command, step.operator ? becca : worker, this.#model.break(name, step.operator))
        break
      }
      case 'append': {
        const name = nameAt(step.name)
        const token = this.#tokens[step.token % this.#tokens.length] ?? 0
        const events = [{ action_type: 'system', outcome: 'success' }] as const
        const command = { type: 'audit.append', events, guard: { name, token } } as const
        this.#submit(command, worker, this.#model.guard(name, token))
      }
    }
  }

  #askedAgain(step: Extract<Op, { request: number }>, asked: Asked): void {
    switch (step.op) {
      case 'again': {
        const twisted = { ...asked, lease_s: asked.lease_s + 1, content: `other than ${asked.content}` }
        this.#acquire(step.twist ? twisted : asked, { stale: false, late: step.late })
        break
      }
      case 'renew':
      case 'release':
        this.#renewOrRelease(step, asked)
        break
      case 'releaseProject': {
        const { lock, name } = asked
        if (name !== lockNames[3]) return
        const end = { final_status: 'COMPLETE', override: false } as const
        const command = { type: 'lock.release_project', name, run_id: runOf(lock), ...end } as const
        this.#submit(command, becca, this.#model.releaseProject(name, lock))
      }
    }
  }

  /** To just before, at or just after the moment at which a lease is over. */
  #passTo(name: string, ms: number): void {
    const held = this.#model.held.get(name)
    if (held === undefined || held.lease_ms === null) return
    const { host, time } = this.#machines
    const end = held.since > host.bootedAt ? held.since + held.lease_ms : host.bootedAt + held.lease_ms
    this.#machines.time = Math.max(time, end + ms)
  }

  #restart(): void {
    deepStrictEqual(replayed(stored(this.#world.entries)), this.#world.rows)
    this.#world.rows.clear()
    for (const [stream, row] of this.#replica) this.#world.rows.set(stream, row)
  }

  #newRequest({ who, name, lease, holders }: { who: number; name: number; lease: number; holders: number }): Asked {
    const actor = actors[who % actors.length] as Actor
    const lease_s = leases[lease % leases.length] as number
    const visible = this.#machines.visible()
    const processes = visible.filter((_, index) => ((holders >> index) & 1) === 1).slice(0, 2)
    const lock = this.#asked.length
    const content = `holder for ${lease_s} s`
    const asked = {
      name: nameAt(name),
      who: actor,
      actor: actor.actor_id,
      lock,
      lease_s,
      processes,
      content,
      ...this.#seen(processes),
    }
    this.#asked.push(asked)
    return asked
  }

  #seen(processes: readonly Process[]): Pick<Asked, 'evidence' | 'seen'> {
    const machines = this.#machines
    return { evidence: processes.map((process) => machines.evidenceOf(process)), seen: machines.shown() }
  }

  /** `late` is the time between the file's claim and the decision, in which the lease runs already. */
  #acquire(asked: Asked, { stale, late }: { stale: boolean; late: number }): void {
    const { name, who } = asked
    const command = this.#acquireCommand(asked)
    this.#claimed = this.#claimNow()
    if (command.claim !== undefined) this.#machines.time += late
    command.death = this.#death(name, stale)
    this.#submit(command, who, this.#model.acquire(name, asked, command.death), [asked])
  }

  #acquireAll(step: { who: number; lease: number; holders: number }): void {
    this.#claimed = this.#claimNow()
    const both = [0, 1].map((name) => this.#newRequest({ ...step, name }))
    const locks = both.map((asked) => ({ ...this.#acquireCommand(asked), death: this.#death(asked.name, false) }))
    const verdicts = both.map((asked, index) => this.#model.acquire(asked.name, asked, locks[index]?.death))
    const refused = verdicts.find((verdict) => verdict !== 'append')
    this.#submit({ type: 'lock.acquire_all', locks }, both[0]?.who ?? worker, refused ?? 'append', both)
  }

  #acquireCommand({ content, evidence, lease_s, lock, name }: Asked): Acquire {
    const isProject = name === lockNames[3]
    const isDeliverable = name === lockNames[2]
    const { lease_clock, wall_ms } = this.#machines.now()
    const project = {
      lock_reason: 'x',
      release_conditions: ['state == COMPLETE'],
      run_id: runOf(lock),
      target_name: content,
    }
    return {
      type: 'lock.acquire',
      name,
      holder: 'TASK',
      lock_ref: refOf(isProject ? runOf(lock) : String(lock)),
      lease_duration_s: isProject ? null : lease_s,
      evidence: isProject ? [] : evidence,
      ...(isProject ? { project } : {}),
      ...(isDeliverable
        ? { claim: { acquired: isoTime(wall_ms), deliverable_id: 'DEL-01-01', folder, lease_clock } }
        : {}),
    }
  }

  #renewOrRelease({ late, op, stranger }: Extract<Op, { op: 'renew' | 'release' }>, asked: Asked): void {
    const who = stranger ? { ...asked.who, actor_id: 'stranger' } : asked.who
    const lock_ref = refOf(asked.name === lockNames[3] ? runOf(asked.lock) : String(asked.lock))
    const wasGranted = this.#granted.has(`${asked.lock} ${asked.name} ${who.actor_id}`)
    const name = wasGranted ? asked.name : null
    if (op === 'release') {
      const verdict: Verdict = wasGranted
        ? this.#model.release(asked.name, asked.lock, who.actor_id)
        : { refuse: 'LOCK_NOT_HELD' }
      this.#submit({ type: 'lock.release', name, lock_ref, outcome: 'success' }, who, verdict)
      return
    }
    this.#claimed = this.#claimNow()
    const { lease_clock, wall_ms } = this.#machines.now()
    const claim = asked.name === lockNames[2] ? { acquired: isoTime(wall_ms), lease_clock } : undefined
    if (claim !== undefined) this.#machines.time += late
    const verdict = this.#model.renew(asked.name, asked.lock, who.actor_id, wasGranted)
    this.#submit({ type: 'lock.renew', name, lock_ref, claim }, who, verdict)
  }

  #claimNow(): Pick<Held, 'began' | 'since' | 'wallOffset'> {
    const { time, wallOffset } = this.#machines
    return { began: this.#machines.shown(), since: time, wallOffset }
  }

  /** Decides a command, holds the decision to the model’s verdict, and lets entries be stored and read back. */
  #submit(command: LedgerCommand, actor: Actor, expected: Verdict, asked: readonly Asked[] = []): void {
    this.#world.now = this.#machines.now()
    const { decision, entries } = this.#world.run(command, actor)
    deepStrictEqual(verdictOf(decision), expected, `${command.type} of ${actor.actor_id}`)
    reach(`${command.type} ${decision.kind === 'refuse' ? decision.code : decision.kind}`)
    for (const entry of stored(entries)) {
      this.#replica.set(entry.stream, evolveRow(this.#replica.get(entry.stream), entry))
      this.#took(entry, asked)
    }
    for (const { stream } of entries) deepStrictEqual(this.#replica.get(stream), this.#world.rows.get(stream))
  }

  /** Lets the model know what happened, and holds each end of a grant to the truth. */
  #took({ data, seq, stream, type }: Entry, asked: readonly Asked[]): void {
    const name = stream.slice('lock/'.length)
    const model = this.#model
    if (type === 'lock.recovered') this.#holdsTrue(name, data as LockEventData<'lock.recovered'>)
    if (type === 'lock.recovered' || type === 'lock.broken') model.end(name, seq, false)
    if (type === 'lock.released') {
      const held = model.held.get(name)
      strictEqual(data.late === true, held !== undefined && model.isExpired(held), 'a release is late iff it is')
      model.end(name, seq, true)
    }
    if (type === 'lock.judged') {
      const held = model.held.get(name)
      ok(held !== undefined && model.needsJudgement(held), 'only what the clocks cannot place is judged')
      model.held.set(name, {
        ...held,
        judged: { wallOffset: this.#machines.wallOffset, shown: this.#machines.shown() },
      })
    }
    if (type === 'lock.retired') model.retired.set(name, seq)
    if (type === 'lock.acquired' || type === 'lock.renewed') {
      const held = model.held.get(name)
      if (type === 'lock.renewed' && held !== undefined) {
        const { judged: _, ...others } = held
        model.held.set(name, { ...others, ...this.#claimed })
        return
      }
      strictEqual(held, undefined, `two current grants of ${name}`)
      const request = asked.find((candidate) => candidate.name === name)
      ok(request !== undefined && seq > (this.#tokens.at(-1) ?? -1), 'tokens strictly increase')
      this.#tokens.push(seq)
      this.#granted.add(`${request.lock} ${name} ${request.actor}`)
      const lease_ms = name === lockNames[3] ? null : request.lease_s * 1_000
      model.granted(name, { ...request, ...this.#claimed, evidence: request.seen, lease_ms, token: seq })
    }
  }

  /** No live holder with a valid lease is ever recovered, whatever the evidence looked like. */
  #holdsTrue(name: string, { recovery_reason }: LockEventData<'lock.recovered'>): void {
    reach(`recovered ${recovery_reason}`)
    const held = this.#model.held.get(name)
    ok(held !== undefined && held.lease_ms !== null, `${name} was recovered without a lease to lose`)
    const { time, wallOffset } = this.#machines
    if (recovery_reason !== 'lease_expired') {
      ok(held.processes.length > 0 && held.processes.every(({ isAlive }) => !isAlive), `${name}: its holder lives`)
    } else if (time - held.since < held.lease_ms) {
      const from = [{ wallOffset: held.wallOffset, shown: held.began }, ...(held.judged ? [held.judged] : [])]
      const isMisled = from.some((then) => wallOffset > then.wallOffset && !this.#model.isCompared(then.shown))
      ok(isMisled, `${name}: its lease still runs, and no wall clock went ahead`)
      reach('misled by a wall clock')
    }
  }

  /** What a probe says of a holder now, as the ledger takes it before the queue; or what one said some time ago. */
  #death(name: string, isStale: boolean): Death | undefined {
    if (isStale) return this.#deaths.get(name)
    const held = this.#model.held.get(name)
    if (held === undefined || held.lease_ms === null || this.#model.isExpired(held)) return undefined
    const evidence = this.#world.grantOf(name)?.evidence ?? []
    const verdict = judgeHolder(
      evidence.map((process) => judgeLiveness(process, this.#machines.probe(process.pid), held.began.wall)),
    )
    strictEqual(verdict.alive === 'no', this.#model.isKnownDead(held), `${name}: ${JSON.stringify(verdict)}`)
    if (verdict.alive !== 'no') return undefined
    const death = { token: held.token, reason: verdict.reason }
    this.#deaths.set(name, death)
    return death
  }

  #newcomer(name: string): Asked {
    const asked = { name, who: other, actor: 'newcomer', lock: -1, lease_s: 1, processes: [], content: 'x' }
    return { ...asked, ...this.#seen([]) }
  }

  /**
   * No orphan is immortal: whoever asks for a lock once a lease has it at the third try at the latest, wherever it
   * stands and however wrong the clocks have been; at the second, but for an unknown boot whose monotonic clock comes to
   * the moment of the grant in the meantime.
   */
  end(): void {
    const waitMillis = 1_802_001
    let held = lockNames.filter((name) => (this.#model.held.get(name)?.lease_ms ?? null) !== null)
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      held = held.filter((name) => this.#isRefused(name, attempt === 1))
      this.#machines.time += waitMillis
    }
    strictEqual(held.join(), '', 'what is never free again')
  }

  /** A newcomer asks for a lock; at first it judges what it finds, if that has to be. */
  #isRefused(name: string, isFirst: boolean): boolean {
    this.#world.now = this.#machines.now()
    const { decision, entries } = this.#world.run(this.#acquireCommand(this.#newcomer(name)), other)
    if (decision.kind !== 'refuse') return false
    const isJudged = entries.some(({ type }) => type === 'lock.judged')
    const held = this.#model.held.get(name)
    strictEqual(isJudged, isFirst && held !== undefined && this.#model.needsJudgement(held), `${name} is judged`)
    if (isJudged) reach('judged')
    return true
  }

  /** Nobody takes what is held, and nothing that is over stays: any newcomer would be judged rightly just now. */
  #check(): void {
    this.#world.now = this.#machines.now()
    for (const name of lockNames) {
      const newcomer = this.#newcomer(name)
      const death = this.#death(name, false)
      const decision = this.#world.decide({ ...this.#acquireCommand(newcomer), death }, other)
      const held = this.#model.held.get(name)
      const isFree = held === undefined || this.#model.isOrphan(held, death)
      deepStrictEqual(verdictOf(decision), isFree ? 'append' : { refuse: 'LOCK_CONTENTION' }, `a newcomer at ${name}`)
      strictEqual(this.#world.grantOf(name)?.token, held?.token)
    }
  }
}

function reach(what: string): void {
  Simulation.reached.set(what, (Simulation.reached.get(what) ?? 0) + 1)
}

const nameAt = (index: number): string => lockNames[index % lockNames.length] as string
const runOf = (lock: number): string => `run_A_c_2026-02-02_${String(lock + 1).padStart(3, '0')}`

/** Entries as they come back from the disk: nothing shared with what was written. */
const stored = (entries: readonly Entry[]): Entry[] => JSON.parse(JSON.stringify(entries)) as Entry[]
