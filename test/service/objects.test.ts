import { hash } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, utimesSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { mediaTypes, objectPath, wireLimits } from '../../src/api/wire.ts'
import { connect } from '../../src/client.ts'
import { Uploads } from '../../src/files/staging/uploads.ts'
import { limits } from '../../src/kernel/limits.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { readable } from '../api/stage.ts'
import { until } from '../ledger/stage.ts'
import { temporaryRoot, testActor } from '../support/ledger.ts'
import { type Answer, type Asked, ask, post, posted, problemIn, withService } from '../support/service.ts'
import { startRuns } from '../support/turns.ts'

const objects = suite('objects of the service')
/** A test whose errors uvu can show. */
function test(title: string, work: () => Promise<void>): void {
  objects(title, readable(work))
}

const run_id = 'run_object_1'
const turnOf = (turn: number) => ({ run_id, turn_id: `turn-${String(turn).padStart(4, '0')}` })
const lines = { 'content-type': mediaTypes.lines }
const digestOf = (text: string | Uint8Array) => hash('sha256', text, 'hex')
const triplet = (stem: string, more: object = {}) => ({ stem, body: { dto_type: 'page', id: stem, ...more } })
const lineOf = (value: object) => `${JSON.stringify(value)}\n`
const uploads = ({ dir }: LocalLedger) => readdirSync(join(dir, '.lockstep/uploads')).sort()

const put = (at: string, body: string | Uint8Array, { digest = digestOf(body), ...asked }: Put = {}): Promise<Answer> =>
  ask(at, objectPath(digest), { method: 'PUT', body, headers: lines, ...asked })
type Put = Asked & { digest?: string }

test('are kept under their digest, and given back', async () => {
  await withService(async ({ address }, ledger) => {
    await startRuns(ledger, [run_id])
    const body = lineOf({ triplet: triplet('a') })
    const digest = digestOf(body)
    problemIn(await ask(address, objectPath(digest)), 'NOT_FOUND')
    for (const headers of [lines, { ...lines, 'transfer-encoding': 'chunked' }]) {
      const { status, text } = await put(address, body, { headers })
      equal([status, JSON.parse(text)], [200, { bytes: body.length, digest }])
    }
    const got = await ask(address, objectPath(digest))
    equal([got.status, got.text, got.headers['content-type']], [200, body, mediaTypes.lines])
    equal(uploads(ledger), [digest])
    await posted(address, '/v1/turns/apply', { ...turnOf(1), proposal_digest: digest })
    const { triplet: promoted } = await ledger.workspaces.stem({ run_id, stem: 'a' })
    const object = await ask(address, objectPath(promoted.body_digest))
    equal([object.text, object.headers['content-type']], ['{"dto_type":"page","id":"a"}', mediaTypes.json])
  })
})

test('that differ from what their request says are refused, and nothing of them is kept', async () => {
  await withService(async ({ address }, ledger) => {
    const { size } = await ledger.head.get()
    const refused = async (code: string, body: string | Uint8Array, asked: Put = {}) =>
      problemIn(await put(address, body, asked), code)
    await refused('INVALID_INPUT', 'x', { digest: digestOf('y') })
    await refused('INVALID_INPUT', 'x', {
      digest: digestOf('y'),
      headers: { ...lines, 'transfer-encoding': 'chunked' },
    })
    await refused('INVALID_INPUT', 'x', { digest: 'no-digest' })
    await refused('UNSUPPORTED_MEDIA_TYPE', 'x', { headers: {} })
    await refused('UNSUPPORTED_MEDIA_TYPE', 'x', { headers: { ...lines, 'content-encoding': 'gzip' } })
    problemIn(
      await ask(address, `${objectPath(digestOf('x'))}?more=1`, { method: 'PUT', body: 'x', headers: lines }),
      'INVALID_INPUT',
    )
    const length = { ...lines, 'content-length': String(ledger.uploads.bytesMax + 1) }
    const outgoing = request({ socketPath: address, method: 'PUT', path: objectPath(digestOf('x')), headers: length })
    outgoing.on('error', () => {}).write('x')
    const [answer] = await once(outgoing, 'response')
    is(answer.statusCode, 413)
    outgoing.destroy()
    for (const method of ['POST', 'DELETE', 'PATCH']) {
      const answer = await ask(address, objectPath(digestOf('x')), { method })
      problemIn(answer, 'METHOD_NOT_ALLOWED')
      is(answer.headers.allow, 'GET, HEAD, PUT')
    }
    equal([uploads(ledger), (await ledger.head.get()).size], [[], size])
  })
})

test('that grow beyond their limit while they arrive are refused', async () => {
  const folder = join(temporaryRoot(), 'uploads')
  const small = new Uploads(folder, () => ({ stems: 1, turn_bytes: 100 }))
  const chunks = async function* () {
    for (let at = 0; at < 1_000; at += 1) yield Buffer.alloc(100)
  }
  const { code } = await small.put(digestOf('x'), chunks()).catch((error) => error)
  equal([code, readdirSync(folder)], ['LIMIT_EXCEEDED', []])
})

test('of a request that is cut off leave nothing', async () => {
  await withService(async ({ address }, ledger) => {
    const headers = { ...lines, 'content-length': '1000000' }
    const outgoing = request({ socketPath: address, method: 'PUT', path: objectPath(digestOf('x')), headers })
    outgoing.on('error', () => {})
    outgoing.write('begun')
    const folder = () => (readdirSync(join(ledger.dir, '.lockstep')).includes('uploads') ? uploads(ledger) : [])
    await until('the upload has begun', () => folder().length === 1)
    outgoing.destroy()
    await until('nothing is left', () => folder().length === 0)
  })
})

test('are put by agents and operators, and read by every caller with a grant', async () => {
  const authenticate = async (token: string) => {
    const grants = new Set(token === 'nothing' ? [] : [token as 'agent' | 'authority' | 'operator'])
    return ['agent', 'authority', 'nothing', 'operator'].includes(token)
      ? { actor: testActor, grants, roles: new Set<string>(), token_id: 'tok_1' }
      : undefined
  }
  await withService(
    async ({ address, url = '' }) => {
      const asked = (token: string): Asked => ({ headers: { ...lines, authorization: `Bearer ${token}` } })
      for (const [token, mayPut, mayGet] of [
        ['agent', true, true],
        ['operator', true, true],
        ['authority', false, true],
        ['nothing', false, false],
      ] as const) {
        const written = await put(url, 'x', asked(token))
        is(written.status, mayPut ? 200 : 403, token)
        if (!mayPut) problemIn(written, 'FORBIDDEN')
        const { authorization } = asked(token).headers ?? {}
        const read = await ask(url, objectPath(digestOf('x')), { headers: { authorization: String(authorization) } })
        is(read.status, mayGet ? 200 : 403, token)
      }
      problemIn(await put(url, 'x', asked('wrong')), 'UNAUTHENTICATED')
      problemIn(await put(url, 'x'), 'UNAUTHENTICATED')
      problemIn(await ask(url, objectPath(digestOf('x'))), 'UNAUTHENTICATED')
      is((await put(address, 'x')).status, 200, 'the socket has the grant agent')
    },
    { authenticate, listen: { host: '127.0.0.1', port: 0 } },
  )
})

test('of a proposal that is malformed are refused when they are staged', async () => {
  await withService(async ({ address }, ledger) => {
    await startRuns(ledger, [run_id])
    const staged = async (body: string | Uint8Array, more: object = {}) => {
      await put(address, body)
      return post(address, '/v1/turns/stage', { ...turnOf(1), proposal_digest: digestOf(body), ...more })
    }
    const malformed = ['{', '[]\n', '{}\n', '{"triplet":{},"tombstone":{}}\n', '{"triplet":{"x":1}}\n', '{"more":1}\n']
    for (const text of [...malformed, Buffer.from([0x22, 0xff, 0x22])]) problemIn(await staged(text), 'INVALID_INPUT')
    problemIn(await staged(lineOf({ triplet: triplet('a') }), { triplets: [triplet('b')] }), 'INVALID_INPUT')
    problemIn(await staged(lineOf({ triplet: triplet('../up') })), 'E_STEM_INVALID')
    const unknown = { ...turnOf(1), proposal_digest: digestOf('never put') }
    is(
      problemIn(await post(address, '/v1/turns/stage', unknown), 'NOT_FOUND').details.proposal_digest,
      digestOf('never put'),
    )
    is((await staged(lineOf({ triplet: triplet('a') }))).status, 200)
  })
})

test('that were damaged on disk are not staged', async () => {
  await withService(async ({ address }, ledger) => {
    await startRuns(ledger, [run_id])
    const body = lineOf({ triplet: triplet('a') })
    await put(address, body)
    writeFileSync(join(ledger.dir, '.lockstep/uploads', digestOf(body)), body.replace('page', 'evil'))
    const asked = { ...turnOf(1), proposal_digest: digestOf(body) }
    problemIn(await post(address, '/v1/turns/stage', asked), 'NOT_FOUND')
    equal(uploads(ledger), [])
  })
})

test('have a limited total: the oldest make room, and fresh ones do not', async () => {
  const { uploadBytesInTotal, uploadMillisMin } = limits
  Object.assign(limits, { uploadBytesInTotal: 1_000 })
  try {
    await withService(async ({ address }, ledger) => {
      const bodies = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(300))
      for (const body of bodies.slice(0, 3)) is((await put(address, body)).status, 200)
      const refused = problemIn(await put(address, bodies[3] ?? ''), 'LEDGER_UNAVAILABLE')
      is(refused.details.outcome, 'not_applied')
      Object.assign(limits, { uploadMillisMin: 0 })
      is((await put(address, bodies[3] ?? '')).status, 200)
      equal(uploads(ledger), bodies.slice(1).map(digestOf).sort())
    })
  } finally {
    Object.assign(limits, { uploadBytesInTotal, uploadMillisMin })
  }
})

test('that nobody stages are removed after a while, and so is what a crash left', async () => {
  await withService(async ({ address }, ledger) => {
    await put(address, 'old')
    await put(address, 'new')
    const folder = join(ledger.dir, '.lockstep/uploads')
    const old = Date.now() / 1_000 - limits.uploadMillisMax / 1_000 - 60
    utimesSync(join(folder, digestOf('old')), old, old)
    writeFileSync(join(folder, 'x.part'), 'left')
    // As the next process of the ledger does when it begins.
    await new Uploads(folder, () => ledger.settings.turn_limits).clean()
    equal(uploads(ledger), [digestOf('new')])
  })
})

test('carry a turn that is larger than any body, for the client without being told', async () => {
  await withService(async ({ address }, ledger) => {
    await startRuns(ledger, [run_id])
    const client = await connect({ socket: address, actor: testActor })
    try {
      const triplets = Array.from({ length: 80 }, (_, at) => triplet(`page-${at}`, { text: 'x'.repeat(800_000) }))
      ok(80 * 800_000 > wireLimits.batchBytes * 3)
      const { promoted_stems } = await client.turns.apply({ ...turnOf(1), triplets })
      is(promoted_stems.length, 80)
      const { body } = await ledger.workspaces.stem({ run_id, stem: 'page-7' })
      equal(body, triplets[7]?.body)
      is(uploads(ledger).length, 1)
      // An upload that was dropped meanwhile is sent again.
      const key = { idempotency_key: 'k', ...turnOf(2), triplets: triplets.slice(0, 3) }
      const first = await client.turns.stage(key)
      is((await client.turns.stage(key)).seq, first.seq, 'a repeat is recognised')
      const small = await client.turns.stage({ ...turnOf(2), triplets: [triplet('small')] })
      is(small.counts.triplets, 1)
      is(uploads(ledger).length, 2, 'a small turn is sent in its call')
    } finally {
      await client.close()
    }
  })
})

test('of several large turns at once are all staged', async () => {
  await withService(async ({ address }, ledger) => {
    const runs = ['run_object_1', 'run_object_2', 'run_object_3']
    await startRuns(ledger, runs)
    const client = await connect({ socket: address, actor: testActor })
    const triplets = (of: string) =>
      Array.from({ length: 6 }, (_, at) => triplet(`${of}-${at}`, { text: 'y'.repeat(700_000) }))
    const turns = await Promise.all(
      runs.map((run) => client.turns.apply({ run_id: run, turn_id: 'turn-0001', triplets: triplets(run) })),
    )
    equal(
      turns.map(({ promoted_stems }) => promoted_stems.length),
      [6, 6, 6],
    )
    await client.close()
  })
})

test('are read in pieces', async () => {
  await withService(async ({ address }) => {
    const body = Buffer.alloc(8 * 1024 * 1024, 'line\n')
    is((await put(address, body)).status, 200)
    const incoming = request({ socketPath: address, path: objectPath(digestOf(body)) }).end()
    const [answer] = await once(incoming, 'response')
    let bytes = 0
    for await (const chunk of answer) bytes += chunk.length
    equal([bytes, answer.headers['content-length']], [body.length, String(body.length)])
  })
})

objects.run()
