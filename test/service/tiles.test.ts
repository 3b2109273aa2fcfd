import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import type { TokenGrant } from '../../src/api/operation.ts'
import { readable } from '../api/stage.ts'
import { testActor } from '../support/ledger.ts'
import { type Asked, ask, begin, problemIn, withService } from '../support/service.ts'
import { appendEvents, checkTiles, type ReadTile } from '../support/tiles.ts'

const tiles = suite('tiles of the service')
/** A test whose errors uvu can show. */
function test(title: string, work: () => Promise<void>): void {
  tiles(title, readable(work))
}

/** Reads from a service. */
const tilesAt =
  (at: string, asked: Asked = {}): ReadTile =>
  async (path) => {
    const incoming = await begin(at, `/tiles/${path}`, asked)
    const chunks: Uint8Array[] = []
    for await (const chunk of incoming) chunks.push(chunk)
    return incoming.statusCode === 200 ? Buffer.concat(chunks) : undefined
  }

test('are the whole log at every size, while others append', async () => {
  await withService(async ({ address }, ledger) => {
    const read = tilesAt(address)
    for (const more of [1, 300, 1_000, 3_000]) {
      const appending = appendEvents(ledger, more)
      const size = await checkTiles(read, { entries: true })
      await appending
      is(await checkTiles(read), (await ledger.head.get()).size)
      ok((await ledger.head.get()).size >= size)
    }
    // A partial tile stays, also when the full one is there.
    const full = await read('tile/0/000')
    equal(await read('tile/0/000.p/7'), full?.slice(0, 7 * 32))
  })
})

test('have types and caching that fit: tiles never change, and the checkpoint does', async () => {
  await withService(async ({ address }, ledger) => {
    await appendEvents(ledger, 300)
    const checkpoint = await ask(address, '/tiles/checkpoint')
    equal(
      [checkpoint.status, checkpoint.text, checkpoint.headers['content-type'], checkpoint.headers['cache-control']],
      [200, (await ledger.head.signed()).checkpoint, 'text/plain; charset=utf-8', 'no-store'],
    )
    for (const path of ['tile/0/000', 'tile/0/001.p/1', 'tile/1/000.p/1', 'tile/entries/000', 'tile/entries/001.p/9']) {
      const { headers, status } = await ask(address, `/tiles/${path}`)
      equal(
        [status, headers['content-type'], headers['cache-control']],
        [200, 'application/octet-stream', 'private, max-age=31536000, immutable'],
      )
      const head = await ask(address, `/tiles/${path}`, { method: 'HEAD' })
      equal([head.status, head.text, head.headers['content-length']], [200, '', headers['content-length']])
    }
  })
})

test('that are not filled, and paths that name none, are not found', async () => {
  await withService(async ({ address }, ledger) => {
    await appendEvents(ledger, 300)
    const { size } = await ledger.head.get()
    const filled = size - 256
    is((await ask(address, `/tiles/tile/0/001.p/${filled}`)).status, 200)
    const none = [
      '',
      'tile/0/001',
      `tile/0/001.p/${filled + 1}`,
      `tile/entries/001.p/${filled + 1}`,
      'tile/0/002.p/1',
      'tile/1/000',
      'tile/1/000.p/2',
      'tile/2/000.p/1',
      'tile/63/000.p/1',
      'tile/0/x999/x999/x999/999',
      'tile/0/000.p/0',
      'tile/0/000.p/256',
      'tile/00/000',
      'tile/0/000?x=1',
      'tile/0/%30%30%30',
      'checkpoint/',
      'checkpoint?x',
      'tile/..%2f..%2fkey',
    ]
    for (const path of none) {
      const problem = problemIn(await ask(address, `/tiles/${path}`), 'NOT_FOUND')
      ok(problem.detail.length < 300, path)
    }
    for (const method of ['POST', 'PUT', 'DELETE']) {
      const answer = await ask(address, '/tiles/checkpoint', { method })
      problemIn(answer, 'METHOD_NOT_ALLOWED')
      is(answer.headers.allow, 'GET, HEAD')
    }
    problemIn(await ask(address, '/tiles/checkpoint', { method: 'GET', body: 'x' }), 'INVALID_INPUT')
  })
})

test('are read with any grant, and not without a token', async () => {
  const authenticate = async (token: string) => ({
    actor: testActor,
    grants: new Set(token === 'nothing' ? [] : [token as TokenGrant]),
    roles: new Set<string>(),
    token_id: 'tok_1',
  })
  await withService(
    async ({ url = '' }) => {
      for (const path of ['/tiles/checkpoint', '/tiles/tile/0/000.p/1', '/tiles/tile/entries/000.p/1']) {
        for (const token of ['agent', 'authority', 'operator', 'nothing']) {
          const answer = await ask(url, path, { headers: { authorization: `Bearer ${token}` } })
          is(answer.status, token === 'nothing' ? 403 : 200, `${path} ${token}`)
          if (token === 'nothing') match(problemIn(answer, 'FORBIDDEN').detail, /GET \/tiles\/\{path\}/)
        }
        problemIn(await ask(url, path), 'UNAUTHENTICATED')
      }
    },
    { authenticate, listen: { host: '127.0.0.1', port: 0 } },
  )
})

tiles.run()
