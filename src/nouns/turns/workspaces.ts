import type { z } from 'zod'
import type { CallOptions } from '../../api/operation.ts'
import type * as shapes from '../../api/shapes/workspaces.ts'
import type { WorkspacesApi } from '../../api/workspaces.ts'
import { lastPromotedTurnId } from '../../domain/run/turns.ts'
import { type Pin, type PinCommand, pinStreamOf, pinsIn } from '../../domain/turn/pin.ts'
import { byBytes } from '../../domain/turn/stem.ts'
import { type RefRecord, type Source, type Triplet, tripletText } from '../../domain/turn/triplet.ts'
import { carriedBy, isWorkspaceName, sourceRows, tripletKey, workspaceOf } from '../../domain/turn/workspace.ts'
import { LockstepError } from '../../errors.ts'
import type { Actor } from '../../kernel/ids.ts'
import { after } from '../../kernel/maybe.ts'
import { refsIn, type ScanState, stateDigest, tripletsIn } from '../../views/derived-state.ts'
import { PastView } from '../../views/past-view.ts'
import { SovereignView } from '../../views/sovereign-view.ts'
import { type Core, sha256Hex, submit } from '../../writer/core.ts'
import type { Outcome } from '../../writer/submission.ts'
import type { PolicyOfLedger } from '../policy/policy.ts'
import { stateOfRun } from '../runs/run-status.ts'
import { type Handlers, untilAborted } from '../served.ts'
import { turnOf } from './turn-answers.ts'

type Given<Schema extends z.ZodType> = z.output<Schema>
type OfWorkspace = Given<typeof shapes.ofRun> | Given<typeof shapes.ofWorkflow>

/** Sovereign state, as promoted turns made it. Each read sees the state of one moment, however long it takes. */
export class Workspaces implements Handlers<WorkspacesApi> {
  readonly #core: Core
  readonly #policy: PolicyOfLedger

  constructor(core: Core, policy: PolicyOfLedger) {
    this.#core = core
    this.#policy = policy
  }

  async *triplets(asked: OfWorkspace, options: CallOptions): AsyncGenerator<Triplet> {
    const workspace = await this.#nameOf(asked)
    yield* untilAborted(
      this.#reading((scan) => tripletsIn(scan, workspace)),
      options,
    )
  }

  async *refs(asked: OfWorkspace, options: CallOptions): AsyncGenerator<RefRecord> {
    const workspace = await this.#nameOf(asked)
    yield* untilAborted(
      this.#reading((scan) => refsIn(scan, workspace)),
      options,
    )
  }

  async object({ digest }: Given<typeof shapes.ofObject>): Promise<shapes.LedgerObject> {
    const { log } = this.#core
    const isErased = (await log.objects.erasedAt(digest)) !== undefined
    if (!isErased && (await log.objects.missing([digest])).length > 0)
      throw new LockstepError('NOT_FOUND', `there is no object ${digest}`, { details: { digest } })
    const [text] = await log.load([{ view: 'object', key: digest }])
    return { digest, text: text as string, value: JSON.parse(text as string) }
  }

  async digest({
    at,
    ...asked
  }: Given<typeof shapes.digestOfRun> | Given<typeof shapes.digestOfWorkflow>): Promise<shapes.WorkspaceDigest> {
    const workspace = await this.#nameOf(asked)
    const { log } = this.#core
    const { size } = log.head()
    if (at !== undefined) {
      if (at > size) throw new LockstepError('INVALID_INPUT', `at must be a size of 0 to ${size}, not ${at}`)
      const past = await PastView.at(log, at, workspace)
      return { workspace, state_digest: await stateDigest((prefix) => past.scan(prefix), workspace), size: at }
    }
    const view = await SovereignView.open(log)
    try {
      const state_digest = await stateDigest((prefix) => view.scan(prefix), workspace)
      return { workspace, state_digest, size: view.size }
    } finally {
      await view.close()
    }
  }

  async *#reading<T>(read: (scan: ScanState) => AsyncGenerator<T>): AsyncGenerator<T> {
    const view = await SovereignView.open(this.#core.log)
    try {
      yield* read((prefix) => view.scan(prefix))
    } finally {
      await view.close()
    }
  }

  async stem({
    stem,
    ...asked
  }: Given<typeof shapes.stemOfRun> | Given<typeof shapes.stemOfWorkflow>): Promise<shapes.ShownStem> {
    const workspace = await this.#nameOf(asked)
    const view = await SovereignView.open(this.#core.log)
    try {
      const triplet = (await view.state(tripletKey(workspace, stem))) as Triplet | undefined
      if (triplet === undefined) {
        throw new LockstepError('NOT_FOUND', `the workspace ${workspace} has no such stem`, {
          details: { stem, workspace },
        })
      }
      const identity = carriedBy(triplet)
      const referenced_by: Source[] = []
      if (identity !== undefined)
        for await (const [, source] of view.scan(sourceRows(workspace, identity))) referenced_by.push(source as Source)
      const digests = [triplet.body_digest, triplet.links_digest, triplet.manifest_digest]
      const texts = await Promise.all(digests.map((digest) => view.object(digest)))
      const [body, links, manifest] = texts.map((text) => JSON.parse(text) as shapes.LedgerObject['value'])
      const triplet_digest = sha256Hex(tripletText(triplet))
      return { body: body ?? {}, links: links ?? {}, manifest: manifest ?? {}, referenced_by, triplet, triplet_digest }
    } finally {
      await view.close()
    }
  }

  async files(): Promise<shapes.FilesState> {
    return { files: await this.#core.filesDrained() }
  }

  async check({
    rebuild,
    ...asked
  }: Given<typeof shapes.checkOfRun> | Given<typeof shapes.checkOfWorkflow>): Promise<shapes.ComparedFiles> {
    const workspace = await this.#nameOf(asked)
    await this.#core.filesDrained()
    const pins = Object.values(await this.#pinsOf(workspace))
    if (rebuild) await this.#core.workspaceFiles.rebuild(workspace, pins)
    return this.#core.workspaceFiles.check(workspace, pins)
  }

  async pin({ actor, name, run_id, turn_id }: Given<typeof shapes.pin>): Promise<shapes.PinnedTurn> {
    const workspace = await this.#nameOf({ run_id })
    const turn = await promotedTurn(this.#core, { run_id, turn_id })
    const size = turn.seq + 1
    const { state_digest } = await this.digest({ run_id, at: size })
    const asked = { name, run_id, size, state_digest, turn_id: turn.turn_id, workspace }
    const { entries, replayed } = await this.#submit({ ...asked, type: 'pin.keep' }, actor)
    return { ...this.#shown({ ...asked, seq: entries.at(-1)?.seq ?? 0 }), replayed }
  }

  async unpin({ actor, name, run_id }: Given<typeof shapes.unpin>): Promise<shapes.UnpinnedTurn> {
    const workspace = await this.#nameOf({ run_id })
    const { entries } = await this.#submit({ name, run_id, type: 'pin.drop', workspace }, actor)
    return { name, seq: entries.at(-1)?.seq ?? 0, workspace }
  }

  async pins(asked: OfWorkspace): Promise<shapes.PinList> {
    const workspace = await this.#nameOf(asked)
    const pins = Object.values(await this.#pinsOf(workspace)).map((pin) => this.#shown(pin))
    return { pins: pins.sort((one, other) => byBytes(one.name, other.name)), workspace }
  }

  async #submit(command: PinAsked, actor: Actor | undefined): Promise<Outcome> {
    return after(this.#policy.known(), (policies) => submit(this.#core, { ...command, policies }, { actor }))
  }

  async #pinsOf(workspace: string) {
    return pinsIn(await this.#core.views.row(pinStreamOf(workspace)))
  }

  #shown(pin: Pin): shapes.ShownPin {
    return { ...pin, folder: this.#core.workspaceFiles.pinFolder(pin.workspace, pin.name) }
  }

  async #nameOf(asked: OfWorkspace): Promise<string> {
    if ('run_id' in asked) return workspaceOf((await stateOfRun(this.#core, asked.run_id)).manifest)
    if (isWorkspaceName(asked.workflow_id)) return `workflow/${asked.workflow_id}`
    throw new LockstepError('INVALID_INPUT', 'a workflow_id may contain only letters, digits and . _ -, and no ..')
  }
}

type PinAsked = DistributiveOmit<PinCommand, 'policies'>
type DistributiveOmit<T, K extends keyof T> = T extends unknown ? Omit<T, K> : never

/** A promoted turn of a run: the last one, unless another is named. Errors: NOT_FOUND, INVALID_INPUT. */
async function promotedTurn(
  core: Core,
  { run_id, turn_id }: { run_id: string; turn_id?: string | undefined },
): Promise<{ seq: number; turn_id: string }> {
  const { turns } = await stateOfRun(core, run_id)
  if (turn_id === undefined && !turns?.last)
    throw new LockstepError('NOT_FOUND', `${run_id} has no promoted turn`, { details: { run_id } })
  const turn = await turnOf(core, { run_id, turn_id: turn_id ?? lastPromotedTurnId(turns) })
  if (turn.status === 'promoted') return turn
  throw new LockstepError('NOT_FOUND', `${turn_id} of ${run_id} is ${turn.status}, not promoted`, {
    details: { run_id, status: turn.status, turn_id: turn.turn_id },
  })
}
