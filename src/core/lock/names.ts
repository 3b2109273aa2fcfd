import * as z from 'zod'
import { lineOf } from '../ids.ts'
import { limits } from '../limits.ts'

export const lockKinds = ['resource', 'deliverable', 'project'] as const
export type LockKind = (typeof lockKinds)[number]

const deliverablePattern = /^(?:DEL-\d{2,3}-\d{2}|KTY-[A-Za-z0-9]{2}-[A-Za-z0-9]{2})$/
const projectWord = /^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$/
const resourceRest = lineOf(limits.nameBytes)
const deliverableName = /^(?:[A-Za-z0-9._-]{1,60}\/)?(?:DEL-\d{2,3}-\d{2}|KTY-[A-Za-z0-9]{2}-[A-Za-z0-9]{2})$/

/**
 * A lock's full name, `<kind>:<rest>`. A bare name means `resource:`; the three kinds' own prefixes are taken
 * as such, so `deliverable:x` is never a resource.
 */
export const lockNameSchema = lineOf(limits.lockNameBytes).transform((text, context) => {
  const kind = lockKinds.find((candidate) => text.startsWith(`${candidate}:`))
  const rest = kind === undefined ? text : text.slice(kind.length + 1)
  const wellNamed =
    kind === 'deliverable'
      ? deliverableName.test(rest)
      : kind === 'project'
        ? rest.split('/').length === 3 && rest.split('/').every((word) => projectWord.test(word))
        : resourceRest.safeParse(rest).success
  if (wellNamed) return `${kind ?? 'resource'}:${rest}`
  context.addIssue({ code: 'custom', message: `is not the name of a ${kind ?? 'resource'} lock` })
  return z.NEVER
})

/** Only resources are acquired by name; the other kinds come from a folder or a target. */
export const resourceNameSchema = lockNameSchema.refine((name) => name.startsWith('resource:'), {
  message: 'is a deliverable or project lock: acquire those with --folder, or --target and --run-id',
})

export function kindOf(name: string): LockKind {
  return lockKinds.find((kind) => name.startsWith(`${kind}:`)) ?? 'resource'
}

/** The stream of a lock's events. */
export function streamOf(name: string): string {
  // One command asks for it several times in a row, and each new string would be hashed anew when it is looked up.
  if (name !== lastName) {
    lastStream = `lock/${name}`
    lastName = name
  }
  return lastStream
}

let lastName = ''
let lastStream = 'lock/'

/** The deliverable id a folder's name begins with (text before the first `_`), or undefined. */
export function deliverableIdOf(folderName: string): string | undefined {
  const [id = ''] = folderName.split('_', 1)
  return deliverablePattern.test(id) ? id : undefined
}

/** The deliverable id in a lock's name, without the prefix of its execution root; undefined for other kinds. */
export function deliverableIdIn(name: string): string | undefined {
  return kindOf(name) === 'deliverable' ? name.slice(name.search(/[^:/]*$/)) : undefined
}

/** What a target_name says: the project, and the codename that changes from run to run. */
export interface Target {
  client: string
  type: string
  slug: string
  codename: string
}

/**
 * `IAMBECCA | <CLIENT_ID> | <PROJECT_TYPE> | <PROJECT_SLUG> | <MATRIX_CODENAME>` (seed 1), or the reason why a
 * text is none. The first word is configurable.
 */
export function parseTarget(targetName: string, prefix: string): Target | string {
  const words = targetName.split('|').map((word) => word.trim())
  const [first, client = '', type = '', slug = '', codename = ''] = words
  if (words.length !== 5)
    return `target_name must be "${prefix} | CLIENT_ID | PROJECT_TYPE | PROJECT_SLUG | MATRIX_CODENAME"`
  if (first !== prefix) return `target_name must begin with "${prefix}"`
  const bad = [client, type, slug, codename].find((word) => !projectWord.test(word))
  if (bad !== undefined) return `target_name has a word that is not of the form A-Z a-z 0-9 . _ -: "${bad}"`
  return { client, type, slug, codename }
}

/** Project identity: the codename is left out, so that it cannot get round the lock. */
export function projectNameOf(target: Target): string {
  return `project:${target.client}/${target.type}/${target.slug}`
}

const runIdPattern = /^run_([A-Za-z0-9][A-Za-z0-9._-]*)_(\d{4}-\d{2}-\d{2})_\d{3,}$/

/**
 * What is wrong with a run_id for this target, and what is only odd. Both client and slug may hold a `_`, so the
 * target says where one ends and the other begins. Source: seed 1, Field Definitions.
 */
export function judgeRunId(runId: string, target: Target): { problem?: string; warning?: string } {
  const [, clientAndSlug, date] = runIdPattern.exec(runId) ?? []
  if (clientAndSlug === undefined)
    return { problem: 'run_id must be run_<CLIENT>_<slug>_<YYYY-MM-DD>_<seq>, seq of at least three digits' }
  const parsed = new Date(`${date}T00:00:00Z`)
  if (Number.isNaN(parsed.getTime()) || parsed.toISOString().slice(0, 10) !== date)
    return { problem: `run_id has no real date: ${date}` }
  if (!clientAndSlug.endsWith(`_${target.slug}`))
    return { problem: `run_id's "${clientAndSlug}" does not end in the target's PROJECT_SLUG "${target.slug}"` }
  const client = clientAndSlug.slice(0, -target.slug.length - 1)
  if (client !== target.client)
    return { warning: `run_id's client "${client}" differs from the target's "${target.client}"` }
  return {}
}
