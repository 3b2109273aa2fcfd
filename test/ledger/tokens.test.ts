import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import type { TokenGrant } from '../../src/api/operation.ts'
import { LockstepError } from '../../src/errors.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { openLedger } from '../../src/open.ts'
import { rebuildViews } from '../../src/verify/rebuild.ts'
import { entriesOf } from '../support/entries.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { withLog } from '../support/opened-log.ts'
import { randomBelow } from '../support/seed.ts'
import { refusal, StageClock, withStage } from './stage.ts'

const tokens = suite('tokens')
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 400)
const becca = { actor_id: 'BECCA', actor_type: 'human' } as const
const agent = { actor_id: 'agent-7', actor_type: 'agent' } as const
const minute = 60_000

/** What the ledger must know about tokens, with times in minutes. The clock is the wall clock and the time of entries. */
class TokenModel {
  wall = 0
  time = 0
  readonly tokens: { created: number; expires: number; grants: TokenGrant[]; isRevoked: boolean; secret: string }[] = []

  records(): void {
    this.time = Math.max(this.time, this.wall)
  }

  create(lifetime: number): 'CLOCK_AHEAD' | 'created' {
    if (this.wall + lifetime <= Math.max(this.time, this.wall)) return 'CLOCK_AHEAD'
    this.records()
    return 'created'
  }

  reset(): 'CLOCK_NOT_AHEAD' | 'reset' {
    if (this.time <= this.wall) return 'CLOCK_NOT_AHEAD'
    this.time = this.wall
    return 'reset'
  }

  status(at: number): 'expired' | 'revoked' | 'valid' | undefined {
    const token = this.tokens[at]
    if (token === undefined) return undefined
    if (token.isRevoked) return 'revoked'
    const now = Math.max(this.wall, this.time)
    return token.expires === never || (token.created <= now && now < token.expires) ? 'valid' : 'expired'
  }
}

const never = Number.POSITIVE_INFINITY

/** What a call comes to, in the words of the model. */
async function outcomeOf(call: Promise<unknown>, word: string): Promise<string> {
  try {
    await call
    return word
  } catch (error) {
    if (error instanceof LockstepError) return error.code
    throw error
  }
}

tokens('behave like the model, across restarts, rebuilds and wrong clocks', async () => {
  const below = randomBelow('token model')
  const model = new TokenModel()
  const clock = new StageClock()
  const root = temporaryRoot()
  const open = (create = false) =>
    openLedger({ dir: root, actor: testActor, create, now: clock.now, policy: false, self_check: true })
  let ledger = await open(true)
  const startedAt = Date.parse((await ledger.log.entry({ seq: 0 })).time)
  clock.wall = startedAt + 600_000 * minute
  model.wall = 600_000
  const steps: { [what: string]: () => Promise<void> } = {
    create: async () => {
      const lifetime = below(3) === 0 ? never : 1 + below(300)
      const grants = ([['agent'], ['authority', 'operator'], ['operator']] as TokenGrant[][])[below(3)] ?? []
      const asked = { actor: becca, grants, token_actor: agent }
      const call = ledger.tokens.create(lifetime === never ? asked : { ...asked, expires_in_s: lifetime * 60 })
      const expected = model.create(lifetime)
      is(await outcomeOf(call, 'created'), expected)
      if (expected === 'CLOCK_AHEAD') return
      const { secret } = await call
      const { wall: created } = model
      model.tokens.push({ created, expires: created + lifetime, grants, isRevoked: false, secret: secret ?? '' })
    },
    revoke: async () => {
      const token = model.tokens[below(model.tokens.length + 1)]
      if (token === undefined) return
      const listed = (await ledger.tokens.list()).tokens
      const token_id = (await ledger.authenticate(token.secret))?.token_id ?? listed[below(listed.length)]?.token_id
      const { replayed } = await ledger.tokens.revoke({ actor: becca, token_id: token_id ?? '' })
      const revoked = model.tokens.find(({ secret }) => idOf(secret) === token_id)
      is(replayed, revoked?.isRevoked)
      if (revoked === undefined || revoked.isRevoked) return
      revoked.isRevoked = true
      model.records()
    },
    moveClock: async () => {
      const minutes = below(4) === 0 ? below(2_000) - 1_000 : below(120)
      clock.pass(Math.max(0, minutes) * minute, minutes * minute)
      model.wall += minutes
    },
    append: async () => {
      await ledger.audit.append({ events: [{ action_type: 'system', outcome: 'success' }] })
      model.records()
    },
    reset: async () => {
      is(await outcomeOf(ledger.clock.reset({ actor: becca, reason: 'x' }), 'reset'), model.reset())
    },
    restart: async () => {
      await ledger.close()
      if (below(2) === 0) await withLog(root, (log) => rebuildViews(log))
      ledger = await open()
    },
  }
  const names = ['create', 'create', 'revoke', 'moveClock', 'moveClock', 'append', 'reset', 'restart']
  for (let round = 0; round < rounds; round += 1) {
    const name = names[below(below(4) === 0 ? names.length : names.length - 1)] ?? ''
    await steps[name]?.()
    await agrees(ledger, model, `${round} ${name}`)
  }
  await ledger.close()
  await endsWithVerify(root)
})

const idOf = (secret: string) => `tok_${createHash('sha256').update(secret).digest('hex').slice(0, 24)}`

/** Every token authenticates exactly when the model says so, and the list says why. */
async function agrees(ledger: LocalLedger, model: TokenModel, where: string): Promise<void> {
  const listed = new Map((await ledger.tokens.list()).tokens.map(({ status, token_id }) => [token_id, status]))
  is(listed.size, model.tokens.length, where)
  for (const [at, { grants, secret }] of model.tokens.entries()) {
    const token_id = idOf(secret)
    const known = await ledger.authenticate(secret)
    const status = model.status(at)
    const expected = { actor: agent, grants: new Set(grants), roles: new Set(), token_id }
    equal(known, status === 'valid' ? expected : undefined, `${where}: token ${at}`)
    is(listed.get(token_id), status, where)
    is(await ledger.authenticate(otherThan(secret)), undefined, where)
  }
}

/** A secret with one character changed. */
const otherThan = (secret: string) => `${secret.slice(0, 20)}${secret[20] === 'A' ? 'B' : 'A'}${secret.slice(21)}`

tokens('authenticate nothing but a secret: no hash, id, prefix, or hostile text', () =>
  withStage(async (ledger) => {
    const { secret: given, token_id } = await ledger.tokens.create({
      actor: becca,
      grants: ['operator'],
      roles: ['B', 'A', 'B'],
      token_actor: agent,
    })
    const secret = given ?? ''
    const sha256 = createHash('sha256').update(secret).digest('hex')
    const texts = ['', 'lst_', token_id, sha256, `lst_${sha256.slice(0, 43)}`, secret.slice(0, -1), `${secret}A`]
    const hostile = ['__proto__', 'constructor', `${secret}\n`, ` ${secret}`, secret.toUpperCase(), 'x'.repeat(100_000)]
    for (const text of [...texts, ...hostile, 'lst_\ud800', `token/${token_id}`]) {
      is(await ledger.authenticate(text), undefined, text.slice(0, 80))
    }
    const roles = new Set(['A', 'B'])
    equal(await ledger.authenticate(secret), { actor: agent, grants: new Set(['operator']), roles, token_id })
    await ledger.close()
    const closed = await ledger.authenticate(secret).catch((error: LockstepError) => error.code)
    is(closed, 'LEDGER_CLOSED')
  }),
)

tokens('record a denied request, at most once in ten seconds, and make nothing', () =>
  withStage(async (ledger) => {
    const asked = { actor: agent, grants: ['operator'] as const, token_actor: agent }
    for (let time = 0; time < 3; time += 1) {
      await refusal(ledger.tokens.create({ ...asked, grants: [...asked.grants] }), 'TOKEN_DENIED')
    }
    const refused = (await entriesOf(ledger)).filter(({ stream }) => stream.startsWith('token'))
    equal(
      refused.map(({ stream, type }) => [stream, type]),
      [['token', 'token.refused']],
    )
    equal((await ledger.tokens.list()).tokens, [])
  }),
)

tokens('keep the secret out of every entry, answer and file; they have its hash', async () => {
  const root = temporaryRoot()
  const ledger = await openLedger({ dir: root, actor: testActor, create: true, policy: false, self_check: true })
  const asked = { actor: becca, grants: ['agent' as const], idempotency_key: 'a', token_actor: agent }
  const { secret: given, token_id } = await ledger.tokens.create(asked)
  const secret = given ?? ''
  const shown: unknown[] = [await ledger.tokens.create(asked), await ledger.tokens.list()]
  shown.push(await refusal(ledger.tokens.create({ ...asked, grants: ['operator'] }), 'IDEMPOTENCY_MISMATCH'))
  shown.push(await ledger.authenticate(secret), await ledger.tokens.revoke({ actor: becca, token_id }))
  shown.push((await ledger.audit.list({})).events, await entriesOf(ledger), await ledger.log.prove({ seq: 1 }))
  await ledger.close()
  const paths = readdirSync(root, { recursive: true, encoding: 'utf8' }).map((name) => join(root, name))
  const files = paths.filter((path) => statSync(path).isFile()).map((path) => readFileSync(path, 'latin1'))
  const text = [...shown.map((each) => JSON.stringify(each)), ...files].join('\n')
  ok(secret.length === 47 && !text.includes(secret.slice(4)), 'the secret is nowhere')
  ok(text.includes(createHash('sha256').update(secret).digest('hex')), 'its hash is there')
  await endsWithVerify(root)
})

tokens.run()
