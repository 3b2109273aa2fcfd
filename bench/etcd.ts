import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { type ClientHttp2Session, connect } from 'node:http2'
import { createServer } from 'node:net'

/** An etcd of this machine with one member, and fsync on, as it is by default. */
export interface Etcd {
  /** Acquires a lock and writes a record, in one transaction. Fails if the lock is held. */
  acquire(name: string, holder: string, record: string): Promise<void>
  /** Releases a lock of this holder and writes a record, in one transaction. */
  release(name: string, holder: string, record: string): Promise<void>
  close(): Promise<void>
}

const binary = '/usr/bin/etcd'
const connections = 3
export const etcdMissing = existsSync(binary) ? undefined : `${binary} is not there (Debian: etcd-server)`

/** Starts an etcd with its data in a folder. */
export async function startEtcd(folder: string): Promise<Etcd> {
  const [client, peer] = [await freePort(), await freePort()]
  const url = `http://127.0.0.1:${client}`
  const peerUrl = `http://127.0.0.1:${peer}`
  const words = ['--data-dir', folder, '--listen-client-urls', url, '--advertise-client-urls', url]
  const cluster = ['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl]
  const server = spawn(binary, [...words, ...cluster, '--initial-cluster', `default=${peerUrl}`], { stdio: 'ignore' })
  await until(url, server)
  const sessions = Array.from({ length: connections }, () => connect(url))
  let turn = 0
  const transact = (compare: Buffer, ops: readonly Buffer[]) => {
    turn += 1
    return transaction(sessions[turn % connections] as ClientHttp2Session, compare, ops)
  }
  return {
    // Version 0: the key does not exist.
    acquire: (name, holder, record) =>
      transact(message([3, name], [4, 0]), [put(name, holder), put(`record/${record}`, recordText)]),
    release: (name, holder, record) =>
      transact(message([2, 3], [3, name], [7, holder]), [
        message([3, message([1, name])]),
        put(`record/${record}`, recordText),
      ]),
    close: async () => {
      for (const session of sessions) session.destroy()
      server.kill('SIGTERM')
      await once(server, 'exit')
    },
  }
}

/** About as long as an entry of Lockstep. */
const recordText = 'x'.repeat(400)

const put = (key: string, value: string) => message([2, message([1, key], [2, value])])

/** One call of etcdserverpb.KV/Txn over gRPC: a comparison, and what is done if it holds. */
function transaction(session: ClientHttp2Session, compare: Buffer, ops: readonly Buffer[]): Promise<void> {
  const request = message([1, compare], ...ops.map((op): Field => [2, op]))
  const head = Buffer.alloc(5)
  head.writeUInt32BE(request.length, 1)
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': '/etcdserverpb.KV/Txn',
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    const chunks: Buffer[] = []
    let status: unknown
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('trailers', (trailers) => {
      status = trailers['grpc-status']
    })
    stream.on('error', reject)
    stream.on('end', () => {
      const answer = Buffer.concat(chunks)
      if (String(status) === '0' && succeeded(answer.subarray(5))) resolve()
      else reject(new Error(`etcd refused a transaction: ${String(status)}`))
    })
    stream.end(Buffer.concat([head, request]))
  })
}

/** Field 2 of a TxnResponse, behind its header. */
function succeeded(response: Buffer): boolean {
  const header = response[1] ?? 0
  return response[2 + header] === 0x10 && response[3 + header] === 1
}

type Field = readonly [number: number, value: Buffer | number | string]

/** A protobuf message of numbers below 128, bytes and texts. */
function message(...fields: readonly Field[]): Buffer {
  return Buffer.concat(
    fields.map(([number, value]) => {
      if (typeof value === 'number') return Buffer.of(number << 3, value)
      const bytes = Buffer.from(value as string)
      return Buffer.concat([Buffer.of((number << 3) | 2), varint(bytes.length), bytes])
    }),
  )
}

function varint(value: number): Buffer {
  return value < 128 ? Buffer.of(value) : Buffer.concat([Buffer.of((value & 127) | 128), varint(value >>> 7)])
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

async function until(url: string, server: ChildProcess): Promise<void> {
  const end = performance.now() + 30_000
  for (;;) {
    if (server.exitCode !== null) throw new Error(`etcd ended with ${server.exitCode}`)
    const answer = await fetch(`${url}/health`).catch(() => undefined)
    if (answer?.ok && (await answer.text()).includes('true')) return
    if (performance.now() > end) throw new Error('etcd does not answer')
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}
