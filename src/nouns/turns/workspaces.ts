import type { z } from 'zod'
import type { CallOptions } from '../../api/operation.ts'
import type * as shapes from '../../api/shapes/workspaces.ts'
import type { WorkspacesApi } from '../../api/workspaces.ts'
import type { RefRecord, Source, Triplet } from '../../domain/turn/triplet.ts'
import { carriedBy, isWorkspaceName, sourceRows, tripletKey, workspaceOf } from '../../domain/turn/workspace.ts'
import { LockstepError } from '../../errors.ts'
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
    if ((await log.objects.missing([digest])).length > 0)
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
      return { workspace, state_digest: await this.#digestAt(at, workspace), size: at }
    }
    const view = await SovereignView.open(log)
    try {
      const state_digest = await stateDigest((prefix) => view.scan(prefix), workspace)
      return { workspace, state_digest, size: view.size }
    } finally {
      await view.close()
    }
  }

  async #digestAt(size: number, workspace: string): Promise<string> {
    const { log, views } = this.#core
    const state = new DerivedState((digest) => views.loaded.object(digest))
    for await (const page of log.entries(0, size)) {
      for (const entry of page) {
        if (entry.data.workspace === workspace) await views.untilLoaded(() => state.next(entry))
      }
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
    const workspace = await this.#nameOf(asked)
    await this.#core.filesDrained()
    if (rebuild) await this.#core.workspaceFiles.rebuild(workspace)
    return this.#core.workspaceFiles.check(workspace)
  }

  async #nameOf(asked: OfWorkspace): Promise<string> {
    if ('run_id' in asked) return workspaceOf((await stateOfRun(this.#core, asked.run_id)).manifest)
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
