import { turnIdOf } from '../../domain/run/turns.ts'
import { objectFromBytes, objectFromText, type ReadObject } from '../../domain/turn/json-object.ts'
import { type Identity, refsOf } from '../../domain/turn/links.ts'
import { textOf } from '../../domain/turn/text-file.ts'
import { emptyObjectDigest, type StagedSet, type Triplet } from '../../domain/turn/triplet.ts'
import { type IdentityRow, identityKey, identityRows, sourceRows, tripletKey } from '../../domain/turn/workspace.ts'
import { LockstepError, systemCodeOf } from '../../errors.ts'
import { canonicalText, type Json } from '../../kernel/canonical.ts'
import { tripletsIn } from '../../views/derived-state.ts'
import type { SovereignView } from '../../views/sovereign-view.ts'
import type { TreeChange } from './build.ts'
import { type Disk, hashedStemPath, partPath, refPath, runPath, textPath, tripletParts } from './names.ts'
import { bytesInTree } from './tree.ts'

/** A promotion of a workspace that is not yet written to its files. */
export interface PromotedTurn {
  manifest_digest: string | null
  run_id: string
  seq: number
  turn_id: string
}

/** Sovereign state, as it is or as it was. */
type StateView = Pick<SovereignView, 'chains' | 'object' | 'scan'>

const sliceMillis = 5

/** All files of a workspace. Cost: reads all of its rows and objects. */
export async function* allFiles(view: StateView, workspace: string, disk: Disk): AsyncGenerator<TreeChange> {
  for await (const triplet of tripletsIn((prefix) => view.scan(prefix), workspace)) {
    for await (const change of filesOf(view, triplet.stem, triplet)) if (change.content !== null) yield change
  }
  for await (const [, row] of view.scan(identityRows(workspace))) {
    if ((row as IdentityRow).sources !== null) yield await refFile(view, workspace, row as IdentityRow, disk)
  }
  for await (const { last, run_id } of view.chains(workspace)) yield runFile(run_id, turnIdOf(last))
}

/**
 * The files that some promotions changed. The previous links of a stem are read from the current files, because these
 * hold the last materialised state. Undefined if the current files cannot be read; then all files must be written
 * again. Cost: depends on the turns, not on the size of the workspace.
 */
export async function changedFiles(
  view: SovereignView,
  workspace: string,
  { current, disk, promoted }: { current: string; disk: Disk; promoted: readonly PromotedTurn[] },
): Promise<AsyncGenerator<TreeChange> | undefined> {
  const touched = new Touched(view)
  for (const { manifest_digest } of promoted) {
    if (manifest_digest !== null) await touched.add(manifest_digest)
  }
  for (const stem of touched.stems) {
    await touched.pause()
    const links = await linksIn(current, stem)
    if (links === undefined) continue
    if ('problems' in links) return undefined
    touched.point(links, stem)
  }
  return changes(view, workspace, touched, { disk, promoted })
}

async function* changes(
  view: SovereignView,
  workspace: string,
  touched: Touched,
  { disk, promoted }: { disk: Disk; promoted: readonly PromotedTurn[] },
): AsyncGenerator<TreeChange> {
  const there: Triplet[] = []
  // Deletions come first: on a disk that ignores case, a deleted file may have the name of a new one.
  for (const stem of touched.stems) {
    const triplet = (await view.state(tripletKey(workspace, stem))) as Triplet | undefined
    if (triplet === undefined) yield* filesOf(view, stem, undefined)
    else there.push(triplet)
  }
  for (const triplet of there) yield* filesOf(view, triplet.stem, triplet)
  for (const target of touched.targets) {
    const row = (await view.state(identityKey(workspace, target))) as IdentityRow | undefined
    // A target without remaining sources keeps its record. A target that was never referenced has no record.
    if (row === undefined || row.sources === null) yield { path: refPath(target, disk), content: null }
    else yield await refFile(view, workspace, row, disk)
  }
  const last = new Map(promoted.map(({ run_id, turn_id }) => [run_id, turn_id]))
  for (const [runId, turnId] of last) yield runFile(runId, turnId)
}

/** The stems of some turns, and the targets of their links before and after. */
class Touched {
  readonly #view: SovereignView
  readonly stems = new Set<string>()
  #sliceEnds = performance.now() + sliceMillis
  readonly #targets = new Map<string, Identity>()

  constructor(view: SovereignView) {
    this.#view = view
  }

  get targets(): Iterable<Identity> {
    return this.#targets.values()
  }

  /** Lets other callers run in between. */
  async pause(): Promise<void> {
    if (performance.now() < this.#sliceEnds) return
    await new Promise(setImmediate)
    this.#sliceEnds = performance.now() + sliceMillis
  }

  async add(manifestDigest: string): Promise<void> {
    const set = JSON.parse(await this.#view.object(manifestDigest)) as StagedSet
    for (const { stem } of set.tombstones) this.stems.add(stem)
    for (const { links_digest, stem } of set.triplets) {
      await this.pause()
      this.stems.add(stem)
      this.point(objectFromText(await this.#view.object(links_digest)), stem)
    }
  }

  point(read: ReadObject, stem: string): void {
    if ('problems' in read) return
    for (const { id, type } of refsOf(read.object.value, stem).refs) {
      this.#targets.set(JSON.stringify([type, id]), { id, type })
    }
  }
}

/** The links of a stem on disk; undefined if there are none. */
async function linksIn(current: string, stem: string): Promise<ReadObject | undefined> {
  try {
    const bytes = await bytesInTree(current, partPath(stem, 'links'))
    return bytes === undefined ? { problems: [] } : objectFromBytes(bytes)
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined
    return { problems: [] }
  }
}

/**
 * The files of a stem as they should be. A triplet's files have the exact bytes of its objects, so their SHA-256 is
 * the digest. A text file is written as it was staged, in place of the three files.
 */
async function* filesOf(
  view: Pick<StateView, 'object'>,
  stem: string,
  triplet: Triplet | undefined,
): AsyncGenerator<TreeChange> {
  const pathOfText = textPath(stem)
  const body =
    triplet === undefined || pathOfText === undefined ? undefined : await unlessErased(view, triplet.body_digest)
  const text = triplet === undefined || body === undefined ? undefined : textOf(triplet, JSON.parse(body))
  const isErased = triplet !== undefined && pathOfText !== undefined && body === undefined && hasOnlyBody(triplet)
  if (pathOfText !== undefined) yield { path: pathOfText, content: text === undefined ? null : Buffer.from(text) }
  for (const part of tripletParts) {
    const isFile = triplet !== undefined && text === undefined && !isErased
    const object = isFile ? await unlessErased(view, triplet[`${part}_digest`]) : undefined
    yield { path: partPath(stem, part), content: object === undefined ? null : Buffer.from(object) }
  }
  const named = hashedStemPath(stem)
  if (named !== undefined)
    yield { path: named, content: triplet === undefined ? null : fileOf({ stem, version: 'v1' }) }
}

/** Whether a triplet with the name of a text file can be one. Its body was erased. */
function hasOnlyBody({ links_digest, manifest_digest }: Triplet): boolean {
  return links_digest === emptyObjectDigest && manifest_digest === emptyObjectDigest
}

/** The text of an object; undefined if it was erased. Only earlier state can name such an object. */
async function unlessErased(view: Pick<StateView, 'object'>, digest: string): Promise<string | undefined> {
  try {
    return await view.object(digest)
  } catch (error) {
    if (error instanceof LockstepError && error.code === 'OBJECT_ERASED') return undefined
    throw error
  }
}

/** Reads the sources page by page, because a target may have many; other callers can run in between. */
async function refFile(
  view: Pick<StateView, 'scan'>,
  workspace: string,
  { id, type }: IdentityRow,
  disk: Disk,
): Promise<TreeChange> {
  const sources: string[] = []
  for await (const [, source] of view.scan(sourceRows(workspace, { id, type })))
    sources.push(canonicalText(source as Json))
  const text = `{"id":${JSON.stringify(id)},"sources":[${sources.join(',')}],"type":${JSON.stringify(type)}}`
  return { path: refPath({ id, type }, disk), content: Buffer.from(text) }
}

function runFile(run_id: string, last_promoted_turn_id: string): TreeChange {
  return { path: runPath(run_id), content: fileOf({ last_promoted_turn_id, run_id, version: 'v1' }) }
}

function fileOf(document: object): Uint8Array {
  return Buffer.from(canonicalText(document as Json))
}
