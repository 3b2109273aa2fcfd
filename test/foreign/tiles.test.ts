// limit: 300
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, not, ok } from 'uvu/assert'
import { exportTiles } from '../../src/files/tiles/export-tiles.ts'
import { readable } from '../api/stage.ts'
import { root as project } from '../runner.ts'
import { foreign } from '../support/foreign.ts'
import { temporaryRoot } from '../support/ledger.ts'
import { withService } from '../support/service.ts'
import { appendEvents, checkTiles } from '../support/tiles.ts'

const tiles = suite('a foreign client reads the whole log by its tiles')
const folder = mkdtempSync(join(tmpdir(), 'lockstep-go-'))
process.once('exit', () => rmSync(folder, { force: true, recursive: true }))
const program = foreign(join(project, 'test/foreign/tiles.go'), folder)

/** A test whose errors uvu can show. */
function test(title: string, work: (read: Reader) => Promise<void>): void {
  tiles(
    title,
    readable(() => work(program === undefined ? readByModel : readerOf(program))),
  )
}

interface Read {
  status: number | null
  stderr: string
  /** What the program prints: a root in base64. */
  answer: { reads: number; root: string; size: number } | undefined
}
type Reader = (url: string, vkey: string, more?: { token?: string; words?: string[] }) => Promise<Read>

/** Runs the program without blocking this process, which serves what it reads. */
const readerOf =
  (path: string): Reader =>
  (url, vkey, { token = '', words = [] } = {}) =>
    new Promise((resolve, reject) => {
      const child = spawn(path, [url, vkey, ...words], { env: { ...process.env, TOKEN: token }, timeout: 60_000 })
      let [stdout, stderr] = ['', '']
      child.stdout.on('data', (chunk) => (stdout += chunk))
      child.stderr.on('data', (chunk) => (stderr += chunk))
      child.once('error', reject)
      child.once('close', (status) => {
        resolve({ status, stderr, answer: stdout === '' ? undefined : JSON.parse(stdout) })
      })
    })

/** Without Go, the model of the tests reads over HTTP. It verifies no signature. */
const readByModel: Reader = async (url, _, { token = '', words = [] } = {}) => {
  let root = ''
  const fetched = async (path: string) => {
    const answer = await fetch(`${url}/${path}`, token === '' ? {} : { headers: { authorization: `Bearer ${token}` } })
    if (!answer.ok && path === 'checkpoint') throw new Error(`checkpoint: ${answer.status}`)
    const bytes = answer.ok ? Buffer.from(await answer.arrayBuffer()) : undefined
    if (path === 'checkpoint') root = bytes?.toString().split('\n')[2] ?? ''
    return bytes
  }
  try {
    const size = await checkTiles(fetched, { entries: words.includes('entries') })
    return { status: 0, stderr: '', answer: { reads: 0, root, size } }
  } catch (error) {
    return { status: 1, stderr: String(error), answer: undefined }
  }
}

const base64Of = (hex: string) => Buffer.from(hex, 'hex').toString('base64')

/** A web server that knows nothing but files. `change` may change what it sends. */
async function withFiles<T>(
  dir: string,
  work: (url: string) => Promise<T>,
  change: (path: string, bytes: Buffer) => Buffer = (_, bytes) => bytes,
): Promise<T> {
  const server = createServer(({ url = '/' }, response) => {
    try {
      response.end(change(url, readFileSync(join(dir, url))))
    } catch {
      response.writeHead(404).end()
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    return await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

test('from the service, with the token of an agent', async (read) => {
  await withService(
    async ({ url = '' }, ledger) => {
      const { secret } = await ledger.tokens.create({
        actor: { actor_id: 'BECCA', actor_type: 'human' },
        grants: ['agent'],
        token_actor: { actor_id: 'reader', actor_type: 'agent' },
      })
      const { vkey } = await ledger.head.signed()
      for (const more of [1, 300, 2_000]) {
        await appendEvents(ledger, more)
        const { root, size } = await ledger.head.get()
        const { answer, status, stderr } = await read(`${url}/tiles`, vkey, { token: secret ?? '', words: ['entries'] })
        is(status, 0, stderr)
        equal([answer?.root, answer?.size], [base64Of(root), size])
      }
      const refused = await read(`${url}/tiles`, vkey, { token: 'wrong' })
      is(refused.status, 1)
      match(refused.stderr, /401/)
    },
    { listen: { host: '127.0.0.1', port: 0 } },
  )
})

test('from an exported folder behind any web server, also with the checkpoint of an earlier export', async (read) => {
  await withService(async (_, ledger) => {
    const dir = temporaryRoot()
    const { vkey } = await ledger.head.signed()
    await appendEvents(ledger, 700)
    await exportTiles(ledger.tiles, { dir, entries: true })
    const earlier = readFileSync(join(dir, 'checkpoint'))
    const { size: before } = await ledger.head.get()
    await appendEvents(ledger, 3_000)
    await exportTiles(ledger.tiles, { dir, entries: true })
    const { root, size } = await ledger.head.get()
    await withFiles(dir, async (url) => {
      const { answer, status, stderr } = await read(url, vkey, { words: ['entries'] })
      is(status, 0, stderr)
      equal([answer?.root, answer?.size], [base64Of(root), size])
    })
    const old = (path: string, bytes: Buffer) => (path === '/checkpoint' ? earlier : bytes)
    await withFiles(
      dir,
      async (url) => {
        const { answer, status, stderr } = await read(url, vkey, { words: ['entries'] })
        is(status, 0, stderr)
        is(answer?.size, before)
      },
      old,
    )
  })
})

test('and refuses a tile, an entry or a checkpoint that was changed', async (read) => {
  await withService(async (_, ledger) => {
    const dir = temporaryRoot()
    const { vkey } = await ledger.head.signed()
    await appendEvents(ledger, 600)
    await exportTiles(ledger.tiles, { dir, entries: true })
    for (const part of ['/checkpoint', '/tile/0/001', '/tile/1/000.p/2', '/tile/entries/001']) {
      let isChanged = false
      const flip = (path: string, bytes: Buffer) => {
        if (path !== part) return bytes
        isChanged = true
        const at = part === '/checkpoint' ? bytes.indexOf('\n') + 1 : bytes.length - 1
        return Buffer.from(bytes).fill((bytes[at] ?? 0) ^ 1, at, at + 1)
      }
      const { status, stderr } = await withFiles(dir, (url) => read(url, vkey, { words: ['entries'] }), flip)
      ok(isChanged, part)
      is(status, 1, part)
      not.match(stderr, /404/, part)
    }
  })
})

tiles.run()
