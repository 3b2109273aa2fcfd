import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { limits } from '../../src/kernel/limits.ts'
import { until } from '../ledger/stage.ts'
import { hexOf, sha256 } from '../merkle/model.ts'
import { root as packageRoot } from '../runner.ts'
import { certificate } from '../support/certificate.ts'
import { lockstep } from '../support/command.ts'
import { foreign } from '../support/foreign.ts'
import { temporaryRoot } from '../support/ledger.ts'
import { ask } from '../support/service.ts'
import { killWitnesses, startWitness } from '../support/witness-process.ts'
import { LogOfLeaves, leavesOf } from './log-of-leaves.ts'

const test = suite('lockstep witness serve')
const log = new LogOfLeaves(leavesOf('a', 700, 900), { origin: 'example.com/log' })
const logs = [log.key.vkey]
const checkpointPath = `/${hexOf(sha256(Buffer.from(log.origin)))}/checkpoint`

test.after(() => killWitnesses())

async function add(url: string, old: number, size: number, options: object = {}) {
  return ask(url, '/add-checkpoint', { body: await log.submission(old, size), ...options })
}

function connected(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => resolve(socket.on('error', () => {})))
    socket.once('error', reject)
  })
}

test('a witness cosigns over HTTP, and goes on after a restart where it was', async () => {
  const witness = await startWitness({ logs })
  const answer = await add(witness.url, 0, 200)
  is(answer.status, 200, answer.text)
  match(answer.text, /^— witness\.example\/w1 [A-Za-z0-9+/]+=*\n$/)
  is(await witness.kill('SIGTERM'), 0)
  match(witness.stderr(), /"msg":"closed"/)
  const again = await startWitness({ dir: witness.dir, logs })
  is(again.vkey, witness.vkey)
  const wrong = await add(again.url, 0, 300)
  equal([wrong.status, wrong.headers['content-type'], wrong.text], [409, 'text/x.tlog.size', '200\n'])
  is((await add(again.url, 200, 300)).status, 200)
  ok((await ask(again.url, checkpointPath)).text.startsWith(await log.checkpoint(300)))
  is(await again.kill('SIGINT'), 0)
})

test('the key is for the owner alone', async () => {
  const { dir } = await startWitness({ logs })
  is(statSync(join(dir, 'key')).mode & 0o777, 0o600)
})

test('a cosigned checkpoint of the command verifies with code that is not ours', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-go-'))
  try {
    const verifier = foreign(join(packageRoot, 'test/foreign/cosignature.go'), folder)
    if (verifier === undefined) return
    const { url, vkey } = await startWitness({ logs })
    const before = Math.floor(Date.now() / 1000)
    const file = join(folder, 'note')
    writeFileSync(file, (await log.checkpoint(123)) + (await add(url, 0, 123)).text)
    const verified = spawnSync(verifier, [file, log.key.vkey, vkey], { encoding: 'utf8', timeout: 20_000 })
    const [first, second = '', ...more] = verified.stdout.trim().split('\n')
    equal([first, more], ['example.com/log', []], verified.stderr)
    const [name, seconds] = second.split(' ')
    is(name, 'witness.example/w1')
    ok(Number(seconds) >= before && Number(seconds) <= Date.now() / 1000)
  } finally {
    rmSync(folder, { force: true, recursive: true })
  }
})

test('what was cosigned is known after the witness is killed in the middle of requests', async () => {
  let dir = temporaryRoot()
  let [asked, cosigned] = [0, 0]
  for (let round = 0; round < 4; round += 1) {
    const witness = await startWitness({ dir, logs })
    dir = witness.dir
    const work = (async () => {
      for (;;) {
        asked = cosigned + 1
        const answer = await add(witness.url, cosigned, asked).catch(() => undefined)
        if (answer === undefined) return
        if (answer.status === 409) cosigned = Number(answer.text)
        else {
          is(answer.status, 200, answer.text)
          cosigned = asked
        }
      }
    })()
    const from = cosigned
    await until('some checkpoints are cosigned', () => cosigned > from + 10)
    await witness.kill('SIGKILL')
    await work.catch(() => {})
    const again = await startWitness({ dir, logs })
    const kept = Number((await add(again.url, 899, 900)).text)
    ok(kept === cosigned || kept === asked, `${kept} is kept, ${cosigned} was answered, ${asked} was asked`)
    cosigned = kept
    await again.kill('SIGKILL')
  }
})

test('requests that are no requests of a log are refused, and the witness goes on', async () => {
  const { url } = await startWitness({ logs })
  const post = (body: string, path = '/add-checkpoint') => ask(url, path, { body })
  is((await post('x'.repeat(limits.witnessBodyBytes + 1))).status, 413)
  is((await post('x'.repeat(16 * limits.witnessBodyBytes)).catch(() => ({ status: 413 }))).status, 413)
  is((await post('')).status, 400)
  is((await post('old 0\n\n\u0000\n')).status, 400)
  is((await post('', '/other')).status, 404)
  is((await ask(url, '/add-checkpoint')).status, 405)
  is((await ask(url, checkpointPath)).status, 404)
  is((await ask(url, `/${'0'.repeat(64)}/checkpoint`)).status, 404)
  is((await ask(url, '/../key')).status, 404)
  is((await ask(url, '/%2e%2e/key')).status, 404)
  const other = new LogOfLeaves(leavesOf('a', 700, 900), { origin: 'example.com/other' })
  is((await post(await other.submission(0, 10))).status, 404)
  // Connections that say nothing, say nonsense, or stop in the middle.
  const silent = await connected(url)
  const nonsense = await connected(url)
  nonsense.write('\x16\x03\x01 nonsense\r\n\r\n')
  const half = await connected(url)
  half.write('POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nold 0\n')
  is((await add(url, 0, 10)).status, 200)
  for (const socket of [silent, nonsense, half]) socket.destroy()
})

test('a witness ends within its time although a caller does not finish its request', async () => {
  const witness = await startWitness({ logs })
  const half = await connected(witness.url)
  half.write('POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nold 0\n')
  is((await add(witness.url, 0, 10)).status, 200)
  is(await witness.kill('SIGTERM'), 0)
  half.destroy()
})

test('a witness serves over TLS', async () => {
  const { cert, key } = certificate()
  const folder = temporaryRoot()
  const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  writeFileSync(certFile, cert)
  writeFileSync(keyFile, key)
  const { url } = await startWitness({ logs, words: ['--tls-cert', certFile, '--tls-key', keyFile] })
  match(url, /^https:/)
  is((await add(url, 0, 10, { tls: { ca: cert } })).status, 200)
})

test('a witness that other machines can reach needs TLS, and wrong options are refused', async () => {
  const [dir, folder] = [temporaryRoot(), temporaryRoot()]
  const [good, bad] = [join(folder, 'good.txt'), join(folder, 'bad.txt')]
  writeFileSync(good, `${logs[0]}\n`)
  writeFileSync(bad, `# key\n${logs[0]}x\n`)
  const serve = async (...words: string[]) => {
    const { json, status } = await lockstep(['witness', 'serve', dir, ...words])
    return [status, json.message]
  }
  const name = ['--name', 'w.example']
  const [status, message] = await serve(...name, '--logs', good, '--listen', '0.0.0.0:0')
  is(status, 2)
  match(String(message), /needs TLS/)
  const listen = ['--listen', '127.0.0.1:0']
  match(String((await serve(...name, '--logs', bad, ...listen))[1]), /bad\.txt, line 2: /)
  is((await serve(...name, '--logs', join(folder, 'none'), ...listen))[0], 3)
  match(String((await serve('--name', 'a b', '--logs', good, ...listen))[1]), /name/)
})

test.run()
