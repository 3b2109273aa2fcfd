import * as z from 'zod'
import { canonicalText, cut, wellFormed } from '../canonical.ts'
import { limits } from '../limits.ts'
import { sha256Schema } from '../vocabulary.ts'
import { byBytes } from './stem.ts'

/** Where in a turn's life an issue is found, in the order in which the places are looked at. */
const issueStages = ['stage', 'tombstones', 'base', 'lsi', 'promotion'] as const
export type IssueStage = (typeof issueStages)[number]

/** What is told and stops nothing. */
export const noticeCodes = {
  I_STAGING_EMPTY: 'Nothing is staged: no triplet, no tombstone, no delete.',
  I_NOOP_PROMOTION: 'The turn changes nothing; the chain goes on all the same.',
  I_TOMBSTONE_UNKNOWN_STEM: 'The tombstone is of a stem that the workspace does not have.',
  I_LSI_DANGLING_SOURCE: 'Links that stay point to a target that this turn takes away.',
  I_REF_MULTISOURCE: 'More than one link points to a target that this turn touches.',
} as const

/** What is wrong with a turn. */
export const errorCodes = [
  'E_STEM_INVALID',
  'E_STEM_COLLISION',
  'E_STAGING_FILE_INVALID',
  'E_JSON_INVALID',
  'E_TRIPLET_INCOMPLETE',
  'E_DTO_LINKS_WRONG_CONTAINER_SHAPE',
  'E_TOMBSTONE_STEM_MISMATCH',
  'E_TOMBSTONE_INVALID',
  'LIMIT_EXCEEDED',
  'E_DELETE_MISSING_TOMBSTONE',
  'E_PROMOTION_CONFLICT',
  'E_LSI_DUPLICATE_IDENTITY',
  'E_LSI_ORPHAN_TARGET',
] as const
export type ErrorIssueCode = (typeof errorCodes)[number]
type NoticeCode = keyof typeof noticeCodes

const issueCodes = [...errorCodes, ...Object.keys(noticeCodes)] as (ErrorIssueCode | NoticeCode)[]

/** The facts of an issue, as far as it has any: what it is about, and what stands in its way. */
const detailsSchema = z.strictObject({
  base_digest: sha256Schema.nullable().optional(),
  bytes_max: z.int().min(0).optional(),
  current_digest: sha256Schema.nullable().optional(),
  dto_type: z.string().optional(),
  id: z.string().optional(),
  /** What stands in a staging directory where a regular file should. */
  kind: z.string().optional(),
  /** The stem that has what this one wants. */
  other: z.string().optional(),
  pointer: z.string().optional(),
  problem: z.string().optional(),
  promoted_dto_type: z.string().optional(),
  promoted_id: z.string().optional(),
  sources: z.int().min(0).optional(),
  stem: z.string().optional(),
  stems: z.int().min(0).optional(),
  type: z.string().optional(),
})

/**
 * One thing that is wrong with a turn (level `error`) or worth knowing of it (`info`). `location` is a path in a
 * staging directory or an RFC 6901 pointer.
 */
export const issueSchema = z.strictObject({
  code: z.enum(issueCodes),
  details: detailsSchema,
  level: z.enum(['error', 'info']),
  location: z.string().max(4_096),
  message: z.string().max(1_000),
  stage: z.enum(issueStages),
})
export type Issue = z.infer<typeof issueSchema>

type Facts = Pick<Issue, 'location' | 'message' | 'stage'> & { details?: Issue['details'] }

/** An issue that stops the turn. */
export function errorIssue(code: ErrorIssueCode, { details = {}, location, message, stage }: Facts): Issue {
  return recordable({ code, details, level: 'error', location, message, stage })
}

/** The issue with its texts as an entry can hold them: bounded, and lone surrogates as U+FFFD. */
export function recordable({ code, details, level, location, message, stage }: Issue): Issue {
  const facts = Object.entries(details).map(([key, fact]) => [key, typeof fact === 'string' ? wellFormed(fact) : fact])
  return {
    code,
    details: Object.fromEntries(facts),
    level,
    location: wellFormed(cut(location, 4_096)),
    message: wellFormed(cut(message, 1_000)),
    stage,
  }
}

/** An issue that is only told. */
export function notice(code: NoticeCode, stage: IssueStage, details: Issue['details'], location = ''): Issue {
  return { code, details, level: 'info', location, message: noticeCodes[code], stage }
}

export function isError({ level }: Issue): boolean {
  return level === 'error'
}

/**
 * Issues in their one order: stage, location, code, then details and message, so that the same turn always gives the
 * same list; at most `max` of them.
 */
export function sortedIssues(issues: readonly Issue[], max: number = limits.turnIssuesMax): Issue[] {
  const places = new Map(issueStages.map((stage, index) => [stage, index]))
  return issues
    .toSorted(
      (one, other) =>
        (places.get(one.stage) ?? 0) - (places.get(other.stage) ?? 0) ||
        byBytes(one.location, other.location) ||
        byBytes(one.code, other.code) ||
        byBytes(canonicalText(one.details), canonicalText(other.details)) ||
        byBytes(one.message, other.message),
    )
    .slice(0, max)
}

/** A key of a JSON object as one step of an RFC 6901 pointer; a lone surrogate in it as U+FFFD, for it is recorded. */
export function pointerStep(key: string | number): string {
  return `/${wellFormed(String(key)).replaceAll('~', '~0').replaceAll('/', '~1')}`
}
