import * as z from 'zod'
import { lineOf, ownMember, recordWith } from './ids.ts'
import { limits } from './limits.ts'
import { promotionRolesDefault } from './policy/policy.ts'
import { approvalTypes } from './vocabulary.ts'

const seconds = z.int().min(1).max(limits.deliverableLeaseSecondsMax)
const relativePath = z
  .string()
  .min(1)
  .max(500)
  .refine((path) => !path.startsWith('/') && !path.split('/').includes('..'), 'must be a path below the root')

/** Files that follow the log never stand among those that the ledger is made of. */
const outsideHome = relativePath.refine(
  (path) => path.split('/').find((part) => part !== '' && part !== '.') !== '.lockstep',
  'must not lie in .lockstep',
)

/** `.lockstep/config.json`: everything has a default, unknown keys are refused. */
export const configSchema = z.strictObject({
  /** Who releases project locks, breaks grants and imports files. */
  release_authority: lineOf(120).default('BECCA'),
  /** Actors who may break a grant beside the release authority. */
  operators: z.array(lineOf(120)).max(100).default([]),
  /** First word of every target_name. */
  target_prefix: lineOf(60).default('IAMBECCA'),
  /** Where RUN_LOCK.json files live, below the root. */
  runs_dir: outsideHome.default('runtime/runs'),
  /** Where promoted state is written to, below the root. */
  workspace_dir: outsideHome.default('workspace'),
  /** When the files in `.lockstep/staging` of a turn are removed. */
  staging_cleanup: z.enum(['on_promotion', 'on_run_end', 'never']).default('on_promotion'),
  deliverable_lease_s: z
    .strictObject({
      min: seconds.default(limits.deliverableLeaseSecondsMin),
      max: seconds.default(limits.deliverableLeaseSecondsMax),
    })
    .refine(({ min, max }) => min <= max, 'the shortest lease is longer than the longest')
    .prefault({}),
  /** Path below the root → prefix of the deliverable ids inside it, for several execution roots with the same ids. */
  execution_roots: recordWith(relativePath, z.string().regex(/^[A-Za-z0-9._-]{1,60}$/)).default({}),
  /** Actor id or role id → write scope. Once it is there, only `deliverable-local` may lock a deliverable. */
  write_scopes: recordWith(lineOf(120), z.string().min(1).max(60)).optional(),
  /** `commit` demands that the policy files are tracked by Git and unmodified when a policy is loaded. */
  pins: z.enum(['any', 'commit']).default('any'),
  /** The roles that a lane for knowledge promotion may be open to. */
  promotion_roles: z
    .array(lineOf(120))
    .max(100)
    .default([...promotionRolesDefault]),
  /** Actor id → the roles it may claim. Once it is there, an actor that is not listed has none. */
  actors: recordWith(lineOf(120), z.array(lineOf(120)).max(100)).optional(),
  /** The approvals that every export needs. */
  exports: z.strictObject({ approvals_required: z.array(z.enum(approvalTypes)).max(4).default([]) }).prefault({}),
  /** Bounds of a turn: bytes of one object, bytes of all, stems. */
  turn_limits: z
    .strictObject({
      object_bytes: z.int().min(1).max(limits.turnBytes).default(limits.turnObjectBytes),
      turn_bytes: z.int().min(1).max(limits.turnBytesMax).default(limits.turnBytes),
      stems: z.int().min(1).max(limits.turnStemsMaxMax).default(limits.turnStemsMax),
      refs: z.int().min(1).max(limits.turnRefsMaxMax).default(limits.turnRefsMax),
    })
    .prefault({}),
  /** Modes are not looked at on a disk that keeps none, as drvfs and exFAT; `init --accept-permissions` says so. */
  accept_permissions: z.boolean().default(false),
  /** Whether contention, and a wait that ends with TIMED_OUT, become entries too. */
  record_contention: z.boolean().default(false),
})

export type Config = z.infer<typeof configSchema>
export const defaultConfig: Config = configSchema.parse({})

/** Whether the actor is the release authority. */
export function isAuthority(config: Config, actorId: string): boolean {
  return actorId === config.release_authority
}

/** Whether the actor may have a role, as far as the configuration binds them. */
export function mayClaim(config: Config, actorId: string, roleId: string): boolean {
  return config.actors === undefined || (ownMember(config.actors, actorId) ?? []).includes(roleId)
}

/**
 * The write scope of an actor, or else of the role that the actor acts in; undefined where it has neither. To be asked
 * only where the configuration has scopes.
 */
export function writeScopeOf({ write_scopes = {} }: Config, actorId: string, roleId = ''): string | undefined {
  return ownMember(write_scopes, actorId) ?? ownMember(write_scopes, roleId)
}

/** Whether the actor may break grants: the release authority or an operator. */
export function isOperator(config: Config, actorId: string): boolean {
  return isAuthority(config, actorId) || config.operators.includes(actorId)
}
