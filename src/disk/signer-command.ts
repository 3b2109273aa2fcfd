import { spawn } from 'node:child_process'
import { LockstepError, messageOf } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import { fromBase64 } from '../merkle/hash.ts'

/** A program and its arguments. It is run without a shell. */
export type SignerCommand = readonly string[]

/**
 * Asks a command that holds a private key (`docs/reference/signer.md`). It reads lines on its standard input and writes
 * one line of base64 to its standard output. Errors: SIGNER_FAILED, for a command that cannot be started, fails, takes too
 * long, writes too much, or writes anything else than this number of bytes in base64.
 */
export async function askSigner(command: SignerCommand, lines: readonly string[], bytes: 32 | 64): Promise<Uint8Array> {
  const answer = await outputOf(command, lines.map((line) => `${line}\n`).join(''))
  const value = fromBase64(answer.replace(/\s+/g, ''))
  if (value?.length !== bytes) throw signerFailed(command, `did not answer with ${bytes} bytes in base64`)
  return value
}

/** SIGNER_FAILED. The message has no part of the request or of the answer. */
export function signerFailed(command: SignerCommand, what: string, cause?: unknown): LockstepError {
  const hint = 'Nothing was signed. Run the command by hand to find the reason, then try again.'
  return new LockstepError('SIGNER_FAILED', `the signer ${command[0]} ${what}`, { hint, cause })
}

function outputOf(command: SignerCommand, input: string): Promise<string> {
  const [path = '', ...words] = command
  return new Promise((resolve, reject) => {
    // A group of its own, so that the time limit also ends what the command started.
    const child = spawn(path, words, { cwd: '/', detached: true, stdio: ['pipe', 'pipe', 'ignore'] })
    const chunks: Buffer[] = []
    let size = 0
    let failed: LockstepError | undefined
    const fail = (error: LockstepError) => {
      failed ??= error
      clearTimeout(timer)
      killGroup(child.pid)
      reject(failed)
    }
    const timer = setTimeout(
      () => fail(signerFailed(command, `did not answer within ${limits.signerMillisMax / 1_000} s`)),
      limits.signerMillisMax,
    )
    child.on('error', (error) => fail(signerFailed(command, `could not be started: ${messageOf(error)}`, error)))
    // A command that ends without reading its input is judged by its exit status.
    child.stdin.on('error', () => {})
    child.stdin.end(input)
    child.stdout.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > limits.signerAnswerBytes) fail(signerFailed(command, 'wrote too much'))
      else chunks.push(chunk)
    })
    child.on('close', (status, signal) => {
      clearTimeout(timer)
      if (failed !== undefined) return
      if (status === 0) resolve(Buffer.concat(chunks).toString('latin1'))
      else fail(signerFailed(command, `ended with ${signal ?? `exit status ${status}`}`))
    })
  })
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended.
  }
}
