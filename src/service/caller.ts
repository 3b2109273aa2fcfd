import * as z from 'zod'
import { type AnyFacts, formOf, formsOf, grantsOf, type TokenGrant } from '../api/operation.ts'
import { userAuthn } from '../disk/user.ts'
import { type Evidence, evidenceSchema } from '../domain/lock/liveness.ts'
import { LockstepError } from '../errors.ts'
import { type Actor, authnSchema } from '../kernel/ids.ts'
import { parsedJson } from '../kernel/json.ts'
import type { LocalLedger } from '../ledger.ts'
import type { Authenticated } from '../nouns/tokens/tokens.ts'
import { parse } from '../writer/parse.ts'
import type { Exchange, Place } from './exchange.ts'
import { memberOf } from './input.ts'
import { invalid } from './problem.ts'

/** Finds out who bears a token; undefined if the token is wrong, expired or revoked. */
export type Authenticate = (token: string) => Promise<Authenticated | undefined>

/** Who makes a call, and what they may do. */
export interface Caller {
  /** The actor of the token. Without a token each call names its own actor. */
  actor: Actor | undefined
  /**
   * How the caller is known: by its token, or as a process that may open the socket of this service. The system does
   * not tell which process connected. The mode of the socket lets in the user of the service, and root.
   */
  authn: string
  /** Checks the token again. Errors: UNAUTHENTICATED. Undefined without a token. */
  demandValid?: () => Promise<void>
  /** What another node, which forwards the call, found out about the processes that it names. */
  evidence?: readonly Evidence[]
  grants: ReadonlySet<TokenGrant>
  place: Place
  roles: ReadonlySet<string>
}

const tokenCharsMax = 512
/** The processes that the calls of one request name. */
export const evidenceListMax = 32
const overriding: readonly TokenGrant[] = ['authority', 'operator']
const ofSocket: ReadonlySet<TokenGrant> = new Set<TokenGrant>(['agent'])

/** The headers in which a node states its own token, how it knows the caller, and the evidence of processes. */
export const nodeHeaders = { token: 'lockstep-node', authn: 'lockstep-authn', evidence: 'lockstep-evidence' } as const

/**
 * Finds out who makes a request. On the socket a caller without a token has the grant `agent`, unless a token is
 * demanded there too. A node forwards the calls of its own socket under its own token. Errors: UNAUTHENTICATED.
 */
export function callerOf(
  exchange: Exchange,
  { authenticate, demandsToken }: { authenticate: Authenticate; demandsToken: boolean },
): Caller | Promise<Caller> {
  const { place } = exchange
  const nodeToken = exchange.header(nodeHeaders.token)
  if (nodeToken !== undefined) return forwardedCaller(exchange, nodeToken, authenticate)
  if (exchange.header('authorization') !== undefined) return bearerOf(exchange, authenticate)
  if (place.kind !== 'socket' || demandsToken) throw unauthenticated('the request needs a token')
  return { actor: undefined, authn: userAuthn(), grants: ofSocket, place, roles: new Set() }
}

async function bearerOf(exchange: Exchange, authenticate: Authenticate): Promise<Caller> {
  const [, token] = /^bearer +([\x21-\x7e]+)$/i.exec(exchange.header('authorization') ?? '') ?? []
  const known = async () => {
    const found = token === undefined ? undefined : await authenticated(token, authenticate)
    if (found === undefined) throw unauthenticated('the token is not valid')
    return found
  }
  const { actor, grants, roles, token_id } = await known()
  const demandValid = () => known().then(() => {})
  return { actor, authn: `token:${token_id}`, demandValid, grants, place: exchange.place, roles }
}

/** The caller for whom a node makes a call: the bearer of a token, or a process that may open the node's socket. */
async function forwardedCaller(exchange: Exchange, token: string, authenticate: Authenticate): Promise<Caller> {
  const isNode = async () => (await authenticated(token, authenticate))?.grants.has('node') === true
  if (!(await isNode())) throw unauthenticated('the token of the node is not valid')
  const sent = exchange.header(nodeHeaders.evidence)
  const evidence = parse(
    evidenceList,
    sent === undefined ? [] : parsedJson(decodeURIComponent(sent), 'evidence'),
    'evidence',
  )
  if (exchange.header('authorization') !== undefined) return { ...(await bearerOf(exchange, authenticate)), evidence }
  const authn = parse(authnSchema, exchange.header(nodeHeaders.authn), `the header ${nodeHeaders.authn}`)
  return { actor: undefined, authn, evidence, grants: ofSocket, place: exchange.place, roles: new Set() }
}

const evidenceList = z.array(evidenceSchema).max(evidenceListMax)

async function authenticated(token: string, authenticate: Authenticate): Promise<Authenticated | undefined> {
  return token.length > tokenCharsMax ? undefined : authenticate(token)
}

/** The items of a stream, until the token of its reader expires or is revoked. Errors: UNAUTHENTICATED. */
export async function* whileValid<T>({ demandValid }: Caller, items: AsyncIterable<T>): AsyncGenerator<T> {
  for await (const item of items) {
    await demandValid?.()
    yield item
  }
}

/** Refuses what a web page could send to a service on its reader's machine. Errors: FORBIDDEN. */
export function demandOwnHost(exchange: Exchange): void {
  if (exchange.place.kind === 'socket') return
  if (exchange.header('origin') !== undefined) {
    throw new LockstepError('FORBIDDEN', 'requests of web pages are refused')
  }
  const host = exchange.header('host') ?? ''
  if (exchange.place.isOwnHost(host)) return
  throw new LockstepError('FORBIDDEN', 'the Host header does not name this service', {
    details: { host: host.slice(0, 300) },
    hint: 'Use the address that the service printed when it started, or a name in its certificate.',
  })
}

function unauthenticated(message: string): LockstepError {
  return new LockstepError('UNAUTHENTICATED', message, {
    hint: 'Send a valid token in the header "Authorization: Bearer TOKEN".',
  })
}

/** Errors: FORBIDDEN, if no grant of the caller fits the form of the operation that the input chooses. */
export function demandGrant(
  { grants }: Caller,
  { facts, name }: { facts: AnyFacts; name: string },
  input: object,
): void {
  const chosen = formOf(facts, input)
  const form = [...formsOf(facts)].find(([, schema]) => schema === chosen)?.[0]
  // An input without a form is invalid, and the ledger says how.
  if (form === undefined) return
  demandOneOf(grants, name, facts.mayOverride?.(input) === true ? overriding : grantsOf(facts, form))
}

/** Errors: FORBIDDEN. */
export function demandOneOf(grants: Caller['grants'], name: string, needed: readonly TokenGrant[]): void {
  if (needed.some((grant) => grants.has(grant))) return
  throw new LockstepError('FORBIDDEN', `${name} needs the grant ${needed.join(' or ')}`, {
    details: { needed },
    hint: 'Call with a token that has this grant.',
  })
}

/**
 * Refuses to release the lock of a project in the name of the release authority without its grant: on the socket
 * anybody can state that name. Errors: FORBIDDEN.
 */
export function demandAuthority(
  { grants }: Caller,
  { facts, name }: { facts: AnyFacts; name: string },
  input: object,
  { actor: fallback, settings }: Pick<LocalLedger, 'actor' | 'settings'>,
): void {
  if (grants.has('authority') || facts.mayReleaseProject?.(input) !== true) return
  const { actor = fallback } = input as { actor?: unknown }
  const { actor_id } = Object(actor) as Partial<Actor>
  const { release_authority } = settings
  if (actor_id !== release_authority) return
  throw new LockstepError('FORBIDDEN', `${name} in the name of ${release_authority} needs the grant authority`, {
    details: { needed: ['authority'] },
    hint: 'Call with a token that has this grant.',
  })
}

/**
 * The input with the actor of the caller's token. Errors: FORBIDDEN, if the input names another actor, or a role that
 * the token does not have. A claim to act on behalf of a party is kept, and a run can be created for another actor.
 */
export function withActor({ actor, roles }: Caller, facts: AnyFacts, input: object): object {
  if (actor === undefined) return input
  if (facts.kind === 'command') demandOwnRoles({ actor, roles }, facts, input)
  if (memberOf(formOf(facts, input), 'actor') === undefined) return input
  const { actor: asked } = input as { actor?: unknown }
  if (asked === undefined) return { ...input, actor }
  if (typeof asked !== 'object' || asked === null) return input
  const { actor_id, actor_type, role_id } = asked as Partial<Actor>
  if (actor_id !== undefined && actor_id !== actor.actor_id) throw notOfToken('actor_id')
  if (actor_type !== undefined && actor_type !== actor.actor_type) throw notOfToken('actor_type')
  if (role_id !== undefined && !roles.has(role_id)) throw notOfToken('role_id')
  return { ...input, actor: { ...asked, ...actor } }
}

/** Errors: FORBIDDEN, if a run would get a role that the token does not have, or its actor with another type. */
function demandOwnRoles(
  { actor, roles }: { actor: Actor; roles: ReadonlySet<string> },
  facts: AnyFacts,
  input: object,
): void {
  const { role_id, run_actor } = input as { role_id?: unknown; run_actor?: unknown }
  const of = Object(run_actor) as Partial<Actor>
  const { events } = input as { events?: unknown }
  const stated = Array.isArray(events) ? events.map((event: unknown) => Object(event).role_id) : []
  for (const role of [role_id, of.role_id, roleFor(facts, input), ...stated]) {
    if (typeof role === 'string' && !roles.has(role)) throw notOfToken('role_id')
  }
  const isOther = of.actor_type !== undefined && of.actor_type !== actor.actor_type
  if (of.actor_id === actor.actor_id && isOther) throw notOfToken('actor_type')
}

/** The role that an operation needs; undefined if the input is invalid, which the ledger refuses. */
function roleFor(facts: AnyFacts, input: object): string | undefined {
  if (facts.roleFor === undefined) return undefined
  return formOf(facts, input)?.safeParse(input).success ? facts.roleFor(input) : undefined
}

function notOfToken(member: string): LockstepError {
  return new LockstepError('FORBIDDEN', `the token does not allow the ${member} of the input`, {
    details: { member },
    hint: 'Leave the actor out: it is the actor of the token.',
  })
}

/**
 * Refuses facts about the caller's machine that the ledger's machine cannot check: processes and folders. Errors:
 * INVALID_INPUT, LOCK_PLACEMENT.
 */
export function demandLocalFacts({ evidence, place }: Caller, { errors }: AnyFacts, input: object): void {
  if (place.kind === 'socket') return
  const { directory, folder, pids } = input as { directory?: unknown; folder?: unknown; pids?: unknown }
  if (folder !== undefined && errors.includes('LOCK_PLACEMENT')) {
    throw new LockstepError('LOCK_PLACEMENT', 'a folder can be locked only from the machine of the ledger', {
      hint: 'Call the service over its socket.',
    })
  }
  if (directory !== undefined) throw invalid('directory: folders are accepted over the socket only')
  if (pids !== undefined && evidence === undefined) throw invalid('pids: processes are accepted over the socket only')
}
