import * as z from 'zod'
import { workspaceSchema } from '../../domain/turn/commands.ts'
import type { JsonValue } from '../../domain/turn/json-value.ts'
import type { RefRecord, Source, Triplet } from '../../domain/turn/triplet.ts'
import { carriedBy, isWorkspaceName, sourceRows, tripletKey, workspaceOf } from '../../domain/turn/workspace.ts'
import { LockstepError } from '../../errors.ts'
import type { CheckedFiles } from '../../files/workspace/workspace-files.ts'
import { DerivedState, refsIn, type ScanState, stateDigest, tripletsIn } from '../../views/derived-state.ts'
import { SovereignView } from '../../views/sovereign-view.ts'
import type { Core } from '../../writer/core.ts'
import { parse } from '../../writer/parse.ts'
import { stateOfRun } from '../runs/run-status.ts'

/** Names a workspace, by a workflow or by a run. A run of a workflow uses the workflow's workspace. */
export type AskedWorkspace = z.input<typeof workspaceSchema>

const digestSchema = workspaceSchema.extend({ at: z.int().min(0).optional() })
const stemSchema = workspaceSchema.extend({ stem: z.string() })
const checkSchema = workspaceSchema.extend({ rebuild: z.boolean().default(false) })

/** An object that entries name. */
export interface StoredObject {
  digest: string
  /** The RFC 8785 form, whose hash is the digest. */
  text: string
  value: { [key: string]: JsonValue }
}

/** A promoted stem with its contents, and the links that point to its identity. */
export interface StemShown {
  triplet: Triplet
  body: StoredObject['value']
  links: StoredObject['value']
  manifest: StoredObject['value']
  referenced_by: Source[]
}

/**
 * `ledger.workspaces`: sovereign state, as promoted turns made it. Each read sees the state of one moment, however
 * long it takes.
 */
export class Workspaces {
  readonly #core: Core

  constructor(core: Core) {
    this.#core = core
  }

  /** All promoted stems, in order. Errors: INVALID_INPUT, NOT_FOUND (run). */
  async *triplets(asked: AskedWorkspace): AsyncGenerator<Triplet> {
    const workspace = await this.#nameOf(asked)
    yield* this.#reading((scan) => tripletsIn(scan, workspace))
  }

  /**
   * All link targets with their sources, in the order of type and id. A target that is no longer referenced has no
   * sources. Errors: see `triplets`.
   */
  async *refs(asked: AskedWorkspace): AsyncGenerator<RefRecord> {
    const workspace = await this.#nameOf(asked)
    yield* this.#reading((scan) => refsIn(scan, workspace))
  }

  /**
   * An object by its digest: a body, links, a manifest, or the staged contents of a turn. Errors: NOT_FOUND,
   * INVALID_INPUT.
   */
  async object(digest: string): Promise<StoredObject> {
    if (!/^[0-9a-f]{64}$/.test(digest))
      throw new LockstepError('INVALID_INPUT', 'a digest must be 64 lower-case hex digits')
    const { log } = this.#core
    if ((await log.objects.missing([digest])).length > 0)
      throw new LockstepError('NOT_FOUND', `there is no object ${digest}`, { details: { digest } })
    const [text] = await log.load([{ view: 'object', key: digest }])
    return { digest, text: text as string, value: JSON.parse(text as string) }
  }

  /**
   * The digest of the whole state, now or after the first `at` entries. Errors: see `triplets`. Cost: one pass over
   * the workspace; with `at`, one pass over the entries, with the state in memory.
   */
  async digest(
    request: z.input<typeof digestSchema>,
  ): Promise<{ workspace: string; state_digest: string; size: number }> {
    const { at, ...asked } = parse(digestSchema, request, 'workspace')
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

  /** A promoted stem, its objects, and the links to its identity. Errors: NOT_FOUND, and those of `triplets`. */
  async stem(request: z.input<typeof stemSchema>): Promise<StemShown> {
    const { stem, ...asked } = parse(stemSchema, request, 'stem')
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
      const [body, links, manifest] = texts.map((text) => JSON.parse(text) as StoredObject['value'])
      return { body: body ?? {}, links: links ?? {}, manifest: manifest ?? {}, referenced_by, triplet }
    } finally {
      await view.close()
    }
  }

  /**
   * Resolves when the files on disk match the published state (`current`), or cannot be written for now (`pending`).
   */
  files(): Promise<'current' | 'pending'> {
    return this.#core.filesDrained()
  }

  /**
   * Compares the files on disk with the ledger. With `rebuild`, writes them again first. Errors: VERIFY_FAILED,
   * FILE_DENIED.
   */
  async check(request: z.input<typeof checkSchema>): Promise<CheckedFiles> {
    const { rebuild, ...asked } = parse(checkSchema, request, 'workspace')
    const workspace = await this.#nameOf(asked)
    await this.#core.filesDrained()
    if (rebuild) await this.#core.workspaceFiles.rebuild(workspace)
    return this.#core.workspaceFiles.check(workspace)
  }

  async #nameOf(asked: AskedWorkspace): Promise<string> {
    const { run_id, workflow_id } = parse(workspaceSchema, asked, 'workspace')
    if (run_id !== undefined) return workspaceOf((await stateOfRun(this.#core, run_id)).manifest)
    if (workflow_id !== undefined && isWorkspaceName(workflow_id)) return `workflow/${workflow_id}`
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
