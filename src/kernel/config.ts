import * as z from 'zod'
import { lineOf, ownMember, recordWith } from './ids.ts'
import { limits } from './limits.ts'
import { retentionSchema } from './retention.ts'
import { approvalTypes } from './vocabulary.ts'

/**
 * The roles that a promotion lane may admit (Run Lifecycle, Contract v1, section 10.1), unless others are configured.
 */
export const promotionRolesDefault: readonly string[] = ['GOVERNANCE_AGENT', 'ATTORNEY_ADMIN']

const seconds = z.int().min(1).max(limits.deliverableLeaseSecondsMax)
const place = lineOf(limits.pathBytes)
const period = z.int().min(1).max(86_400).default(600)
const relativePath = z
  .string()
  .min(1)
  .max(500)
  .refine((path) => !path.startsWith('/') && !path.split('/').includes('..'), 'must be a path below the root')

/** Files derived from the log must not be among the ledger's own files. */
const outsideHome = relativePath.refine(
  (path) => path.split('/').find((part) => part !== '' && part !== '.') !== '.lockstep',
  'must not lie in .lockstep',
)

/**
 * The command that signs for the ledger, if its private key is elsewhere (ADR 0067). It is run without a shell. Its first
 * word is an absolute path, so that no file in the folder of an agent can take its place.
 */
const signer = z.strictObject({
  command: z
    .array(z.string().min(1).max(500))
    .min(1)
    .max(limits.signerWordsMax)
    .refine(([path = '']) => path.startsWith('/'), 'must begin with an absolute path'),
})

/** `.lockstep/config.json`. Every setting has a default, and unknown keys are refused. */
export const configSchema = z.strictObject({
  /** The actor who releases project locks, breaks grants and imports files. */
  release_authority: lineOf(120).default('BECCA'),
  /** Actors who may break a grant, besides the release authority. */
  operators: z.array(lineOf(120)).max(100).default([]),
  /** The first word of every target_name. */
  target_prefix: lineOf(60).default('IAMBECCA'),
  /** The folder of RUN_LOCK.json files, below the root. */
  runs_dir: outsideHome.default('runtime/runs'),
  /** The folder that promoted state is written to, below the root. */
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
  /** Actor id or role id → write scope. If it is set, only `deliverable-local` may lock a deliverable. */
  write_scopes: recordWith(lineOf(120), z.string().min(1).max(60)).optional(),
  /** `commit` demands that the policy files are tracked by Git and unmodified when a policy is loaded. */
  pins: z.enum(['any', 'commit']).default('any'),
  /** The roles that a lane for knowledge promotion may be open to. */
  promotion_roles: z
    .array(lineOf(120))
    .max(100)
    .default([...promotionRolesDefault]),
  /** Actor id → the roles it may claim. If it is set, an actor that is not listed may claim no role. */
  actors: recordWith(lineOf(120), z.array(lineOf(120)).max(100)).optional(),
  /** The approvals that every export needs. */
  exports: z.strictObject({ approvals_required: z.array(z.enum(approvalTypes)).max(4).default([]) }).prefault({}),
  /** Limits of a turn: bytes of one object, bytes of all objects, and stems. */
  turn_limits: z
    .strictObject({
      object_bytes: z.int().min(1).max(limits.turnBytes).default(limits.turnObjectBytes),
      turn_bytes: z.int().min(1).max(limits.turnBytesMax).default(limits.turnBytes),
      stems: z.int().min(1).max(limits.turnStemsMaxMax).default(limits.turnStemsMax),
      refs: z.int().min(1).max(limits.turnRefsMaxMax).default(limits.turnRefsMax),
    })
    .prefault({}),
  /**
   * If `optimistic` is true, a turn that changes a stem which another run of its workflow wrote must state the
   * `base_digest` of that stem. `init` sets it; ledgers from before this setting keep its default.
   */
  workflows: z.strictObject({ optimistic: z.boolean().default(false) }).prefault({}),
  /**
   * If true, file modes are not checked, for disks without modes such as drvfs and exFAT. `init --accept-permissions`
   * sets it.
   */
  accept_permissions: z.boolean().default(false),
  /** The command that holds the private key. Without it, the key is the file `.lockstep/key`. */
  signer: signer.optional(),
  /** Whether callers on the socket of the service name their actor themselves, or need a token as on TCP. */
  socket_auth: z.enum(['actor', 'token']).default('actor'),
  /**
   * The tools of agents over MCP: how long `lockstep mcp` renews the locks of a session without a call, and whether
   * turns can be applied.
   */
  mcp: z
    .strictObject({
      max_idle_s: z.int().min(60).max(limits.resourceLeaseSecondsMax).default(limits.toolIdleSeconds),
      turn_apply: z.boolean().default(false),
    })
    .prefault({}),
  /** Which texts are erased when they are old enough, by themselves. */
  retention: retentionSchema.prefault({}),
  /**
   * The file that names the witnesses and their quorum, below the root or absolute, and how often the service has the
   * newest checkpoint cosigned.
   */
  witness: z.strictObject({ policy: place, every_s: period }).optional(),
  /** Where the service puts the newest signed checkpoint: files, below the root or absolute, or URLs that take PUT. */
  anchors: z.array(place).max(16).default([]),
  anchor_every_s: period,
  /**
   * What the hooks of coding agents do before an edit of a file that nobody holds: `auto` locks it for the session until
   * `auto_lease_s` after the last edit of it, `strict` refuses the edit. With `runs` each call of a tool is a run of its
   * own in the role `role_id`, which the policy must allow.
   */
  hooks: z
    .strictObject({
      auto_lease_s: z.int().min(60).max(limits.resourceLeaseSecondsMax).default(900),
      edits: z.enum(['auto', 'strict']).default('auto'),
      role_id: lineOf(120).default('agent'),
      runs: z.boolean().default(false),
    })
    .prefault({}),
  /** Whether contention, and waits that end with TIMED_OUT, are recorded as entries. */
  record_contention: z.boolean().default(false),
})

export type Config = z.infer<typeof configSchema>
export const defaultConfig: Config = configSchema.parse({})

/** The settings of MCP among those that `config.show` answers. */
export function mcpSettingsIn({ mcp }: Readonly<Record<string, unknown>>): Config['mcp'] {
  return configSchema.shape.mcp.parse(mcp)
}

/** Whether the actor is the release authority. */
export function isAuthority(config: Config, actorId: string): boolean {
  return actorId === config.release_authority
}

/** Whether the configuration allows the actor to have a role. */
export function mayClaim(config: Config, actorId: string, roleId: string): boolean {
  return config.actors === undefined || (ownMember(config.actors, actorId) ?? []).includes(roleId)
}

/**
 * The write scope of an actor, or else of the actor's role; undefined if neither has one. Called only if the
 * configuration has write scopes.
 */
export function writeScopeOf({ write_scopes = {} }: Config, actorId: string, roleId = ''): string | undefined {
  return ownMember(write_scopes, actorId) ?? ownMember(write_scopes, roleId)
}

/** Whether the actor may break grants: the release authority or an operator. */
export function isOperator(config: Config, actorId: string): boolean {
  return isAuthority(config, actorId) || config.operators.includes(actorId)
}
