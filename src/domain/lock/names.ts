import * as z from 'zod'
import { lineOf } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'
import { isPath, type Path } from './paths/path.ts'

export const lockKinds = ['resource', 'deliverable', 'project', 'path'] as const
export type LockKind = (typeof lockKinds)[number]

const deliverablePattern = /^(?:DEL-\d{2,3}-\d{2}|KTY-[A-Za-z0-9]{2}-[A-Za-z0-9]{2})$/
const projectWord = /^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$/
const resourceRest = lineOf(limits.nameBytes)
const pathRest = lineOf(limits.lockPathBytes)
const deliverableName = /^(?:[A-Za-z0-9._-]{1,60}\/)?(?:DEL-\d{2,3}-\d{2}|KTY-[A-Za-z0-9]{2}-[A-Za-z0-9]{2})$/

/**
 * A lock's full name, `<kind>:<rest>`. A name without a prefix means `resource:`. The kinds are reserved as prefixes, so
 * `deliverable:x` is never a resource. Names that Unicode holds for the same text are one name, in the
 * normal form NFC: a macOS file name, for example, comes in another form than the same text from a keyboard.
 */
export const lockNameSchema = lineOf(limits.lockNameBytes).transform((given, context) => {
  const text = given.normalize('NFC')
  const kind = lockKinds.find((candidate) => text.startsWith(`${candidate}:`))
  const rest = kind === undefined ? text : text.slice(kind.length + 1)
  const wellNamed =
    kind === 'deliverable'
      ? deliverableName.test(rest)
      : kind === 'project'
        ? rest.split('/').length === 3 && rest.split('/').every((word) => projectWord.test(word))
        : kind === 'path'
          ? isPath(rest) && pathRest.safeParse(rest).success
          : resourceRest.safeParse(rest).success
  if (wellNamed) return `${kind ?? 'resource'}:${rest}`
  context.addIssue({ code: 'custom', message: `is not the name of a ${kind ?? 'resource'} lock` })
  return z.NEVER
})

/** Only resources are acquired by name. The names of other locks follow from a folder or a target. */
export const resourceNameSchema = lockNameSchema.refine((name) => name.startsWith('resource:'), {
  message:
    'is not the name of a resource: acquire other locks with `paths`, with `folder`, or with `target_name` and `run_id`',
})

export function kindOf(name: string): LockKind {
  return lockKinds.find((kind) => name.startsWith(`${kind}:`)) ?? 'resource'
}

/** The name of a path's lock. */
export function nameOfPath(path: Path): string {
  return `path:${path}`
}

/** The path in the name of its lock. */
export function pathOf(name: string): Path {
  return name.slice('path:'.length)
}

/** The stream of a grant of paths. Each grant has its own, because one grant can have many paths. */
export function streamOfPaths(lockRef: string): string {
  return pathStreams + lockRef
}

const pathStreams = 'path/'

/** The line in which all callers wait that want paths: whom one of them waits for depends on the paths. */
export const pathLine = pathStreams

/** The line of the callers that an entry of a stream may concern. */
export function lineOfStream(stream: string): string {
  return stream.startsWith(pathStreams) ? pathLine : stream
}

/** The stream of a lock's events. For a path, it has only refusals: each grant of paths has a stream of its own. */
export function streamOf(name: string): string {
  // One command needs the same name several times in a row, and looking up a new string would hash it again.
  if (name !== lastName) {
    lastStream = `lock/${name}`
    lastName = name
  }
  return lastStream
}

/** The same, where the ledger may know no lock by the caller's lock_id. Its refusals then share one stream. */
export function streamOfNamed(name: string | null): string {
  return streamOf(name ?? 'unknown')
}

let lastName = ''
let lastStream = 'lock/'

/** The deliverable id at the start of a folder's name (the text before the first `_`), or undefined. */
export function deliverableIdOf(folderName: string): string | undefined {
  const [id = ''] = folderName.split('_', 1)
  return deliverablePattern.test(id) ? id : undefined
}

/** The deliverable id in a lock's name, without the prefix of its execution root; undefined for other kinds. */
export function deliverableIdIn(name: string): string | undefined {
  return kindOf(name) === 'deliverable' ? name.slice(name.search(/[^:/]*$/)) : undefined
}

/** A parsed target_name: the project, and the codename, which differs between runs. */
export interface Target {
  client: string
  type: string
  slug: string
  codename: string
}

/**
 * `IAMBECCA | <CLIENT_ID> | <PROJECT_TYPE> | <PROJECT_SLUG> | <MATRIX_CODENAME>` (RUN_LOCK.json Template), or the
 * reason why a text is not a target_name. The first word is configurable.
 */
export function parseTarget(targetName: string, prefix: string): Target | string {
  const words = targetName.split('|').map((word) => word.trim())
  const [first, client = '', type = '', slug = '', codename = ''] = words
  if (words.length !== 5)
    return `target_name must be "${prefix} | CLIENT_ID | PROJECT_TYPE | PROJECT_SLUG | MATRIX_CODENAME"`
  if (first !== prefix) return `target_name must begin with "${prefix}"`
  const bad = [client, type, slug, codename].find((word) => !projectWord.test(word))
  if (bad !== undefined) return `target_name has an invalid word: "${bad}"; words are made of A-Z a-z 0-9 . _ -`
  return { client, type, slug, codename }
}

/** The identity of a project. It omits the codename, so that another codename cannot bypass the lock. */
export function projectNameOf(target: Target): string {
  return `project:${target.client}/${target.type}/${target.slug}`
}

const runIdPattern = /^run_([A-Za-z0-9][A-Za-z0-9._-]*)_(\d{4}-\d{2}-\d{2})_\d{3,}$/

/** Whether a run_id has the form of the template, with a real date, so that it names the project of its run. */
export function namesProject(runId: string): boolean {
  const [, , date] = runIdPattern.exec(runId) ?? []
  return date !== undefined && isDate(date)
}

function isDate(date: string): boolean {
  const parsed = new Date(`${date}T00:00:00Z`)
  return !Number.isNaN(parsed.getTime()) && parsed.toISOString().slice(0, 10) === date
}

/**
 * Problems and warnings about a run_id for this target. Both client and slug may contain `_`, so the target decides
 * where the client ends and the slug begins. Source: RUN_LOCK.json Template, Field Definitions.
 */
export function judgeRunId(runId: string, target: Target): { problem?: string; warning?: string } {
  const [, clientAndSlug, date = ''] = runIdPattern.exec(runId) ?? []
  if (clientAndSlug === undefined)
    return { problem: 'run_id must be run_<CLIENT>_<slug>_<YYYY-MM-DD>_<seq>, seq of at least three digits' }
  if (!isDate(date)) return { problem: `run_id has an invalid date: ${date}` }
  if (!clientAndSlug.endsWith(`_${target.slug}`))
    return { problem: `run_id's "${clientAndSlug}" does not end in the target's PROJECT_SLUG "${target.slug}"` }
  const client = clientAndSlug.slice(0, -target.slug.length - 1)
  if (client !== target.client)
    return { warning: `run_id's client "${client}" differs from the target's "${target.client}"` }
  return {}
}
