import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { fileError } from '../../../disk/durable.ts'

/** How long an owner with a busy event loop has to answer: several times the interval at which it checks. */
const silenceMillisMax = 3_000
const answerMillis = 500
const lookMillis = 25

/**
 * Asks whether the owner of a ledger is running, if neither its socket nor its pid is visible from here. This is the
 * case between two containers that share only the folder. It creates a file, which the owner removes. Returns false if
 * the owner did not.
 * Errors: those of the file system.
 */
export async function isAnswered(path: string): Promise<boolean> {
  const until = performance.now() + silenceMillisMax
  try {
    writeFileSync(path, '', { mode: 0o600 })
  } catch (error) {
    throw fileError(error, `writing ${path}`)
  }
  while (existsSync(path)) {
    if (performance.now() >= until) {
      rmSync(path, { force: true })
      return false
    }
    await new Promise((resolve) => setTimeout(resolve, lookMillis))
  }
  return true
}

/**
 * Answers such questions until it is stopped, and once more when it is stopped, because an owner may hold the ledger
 * only for a moment. It does not keep the process alive. `isOwner` is called before each answer.
 */
export function answerAsked(path: string, isOwner: () => boolean): () => void {
  const answer = () => {
    try {
      if (existsSync(path) && isOwner()) rmSync(path, { force: true })
    } catch {
      // If there is no answer, the asking process waits for a while and then relies on LevelDB's own lock.
    }
  }
  const timer = setInterval(answer, answerMillis).unref()
  return () => {
    clearInterval(timer)
    answer()
  }
}
