import type { z } from 'zod'
import type { CallOptions } from '../../api/operation.ts'
import type * as shapes from '../../api/shapes/workspaces.ts'
import type { WorkspacesApi } from '../../api/workspaces.ts'
import { isWorkspaceName, workspaceOf } from '../../domain/turn/run-of-turn.ts'
import type { RefRecord, Source, Triplet } from '../../domain/turn/triplet.ts'
import { carriedBy, sourceRows, tripletKey } from '../../domain/turn/workspace.ts'
import { LockstepError } from '../../errors.ts'
import { readHead } from '../../log/level/rows/head-row.ts'
import { stateRows } from '../../log/level/state-rows.ts'
import type { StoreSnapshot } from '../../log/level/store.ts'
import { DerivedState, refsIn, type ScanState, stateDigest, tripletsIn } from '../../views/derived-state.ts'
import { SovereignView } from '../../views/sovereign-view.ts'
import type { Core } from '../../writer/core.ts'
import { stateOfRun } from '../runs/run-status.ts'
import { type Handlers, untilAborted } from '../served.ts'

type Given<Schema extends z.ZodType> = z.output<Schema>
type OfWorkspace = Given<typeof shapes.ofRun> | Given<typeof shapes.ofWorkflow>

/** Sovereign state, as promoted turns made it. Each read sees the state of one moment, however long it takes. */
export class Workspaces implements Handlers<WorkspacesApi> {
  readonly #core: Core

  constructor(core: Core) {
    this.#core = core
  }

  triplets(asked: OfWorkspace, options: CallOptions): AsyncIterable<Triplet> {
    const workspace = this.#nameOf(asked)
    return untilAborted(
      this.#reading((scan) => tripletsIn(scan, workspace)),
      options,
    )
  }

  refs(asked: OfWorkspace, options: CallOptions): AsyncIterable<RefRecord> {
    const workspace = this.#nameOf(asked)
    return untilAborted(
      this.#reading((scan) => refsIn(scan, workspace)),
      options,
    )
  }

  async object({ digest }: Given<typeof shapes.ofObject>): Promise<shapes.LedgerObject> {
    const { objects } = this.#core.log
    if (!objects.has(digest))
      throw new LockstepError('NOT_FOUND', `there is no object ${digest}`, { details: { digest } })
    const text = objects.text(digest)
    return { digest, text, value: JSON.parse(text) }
  }

  async digest({
    at,
    ...asked
  }: Given<typeof shapes.digestOfRun> | Given<typeof shapes.digestOfWorkflow>): Promise<shapes.WorkspaceDigest> {
    const workspace = this.#nameOf(asked)
    const { log } = this.#core
    const { size } = log.head()
    if (at !== undefined) {
      if (at > size) throw new LockstepError('INVALID_INPUT', `at must be a size of 0 to ${size}, not ${at}`)
      return { workspace, state_digest: await this.#digestAt(at, workspace), size: at }
    }
    const snapshot = log.snapshot()
    try {
      return { workspace, state_digest: await stateDigest(scanOf(snapshot), workspace), size: readHead(snapshot).size }
    } finally {
      await snapshot.close()
    }
  }

  async #digestAt(size: number, workspace: string): Promise<string> {
    const { log } = this.#core
    const state = new DerivedState((digest) => log.objects.text(digest))
    for await (const page of log.entries(0, size)) {
      for (const entry of page) if (entry.data.workspace === workspace) state.next(entry)
    }
    const inOrder = [...state.rows].map(([key, row]) => ({ bytes: Buffer.from(key), key, row }))
    inOrder.sort((one, other) => Buffer.compare(one.bytes, other.bytes))
    return stateDigest(async function* (prefix) {
      const wanted = Buffer.from(prefix)
      for (let at = firstAt(inOrder, wanted); inOrder[at]?.key.startsWith(prefix); at += 1) {
        const { key, row } = inOrder[at] as (typeof inOrder)[number]
        yield [key, row] as const
      }
    }, workspace)
  }

  async *#reading<T>(read: (scan: ScanState) => AsyncGenerator<T>): AsyncGenerator<T> {
    const snapshot = this.#core.log.snapshot()
    try {
      yield* read(scanOf(snapshot))
    } finally {
      await snapshot.close()
    }
  }

  async stem({
    stem,
    ...asked
  }: Given<typeof shapes.stemOfRun> | Given<typeof shapes.stemOfWorkflow>): Promise<shapes.ShownStem> {
    const workspace = this.#nameOf(asked)
    const view = new SovereignView(this.#core.log)
    try {
      const triplet = view.state(tripletKey(workspace, stem)) as Triplet | undefined
      if (triplet === undefined) {
        throw new LockstepError('NOT_FOUND', `the workspace ${workspace} has no such stem`, {
          details: { stem, workspace },
        })
      }
      const identity = carriedBy(triplet)
      const referenced_by: Source[] = []
      if (identity !== undefined)
        for await (const [, source] of view.scan(sourceRows(workspace, identity))) referenced_by.push(source as Source)
      const [body, links, manifest] = [triplet.body_digest, triplet.links_digest, triplet.manifest_digest].map(
        (digest) => JSON.parse(view.object(digest)) as shapes.LedgerObject['value'],
      )
      return { body: body ?? {}, links: links ?? {}, manifest: manifest ?? {}, referenced_by, triplet }
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
    const workspace = this.#nameOf(asked)
    await this.#core.filesDrained()
    if (rebuild) await this.#core.workspaceFiles.rebuild(workspace)
    return this.#core.workspaceFiles.check(workspace)
  }

  #nameOf(asked: OfWorkspace): string {
    if ('run_id' in asked) return workspaceOf(stateOfRun(this.#core, asked.run_id).manifest)
    if (isWorkspaceName(asked.workflow_id)) return `workflow/${asked.workflow_id}`
    throw new LockstepError('INVALID_INPUT', 'a workflow_id may contain only letters, digits and . _ -, and no ..')
  }
}

/** The index of the first row at or after the wanted key. */
function firstAt(inOrder: readonly { bytes: Uint8Array }[], wanted: Uint8Array): number {
  let [from, to] = [0, inOrder.length]
  while (from < to) {
    const middle = (from + to) >> 1
    if (Buffer.compare(inOrder[middle]?.bytes ?? wanted, wanted) < 0) from = middle + 1
    else to = middle
  }
  return from
}

function scanOf(snapshot: StoreSnapshot): ScanState {
  const { generation } = readHead(snapshot)
  return (prefix) => stateRows(snapshot, generation, prefix)
}
