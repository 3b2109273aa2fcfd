import { hash } from 'node:crypto'
import { errorIssue, type Issue, sortedIssues } from '../../domain/turn/issue.ts'
import {
  type JsonObject,
  jsonIssues,
  objectFromBytes,
  objectFromValue,
  type ReadObject,
} from '../../domain/turn/json-object.ts'
import { byBytes, foldOf, wrongWithStem } from '../../domain/turn/stem.ts'
import { textBody } from '../../domain/turn/text-file.ts'
import { pointerStep } from '../../kernel/json-value.ts'
import { printable } from '../../kernel/printable.ts'
import { sha256Schema } from '../../kernel/vocabulary.ts'
import { tripletParts } from '../workspace/names.ts'
import {
  basesName,
  type PartName,
  readStagingFiles,
  type StagingFile,
  type StagingName,
  type StagingRead,
} from './staging-files.ts'

interface ProposedTriplet {
  base_digest?: string | null
  body: JsonObject
  links?: JsonObject
  manifest?: JsonObject
  stem: string
}

/** The proposal in a staging directory, in the form that `stage` takes, and all problems with the directory. */
export interface StagingProposal {
  triplets: ProposedTriplet[]
  tombstones: JsonObject['value'][]
  issues: Issue[]
}

/**
 * Reads a staging directory into a proposal. Each stem can have `<stem>.body.json`, `.links.json`, `.manifest.json` and
 * `<stem>.tombstone.json`, at any depth, or is the path of a plain text file. `_base.json` states what stems are based
 * on. The content of the objects is checked elsewhere; here, only the stem in a tombstone is compared with its file
 * name.
 * Errors: FILE_DENIED, FILE_FAILED.
 * Cost: all files are held in memory.
 */
export async function readStaging(directory: string, read: StagingRead): Promise<StagingProposal> {
  const { bases, files, issues: unread, names } = await readStagingFiles(directory, read)
  const issues = [...unread]
  const objects = new Map<string, Map<PartName, { object: JsonObject; path: string }>>()
  let sliceEnds = performance.now() + sliceMillis
  for (const file of files) {
    if (performance.now() > sliceEnds) {
      await new Promise(setImmediate)
      sliceEnds = performance.now() + sliceMillis
    }
    const object = objectOf(file, issues)
    if (object === undefined) continue
    const parts = objects.get(file.stem) ?? new Map()
    objects.set(file.stem, parts.set(file.part, { object, path: file.path }))
  }
  const there = partsOf(names)
  const wrong = wrongStems(there)
  issues.push(...wrong.values())
  const triplets: StagingProposal['triplets'] = []
  const tombstones: StagingProposal['tombstones'] = []
  for (const [stem, parts] of objects) {
    // Problems reported here must not be reported again when the proposal is checked.
    if (wrong.has(stem)) continue
    const tombstone = parts.get('tombstone')
    const mismatch = tombstone && mismatchOf(stem, tombstone)
    if (mismatch !== undefined) issues.push(mismatch)
    else if (tombstone !== undefined) tombstones.push(tombstone.object.value)
    const [body, links, manifest] = tripletParts.map((part) => parts.get(part)?.object)
    const text = parts.get('text')?.object
    if (body !== undefined && links !== undefined && manifest !== undefined) {
      triplets.push({ body, links, manifest, stem })
    } else if (text !== undefined) triplets.push({ body: text, stem })
  }
  for (const [stem, parts] of there) issues.push(...wrongParts(stem, parts))
  if (bases !== undefined) issues.push(...addBases(bases, [...triplets, ...tombstones], there))
  return { issues: sortedIssues(issues), tombstones, triplets }
}

const sliceMillis = 5

/** The JSON object in a file. If it is not one, the reason is added to the issues. */
function objectOf(file: StagingFile, issues: Issue[]): JsonObject | undefined {
  const { path } = file
  const read = file.part === 'text' ? textObjectOf(file) : objectFromBytes(file.bytes)
  if ('object' in read) return read.object
  issues.push(...jsonIssues(read.problems, { location: path }))
  return undefined
}

/** The digest of the object that a file stands for; undefined if it is not valid. */
export function digestOfFile(file: StagingFile): string | undefined {
  const read = file.part === 'text' ? textObjectOf(file) : objectFromBytes(file.bytes)
  return 'object' in read ? hash('sha256', read.object.text, 'hex') : undefined
}

/** The body of a text file. It has the exact bytes of the file, with a byte order mark if the file has one. */
export function textObjectOf({ bytes, stem }: Pick<StagingFile, 'bytes' | 'stem'>): ReadObject {
  try {
    return objectFromValue(textBody(stem, utf8.decode(bytes)))
  } catch {
    return { problems: [{ pointer: '', problem: 'not_utf8' }] }
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Finds invalid stems, and triplets whose stem differs from an earlier one only in case. Tombstones are exempt, because
 * they may delete such a twin.
 */
function wrongStems(there: ReadonlyMap<string, ReadonlySet<PartName>>): Map<string, Issue> {
  const wrong = new Map<string, Issue>()
  const folded = new Map<string, string>()
  for (const stem of [...there.keys()].sort(byBytes)) {
    const is = wrongWithStem(stem)
    const facts = { location: stem, stage: 'stage' as const }
    if (is !== undefined) {
      wrong.set(stem, errorIssue('E_STEM_INVALID', { ...facts, details: { stem }, message: `the stem ${is}` }))
      continue
    }
    if (isTombstoneOnly(there.get(stem))) continue
    const twin = folded.get(foldOf(stem))
    folded.set(foldOf(stem), twin ?? stem)
    if (twin === undefined) continue
    const message = `the stem differs only in case from ${printable(twin)}`
    wrong.set(stem, errorIssue('E_STEM_COLLISION', { ...facts, details: { other: twin, stem }, message }))
  }
  return wrong
}

/** The parts of each stem that exist, whatever their content. */
function partsOf(names: readonly StagingName[]): Map<string, Set<PartName>> {
  const parts = new Map<string, Set<PartName>>()
  for (const { part, stem } of names) parts.set(stem, (parts.get(stem) ?? new Set()).add(part))
  return parts
}

/** Parts that are missing, or that another file of the same stem excludes. */
function* wrongParts(stem: string, parts: ReadonlySet<PartName>): Generator<Issue> {
  const missing = tripletParts.filter((part) => !parts.has(part))
  if (parts.has('text')) {
    if (missing.length === tripletParts.length) return
    const message = 'a text file and the files of a triplet have the same stem'
    yield errorIssue('E_STEM_COLLISION', { details: { stem }, location: stem, message, stage: 'stage' })
    return
  }
  if (missing.length === 0 || isTombstoneOnly(parts)) return
  yield errorIssue('E_TRIPLET_INCOMPLETE', {
    details: { stem },
    location: stem,
    message: `the stem has no ${missing.join(' and no ')}`,
    stage: 'stage',
  })
}

function isTombstoneOnly(parts: ReadonlySet<PartName> | undefined): boolean {
  return parts?.size === 1 && parts.has('tombstone')
}

function mismatchOf(stem: string, { object, path }: { object: JsonObject; path: string }): Issue | undefined {
  const stated = object.value.stem
  // A tombstone without a stem is reported where its members are checked.
  if (typeof stated !== 'string' || stated === stem) return undefined
  return errorIssue('E_TOMBSTONE_STEM_MISMATCH', {
    details: { other: stated, stem },
    location: path,
    message: `its content says that it is the tombstone of ${printable(stated)}`,
    stage: 'stage',
  })
}

/** Adds the base digests of `_base.json` to the proposal, and returns the problems with them. */
function addBases(
  bytes: Uint8Array,
  proposed: readonly { base_digest?: unknown; stem?: unknown }[],
  there: ReadonlyMap<string, unknown>,
): Issue[] {
  const read = objectFromBytes(bytes)
  if ('problems' in read) return jsonIssues(read.problems, { location: basesName })
  const bases = read.object.value
  for (const one of proposed) {
    if (typeof one.stem === 'string' && Object.hasOwn(bases, one.stem)) one.base_digest = bases[one.stem]
  }
  return Object.entries(bases).flatMap(([stem, base]) => {
    const isDigest = sha256Schema.nullable().safeParse(base).success
    if (isDigest && there.has(stem)) return []
    const message = isDigest ? 'the directory has no such stem' : 'must be a SHA-256 in hex, or null'
    const facts = { details: { stem }, location: `${basesName}${pointerStep(stem)}`, message }
    return [errorIssue('E_STAGING_FILE_INVALID', { ...facts, stage: 'stage' })]
  })
}
