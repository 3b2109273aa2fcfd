import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Server, Socket } from 'node:net'
import { dirname } from 'node:path'
import { OpenFolder } from '../../../disk/open-folder.ts'
import { connectTo, listenAt } from '../../../disk/unix-socket.ts'
import { systemCodeOf } from '../../../errors.ts'
import { sha256 } from '../../sha256.ts'
import { holderOfName } from './name-holder.ts'

const keyBytesMax = 4_096
const proofBytes = 32
const answerMillisMax = 500

const impossible = new Set([
  'EACCES',
  'EAFNOSUPPORT',
  'EINVAL',
  'ENOSYS',
  'EOPNOTSUPP',
  'EPERM',
  'EPROTONOSUPPORT',
  'EPROTOTYPE',
  'ESOCKTNOSUPPORT',
])

/**
 * The part of the guard that the Linux kernel provides: an abstract socket name, without a file. Only one process in a
 * network namespace can hold it, and the kernel frees it when that process dies. The name is derived from the ledger's
 * private key, so other users cannot compute it. Once it is in use, anyone can read it in /proc/net/unix, and can take
 * it when it is free. The owner therefore proves to each process that asks that it knows the key (ADR 0026).
 */
export class GuardName {
  readonly #path: string
  readonly #secret: Buffer
  readonly #asked: () => void
  readonly #asking = new Set<Socket>()
  #server: Server | undefined

  private constructor(secret: Buffer, asked: () => void) {
    this.#secret = secret
    this.#asked = asked
    this.#path = `\0lockstep-${createHmac('sha256', secret).update('name').digest('hex').slice(0, 40)}`
  }

  /**
   * Undefined if the platform lacks such names or the key cannot be read. `place` is the device and inode. `asked` is
   * called for each process that asks who holds the name.
   */
  static of(keyPath: string, place: string, asked: () => void): GuardName | undefined {
    const key = process.platform === 'linux' ? readKeyBytes(keyPath) : undefined
    if (key === undefined) return undefined
    const secret = createHash('sha256').update('lockstep guard\0').update(key).update(`\0${place}`).digest()
    return new GuardName(secret, asked)
  }

  /**
   * Takes the name without waiting. `impossible` means that the system or a sandbox does not provide such names.
   * Errors: those of the system.
   */
  async take(): Promise<'held elsewhere' | 'impossible' | 'taken'> {
    try {
      this.#server = await listenAt(this.#path, (socket) => this.#answer(socket))
      return 'taken'
    } catch (error) {
      const code = systemCodeOf(error) ?? ''
      if (code === 'EADDRINUSE') return 'held elsewhere'
      if (impossible.has(code)) return 'impossible'
      throw error
    }
  }

  /**
   * The holder of the name: an owner of this ledger, nobody any more, a process that does not know the key, or a
   * process that does not answer. An owner that is stopped or busy does not answer either. A silent process therefore
   * counts as an owner if it belongs to this user, to root, or to `owner`, the user who owns the ledger. Only the
   * silence of other users' processes is ignored.
   */
  async holder(owner: number): Promise<'no answer' | 'nobody' | 'owner' | 'stranger'> {
    const challenge = randomBytes(proofBytes)
    const answer = await this.#ask(challenge).catch(() => Buffer.alloc(0))
    if (answer.length >= proofBytes) {
      return timingSafeEqual(answer.subarray(0, proofBytes), this.#proof(challenge)) ? 'owner' : 'stranger'
    }
    const seen = holderOfName(this.#path.slice(1), new Set([0, process.getuid?.() ?? 0, owner]))
    if (seen === 'nobody') return 'nobody'
    return seen === 'known user' ? 'owner' : 'no answer'
  }

  release(): void {
    for (const socket of this.#asking) socket.destroy()
    this.#server?.close()
    this.#server = undefined
  }

  #answer(socket: Socket): void {
    this.#asked()
    this.#asking.add(socket)
    socket.once('close', () => this.#asking.delete(socket))
    socket.setTimeout(answerMillisMax, () => socket.destroy())
    const challenge: Buffer[] = []
    let bytes = 0
    socket.on('data', (chunk: Buffer) => {
      challenge.push(chunk)
      bytes += chunk.length
      if (bytes < proofBytes) return
      socket.removeAllListeners('data')
      socket.end(this.#proof(Buffer.concat(challenge).subarray(0, proofBytes)))
    })
  }

  async #ask(challenge: Buffer): Promise<Buffer> {
    const socket = await connectTo(this.#path)
    return new Promise((resolve) => {
      let answer = Buffer.alloc(0)
      const finish = () => {
        socket.destroy()
        resolve(answer)
      }
      socket.setTimeout(answerMillisMax, finish)
      socket.once('close', finish)
      socket.on('data', (chunk: Buffer) => {
        answer = Buffer.concat([answer, chunk.subarray(0, proofBytes)])
        if (answer.length >= proofBytes) finish()
      })
      socket.write(challenge)
    })
  }

  #proof(challenge: Buffer): Buffer {
    return createHmac('sha256', this.#secret).update('proof').update(challenge).digest()
  }
}

/**
 * What the name follows from: the SHA-256 of the private key, or the copy of it that is kept once the key can change. A
 * ledger whose key was never in its folder has a random one.
 */
function readKeyBytes(keyPath: string): Uint8Array | undefined {
  try {
    const home = OpenFolder.at(dirname(keyPath))
    if (!(home instanceof OpenFolder)) return undefined
    try {
      const kept = home.read('guard.secret', keyBytesMax)
      if ('bytes' in kept && kept.bytes.length > 0) return kept.bytes
      const found = home.read('key', keyBytesMax)
      return 'bytes' in found && found.bytes.length > 0 ? sha256(found.bytes) : undefined
    } finally {
      home.close()
    }
  } catch {
    return undefined
  }
}
